"""Who is let in by `serve`, what is too large, and which pages of a browser may read its answers (CORS)."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Collection

from h11 import LocalProtocolError
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from engines.server.refusals import refused
from results import host_name, own_origin

LOCAL_NAMES = frozenset(("localhost", "127.0.0.1", "[::1]", "testserver"))
MAX_BODY_BYTES = 8 << 20
METHODS = "GET, HEAD, POST, OPTIONS"
PREFLIGHT_SECONDS = 600
"""How long a browser may remember that a page is allowed."""


class PatientProtocol(H11Protocol):
    """uvicorn's HTTP, without its traceback where a client speaks no HTTP after its answer has begun."""

    def send_400_response(self, msg: str) -> None:
        """Answer 400, or end the connection where another answer is on its way."""
        try:
            super().send_400_response(msg)
        except LocalProtocolError:
            self.transport.close()


class Guard:
    """Lets in who may come and what is not too large. Plain ASGI: Starlette's middleware class delays every chunk.

    With a `key` every request but /health and a browser's preflight needs it as its bearer token. Without one only this
    machine's own names are accepted as Host, and no Origin but the server's own and those of `origins`.
    """

    def __init__(self, app: ASGIApp, key: str, origins: Collection[str] = ()) -> None:
        self._app = app
        self._key = key
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request, taken = Request(scope), 0
        allowed = request.headers.get("origin", "").lower() in self._origins

        async def bounded() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > MAX_BODY_BYTES:
                raise HTTPException(413, f"The request is larger than {MAX_BODY_BYTES} bytes.")
            return message

        async def readable(message: Message) -> None:
            if message["type"] == "http.response.start" and allowed:
                headers = MutableHeaders(scope=message)
                headers["Access-Control-Allow-Origin"] = request.headers["origin"]
                headers["Access-Control-Expose-Headers"] = "Retry-After"
                headers.add_vary_header("Origin")
            await send(message)

        with contextlib.suppress(LocalProtocolError):  # the client broke off, or spoke no HTTP after its request
            await (self._answer(request, allowed) or self._app)(scope, bounded, readable)

    def _answer(self, request: Request, allowed: bool) -> Response | None:
        """The answer to a request that goes no further: one that is not let in, or that asks what it may."""
        length = request.headers.get("content-length") or "0"
        if not (length.isascii() and length.isdigit()):
            return refused("Content-Length is no number.", 400)
        if len(length) > 18 or int(length) > MAX_BODY_BYTES:
            return refused(f"The request is larger than {MAX_BODY_BYTES} bytes.", 413)
        if request.method == "OPTIONS" and "access-control-request-method" in request.headers:
            return self._preflight(request, allowed)
        refusal = None if request.url.path == "/health" else self._refusal(request, allowed)
        if refusal is None and request.method == "OPTIONS":
            return Response(status_code=204, headers={"Allow": METHODS})
        return refusal

    def _preflight(self, request: Request, allowed: bool) -> Response:
        """A browser asks, without a key, whether a page may send the request that it wants to send."""
        if not allowed:
            return refused("Pages of this origin are not allowed: bakeoff serve --allow-origin", 403)
        headers = {
            "Access-Control-Allow-Methods": METHODS,
            "Access-Control-Allow-Headers": request.headers.get("access-control-request-headers", "*")[:1000],
            "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
        }
        return Response(status_code=204, headers=headers)

    def _refusal(self, request: Request, allowed: bool) -> Response | None:
        """The answer to a request that is not let in."""
        if self._key:
            scheme, _, given = request.headers.get("authorization", "").partition(" ")
            right = secrets.compare_digest(given.strip().encode(), self._key.encode()) and scheme.lower() == "bearer"
            wanted = {"WWW-Authenticate": "Bearer"}
            return None if right else refused("Wrong or missing API key.", 401, headers=wanted)
        host = request.headers.get("host", "")
        if host_name(host) in LOCAL_NAMES and (allowed or own_origin(request.headers.get("origin"), host)):
            return None
        return refused(
            "This server answers programs of this machine only, and no other page in a browser. Start it with an API "
            "key to open it to others, or with --allow-origin for pages of another origin.", 403,
        )  # fmt: skip
