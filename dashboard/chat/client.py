"""Client of `bakeoff serve`, or of any OpenAI-compatible server: lists models, streams answers.

An `Answer` is filled by its own thread and read by the page, so that several panes stream at once and a page that polls
never waits for a model. An answer that nobody looks at any more (a closed tab) stops by itself.

Try: bakeoff serve, then `python -c "from dashboard.chat import client; print(client.served())"`
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, cast
from urllib.parse import urlsplit

import httpx

from dashboard.chat import revival
from dashboard.errors import ServerSilent

State = Literal["waiting", "streaming", "finished", "stopped", "failed"]
ABANDONED_SECONDS = 60.0
"""An answer that nobody looks at for this long stops: its tab is closed. A page polls several times a second; one that
is loaded anew, on a slow line too, is back sooner."""
KEPT_CHARACTERS = 2_000_000
"""An answer longer than this is stopped."""
WAITING = ("waiting", "loading")
ENDED = ("finished", "stopped", "failed")
BROKEN = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)
"""A connection that the server took and that broke: it ended. `bakeoff dashboard` starts a new one on the same port."""


@dataclass(frozen=True)
class Sampling:
    """What a pane asks of its model. The ranges are those of the code assistant's page in Study B."""

    temperature: float = 0.0
    max_tokens: int = 256
    top_p: float = 1.0
    seed: int | None = None


@dataclass(frozen=True)
class Snapshot:
    """An answer as it stands."""

    state: State
    text: str
    message: str
    """Why it failed; empty otherwise."""
    tokens: int
    prompt_tokens: int | None
    ttft_seconds: float | None
    """Sent to first non-empty token, by the server's clock where it says so; any wait for memory is in it."""
    waited_seconds: float
    """Seconds since the request was sent."""
    tokens_per_second: float | None
    finish_reason: str
    notes: tuple[str, ...] = ()
    identity: str = ""
    """SHA-256 of the model that answered, where the server says so."""
    queue: tuple[str, int] | None = None
    """("waiting" or "loading", place in the queue) if the server says that it had to wait."""


@lru_cache(maxsize=4)
def _client(url: str, key: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    timeout = httpx.Timeout(10.0, read=None)
    # No proxies from the environment: the server is on this machine or named by its user.
    return httpx.Client(base_url=url, headers=headers, timeout=timeout, trust_env=False)


def address() -> str:
    """The model server's URL: `BAKEOFF_SERVE_URL`, else serve's default. May hold a password: show `masked()`."""
    return os.environ.get("BAKEOFF_SERVE_URL", "http://127.0.0.1:8791").rstrip("/")


def masked(url: str | None = None) -> str:
    """A URL without user and password."""
    pieces = urlsplit(url or address())
    host = pieces.hostname or "?"
    return f"{pieces.scheme}://{host}" + (f":{pieces.port}" if pieces.port else "")


def client() -> httpx.Client:
    """The shared connection pool (thread-safe)."""
    return _client(address(), os.environ.get("BAKEOFF_SERVE_KEY", ""))


def served(timeout_seconds: float = 5.0) -> list[dict[str, Any]]:
    """What the server can answer with: one object a model, with at least `id`. Raises ServerSilent."""
    try:
        try:
            response = client().get("/v1/models", timeout=timeout_seconds)
        except BROKEN:  # it ended before it answered; the next one is asked
            response = client().get("/v1/models", timeout=timeout_seconds)
    except httpx.TimeoutException as error:
        raise ServerSilent(
            f"The model server at {masked()} does not answer within {timeout_seconds:.0f} s: it is starting, or busy. "
            "Look again in a moment"
        ) from error
    except httpx.HTTPError as error:
        how = "Start it again: the button beside this page" if revival.possible() else "Start it: bakeoff serve"
        raise ServerSilent(f"No model server at {masked()} ({type(error).__name__}). {how}") from error
    if response.status_code != 200:
        raise ServerSilent(_refusal(response))
    return [row for row in response.json().get("data", []) if isinstance(row.get("id"), str)]


def _refusal(response: httpx.Response) -> str:
    try:
        body = response.json()
        message = body.get("error", body) if isinstance(body, dict) else body
        message = message.get("message", message) if isinstance(message, dict) else message
    except ValueError:
        message = response.text
    return f"The server answered {response.status_code}: {str(message)[:500]}"


@dataclass
class Answer:
    """One model's answer to one conversation, being written. `start` it once; `snapshot` and `stop` from anywhere."""

    model: str
    messages: Sequence[dict[str, str]]
    sampling: Sampling
    ended: Callable[[], object] = bool
    """Called on the answer's own thread when nothing more will come."""
    _pieces: list[str] = field(default_factory=list)
    _state: State = "waiting"
    _message: str = ""
    _tokens: int = 0
    _characters: int = 0
    _usage: dict[str, Any] = field(default_factory=dict)
    _figures: dict[str, Any] = field(default_factory=dict)
    _queue: tuple[str, int] | None = None
    _finish: str = ""
    _sent: float = 0.0
    _first: float | None = None
    _last: float | None = None
    _seen: float = 0.0
    _response: httpx.Response | None = None
    _stopping: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> Answer:
        """Send the request on a thread of its own."""
        self._sent = self._seen = time.monotonic()
        threading.Thread(target=self._write, name=f"answer-{self.model}", daemon=True).start()
        return self

    @property
    def whole(self) -> bool:
        """Whether the model said something and came to its end: a vote on less would be no vote on the model."""
        return self._state == "finished" and any(piece.strip() for piece in self._pieces)

    @classmethod
    def kept(cls, record: Mapping[str, Any]) -> Answer:
        """An answer as it was written down (`conversation.exported`); one that was being written then broke off."""
        known = {
            name: value for name, value in (record.get("sampling") or {}).items() if name in Sampling.__annotations__
        }
        answer = cls(str(record["model"]), (), Sampling(**known))
        state, message = str(record.get("state")), str(record.get("error") or "")
        if state not in ENDED:
            state, message = "failed", "The dashboard ended before the answer did. Regenerate it."
        answer._state = cast("State", state)
        answer._message, answer._finish = message, str(record.get("finish_reason") or "")
        answer._pieces, answer._tokens = [str(record.get("text") or "")], int(record.get("tokens") or 0)
        figures = ("ttft_seconds", "tokens_per_second", "identity", "notes")
        answer._figures = {name: record[name] for name in figures if record.get(name) is not None}
        return answer

    @property
    def active(self) -> bool:
        """Whether more may come."""
        return self._state in ("waiting", "streaming")

    def stop(self) -> None:
        """End it now: the connection is cut, which ends the generation on the server."""
        self._stopping.set()
        with self._lock:
            if self.active:
                self._end("stopped")
            response = self._response
        stream = response.extensions.get("network_stream") if response is not None else None
        connection = stream.get_extra_info("socket") if stream is not None else None
        if connection is not None:
            with contextlib.suppress(OSError):  # the server may have closed it already
                connection.shutdown(socket.SHUT_RDWR)  # a close would not wake the thread that reads

    def snapshot(self) -> Snapshot:
        """What there is now. Looking keeps it alive."""
        with self._lock:
            now = self._seen = time.monotonic()
            end = self._last if not self.active and self._last else now
            tokens = int(self._usage.get("completion_tokens") or self._tokens)
            ttft = self._figures.get("ttft_seconds")
            if ttft is None and self._first is not None:
                ttft = self._first - self._sent
            rate = self._figures.get("tokens_per_second")
            if rate is None and self._first is not None and self._last is not None and tokens > 1:
                rate = (tokens - 1) / max(self._last - self._first, 1e-6)
            return Snapshot(
                state=self._state,
                text="".join(self._pieces),
                message=self._message,
                tokens=tokens,
                prompt_tokens=self._usage.get("prompt_tokens"),
                ttft_seconds=ttft,
                waited_seconds=end - self._sent,
                tokens_per_second=rate,
                finish_reason=self._finish,
                notes=tuple(str(note) for note in self._figures.get("notes") or ()),
                identity=str(self._figures.get("identity") or ""),
                queue=self._queue,
            )

    def _write(self) -> None:
        try:
            self._run()
        finally:
            self.ended()

    def _run(self) -> None:
        body: dict[str, Any] = {
            "model": self.model,
            "messages": list(self.messages),
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": self.sampling.temperature,
            "max_tokens": self.sampling.max_tokens,
            "top_p": self.sampling.top_p,
        }
        if self.sampling.seed is not None:
            body["seed"] = self.sampling.seed
        try:
            for again in (False, True):  # what had not begun when its server ended is asked of the next one, once
                try:
                    self._ask(body)
                    return
                except BROKEN:
                    if again or self._first is not None or self._stopping.is_set():
                        raise ServerSilent("The answer broke off: its model server ended. Ask again.") from None
        except (httpx.HTTPError, ServerSilent, ValueError, OSError) as error:
            text = str(error) if isinstance(error, ServerSilent) else f"{masked()}: {type(error).__name__}"
            self._fail(text)

    def _ask(self, body: dict[str, Any]) -> None:
        with client().stream("POST", "/v1/chat/completions", json=body) as response:
            self._response = response
            if response.status_code != 200:
                response.read()
                raise ServerSilent(_refusal(response))
            complete = self._read(response)
        with self._lock:
            if self.active:
                if not complete and not self._stopping.is_set():
                    raise httpx.RemoteProtocolError("The stream ended before the answer did.")
                self._end("finished")

    def _fail(self, message: str) -> None:
        with self._lock:
            if self.active:
                self._message = message
                self._end("stopped" if self._stopping.is_set() else "failed")

    def _end(self, state: State) -> None:
        self._state = state
        self._last = self._last or time.monotonic()

    def _read(self, response: httpx.Response) -> bool:
        """Take the stream in. Whether it was said to be complete."""
        complete = False
        for event in events(response.iter_lines()):
            if self._stopping.is_set():
                return True
            if event is None:
                return True
            if "error" in event:
                error = event["error"]
                raise ServerSilent(str(error.get("message", error) if isinstance(error, dict) else error)[:500])
            with self._lock:
                complete = self._take(event) or complete
                if time.monotonic() - self._seen > ABANDONED_SECONDS or self._characters > KEPT_CHARACTERS:
                    self._end("stopped")
                    return True
        return complete

    def _take(self, event: dict[str, Any]) -> bool:
        self._usage = event.get("usage") or self._usage
        extra = event.get("bakeoff") or {}
        if extra.get("state") in WAITING:
            self._queue = (str(extra["state"]), int(extra.get("queue_position") or 0))
        elif extra:
            self._figures = extra
        finish = ""
        for choice in event.get("choices", [])[:1]:
            text = (choice.get("delta") or {}).get("content") or ""
            finish = choice.get("finish_reason") or ""
            if text:
                self._last = time.monotonic()
                self._first = self._first or self._last
                self._state = "streaming"
                self._tokens += 1
                self._characters += len(text)
                self._pieces.append(text)
        self._finish = finish or self._finish
        return bool(finish)


def events(lines: Iterator[str]) -> Iterator[dict[str, Any] | None]:
    """The JSON objects of a server-sent event stream; None for its `[DONE]`. Raises ValueError on a broken one."""
    for line in lines:
        if not line.startswith("data:"):
            continue
        payload = line[5:].strip()
        if payload == "[DONE]":
            yield None
            return
        event = json.loads(payload)
        if isinstance(event, dict):
            yield event
