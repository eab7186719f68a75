"""Rows of the field's formats to conversations: messages, ShareGPT, Alpaca, prompt/completion, columns by template.

A row that is not a conversation raises `BadRow` with the reason; the reader names file and row and counts it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, cast

from engines import Message
from trainer.experiment import Columns, Source

Role = Literal["system", "user", "assistant"]

ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
}
"""Role names in use to ours: OpenAI's, ShareGPT's, OpenAssistant's, Gemma's."""

PAIRS = (
    ("prompt", "completion"),
    ("prompt", "response"),
    ("prompt", "answer"),
    ("instruction", "output"),
    ("instruction", "response"),
    ("question", "answer"),
    ("input", "output"),
    ("query", "response"),
)
"""Column names (question, answer) recognised without mapping; optional context columns are in CONTEXTS."""

CONTEXTS = ("context", "input")
"""Dolly's and Alpaca's extra input, put under the instruction when not empty."""


class BadRow(ValueError):
    """Why a row is not a conversation, in a few words that are the same for every row with that fault."""


def conversation_messages(row: Mapping[str, Any], source: Source) -> tuple[Message, ...]:
    """The turns of a row.

    Raises: BadRow when no format fits, a turn is empty or unknown, or no assistant turn answers a user's.
    """
    messages = _CONVERTERS[_format(row, source)](row, source)
    if source.system and messages and messages[0]["role"] != "system":
        messages = [{"role": "system", "content": source.system}, *messages]
    return _checked(messages)


def _format(row: Mapping[str, Any], source: Source) -> str:
    if source.columns is not None:
        return "columns"
    if source.format != "auto":
        return source.format
    if isinstance(row.get("messages"), list):
        return "messages"
    if isinstance(row.get("conversations", row.get("conversation")), list):
        return "sharegpt"
    if any(question in row and answer in row for question, answer in PAIRS):
        return "pairs"
    raise BadRow(f"no known format; columns are {', '.join(sorted(map(str, row)))[:120]}: give `columns`")


def _turns(turns: Any, role_keys: tuple[str, ...], text_keys: tuple[str, ...]) -> list[Message]:
    if not isinstance(turns, list):
        raise BadRow(f"turns are {type(turns).__name__}, not a list")
    messages: list[Message] = []
    for turn in turns:
        if not isinstance(turn, Mapping):
            raise BadRow(f"a turn is {type(turn).__name__}, not an object")
        name = next((turn[key] for key in role_keys if turn.get(key) is not None), None)
        role = ROLES.get(str(name).lower())
        if role is None:
            raise BadRow(f"unknown role {str(name)[:30]!r}")
        messages.append({"role": role, "content": _text(next((turn[key] for key in text_keys if key in turn), None))})
    return messages


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(part, Mapping) and part.get("type") == "text" for part in value):
        return "".join(str(part.get("text", part.get("value", ""))) for part in value)  # OpenAI's, LLaMA-Factory's
    raise BadRow(f"a turn's text is {type(value).__name__}, not a string")


def _messages(row: Mapping[str, Any], _: Source) -> list[Message]:
    return _turns(row.get("messages"), ("role", "from"), ("content", "value"))


def _sharegpt(row: Mapping[str, Any], _: Source) -> list[Message]:
    turns = row.get("conversations", row.get("conversation"))
    return _turns(turns, ("from", "role"), ("value", "content", "text"))


def _pairs(row: Mapping[str, Any], _: Source) -> list[Message]:
    for question, answer in PAIRS:
        if question in row and answer in row:
            contexts = [row.get(name) for name in CONTEXTS if name not in (question, answer)]
            parts = [row[question], *(part for part in contexts if isinstance(part, str) and part.strip())]
            if isinstance(row[question], list):  # TRL's conversational prompt/completion
                return _turns([*row[question], *_listed(row[answer])], ("role", "from"), ("content", "value"))
            if not all(isinstance(part, str) for part in (*parts, row[answer])):
                raise BadRow(f"{question} or {answer} is not a string")
            return [
                {"role": "user", "content": "\n\n".join(parts)},
                {"role": "assistant", "content": row[answer]},
            ]
    raise BadRow(f"none of the column pairs {', '.join('/'.join(pair) for pair in PAIRS)}")


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise BadRow("prompt is a list of turns, completion is not")
    return value


def _columns(row: Mapping[str, Any], source: Source) -> list[Message]:
    columns = cast(Columns, source.columns)
    messages: list[Message] = [
        {"role": "user", "content": fill(columns.prompt, row)},
        {"role": "assistant", "content": fill(columns.answer, row)},
    ]
    if columns.system:
        messages.insert(0, {"role": "system", "content": fill(columns.system, row)})
    return messages


_CONVERTERS: dict[str, Callable[[Mapping[str, Any], Source], list[Message]]] = {
    "messages": _messages,
    "sharegpt": _sharegpt,
    "alpaca": _pairs,
    "prompt-completion": _pairs,
    "pairs": _pairs,
    "columns": _columns,
}


def fill(template: str, row: Mapping[str, Any]) -> str:
    """A template with `{column}`, `{{column}}` and `{column.inner}` replaced; lists are joined by newlines.

    Values are put in as they are: braces in them mean nothing.
    Raises: BadRow when a column is missing or null.
    """

    def value(match: re.Match[str]) -> str:
        found: Any = row
        name = match.group(1) or match.group(2)
        for part in name.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        if found is None:
            raise BadRow(f"column {name!r} is missing or null; columns are {', '.join(sorted(map(str, row)))[:120]}")
        return "\n".join(map(str, found)) if isinstance(found, list | tuple) else str(found)

    return re.sub(r"\{\{\s*([\w.\- ]+?)\s*\}\}|\{([\w.\- ]+?)\}", value, template)


def _checked(messages: list[Message]) -> tuple[Message, ...]:
    """Turns that a chat template can render: a system turn first at most, then user and assistant in turn."""
    turns = messages[1:] if messages and messages[0]["role"] == "system" else messages
    if any(message["role"] == "system" for message in turns):
        raise BadRow("a system turn stands after the first turn")
    while turns and turns[-1]["role"] == "user":
        turns = turns[:-1]  # an unanswered last question has nothing to learn
    if not turns:
        raise BadRow("no assistant turn")
    expected: tuple[Role, Role] = ("user", "assistant")
    for index, message in enumerate(turns):
        if message["role"] != expected[index % 2]:
            raise BadRow("turns do not alternate between user and assistant")
        if not message["content"].strip():
            raise BadRow(f"an empty {message['role']} turn")
    system = messages[:1] if len(messages) and messages[0]["role"] == "system" else []
    return (*(message for message in system if message["content"].strip()), *turns)
