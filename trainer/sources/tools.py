"""Tools and their calls, of the field's spellings, as chat templates take them: OpenAI's, with parsed arguments.

What cannot be read as such raises `BadRow`. Whether a base's template shows them is `trainer.data.chat_masks`'
business.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from results.records import Json
from trainer.sources.fields import BadRow, empty


def tools_of(value: Any) -> tuple[Json, ...]:
    """Function definitions: a list, one object, or their JSON; OpenAI's, bare functions, Anthropic's `input_schema`.

    Raises: BadRow.
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
        known = {key: inner for key, inner in function.items() if key != "input_schema" and inner is not None}
        if "input_schema" in function:
            known.setdefault("parameters", function["input_schema"])
        found.append({"type": "function", "function": known})
    return tuple(_of_json(found, "tools"))


def calls_of(value: Any) -> list[Json]:
    """Tool calls of one turn: a list, one object, or their JSON; arguments as object or as JSON text.

    Raises: BadRow.
    """
    listed = _parsed(value, "a tool call")
    found: list[Json] = []
    for item in [listed] if isinstance(listed, Mapping) else listed if isinstance(listed, list) else [listed]:
        call = _parsed(item, "a tool call")
        function = call.get("function", call) if isinstance(call, Mapping) else call
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise BadRow("a tool call names no function")
        given = function.get("arguments", function.get("parameters"))
        arguments = {} if empty(given) else _parsed(given, "a tool call's arguments")
        if not isinstance(arguments, Mapping):
            raise BadRow("a tool call's arguments are no object")
        named = {"id": call["id"]} if isinstance(call.get("id"), str) and call["id"] else {}
        made = {"name": function["name"], "arguments": dict(arguments)}
        found.append({**named, "type": "function", "function": made})
    return _of_json(found, "a tool call's arguments")


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
