"""`bakeoff serve`: one OpenAI-compatible server for every model in the store.

    GET  /v1/models             every model by name, with its form, size and whether it is in memory
    POST /v1/chat/completions   streaming or not; usage and timings
    POST /v1/completions        raw prompts
    POST /apply-template, /tokenize   as llama-server has them, with a `model` field
    GET  /health

Beyond the protocol, chunks and answers carry a field `bakeoff`, which clients that do not know it ignore:
while nothing is generated yet, chunks with an empty delta say `{"state": "waiting" | "loading", "queue_position": n}`
(1 is next); the chunk with the finish reason says `{"state": "done", "ttft_seconds", "total_seconds", "tokens",
"tokens_per_second", "notes": [...], "model_id", "identity"}` beside llama-server's `timings`.
An error after the first chunk is `data: {"error": {"message", "type", "code"}}`.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engines.errors import EngineBusy, EngineCrashed
from engines.server.lending import Lender
from engines.server.requests import ChatRequest, CompletionRequest, TemplateRequest, TokenizeRequest, error_body
from engines.server.responses import Answering, text_answers
from results import BakeoffError, Model, NotFound, host_name, own_origin

LOCAL_NAMES = frozenset(("localhost", "127.0.0.1", "[::1]", "testserver"))
MAX_BODY_BYTES = 8 << 20


def create_app(lender: Lender, key: str = "") -> FastAPI:
    """The server over these models. With a `key`, every request but /health needs it as its bearer token.

    Without one only this machine's own names are accepted as Host, and no Origin but the server's own: a web page that
    resolves its name to 127.0.0.1 is refused, and so is one of any other site or port that posts here.
    """
    app = FastAPI(title="bakeoff serve", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(_Guard, key=key)
    app.add_exception_handler(BakeoffError, _bakeoff_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _validation_error)

    @app.get("/health")
    def health() -> dict[str, Any]:
        return {
            "status": "ok", "memory_bytes": lender.used_bytes, "budget_bytes": lender.budget_bytes,
            "gpu_memory_bytes": lender.gpu_used_bytes, "gpu_budget_bytes": lender.gpu_budget_bytes,
        }  # fmt: skip

    @app.get("/v1/models")
    def models() -> dict[str, Any]:
        return {"object": "list", "data": [_listed(model, lender) for model in lender.models()]}

    @app.get("/v1/models/{name:path}")
    def model(name: str) -> dict[str, Any]:
        return _listed(_find(lender, name), lender)

    @app.post("/v1/chat/completions")
    async def chat(body: ChatRequest, request: Request) -> Response:
        found = await run_in_threadpool(_find, lender, body.model)
        answering = Answering(lender, found, body.sampling(), messages=body.turns())
        if body.stream:
            include = bool(body.stream_options and body.stream_options.include_usage)
            return _events(answering, answering.chat_chunks(include))
        return JSONResponse(await answering.chat_answer(request.is_disconnected))

    @app.post("/v1/completions")
    async def completions(body: CompletionRequest, request: Request) -> Response:
        found = await run_in_threadpool(_find, lender, body.model)
        prompts = [body.prompt] if isinstance(body.prompt, str) else body.prompt
        answerings = [Answering(lender, found, body.sampling(), prompt=prompt) for prompt in prompts]
        if body.stream:
            include = bool(body.stream_options and body.stream_options.include_usage)
            return _events(answerings[0], answerings[0].text_chunks(include))
        return JSONResponse(await text_answers(answerings, request.is_disconnected))

    @app.post("/apply-template")
    def apply_template(body: TemplateRequest) -> dict[str, Any]:
        with lender.lease(_find(lender, body.model)) as engine:
            return {"prompt": engine.render(body.turns()) if engine else ""}

    @app.post("/tokenize")
    def tokenize(body: TokenizeRequest) -> dict[str, Any]:
        with lender.lease(_find(lender, body.model)) as engine:
            return {"tokens": list(range(engine.count_tokens(body.content))) if engine else []}

    return app


class _Guard:
    """Lets in who may come and what is not too large. Plain ASGI: Starlette's middleware class delays every chunk."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app = app
        self._key = key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        taken = 0

        async def bounded() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > MAX_BODY_BYTES:
                raise HTTPException(413, f"The request is larger than {MAX_BODY_BYTES} bytes.")
            return message

        await (self._refusal(Request(scope)) or self._app)(scope, bounded, send)

    def _refusal(self, request: Request) -> Response | None:
        """The answer to a request that is not let in."""
        if int(request.headers.get("content-length") or 0) > MAX_BODY_BYTES:
            return _error(f"The request is larger than {MAX_BODY_BYTES} bytes.", 413)
        if request.url.path == "/health":
            return None
        if self._key:
            given = request.headers.get("authorization", "").removeprefix("Bearer ")
            right = secrets.compare_digest(given.encode(), self._key.encode())
            return None if right else _error("Wrong or missing API key.", 401)
        host = request.headers.get("host", "")
        if host_name(host) in LOCAL_NAMES and own_origin(request.headers.get("origin"), host):
            return None
        return _error(
            "This server answers programs of this machine only, and no other page in a browser. Start it with an API "
            "key to open it to others.", 403,
        )  # fmt: skip


def _find(lender: Lender, name: str) -> Model:
    """A model by name or id. Raises: NotFound; archived ones are not served."""
    model = lender.store.models.find(name)
    if model.archived:
        raise NotFound(f"{name} is archived and not served.")
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


def _events(answering: Answering, chunks: AsyncIterator[dict[str, Any]]) -> StreamingResponse:
    async def events() -> AsyncIterator[bytes]:
        try:
            async for chunk in chunks:
                yield b"data: " + json.dumps(chunk, ensure_ascii=False).encode("utf-8", "replace") + b"\n\n"
            yield b"data: [DONE]\n\n"
        finally:
            answering.cancel()  # a client that has gone stops its generation

    return StreamingResponse(events(), media_type="text/event-stream", headers={"Cache-Control": "no-cache"})


def _error(message: str, status: int) -> JSONResponse:
    return JSONResponse(error_body(message, status), status)


async def _bakeoff_error(_: Request, error: Exception) -> JSONResponse:
    status = 404 if isinstance(error, NotFound) else 503 if isinstance(error, EngineBusy | EngineCrashed) else 400
    return _error(str(error), status)


async def _http_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return _error(str(error.detail), error.status_code)


async def _validation_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    said = "; ".join(f"{'.'.join(str(part) for part in one['loc'][1:])}: {one['msg']}" for one in error.errors())
    return _error(said, 400)
