"""What strangers may do at a public server: see one page, and have its models answer within narrow bounds.

    PublicPage(create_app(lender, key), key, Path("space/page"), names)

A published page's files, the names of the models and answers to chats: that is all that there is. What comes in is
written anew for the server behind, so nothing reaches that but a model's name, texts, a temperature and a length.
Nothing is kept of what is asked. Not covered: a proxy's own limits, and who asks from many addresses.
"""

from __future__ import annotations

import ipaddress
import json
import mimetypes
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engines.errors import EngineError
from engines.server.refusals import refused
from results import read_bytes

MOST_BYTES = 64 << 10
MOST_TURNS, MOST_CHARACTERS = 40, 12_000
"""A whole conversation has no more of them."""
TEMPERATURE, TOKENS = (0.0, 1.5), (32, 512)
USUAL_TOKENS = 128
KEYS = frozenset(("model", "messages", "temperature", "max_tokens", "stream"))
SHOWN = (".html", ".json")
"""Endings of a page's files that are sent."""
ASK, HEALTH, MODELS = "/v1/chat/completions", "/health", "/v1/models"


@dataclass
class Turnstile:
    """Who may ask now: so many answers a visitor and minute, one at a time, and so many visitors at once."""

    a_minute: int = 10
    at_once: int = 8
    clock: Callable[[], float] = time.monotonic
    """Seconds, as they pass."""
    _asked: dict[str, deque[float]] = field(default_factory=dict)
    _busy: set[str] = field(default_factory=set)

    def enter(self, visitor: str) -> tuple[str, int]:
        """Let a visitor in: ("", 0), and `leave` follows; or why not, and after how many seconds to come again."""
        at = self.clock()
        for one in [one for one, times in self._asked.items() if not times or at - times[-1] > 60]:
            del self._asked[one]
        times = self._asked.setdefault(visitor, deque(maxlen=self.a_minute))
        if visitor in self._busy:
            return "Your last answer is still being written: wait for it, or stop it.", 5
        if len(times) == self.a_minute and (left := 60 - (at - times[0])) > 0:
            return f"You may ask {self.a_minute} times a minute here: wait {left:.0f} s.", int(left) + 1
        if len(self._busy) >= self.at_once:
            return f"{self.at_once} others are being answered: try again in a moment.", 10
        times.append(at)
        self._busy.add(visitor)
        return "", 0

    def leave(self, visitor: str) -> None:
        """A visitor's answer has ended."""
        self._busy.discard(visitor)


class PublicPage:
    """A page and its chat before the whole server, which nobody else reaches. Plain ASGI."""

    def __init__(
        self,
        app: ASGIApp,
        key: str,
        page: Path,
        models: Collection[str],
        *,
        proxied: bool = False,
        turnstile: Turnstile | None = None,
    ) -> None:
        """app: the server behind, which asks for the key. proxied: whether a proxy says who comes, and nobody else can.

        Raises: EngineError where the folder has no page.
        """
        self._app, self._key, self._proxied = app, key, proxied
        self._models = sorted(models)
        self._files = _files(page)
        self._turnstile = turnstile or Turnstile()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            request = Request(scope, receive)
            if request.url.path == ASK and request.method == "POST":
                await self._ask(request, send)
            else:
                await self._look(request)(scope, receive, send)

    def _look(self, request: Request) -> Response:
        path = request.url.path
        if request.method not in ("GET", "HEAD"):
            return refused(f"There is only GET here, and POST {ASK}.", 405)
        if path == HEALTH:
            return JSONResponse({"status": "ok"})
        if path == MODELS:
            return JSONResponse({"object": "list", "data": [{"id": one, "object": "model"} for one in self._models]})
        name = "index.html" if path == "/" else path.removeprefix("/")
        if name not in self._files:
            return refused(f"There is a page at /, {MODELS} and POST {ASK} here, and nothing else.", 404)
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        headers = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-cache"}
        return Response(self._files[name], media_type=kind, headers=headers)

    async def _ask(self, request: Request, send: Send) -> None:
        with suppress(ClientDisconnect):
            taken = await _body(request)  # before the turnstile: who sends slowly keeps nobody waiting
            said = self._said(taken) if isinstance(taken, bytes) else taken
            if isinstance(said, Response):
                await said(request.scope, request.receive, send)
                return
            visitor = self._visitor(request)
            why, seconds = self._turnstile.enter(visitor)
            if why:
                await refused(why, 429, headers={"Retry-After": str(seconds)})(request.scope, request.receive, send)
                return
            try:
                await self._app(self._inside(said), _delivered(said, request.receive), send)
            finally:
                self._turnstile.leave(visitor)

    def _said(self, body: bytes) -> bytes | Response:
        """A request written anew; or the refusal of one that is outside the bounds."""
        try:
            asked = json.loads(body)
            if not isinstance(asked, dict):
                raise ValueError("The request is no JSON object.")
            return json.dumps(self._bounded(asked)).encode()
        except (ValueError, RecursionError) as problem:
            return refused(str(problem)[:300], 400)

    def _bounded(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The request, with what it may hold. Raises: ValueError naming what is outside the bounds."""
        if unknown := sorted(set(asked) - KEYS):
            raise ValueError(f"{unknown[0][:60]!r} is not taken here: {', '.join(sorted(KEYS))} are.")
        model, stream = asked.get("model"), asked.get("stream", False)
        temperature, tokens = asked.get("temperature", 0.0), asked.get("max_tokens", USUAL_TOKENS)
        if model not in self._models:
            raise ValueError(f"There is no such model here: {', '.join(self._models)}.")
        if not _is_number(temperature) or not TEMPERATURE[0] <= temperature <= TEMPERATURE[1]:
            raise ValueError(f"temperature is a number from {TEMPERATURE[0]:g} to {TEMPERATURE[1]:g}.")
        if not isinstance(tokens, int) or isinstance(tokens, bool) or not TOKENS[0] <= tokens <= TOKENS[1]:
            raise ValueError(f"max_tokens is a whole number from {TOKENS[0]} to {TOKENS[1]}.")
        if not isinstance(stream, bool):
            raise ValueError("stream is true or false.")
        turns = _turns(asked.get("messages"))
        return {
            "model": model, "messages": turns, "temperature": temperature, "max_tokens": tokens, "stream": stream,
        }  # fmt: skip

    def _inside(self, body: bytes) -> Scope:
        """The request as the server behind takes it: from this machine, with its key."""
        headers = {
            "host": "localhost", "authorization": f"Bearer {self._key}", "content-type": "application/json",
            "content-length": str(len(body)),
        }  # fmt: skip
        return {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
            "path": ASK, "raw_path": ASK.encode(), "query_string": b"", "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 0), "server": ("127.0.0.1", 0),
        }  # fmt: skip

    def _visitor(self, request: Request) -> str:
        """The address that asks; of IPv6 the network, since each household has one."""
        given = request.client.host if request.client else ""
        if self._proxied:
            given = request.headers.get("x-forwarded-for", given).rpartition(",")[2].strip()
        try:
            address = ipaddress.ip_address(given)
        except ValueError:
            return "unknown"
        return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else str(address)


def _files(page: Path) -> dict[str, bytes]:
    """What of a page's folder is sent, by name."""
    if not (page / "index.html").is_file():
        raise EngineError(f"{page} has no index.html: make a page there, bakeoff publish --output {page}")
    return {path.name: read_bytes(path) for path in sorted(page.iterdir()) if path.suffix in SHOWN and path.is_file()}


async def _body(request: Request) -> bytes | Response:
    taken = bytearray()
    async for piece in request.stream():
        taken += piece
        if len(taken) > MOST_BYTES:
            return refused(f"The request is larger than {MOST_BYTES} bytes.", 413)
    return bytes(taken)


def _delivered(body: bytes, receive: Receive) -> Receive:
    """A receiver that hands over the body, and then what happens to the connection."""
    waiting = [body]

    async def next_() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return next_


def _turns(given: object) -> list[dict[str, str]]:
    """The conversation. Raises: ValueError."""
    if not isinstance(given, list) or not 1 <= len(given) <= MOST_TURNS:
        raise ValueError(f"messages are a list of 1 to {MOST_TURNS} turns.")
    turns = []
    for one in given:
        if not isinstance(one, dict) or set(one) != {"role", "content"} or not isinstance(one["content"], str):
            raise ValueError("A message has a role and a content, a text.")
        if one["role"] not in ("user", "assistant"):
            raise ValueError("A role is user or assistant.")
        turns.append({"role": str(one["role"]), "content": one["content"]})
    if (length := sum(len(one["content"]) for one in turns)) > MOST_CHARACTERS:
        raise ValueError(f"The conversation is {length} characters, and {MOST_CHARACTERS} are taken: begin a new one.")
    return turns


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
