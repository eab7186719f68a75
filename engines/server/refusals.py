"""Errors as the protocol has them: one object, with the codes and statuses that client libraries know."""

from __future__ import annotations

import json
import math
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from engines.errors import EngineBusy, EngineCrashed, EngineOverdue
from results import BakeoffError, NotFound

KINDS = {
    400: ("invalid_request_error", ""), 401: ("invalid_request_error", "invalid_api_key"),
    403: ("permission_error", "forbidden"), 404: ("invalid_request_error", "not_found"),
    405: ("invalid_request_error", "method_not_allowed"), 413: ("invalid_request_error", "request_too_large"),
    429: ("rate_limit_error", "rate_limit_exceeded"), 503: ("server_error", "overloaded"),
    504: ("server_error", "timeout"),
}  # fmt: skip
"""Status → the error's type, and its code where nothing more particular is known."""

PATHS = (
    "GET /v1/models, /v1/models/NAME, /health · POST /v1/chat/completions, /v1/completions, /tokenize, /detokenize, "
    "/apply-template"
)
"""What the server has."""

SHOWN = 60
"""Characters of a refused value that are shown."""
MOST_ERRORS = 8


def error_body(message: str, status: int, code: str = "", parameter: str | None = None) -> dict[str, Any]:
    """The protocol's error object."""
    kind, usual = KINDS.get(status, ("server_error", "") if status >= 500 else ("invalid_request_error", ""))
    return {"error": {"message": message, "type": kind, "param": parameter, "code": code or usual or None}}


def refused(
    message: str, status: int, code: str = "", parameter: str | None = None, headers: dict[str, str] | None = None
) -> JSONResponse:
    """An answer that is none."""
    return JSONResponse(error_body(message, status, code, parameter), status, headers)


def of_engine(error: BakeoffError) -> tuple[int, dict[str, Any], dict[str, str]]:
    """(status, body, headers) for what went wrong on the way to an answer."""
    said = str(error)
    if isinstance(error, NotFound):
        return 404, error_body(said, 404, "model_not_found", "model"), {}
    if isinstance(error, EngineCrashed):
        return 503, error_body(said, 503, "engine_failed"), {"Retry-After": "1"}
    if isinstance(error, EngineOverdue):
        return 504, error_body(said, 504), {}
    if isinstance(error, EngineBusy):
        if error.retry_seconds > 0:
            return 429, error_body(said, 429), {"Retry-After": str(math.ceil(error.retry_seconds))}
        return 503, error_body(said, 503), {}
    code = str(getattr(error, "code", ""))
    return 400, error_body(said, 400, code, str(getattr(error, "parameter", "")) or None), {}


async def bakeoff_error(_: Request, error: Exception) -> JSONResponse:
    """What an engine or the store refused."""
    assert isinstance(error, BakeoffError)
    status, body, headers = of_engine(error)
    return JSONResponse(body, status, headers)


async def fault(_: Request, error: Exception) -> JSONResponse:
    """A bug of ours, whose traceback goes to the log."""
    return refused(f"A fault of this server ({type(error).__name__}): its log says where.", 500, "internal_error")


async def http_error(request: Request, error: Exception) -> JSONResponse:
    """What the framework refused: a path, a method, a body that is no JSON."""
    assert isinstance(error, HTTPException)
    said = str(error.detail)
    if error.status_code == 404:
        said = f"There is no {request.url.path[:SHOWN]!r} here. There is: {PATHS}."
    elif error.status_code == 405:
        said = f"{request.method} is not taken for {request.url.path[:SHOWN]!r}."
    elif error.status_code == 400 and isinstance(error.__cause__, RecursionError | ValueError):
        said = "The body is no JSON, or JSON that is nested too deep."
    return refused(said, error.status_code, headers=dict(error.headers or {}))


async def validation_error(_: Request, error: Exception) -> JSONResponse:
    """What the request's own form refused, each parameter once, with its value."""
    assert isinstance(error, RequestValidationError)
    found: dict[str, str] = {}
    code, first = "", None
    for one in error.errors():
        context = one.get("ctx") or {}
        place = [str(part) for part in one["loc"][1:]]
        name = str(context.get("param") or (place[0] if place else "")) if one["type"] == "refused" else ".".join(place)
        if one["type"] == "json_invalid":
            name, said = "", f"The body is no JSON: {context.get('error', '')}."
        elif one["type"] == "refused":
            said = str(context["said"])
        elif one["type"] == "missing":
            said = f"{name} is missing." if name else "The body is missing."
        elif not place:
            said = "The body must be a JSON object, sent as Content-Type: application/json."
        else:
            shown = ascii(
                one.get("input") if isinstance(one.get("input"), str | int | float) else type(one.get("input"))
            )
            shown = shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}…"
            said = f"{name}: {shown} will not do. {one['msg']}."
        if first is None:
            first, code = name, str(context.get("code") or _code(one["type"]))
        if place and name.split(".")[0] in {known.split(".")[0] for known in found} and one["type"] != "refused":
            continue  # the other branches of the same parameter
        if len(found) < MOST_ERRORS:
            found[name] = said
    return refused(" ".join(found.values()), 400, code, first or None)


def _shown(value: Any) -> str:
    """A value as it was sent, or what it is where it is large."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    said = json.dumps(value[:SHOWN] if isinstance(value, str) else value, default=str)
    return said if len(said) <= SHOWN + 2 else f"{said[:SHOWN]}…"


def _code(kind: str) -> str:
    if kind == "missing":
        return "missing_required_parameter"
    return "invalid_type" if kind.endswith(("_type", "_parsing")) else "invalid_value"
