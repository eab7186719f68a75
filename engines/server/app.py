"""`bakeoff serve`: one OpenAI-compatible server for every model in the store.

    GET  /v1/models             every model by name, with its form, size and whether it is in memory
    POST /v1/chat/completions   streaming or not; usage and timings
    POST /v1/completions        raw prompts
    POST /apply-template, /tokenize, /detokenize   as llama-server has them, with a `model` field
    GET  /health

Beyond the protocol, chunks and answers carry a field `bakeoff`, which clients that do not know it ignore:
while nothing is generated yet, chunks with an empty delta say `{"state": "waiting" | "loading", "queue_position": n}`
(1 is next); the chunk with the finish reason says `{"state": "done", "ttft_seconds", "waited_seconds", "total_seconds",
"tokens", "tokens_per_second", "notes": [...], "model_id", "identity"}` beside llama-server's `timings`, in which
waiting and loading count for nothing. What goes wrong within `FIRST_SECONDS`, before an answer begins, has its own
status; later it is `data: {"error": {"message", "type", "param", "code"}}`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Collection
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response

from engines.demands import TokenizingEngine
from engines.errors import EngineError
from engines.identity import known_from_results
from engines.server import refusals
from engines.server.answering import Answering
from engines.server.guard import Guard
from engines.server.lending import Lender
from engines.server.makers import Makers
from engines.server.requests import ChatRequest, CompletionRequest, DetokenizeRequest, TemplateRequest, TokenizeRequest
from engines.server.responses import Reply
from results import BakeoffError, Model, NotFound


def create_app(lender: Lender, key: str = "", origins: Collection[str] = ()) -> FastAPI:
    """The server over these models. With a `key`, every request but /health needs it as its bearer token.

    Without one only this machine's own names are accepted as Host, and no Origin but the server's own: a web page that
    resolves its name to 127.0.0.1 is refused, and so is one of any other site or port that posts here, except those of
    `origins` (`https://host:port`), whose pages may read the answers, too.
    """
    app = FastAPI(title="bakeoff serve", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.add_middleware(Guard, key=key, origins=origins)
    app.add_exception_handler(BakeoffError, refusals.bakeoff_error)
    app.add_exception_handler(Exception, refusals.fault)
    app.add_exception_handler(HTTPException, refusals.http_error)
    app.add_exception_handler(RequestValidationError, refusals.validation_error)
    _looking(app, lender)
    _answering(app, lender)
    _tokenizing(app, lender)
    return app


def _looking(app: FastAPI, lender: Lender) -> None:
    """The routes that only look."""

    @app.api_route("/health", methods=["GET", "HEAD"])
    def health() -> dict[str, Any]:
        return {
            "status": "ok", "memory_bytes": lender.used_bytes, "budget_bytes": lender.budget_bytes,
            "gpu_memory_bytes": lender.gpu_used_bytes, "gpu_budget_bytes": lender.gpu_budget_bytes,
        }  # fmt: skip

    @app.api_route("/v1/models", methods=["GET", "HEAD"])
    def models() -> dict[str, Any]:
        return {"object": "list", "data": [_listed(model, lender) for model in lender.models()]}

    @app.api_route("/v1/models/{name:path}", methods=["GET", "HEAD"])
    def model(name: str) -> dict[str, Any]:
        return _listed(_find(lender, name), lender)

    @app.post("/v1/embeddings")
    def embeddings() -> Response:
        said = f"This server makes no embeddings: its models answer. There is: {refusals.PATHS}."
        return refusals.refused(said, 404)


def _answering(app: FastAPI, lender: Lender) -> None:
    """The routes that generate."""

    @app.post("/v1/chat/completions")
    async def chat(body: ChatRequest, request: Request) -> Response:
        found = await run_in_threadpool(_find, lender, body.model)
        makers, turns = Makers.of(found.details, body.given()), body.turns()
        asked, demands = makers.turns(turns), makers.demands(body.demands())
        notes = [*makers.notes(turns), *body.notes()]
        answerings = [
            Answering(lender, found, asked, makers.sampling(body.sampling(number), number), demands, notes)
            for number in range(body.n)
        ]
        return await _replied(Reply(found.name, answerings, chat=True), body, request)

    @app.post("/v1/completions")
    async def completions(body: CompletionRequest, request: Request) -> Response:
        found = await run_in_threadpool(_find, lender, body.model)
        makers = Makers.of(found.details, body.given())
        demands, notes = makers.demands(body.demands()), makers.notes()
        answerings = [
            Answering(lender, found, prompt, makers.sampling(body.sampling(number), number), demands, notes)
            for prompt in body.prompt
            for number in range(body.n)
        ]
        return await _replied(Reply(found.name, answerings, chat=False, copies=body.n), body, request)


async def _replied(reply: Reply, body: ChatRequest | CompletionRequest, request: Request) -> Response:
    if not body.stream:
        return JSONResponse(await reply.whole(request.is_disconnected))
    await reply.begin(request.is_disconnected)

    async def events() -> AsyncIterator[bytes]:
        try:
            async for chunk in reply.chunks(body.include_usage):
                yield b"data: " + json.dumps(chunk, ensure_ascii=False).encode("utf-8", "replace") + b"\n\n"
            yield b"data: [DONE]\n\n"
        finally:
            reply.cancel()  # a client that has gone stops its generation

    return StreamingResponse(events(), media_type="text/event-stream", headers={"Cache-Control": "no-cache"})


def _tokenizing(app: FastAPI, lender: Lender) -> None:
    """llama-server's routes beside the protocol."""

    @app.post("/apply-template")
    def apply_template(body: TemplateRequest) -> dict[str, Any]:
        with lender.lease(_find(lender, body.model)) as engine:
            return {"prompt": engine.render(body.turns()) if engine else ""}

    @app.post("/tokenize")
    def tokenize(body: TokenizeRequest) -> dict[str, Any]:
        with lender.lease(_find(lender, body.model)) as engine:
            ids = _telling(engine, body.model).token_ids(body.text, body.special, body.parse_special)
            return {"tokens": ids, "count": len(ids)}

    @app.post("/detokenize")
    def detokenize(body: DetokenizeRequest) -> dict[str, Any]:
        with lender.lease(_find(lender, body.model)) as engine:
            text = _telling(engine, body.model).text_of(body.tokens)
            return {"content": text, "prompt": text}


def _telling(engine: object, name: str) -> TokenizingEngine:
    if isinstance(engine, TokenizingEngine):
        return engine
    raise EngineError(f"The engine of {name} does not tell its tokens, or is closing.", parameter="model")


def _find(lender: Lender, name: str) -> Model:
    """A model by name or id. Raises: NotFound; archived ones are not served."""
    model = lender.store.models.find(name)
    if model.archived:
        raise NotFound(f"{name} is archived and not served.")
    if not model.path:
        raise NotFound(known_from_results(model))
    return model


def _listed(model: Model, lender: Lender) -> dict[str, Any]:
    return {
        "id": model.name,
        "object": "model",
        "created": int(model.created_at.timestamp()) if model.created_at else 0,
        "owned_by": "bakeoff",
        "bakeoff": {
            "model_id": model.id,
            "form": model.form,
            "base": model.base,
            "run_id": model.run_id,
            "bytes": model.bytes,
            "identity": model.identity,
            "state": lender.state(model),
        },
    }
