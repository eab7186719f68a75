"""Lists of turns, of the field's spellings, to ours: roles, text and parts, reasoning, tool calls, weights.

A turn's keys follow the rule of `trainer.sources.fields`: used, ignored as harmless, named as not used, or a `BadRow`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from trainer.sources.column_names import OTHER_ROLE_KEYS, OTHER_TEXT_KEYS, ROLE_KEYS, TEXT_KEYS, TURN_PAIRS
from trainer.sources.conversations import Turn, turn_text
from trainer.sources.fields import MEANT, BadRow, Fields, as_weight, empty, text_of, truth
from trainer.sources.tools import NOTES, calls_of

Role = Literal["system", "user", "assistant", "tool"]

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
    "chatbot": "assistant",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
    "tool_response": "tool",
    "function_response": "tool",
    "ipython": "tool",
}
"""Role names in use to ours: OpenAI's, ShareGPT's, OpenAssistant's, Gemma's, Cohere's, LLaMA-Factory's, Llama's."""

CALLING = ("function_call", "tool_call")
"""Roles whose text is the assistant's call (LLaMA-Factory's ShareGPT)."""

WEIGHT_KEYS = ("weight", "loss_weight", "train", "training", "loss")
"""OpenAI's, LLaMA-Factory's, axolotl's, ms-swift's: 0 or false masks a turn."""
MASK_KEY = "masked"
"""torchtune's: true masks a turn."""

REASONING_KEYS = ("reasoning_content", "reasoning", "thinking", "thought")
CALL_KEYS = ("tool_calls", "function_call")
PLAIN_PARTS = ("text", "input_text", "output_text")
PART_KEYS = ("text", "value")
THINKING_PARTS = ("thinking", "reasoning")
TOOL_USE, TOOL_RESULT = "tool_use", "tool_result"
PICTURED = ("image", "video", "audio", "file")
NOT_FOLLOWED = ("mask", "train_detail", "refusal", "prefix", "loss_mask")
"""Keys of a turn that change what is learned of it and are not understood."""

DAMAGED = "holds � (U+FFFD): its text was damaged before it came here"


def turns_of(turns: Any, fields: Fields) -> list[Turn]:
    """Turns of a list, of its JSON, or of an object of lists (as Parquet keeps sequences of structs).

    Raises: BadRow when a turn is none, its role unknown, or one of its keys changes its meaning and is not understood.
    """
    if isinstance(turns, str):
        try:
            turns = json.loads(turns)
        except (ValueError, RecursionError):
            raise BadRow("turns are text that is not JSON") from None
    if isinstance(turns, Mapping) and turns and all(isinstance(column, list) for column in turns.values()):
        if len({len(column) for column in turns.values()}) != 1:
            raise BadRow("turns are columns of different lengths")
        turns = [dict(zip(turns, values, strict=True)) for values in zip(*turns.values(), strict=True)]
    if not isinstance(turns, list):
        raise BadRow(f"turns are {type(turns).__name__}, not a list")
    return [made for turn in turns for made in _turns(turn, fields)]


def _turns(turn: Any, fields: Fields) -> Iterator[Turn]:
    """The turn of an object; several where it holds a question and its answer, or the results of several tools."""
    nameless = isinstance(turn, Mapping) and not any(key in turn for key in (*ROLE_KEYS, *OTHER_ROLE_KEYS))
    if nameless and (pair := next((pair for pair in TURN_PAIRS if pair[0] in turn and pair[1] in turn), None)):
        yield from _pair(turn, pair, fields)
        return
    if isinstance(turn, Mapping) and isinstance(content := turn.get("content"), list):
        results = [part for part in content if isinstance(part, Mapping) and part.get("type") == TOOL_RESULT]
        if results and len(results) == len(content):
            yield from (_result(part, fields) for part in results)
            return
    yield _turn(turn, fields)


def _pair(turn: Mapping[str, Any], pair: tuple[str, str], fields: Fields) -> Iterator[Turn]:
    for role, key in (("system", "system"), ("user", pair[0]), ("assistant", pair[1])):
        if key != "system" or not empty(turn.get(key)):
            yield _turn({"role": role, "content": turn[key]}, fields)
    for key, value in turn.items():
        if key not in (*pair, "system"):
            fields.name_unused("turns", key, value)


def _result(part: Mapping[str, Any], fields: Fields) -> Turn:
    """Anthropic's result of a tool, which stands in a user turn there."""
    content = part.get("content")
    made: Turn = {"role": "tool", "content": _text("" if content is None else content, fields)[0]}
    if isinstance(part.get("tool_use_id"), str):
        made["tool_call_id"] = part["tool_use_id"]
    for key, value in part.items():
        if key not in ("type", "content", "tool_use_id", *NOTES):
            fields.name_unused("parts", key, value)
    return made


def system_of(value: Any, fields: Fields) -> str:
    """Text of a system prompt: as it is, or in the parts that Anthropic, Bedrock and Gemini make it of.

    Raises: BadRow.
    """
    if isinstance(value, Mapping):
        value = next((value[key] for key in (*OTHER_TEXT_KEYS, *TEXT_KEYS) if key in value), value)
    if isinstance(value, list) and any(isinstance(part, Mapping) for part in value):
        return _text(value, fields)[0]
    return text_of(value, "the system prompt")


def _turn(turn: Any, fields: Fields) -> Turn:
    if not isinstance(turn, dict | Mapping):
        raise BadRow(f"a turn is {type(turn).__name__}, not an object")
    if len(turn) == 2 and (plain := _plain_turn(turn)):
        return plain
    role_key = next((key for key in (*ROLE_KEYS, *OTHER_ROLE_KEYS) if turn.get(key) is not None), None)
    name = turn[role_key] if role_key else None
    role = ROLES.get(str(name).lower())
    text_key = next((key for key in (*TEXT_KEYS, *OTHER_TEXT_KEYS) if key in turn), None)
    content = turn[text_key] if text_key else None
    calls_key = next((key for key in CALL_KEYS if not empty(turn.get(key))), None)
    thought_key = next((key for key in REASONING_KEYS if not empty(turn.get(key))), None)
    used: set[str | None] = {role_key, text_key}
    if str(name).lower() in CALLING:
        made: Turn = {"role": "assistant", "content": "", "tool_calls": calls_of(content, fields)}
    elif role is None:
        raise BadRow(f"unknown role {str(name)[:30]!r}")
    else:
        used |= {calls_key, thought_key}
        calls = calls_of(turn[calls_key], fields) if calls_key else []
        if isinstance(content, list) and (calling := [part for part in content if _is_call(part)]):
            calls += [call for part in calling for call in calls_of(part, fields)]
            content = [part for part in content if not _is_call(part)]
        text, thought = _text(content, fields, bool(calls))
        made = {"role": role, "content": text}
        if thought_key:
            if thought != turn[thought_key]:
                fields.name_unused("parts", THINKING_PARTS[0], thought)
            thought = str(turn[thought_key])
        if thought:
            made["reasoning_content"] = thought
        if calls:
            made["tool_calls"] = calls
        if ("reasoning_content" in made or calls) and role != "assistant":
            raise BadRow(f"a {role} turn holds reasoning or tool calls")
    _weigh(turn, made, fields)
    _judge_keys(turn, made, used, fields)
    return made


def _is_call(part: Any) -> bool:
    """Whether a part of a turn is Anthropic's tool call."""
    return isinstance(part, Mapping) and part.get("type") == TOOL_USE


def _plain_turn(turn: Mapping[str, Any]) -> Turn | None:
    """A turn of role and text alone, as most are; None for any other."""
    if "role" in turn and "content" in turn:
        name, content = turn["role"], turn["content"]
    elif "from" in turn and "value" in turn:
        name, content = turn["from"], turn["value"]
    else:
        return None
    role = ROLES.get(name) if isinstance(name, str) else None
    if role is None or role == "tool" or not isinstance(content, str):
        return None
    return {"role": role, "content": content}


def _weigh(turn: Mapping[str, Any], made: Turn, fields: Fields) -> None:
    """Follow a turn's weight: 0 masks an answer, 1 trains it, anything between cannot be had.

    Raises: BadRow.
    """
    if made["role"] == "assistant" and truth(turn.get(MASK_KEY)):
        made["train"] = False
    for key in WEIGHT_KEYS:
        if empty(turn.get(key)):
            continue
        weight = as_weight(turn[key])
        if made["role"] != "assistant":
            if weight != 0:
                fields.note(f"a {made['role']} turn's `{key}` is not followed: answers alone are trained")
        elif weight == 0:
            made["train"] = False
        elif weight != 1:
            raise BadRow(f"a turn's `{key}` is {str(turn[key])[:20]}: only 0 and 1 can be trained")


def _judge_keys(turn: Mapping[str, Any], made: Turn, used: set[str | None], fields: Fields) -> None:
    said = [turn[key] for key in used if key is not None]
    for key, value in turn.items():
        plain = str(key).lower()
        if key in used or key in WEIGHT_KEYS or empty(value):
            continue
        if (plain == MASK_KEY and truth(value) is not None) or (plain in NOT_FOLLOWED and value is False):
            continue
        if made["role"] == "tool" and key in ("name", "tool_call_id") and isinstance(value, str):
            made["name" if key == "name" else "tool_call_id"] = value
        elif plain in (*NOT_FOLLOWED, MASK_KEY):
            raise BadRow(f"a turn's `{key}` is not understood, and changes what is learned: drop it or the row")
        elif plain in MEANT and plain.rstrip("s").startswith(PICTURED):
            raise BadRow(f"a turn's `{key}` {MEANT[plain].format(name=key)}")
        elif value not in said and value != made["content"]:
            fields.name_unused("turns", key, value)


def _text(value: Any, fields: Fields, calls: bool = False) -> tuple[str, str]:
    """Take text and thought out of a turn's content: text, a number, or OpenAI's, Anthropic's, Gemini's parts.

    calls: the turn calls tools, so that its text may be null.

    Raises: BadRow.
    """
    if isinstance(value, str):
        return value, ""
    if value is None and calls:
        return "", ""
    if isinstance(value, int | float):
        return str(value), ""
    if not isinstance(value, list):
        raise BadRow(f"a turn's text is {type(value).__name__}, not a string")
    texts: list[str] = []
    thoughts: list[str] = []
    for part in value:
        if isinstance(part, str):
            texts.append(part)
            continue
        if not isinstance(part, Mapping):
            raise BadRow(f"a part of a turn is {type(part).__name__}, not an object")
        kind = str(part.get("type", "text" if part.keys() == {"text"} else ", ".join(map(str, part))))
        if kind not in (*PLAIN_PARTS, *THINKING_PARTS):
            if any(word in kind for word in PICTURED):
                raise BadRow(
                    f"a turn holds {kind[:30]!r}, and only text is trained: drop these rows, or that part of them"
                )
            raise BadRow(f"a turn holds a part of the unknown type {kind[:30]!r}")
        keys = PART_KEYS if kind in PLAIN_PARTS else (*THINKING_PARTS, "text")
        used = next((key for key in keys if key in part), "")
        (texts if kind in PLAIN_PARTS else thoughts).append(str(part.get(used, "")))
        for key, inner in part.items():
            if key not in (used, "type", *NOTES):
                fields.name_unused("parts", key, inner)
    return "".join(texts), "".join(thoughts)


def checked(turns: list[Turn], fields: Fields) -> tuple[Turn, ...]:
    """Turns that a chat template can render: a system turn first at most, then user and assistant, with tools between.

    Raises: BadRow when their order is another, one is empty or broken, or none is trained.
    """
    if len(turns) == 2 and _plain_pair(*turns):  # most rows: nothing in them needs a closer look
        return tuple(turns)
    system = [turn for turn in turns[:1] if turn["role"] == "system"]
    rest = turns[len(system) :]
    if any(turn["role"] == "system" for turn in rest):
        raise BadRow("a system turn stands after the first turn")
    answered = len(rest)
    while answered and rest[answered - 1]["role"] in ("user", "tool"):
        answered -= 1  # an unanswered last question has nothing to learn
    if not answered:
        raise BadRow("no assistant turn")
    if answered < len(rest):
        fields.note("what follows the last answer is left out: it is not answered")
    rest = rest[:answered]
    _check_order(rest)
    if not any(turn["role"] == "assistant" and turn.get("train", True) for turn in rest):
        raise BadRow("every answer's weight is 0: nothing is to be trained")
    kept = (*(turn for turn in system if turn["content"].strip()), *rest)
    for turn in kept:
        check_characters(turn_text(turn), fields)
    return kept


def _plain_pair(question: Turn, answer: Turn) -> bool:
    """Whether two turns are a question and an answer of ASCII text alone."""
    if len(question) != 2 or len(answer) != 2 or question["role"] != "user" or answer["role"] != "assistant":
        return False
    asked, told = question["content"], answer["content"]
    return asked.isascii() and told.isascii() and not (asked.isspace() or told.isspace() or not asked or not told)


FOLLOWERS = {"": ("user",), "user": ("assistant",), "assistant": ("user",), "calls": ("tool",)}
"""What may follow: nothing, a question, an answer, a call; after a tool's result another one or an answer."""


def _check_order(turns: list[Turn]) -> None:
    before = ""
    for turn in turns:
        role = turn["role"]
        if role not in FOLLOWERS.get(before, ("tool", "assistant")):
            if before == "calls" or role == "tool":
                raise BadRow("a tool's answer follows no call, or a call has no answer")
            raise BadRow("turns do not alternate between user and assistant")
        if not turn["content"].strip() and role != "tool" and "tool_calls" not in turn:
            raise BadRow(f"an empty {role} turn")
        before = "calls" if "tool_calls" in turn else role


def check_characters(text: str, fields: Fields) -> None:
    """Note text that was damaged before; refuse text that no tokenizer takes.

    Raises: BadRow.
    """
    if text.isascii():
        return
    if "\N{REPLACEMENT CHARACTER}" in text:
        fields.note(DAMAGED)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise BadRow("a broken character (half of a surrogate pair)") from None
