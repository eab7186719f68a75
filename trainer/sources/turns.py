"""Lists of turns, of the field's spellings, to ours: roles, text and parts, reasoning, tool calls, weights.

A turn's keys follow the rule of `trainer.sources.fields`: used, ignored as harmless, named as not used, or a `BadRow`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from trainer.sources.column_names import ROLE_KEYS, TEXT_KEYS
from trainer.sources.conversations import Turn, turn_text
from trainer.sources.fields import MEANT, BadRow, Fields, as_weight, empty, harmless
from trainer.sources.tools import calls_of

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
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
    "tool_response": "tool",
    "function_response": "tool",
    "ipython": "tool",
}
"""Role names in use to ours: OpenAI's, ShareGPT's, OpenAssistant's, Gemma's, LLaMA-Factory's, Llama's."""

CALLING = ("function_call", "tool_call")
"""Roles whose text is the assistant's call (LLaMA-Factory's ShareGPT)."""

WEIGHT_KEYS = ("weight", "loss_weight", "train", "training", "loss")
"""OpenAI's, LLaMA-Factory's, axolotl's, ms-swift's: 0 or false masks a turn."""

REASONING_KEYS = ("reasoning_content", "reasoning", "thinking", "thought")
CALL_KEYS = ("tool_calls", "function_call")
PLAIN_PARTS = ("text", "input_text", "output_text")
THINKING_PARTS = ("thinking", "reasoning")
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
    return [_turn(turn, fields) for turn in turns]


def _turn(turn: Any, fields: Fields) -> Turn:
    if not isinstance(turn, dict | Mapping):
        raise BadRow(f"a turn is {type(turn).__name__}, not an object")
    if len(turn) == 2 and (plain := _plain_turn(turn)):
        return plain
    name = next((turn[key] for key in ROLE_KEYS if turn.get(key) is not None), None)
    role = ROLES.get(str(name).lower())
    text_key = next((key for key in TEXT_KEYS if key in turn), None)
    content = turn[text_key] if text_key else None
    if str(name).lower() in CALLING:
        made: Turn = {"role": "assistant", "content": "", "tool_calls": calls_of(content)}
    elif role is None:
        raise BadRow(f"unknown role {str(name)[:30]!r}")
    else:
        calls = next((calls_of(turn[key]) for key in CALL_KEYS if not empty(turn.get(key))), [])
        text, thought = _text(content, bool(calls))
        made = {"role": role, "content": text}
        for key in REASONING_KEYS:
            if not empty(turn.get(key)):
                thought = str(turn[key])
                break
        if thought:
            made["reasoning_content"] = thought
        if calls:
            made["tool_calls"] = calls
        if ("reasoning_content" in made or calls) and role != "assistant":
            raise BadRow(f"a {role} turn holds reasoning or tool calls")
    _weigh(turn, made, fields)
    _judge_keys(turn, made, text_key, fields)
    return made


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


def _judge_keys(turn: Mapping[str, Any], made: Turn, text_key: str | None, fields: Fields) -> None:
    for key, value in turn.items():
        plain = str(key).lower()
        if key in (*ROLE_KEYS, text_key, *WEIGHT_KEYS, *REASONING_KEYS, *CALL_KEYS) or empty(value):
            continue
        if made["role"] == "tool" and key in ("name", "tool_call_id") and isinstance(value, str):
            made["name" if key == "name" else "tool_call_id"] = value
        elif plain in NOT_FOLLOWED and value is not False:
            raise BadRow(f"a turn's `{key}` is not understood, and changes what is learned: drop it or the row")
        elif plain in MEANT and plain.rstrip("s").startswith(PICTURED):
            raise BadRow(f"a turn's `{key}` {MEANT[plain].format(name=key)}")
        elif not (harmless(plain, value) or value == made["content"]) and f"turns.{key}" not in fields.unused:
            fields.unused.append(f"turns.{key}")


def _text(value: Any, calls: bool) -> tuple[str, str]:
    """Take text and thought out of a turn's content: text, a number, or OpenAI's, Anthropic's, LLaMA-Factory's parts.

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
        kind = str(part.get("type"))
        if kind in PLAIN_PARTS:
            texts.append(str(part.get("text", part.get("value", ""))))
        elif kind in THINKING_PARTS:
            thoughts.append(str(next((part[key] for key in ("thinking", "reasoning", "text") if key in part), "")))
        elif any(word in kind for word in PICTURED):
            raise BadRow(f"a turn holds {kind[:30]!r}, and only text is trained: drop these rows, or that part of them")
        else:
            raise BadRow(f"a turn holds a part of the unknown type {kind[:30]!r}")
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
