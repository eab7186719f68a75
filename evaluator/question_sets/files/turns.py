"""Conversations and JSON out of the cells of a row, under the names of roles that tools give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from engines import Message
from evaluator.question_sets.items import BadQuestion
from results import parse_json, short_repr
from results.errors import FileUnreadable

ROLES = {
    "system": "system", "developer": "system", "user": "user", "human": "user", "assistant": "assistant",
    "gpt": "assistant", "model": "assistant", "ai": "assistant", "tool": "tool",
}  # fmt: skip


def turns_of(value: Any) -> list[Message]:
    """A conversation's turns. Raises: BadQuestion for what is none."""
    value = json_cell(value)
    if not isinstance(value, list) or not value:
        raise BadQuestion(f"its messages are no list of turns but {short_repr(value)}")
    turns: list[Message] = []
    for turn in value:
        role = ROLES.get(str(turn.get("role", turn.get("from"))).lower()) if isinstance(turn, Mapping) else None
        content = turn.get("content", turn.get("value")) if isinstance(turn, Mapping) else None
        if isinstance(content, list):
            content = "\n".join(
                str(part.get("text", ""))
                if isinstance(part, Mapping) and part.get("type", "text") == "text"
                else "\x00"
                for part in content
            )
        if role is None or not isinstance(content, str) or "\x00" in content:
            raise BadQuestion(f"one of its turns has no role and text: {short_repr(turn)}")
        if turn.get("tool_calls"):
            raise BadQuestion("one of its turns calls tools, which no model is given here")
        turns.append(cast(Message, {"role": role, "content": content}))
    return turns


def json_cell(value: Any) -> Any:
    """A cell that is written as a JSON list or object, as that; anything else as it is."""
    if isinstance(value, str) and value.strip()[:1] in ("[", "{"):
        try:
            return parse_json(value, cast(Any, "cell"))
        except FileUnreadable:
            return value
    return value
