"""Rows of the field's formats to conversations: messages, ShareGPT, Alpaca, prompt/completion, columns by template.

A row that is not a conversation raises `BadRow` with the reason; the reader names file and row and counts it. Columns
follow the rule of `trainer.sources.fields`; turns are read in `trainer.sources.turns`, tools in
`trainer.sources.tools`.

Try: bakeoff data FILE
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, cast

from results.records import Json
from trainer.experiment.schema import Columns, Source
from trainer.sources.column_names import (
    CONTEXTS,
    NAMED,
    OPTIONAL,
    OTHER_TURNS,
    PAIRS,
    REASONINGS,
    ROLE_KEYS,
    SHAREGPT,
    SYSTEMS,
    TEXT_KEYS,
    TOOLS,
    WANTED_PAIR,
)
from trainer.sources.conversations import Turn
from trainer.sources.fields import BadRow, Fields, empty, text_of
from trainer.sources.tools import tools_of
from trainer.sources.turns import check_characters, checked, system_of, turns_of

OTHERS = {
    "body": "a request to a batch API, which has no answer: put question and answer into `messages`",
    "response": "a reply of a batch API without its question: join them by their id into `messages`",
    "mapping": "a tree of messages (a ChatGPT export): put the turns of one path into a list `messages`",
    "message_tree_id": "a tree of messages (OpenAssistant's): put the turns of one path into a list `messages`",
    "replies": "a tree of messages: put the turns of one path into a list `messages`",
    "file_name": "a list of data sets (LLaMA-Factory's dataset_info.json), not rows: name the file that it lists",
    "segments": "text cut into trained and masked segments: put its turns into a list `messages`, each with `train`",
}
"""What rows of other tools are that hold an object or a list under these columns, and what to do."""

NAMED_SO = ("message_tree_id", "file_name")
"""Those of them that hold a name."""

MARKUP = ("<|im_start|>", "<|start_header_id|>", "<start_of_turn>", "[INST]", "<|user|>", "### Response:")
"""Chat templates' own marks."""

HEADING_CHARACTERS = 60
"""A longer name of a column is a row's text more likely."""


class Converted(NamedTuple):
    """A row as a conversation, and what became of its columns."""

    messages: tuple[Turn, ...]
    tools: tuple[Json, ...]
    format: str
    fields: Fields


def converted(row: Mapping[str, Any], source: Source) -> Converted:
    """The turns of a row.

    Raises: BadRow when no format fits, a turn is empty or unknown, no assistant turn answers a user's, or a column
    changes the row's meaning and is not understood.
    """
    known = row if source.columns is not None else _named(row)
    fields = Fields(known)
    kind = _format(known, source)
    turns = _CONVERTERS[kind](fields, source)
    tools: tuple[Json, ...] = ()
    if kind != "columns" and _optional(tuple(known)):
        turns = _with_system(turns, fields)
        if not empty(given := fields.take(*TOOLS)):
            tools = tools_of(given, fields)
            check_characters(json.dumps(tools, ensure_ascii=False), fields)
    if source.system and turns and turns[0]["role"] != "system":
        turns = [{"role": "system", "content": source.system}, *turns]
    messages = checked(turns, fields)
    if len(fields.used) < len(known):
        fields.judge([turn["content"] for turn in messages], source.columns is not None, kind in PAIRED)
    return Converted(messages, tools, kind, fields)


def _named(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """The row, its column names in lower case where a format is found no other way (Excel's `Prompt`, `Completion`)."""
    if not _in_lower_case(tuple(row)):
        lower = {str(name).strip().lower(): value for name, value in row.items()}
        if len(lower) == len(row) and _recognised(row) is None and _recognised(lower):
            return lower
    return row


@lru_cache(4096)
def _in_lower_case(names: tuple[Any, ...]) -> bool:
    return all(str(name) == str(name).strip().lower() for name in names)


@lru_cache(4096)
def _optional(names: tuple[Any, ...]) -> bool:
    """Whether a row has one of the columns that stand beside its turns or its question and answer."""
    return not OPTIONAL.isdisjoint(names)


@lru_cache(4096)
def _pair(names: tuple[Any, ...]) -> tuple[str, str] | None:
    """The names of question and answer among a row's columns."""
    return next((pair for pair in PAIRS if pair[0] in names and pair[1] in names), None)


def _format(row: Mapping[str, Any], source: Source) -> str:
    if source.columns is not None:
        return "columns"
    if source.format != "auto":
        return source.format
    for names in WANTED_PAIR:
        if (names[0] in row or names[1] in row) and not all(empty(row.get(name)) for name in names):
            raise BadRow(_preference(row, names))
    if found := _recognised(row):
        return found
    raise BadRow(_unknown(row))


def _recognised(row: Mapping[str, Any]) -> str | None:
    if "messages" in row and _listed(row["messages"]):
        return "messages"
    for name in SHAREGPT:
        if name in row and _listed(row[name]):
            return "sharegpt"
    if _pair(tuple(row)):
        return "pairs"
    return "contents" if any(_turn_list(row.get(name)) for name in OTHER_TURNS) else None


def _turn_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(turn, Mapping) for turn in value)


def _listed(value: Any) -> bool:
    """Whether a column holds turns: a list, an object of lists, or a list's JSON."""
    if isinstance(value, list):
        return True
    if isinstance(value, Mapping):
        return bool(value) and all(isinstance(column, list) for column in value.values())
    return isinstance(value, str) and value.lstrip().startswith("[{")


def _preference(row: Mapping[str, Any], names: tuple[str, str]) -> str:
    chosen = names[0]
    if not empty(row.get("messages")):
        remedy = "to train on `messages`, set the source's `format: messages`"
    elif isinstance(row.get(chosen), str):
        question = next((name for name in ("prompt", "question", "instruction", "input") if name in row), "prompt")
        remedy = f'to train on the wanted answers, give `columns: {{prompt: "{{{question}}}", answer: "{{{chosen}}}"}}`'
    else:
        remedy = f"to train on the wanted answers, rename `{chosen}` to `messages` and drop `{names[1]}`"
    return f"a preference pair ({', '.join(names)}), and answers alone are trained: {remedy}"


def _unknown(row: Mapping[str, Any]) -> str:
    """Say what a row without a known format is, and what to do."""
    names = ", ".join(sorted(map(str, row)))[:120]
    if any(key in row for key in ROLE_KEYS) and any(key in row for key in TEXT_KEYS):
        return "the row is one turn, not a conversation: put the turns of one into a list `messages`"
    if "input_ids" in row:
        return "tokenised already (input_ids), for one tokenizer: give the text, each base has its own"
    if isinstance(row.get("text"), str) and (marks := [mark for mark in MARKUP if mark in row["text"]]):
        return f"text that a chat template wrote ({marks[0]}), and each base has its own: give the turns it was made of"
    for name, what in OTHERS.items():
        if not empty(row.get(name)) and (name in NAMED_SO or isinstance(row[name], list | Mapping)):
            return what
    if isinstance(row.get("text"), str) and not any(empty(row.get(key)) is False for key in ("answer", "label")):
        return f"plain text has no answer to learn; columns are {names}: split it into `prompt` and `completion`"
    if len(row) == 1 and any(mark in names for mark in "^~:;|#\t"):
        return f"the row is one column, {names}: tables are read by commas, semicolons, tabs or bars"
    if any(len(str(name)) > HEADING_CHARACTERS for name in row):
        return f"no known format; the first line was taken for names: {names}: is the line of column names missing?"
    inside = [f"{{{name}.{key}}}" for name, value in row.items() if isinstance(value, Mapping) for key in value]
    if inside:
        return f"no known format; columns are {names}: give `columns`, which reach inside, as {inside[0][:60]}"
    if lists := [str(name) for name, value in row.items() if isinstance(value, list)]:
        turns = f"if `{lists[0][:40]}` holds turns, make it `messages` of role and content"
        return f"no known format; columns are {names}: give `columns`; {turns}"
    return f"no known format; columns are {names}: give `columns`"


def _with_system(turns: list[Turn], fields: Fields) -> list[Turn]:
    """The turns with the system prompt of the row's own column in front.

    Raises: BadRow when the turns have another one.
    """
    given = fields.take(*SYSTEMS)
    if given is None:
        return turns
    system = system_of(given, fields)
    if turns and turns[0]["role"] == "system" and not empty(turns[0]["content"]):
        if turns[0]["content"].strip() != system.strip():
            raise BadRow("two system prompts, the column's and the turns': keep one")
        return turns
    return [{"role": "system", "content": system}, *(turn for turn in turns if turn["role"] != "system")]


def _messages(fields: Fields, _: Source) -> list[Turn]:
    return turns_of(fields.take("messages") or [], fields)


def _sharegpt(fields: Fields, _: Source) -> list[Turn]:
    return turns_of(fields.take(*SHAREGPT) or [], fields)


def _contents(fields: Fields, _: Source) -> list[Turn]:
    return turns_of(fields.take(*OTHER_TURNS) or [], fields)


def _pairs(fields: Fields, _: Source) -> list[Turn]:
    row = fields.row
    names = _pair(tuple(row))
    if names is None:
        raise BadRow(f"none of the column pairs {', '.join('/'.join(pair) for pair in PAIRS[:8])}")
    question, answer = names
    asked, told = fields.take(question), fields.take(answer)
    if isinstance(asked, str) and isinstance(told, str) and not _optional(tuple(row)):
        return [{"role": "user", "content": asked}, {"role": "assistant", "content": told}]
    if isinstance(asked, list) and asked and isinstance(asked[0], Mapping):  # TRL's conversational prompt/completion
        told = told if isinstance(told, list) else [{"role": "assistant", "content": told}]
        return turns_of([*asked, *told], fields)
    taken = [(name, fields.take(name)) for name in CONTEXTS if name in row and name not in names]
    contexts = [text_of(value, name) for name, value in taken if value is not None]
    if isinstance(told, list | Mapping):
        raise BadRow(f"{answer} is {'a list' if isinstance(told, list) else 'an object'}, not one text: give `columns`")
    first = [] if row[question] is None else [text_of(row[question], question)]
    final: Turn = {"role": "assistant", "content": text_of(told, answer) if told is not None else ""}
    if (thought := fields.take(*REASONINGS)) is not None:
        final["reasoning_content"] = text_of(thought, "reasoning")
    return [*_earlier(fields), {"role": "user", "content": "\n\n".join([*first, *contexts])}, final]


def _earlier(fields: Fields) -> list[Turn]:
    """Turns of LLaMA-Factory's `history`: [[question, answer], …], all of them trained, as there; or turns as objects.

    Raises: BadRow.
    """
    history = fields.take("history")
    if isinstance(history, str):
        try:
            history = json.loads(history)
        except (ValueError, RecursionError):
            raise BadRow("history is text that is not JSON") from None
    if not history:
        return []
    if not isinstance(history, list):
        raise BadRow(f"history is {type(history).__name__}, not a list of pairs")
    if all(isinstance(turn, Mapping) for turn in history):
        return turns_of(history, fields)
    turns: list[Turn] = []
    for pair in history:
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(isinstance(text, str) for text in pair):
            raise BadRow("history is not a list of [question, answer]")
        turns += [{"role": "user", "content": pair[0]}, {"role": "assistant", "content": pair[1]}]
    return turns


def _columns(fields: Fields, source: Source) -> list[Turn]:
    columns = cast(Columns, source.columns)
    messages: list[Turn] = [
        {"role": "user", "content": fill(columns.prompt, fields.row)},
        {"role": "assistant", "content": fill(columns.answer, fields.row)},
    ]
    if columns.system:
        messages.insert(0, {"role": "system", "content": fill(columns.system, fields.row)})
    for template in (columns.prompt, columns.answer, columns.system):
        names = [match.group(1) or match.group(2) for match in NAMED.finditer(template)]
        fields.used.update(name if name in fields.row else name.split(".")[0] for name in names)
    return messages


_CONVERTERS: dict[str, Callable[[Fields, Source], list[Turn]]] = {
    "messages": _messages,
    "sharegpt": _sharegpt,
    "contents": _contents,
    "alpaca": _pairs,
    "prompt-completion": _pairs,
    "pairs": _pairs,
    "columns": _columns,
}

PAIRED = ("alpaca", "prompt-completion", "pairs")


def fill(template: str, row: Mapping[str, Any]) -> str:
    """A template with `{column}`, `{{column}}` and `{column.inner}` replaced; lists are joined by newlines.

    Values are put in as they are: braces in them mean nothing.
    Raises: BadRow when a column is missing or null.
    """

    def value(match: re.Match[str]) -> str:
        found: Any = row
        name = match.group(1) or match.group(2)
        for part in [name] if name in row else name.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        if found is None:
            raise BadRow(f"column {name!r} is missing or null; columns are {', '.join(sorted(map(str, row)))[:120]}")
        return text_of(found, f"column {name!r}")

    return NAMED.sub(value, template)
