"""Tools and their calls, of the field's spellings, as chat templates take them: OpenAI's, with parsed arguments.

What cannot be read as such raises `BadRow`; keys that are not used are named, as `trainer.sources.fields` has it.
Whether a base's template shows them is `trainer.data.chat_masks`' business.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from results.records import Json
from trainer.sources.fields import BadRow, Fields, empty

ARGUMENTS = ("arguments", "parameters", "input")
"""What a function is called with: OpenAI's, Llama's, Anthropic's."""
DEFINING = ("parameters", "input_schema", "inputSchema")
"""What a function takes: OpenAI's, Anthropic's, the Model Context Protocol's."""
NOTES = ("cache_control", "signature")
"""Keys of Anthropic's parts, calls and tools that change nothing of what is said."""


def tools_of(value: Any, fields: Fields) -> tuple[Json, ...]:
    """Function definitions: a list, one object, or their JSON; OpenAI's, bare functions, Anthropic's `input_schema`.

    All keys of a function are shown to templates; keys beside it are named. Raises: BadRow.
    """
    listed = _parsed(value, "tools")
    listed = [listed] if isinstance(listed, Mapping) else listed
    if not isinstance(listed, list):
        raise BadRow(f"tools are {type(listed).__name__}, not a list of functions")
    found: list[Json] = []
    for item in listed:
        tool = _parsed(item, "a tool")
        function = tool.get("function", tool) if isinstance(tool, Mapping) else tool
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise BadRow("a tool is no function with a name")
        taken = _first(function, DEFINING)
        left = (*DEFINING, *NOTES, *(["type"] if function.get("type") == "function" else []))
        known = {key: inner for key, inner in function.items() if key not in left and inner is not None}
        made = {**known, "parameters": function[taken]} if taken else known
        found.append({"type": "function", "function": made})
        _name_unused("tools", (function, tool), (*known, taken), list(made.values()), fields)
    return tuple(_of_json(found, "tools"))


def calls_of(value: Any, fields: Fields) -> list[Json]:
    """Tool calls of one turn: a list, one object, or their JSON; arguments as object or as JSON text.

    Keys beside identity, name and arguments are named unless they are harmless. Raises: BadRow.
    """
    listed = _parsed(value, "a tool call")
    found: list[Json] = []
    for item in [listed] if isinstance(listed, Mapping) else listed if isinstance(listed, list) else [listed]:
        call = _parsed(item, "a tool call")
        function = call.get("function", call) if isinstance(call, Mapping) else call
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise BadRow("a tool call names no function")
        taken = _first(function, ARGUMENTS)
        arguments = _parsed(function[taken], "a tool call's arguments") if taken else {}
        if not isinstance(arguments, Mapping):
            raise BadRow("a tool call's arguments are no object")
        named = {"id": call["id"]} if isinstance(call.get("id"), str) and call["id"] else {}
        made = {"name": function["name"], "arguments": dict(arguments)}
        found.append({**named, "type": "function", "function": made})
        said = [function["name"], arguments, function.get(taken)]
        _name_unused("calls", (function, call), ("name", taken), said, fields)
    return _of_json(found, "a tool call's arguments")


def _first(function: Mapping[str, Any], names: Iterable[str]) -> str:
    """The first of these keys that is there and not empty, else the empty string."""
    return next((name for name in names if not empty(function.get(name))), "")


def _name_unused(
    inside: str,
    holders: tuple[Mapping[str, Any], Mapping[str, Any]],
    used: Iterable[str],
    said: list[Any],
    fields: Fields,
) -> None:
    """Name what neither a function's used keys nor the values that are said anyway hold.

    holders: the function, and the object around it, which may be the same.
    """
    function, around = holders
    for key, value in function.items():
        if key not in (*used, *NOTES) and value not in said:
            fields.name_unused(inside, key, value)
    for key, value in around.items() if around is not function else ():
        if key not in ("function", *NOTES) and value not in said:
            fields.name_unused(inside, key, value)


def _parsed(value: Any, what: str) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise BadRow(f"{what} is text that is not JSON") from None


def _of_json(values: list[Json], what: str) -> list[Json]:
    """The values, if templates can write them as JSON: tables also hold times, bytes and decimal numbers.

    Raises: BadRow.
    """
    try:
        json.dumps(values)
    except (TypeError, ValueError, RecursionError) as error:
        kind = re.search(r"type (\w+)", str(error))
        raise BadRow(f"{what} hold {kind[1] if kind else 'values'}, which JSON does not: give them as text") from None
    return values
