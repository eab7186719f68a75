"""docs/reference/http.md from the model server: its routes, and what a request may hold.

Write it anew: make docs
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, cast, get_type_hints

from fastapi.routing import APIRoute
from pydantic import BaseModel

from engines.server import app, requests
from engines.server.lending import Lender
from tests.docs.cells import cell, docstrings
from tests.docs.experiment_file import default, takes

HEAD = """# The model server's HTTP API

`bakeoff serve` speaks the OpenAI protocol on 127.0.0.1:8791, for every model of the store by its name. With a key
(`BAKEOFF_API_KEY`) every request but `/health` needs it as its bearer token. Written from the code by `make docs`.

    bakeoff serve
    curl http://127.0.0.1:8791/v1/models
    curl http://127.0.0.1:8791/v1/completions -d '{"model": "demo-rank8", "prompt": "Hello"}'
"""
LOOKING = {
    "/health": "Whether it runs, and the memory that models take and may take. Needs no key.",
    "/v1/models": "Every model: `form`, `base`, `run_id`, `bytes`, `identity` and `state` in its field `bakeoff`.",
    "/v1/models/{name:path}": "One of them.",
    "/v1/embeddings": "Refused: models here answer.",
}
"""Routes without a body that is described, in one sentence each."""


def page() -> str:
    """The whole document."""
    lines = [HEAD, "## Routes\n", "| | | |\n|---|---|---|"]
    bodies: dict[str, type[BaseModel]] = {}
    for route in routes():
        body = body_of(route)
        said = LOOKING[route.path] if body is None else f"[what it takes](#{anchor(route.path)})"
        bodies |= {} if body is None else {route.path: body}
        lines.append(f"| {', '.join(sorted(route.methods))} | `{route.path.replace(':path', '')}` | {said} |")
    lines += ["", *_answers(), *(line for path, body in bodies.items() for line in _body(path, body)), *_others()]
    return "\n".join(lines) + "\n"


def anchor(path: str) -> str:
    """The heading of a route's body as a link names it."""
    return "post-" + path.replace("/", "")


def routes() -> list[APIRoute]:
    """The server's routes in their order; nothing is lent and nothing is loaded."""
    made = app.create_app(cast(Lender, None))
    return [route for route in made.routes if isinstance(route, APIRoute)]


def body_of(route: APIRoute) -> type[BaseModel] | None:
    """The model of a route's body; None where it takes none."""
    hints = get_type_hints(route.endpoint, vars(app))
    return next((one for one in hints.values() if isinstance(one, type) and issubclass(one, BaseModel)), None)


def _answers() -> Iterator[str]:
    yield "## Answers\n"
    told = inspect.cleandoc(app.__doc__ or "").split("\n\n")
    yield " ".join(told[-1].split()).replace("`FIRST_SECONDS`", "the first seconds") + "\n"


def _body(path: str, body: Any) -> Iterator[str]:
    yield f"## POST {path}\n"
    told = {
        name: said
        for one in reversed(body.__mro__)
        if one.__module__ == requests.__name__
        for name, said in docstrings(one).items()
    }
    yield "| key | takes | default | |\n|---|---|---|---|"
    for name, field in body.model_fields.items():
        yield f"| `{name}` | {takes(field)} | {default(field)} | {cell(told.get(name, ''))} |"
    yield ""


def _others() -> Iterator[str]:
    yield "## Keys that are refused, and keys that change nothing\n"
    yield (
        "A key that is not known is refused with 400, since it may change the answer. Taken and not used: "
        + ", ".join(f"`{one}`" for one in sorted(requests.HARMLESS))
        + ".\n"
    )
    yield "No engine here does the following; a value that asks for nothing is taken, any other refused.\n"
    yield "| key | taken as | instead |\n|---|---|---|"
    for name, neutral in requests.NEUTRAL.items():
        values = ", ".join(f"`{value!r}`" for value in neutral if value != "")
        yield f"| `{name}` | {values} | {requests.INSTEAD.get(name, '')} |"
    yield ""
    yield (
        f"At most: {requests.MOST_CHOICES} answers to a prompt, {requests.MOST_PROMPTS:,} prompts, "
        f"{requests.MOST_TURNS:,} turns, {requests.MOST_VALUES:,} values of JSON, {requests.DEEPEST} deep. "
        f"Without max_tokens an answer has {requests.DEFAULT_TOKENS} at most."
    )
