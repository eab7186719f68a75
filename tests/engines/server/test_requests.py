"""A request's parameters, and the keys of the objects inside them: applied, harmless by a list, or refused by name."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from engines.server.requests import ChatRequest
from tests.engines.server.recorded import SCHEMA

CALL = {"id": "c1", "type": "function", "function": {"name": "see", "arguments": "{}"}}
WHOLE: dict[str, Any] = {
    "model": "m",
    "messages": [
        {"role": "system", "content": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]},
        {"role": "user", "name": "Ann", "content": "Hello"},
        {"role": "assistant", "content": None, "reasoning_content": "hm", "tool_calls": [CALL], "refusal": None},
        {"role": "tool", "tool_call_id": "c1", "name": "see", "content": "dark"},
    ],
    "tools": [{"type": "function", "function": {"name": "see", "parameters": SCHEMA, "strict": True}}],
    "tool_choice": {"type": "function", "function": {"name": "see"}},
    "response_format": {"type": "json_schema", "json_schema": {"name": "sky", "schema": SCHEMA, "strict": True}},
    "stream": True,
    "stream_options": {"include_usage": True, "include_obfuscation": False},
}
FREE = ("schema", "parameters", "cache_control")
"""Whose inside is not the protocol's."""


def objects(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all objects of a request."""
    if isinstance(value, dict):
        yield place
        for name, one in value.items():
            if name not in FREE:
                yield from objects(one, (*place, name))
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from objects(one, (*place, number))


PLACES = list(objects(WHOLE))


@pytest.mark.parametrize("place", PLACES, ids=[".".join(map(str, place)) or "request" for place in PLACES])
def test_a_key_that_is_not_known_is_refused_by_name_wherever_it_stands(place: tuple[Any, ...]) -> None:
    ChatRequest.model_validate(WHOLE)
    for value, taken in (("much", False), (True, False), (None, True), ([], bool(place))):
        changed = copy.deepcopy(WHOLE)
        inside = changed
        for part in place:
            inside = inside[part]
        inside["wizardry"] = value
        if taken:
            ChatRequest.model_validate(changed)
            continue
        with pytest.raises(ValidationError, match="'wizardry'") as told:
            ChatRequest.model_validate(changed)
        contexts = [one["ctx"] for one in told.value.errors() if one["type"] == "refused"]
        assert [one["param"] for one in contexts] == [place[0] if place else "wizardry"]


def test_what_is_known_inside_reaches_the_engine() -> None:
    request = ChatRequest.model_validate(WHOLE)
    turns = request.turns()
    assert turns[1] == {"role": "user", "name": "Ann", "content": "Hello"}
    assert turns[2] == {"role": "assistant", "content": "", "reasoning_content": "hm", "tool_calls": [CALL]}
    assert turns[3] == {"role": "tool", "tool_call_id": "c1", "name": "see", "content": "dark"}
    (tool,) = request.demands().tools
    assert tool["function"]["strict"] is True and request.notes() == []
    loose = {**WHOLE, "tools": [{"type": "function", "function": {"name": "see", "strict": False}}]}
    assert "strict" not in ChatRequest.model_validate(loose).demands().tools[0]["function"]
    described = {"type": "json_schema", "json_schema": {"name": "sky", "schema": SCHEMA, "description": "the sky"}}
    told = ChatRequest.model_validate({**WHOLE, "response_format": described}).notes()
    assert told == ["The description of response_format is not shown to the model."]


@pytest.mark.parametrize(
    "form", [{"schema": SCHEMA}, {"json_schema": {"schema": SCHEMA}}], ids=["llama-server", "mixed"]
)
def test_a_schema_is_held_wherever_it_stands(form: dict[str, Any]) -> None:
    plain = {name: value for name, value in WHOLE.items() if not name.startswith("tool")}
    request = ChatRequest.model_validate({**plain, "response_format": {"type": "json_object", **form}})
    assert request.demands().schema == SCHEMA
    with pytest.raises(ValidationError, match="its type is text"):
        ChatRequest.model_validate({**plain, "response_format": {"type": "text", **form}})
