"""What `bakeoff dashboard` has Streamlit run: app.py, ready before the first visit and answering without delay.

A page asks for sixty small files of Streamlit before it shows anything: they are kept in memory, and sent at once. The
imports and the first reading of the store do not wait for the first visitor.

    BAKEOFF_WORKSPACE=FOLDER streamlit run dashboard/app_server.py
"""

from __future__ import annotations

import contextlib
import gc
import mimetypes
import os
import secrets
import socket
import stat
import threading
import webbrowser
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path

import streamlit as st
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard.widgets.login import COOKIE
from results import Question, by_shipping, end_with_starter, host_name, own_origin, quell

FOLDER = Path(__file__).parent
YEARS = 2 * 365 * 24 * 3600
"""Seconds for which a browser keeps its number."""
STATIC = Path(st.__file__).parent / "static"


@cache
def files() -> dict[str, Path]:
    """Streamlit's scripts, styles and fonts by their address. Their names hold their digests."""
    return {f"/{path.relative_to(STATIC).as_posix()}": path for path in (STATIC / "static").rglob("*.*")}


@cache
def content(path: Path) -> bytes:
    """A file, read once."""
    return path.read_bytes()


class Scripts:
    """Answers for Streamlit's own files as Streamlit would; everything else is passed on to it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        path = files().get(scope["path"]) if scope["type"] == "http" and scope["method"] == "GET" else None
        if path is None:
            await self.app(scope, receive, send)
            return
        kind = "text/javascript" if path.suffix == ".js" else mimetypes.guess_type(path.name)[0] or "font/woff2"
        body = content(path)
        headers = {
            "content-type": f"{kind}; charset=utf-8" if kind.startswith("text/") else kind,
            "content-length": str(len(body)),
            "cache-control": "public, immutable, max-age=31536000",
            "x-content-type-options": "nosniff",
        }
        pairs = [(key.encode(), value.encode()) for key, value in headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": pairs})
        await send({"type": "http.response.body", "body": body})


class FirstPage:
    """Leads /home to where Home is: Streamlit has its first page at / alone, and says of /home that it is not there."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "http" and scope["path"] == "/home":
            asked = scope.get("query_string", b"").decode("latin-1")
            await RedirectResponse(f"./?{asked}" if asked else "./")(scope, receive, send)
            return
        await self.app(scope, receive, send)


class OwnPages:
    """Answers our own pages, and programs. Streamlit lets any page of this machine's names in, whatever its port."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request or socket."""
        if scope["type"] in ("http", "websocket"):
            headers = Headers(scope=scope)
            host, origin = headers.get("host", ""), headers.get("origin")
            listed = origin in st.get_option("server.corsAllowedOrigins")
            if not host_name(host) or not (listed or own_origin(origin, host, headers.get("x-forwarded-host", ""))):
                await _refuse(scope, receive, send)
                return
        await self.app(scope, receive, send)


class Visitors:
    """Gives each browser a number of its own, so that its conversations are found again and are nobody else's."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        asked = scope["type"] == "http" and scope["method"] == "GET"
        if not asked or COOKIE in Headers(scope=scope).get("cookie", ""):
            await self.app(scope, receive, send)
            return

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                words = f"{COOKIE}={secrets.token_urlsafe(24)}; Path=/; Max-Age={YEARS}; HttpOnly; SameSite=Lax"
                headers = MutableHeaders(raw=message["headers"])
                if headers.get("content-type", "").startswith("text/html"):
                    headers.append("set-cookie", words)
            await send(message)

        await self.app(scope, receive, marked)


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": "another origin"})
    else:
        words = "This is Bakeoff's dashboard. It answers its own pages, not another site's or port's."
        await PlainTextResponse(words, 403)(scope, receive, send)


def warm() -> None:
    """Import what the pages import, read what most of them read first."""
    from dashboard import charts
    from dashboard.views import data, voting
    from results.errors import BakeoffError

    charts.figure("", "").to_json()
    with contextlib.suppress(BakeoffError):  # the pages say it
        data.curves([row.run.id for row in data.runs()], "loss")
        data.styles(), data.scores()
        home(Question())
        for kind in ("humaneval", "latency"):
            [data.outcomes(one) for one in data.newest(kind)]
        if (cast := voting.chosen()) and len(voting.by_model()) <= voting.MOST_AT_ONCE:
            voting.ranking(cast), voting.ranking(cast, equal_length=True)


def home(question: Question) -> None:
    """What Home reads unless it is asked for something else, and Decide with it."""
    from dashboard.views import board, data, scoreboard

    decision, models = data.decision(question), data.models()
    usual = scoreboard.usual_baseline(models, decision)
    against = tuple(one.id for one in by_shipping(models) if (one.fine_tune or one.name) == usual)
    for test in [one.key for one in board.columns(data.measures()) if one.is_test][: board.USUAL_TESTS]:
        data.scored(question, test, against), data.seconds_of(test)


def hurry(port: int) -> None:
    """Take Nagle's algorithm off the listening socket, and so off the connections it accepts.

    asyncio does so for sockets that name TCP as their protocol, which Streamlit's does not: an answer in two parts, as
    every small file is, then waits 40 ms for the other side's acknowledgement of the first.
    """
    for number in [int(place.name) for place in Path("/dev/fd").iterdir()]:
        try:
            if not stat.S_ISSOCK(os.fstat(number).st_mode):
                continue
        except OSError:  # the number under which the folder was read
            continue
        with socket.socket(fileno=os.dup(number)) as found:
            listens = found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            if listens and found.family in (socket.AF_INET, socket.AF_INET6) and found.getsockname()[1] == port:
                found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def settle() -> None:
    """Put what is loaded beyond the garbage collector's reach: it stays as long as the process does.

    Streamlit has the collector look at every object after each run of a script or fragment: with all that is imported
    80 ms a run, during which no other thread runs. Five redraws a second of an answer took 80 % of a core by that.
    """
    gc.collect()
    gc.freeze()


def begin(port: int, show: bool) -> None:
    """Open the browser where one is wanted (the socket listens already), warm and settle, beside the server."""
    if show:
        webbrowser.open(f"http://127.0.0.1:{port}")
    warm()
    settle()


@contextlib.asynccontextmanager
async def lifespan(app: st.App) -> AsyncIterator[None]:  # noqa: ARG001
    """Streamlit calls it before it takes the first request."""
    quell()  # what Streamlit logs of an error may hold a model's words
    settings = st.get_option("server.port"), not st.get_option("server.headless")
    hurry(settings[0])
    end_with_starter()
    threading.Thread(target=begin, args=settings, daemon=True).start()
    yield


app = st.App(
    FOLDER / "app.py",
    lifespan=lifespan,
    middleware=[Middleware(OwnPages), Middleware(Visitors), Middleware(FirstPage), Middleware(Scripts)],
)
