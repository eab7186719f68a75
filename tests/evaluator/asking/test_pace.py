"""How many requests an endpoint gets at a time: found by trying, halved when it refuses, never at a model's cost."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from engines import EngineBusy, EngineError, Generated
from evaluator import evaluate_humaneval, sandbox_available
from evaluator.asking.pace import FIRST, MOST, TRIES, Pace
from results import Model, Workspace
from tests.evaluator.endpoints import served

TEN = Generated("ten tokens", 10, "stop", None)


class Clock:
    """Time as an endpoint takes it that serves `room` requests together, each in one second."""

    def __init__(self, room: int) -> None:
        self.room, self.now, self.pace = room, 0.0, Pace()

    def __call__(self) -> float:
        return self.now

    def answer(self) -> Generated:
        self.now += 1 / min(self.room, self.pace.level)
        return TEN


@pytest.mark.parametrize(("room", "low", "high"), [(1, FIRST, 2 * FIRST), (64, 64, 128), (4096, MOST, MOST)])
def test_more_are_in_flight_as_long_as_it_pays(room: int, low: int, high: int) -> None:
    clock = Clock(room)
    clock.pace = Pace(clock=clock)
    for _ in range(4000):
        assert clock.pace.ask(clock.answer) == TEN
    assert low <= clock.pace.level <= high and clock.pace.refusals == 0


def test_a_refusal_halves_them_and_is_asked_again_later() -> None:
    pauses: list[float] = []
    pace, refusals = Pace(64, sleep=pauses.append), iter([7.0, 0.0, 0.0])

    def request() -> Generated:
        for seconds in refusals:
            raise EngineBusy("too many", seconds)
        return TEN

    assert pace.ask(request) == TEN
    assert pauses == [7.0, 2.0, 4.0] and pace.refusals == 3 and pace.level == 8


def test_an_endpoint_that_always_refuses_is_given_up_by_its_own_words() -> None:
    pauses: list[float] = []
    pace = Pace(sleep=pauses.append)

    def request() -> Generated:
        raise EngineBusy("out of quota")

    with pytest.raises(EngineBusy, match="out of quota"):
        pace.ask(request)
    assert len(pauses) == TRIES - 1


def test_who_waits_for_room_is_sent_away_at_the_end() -> None:
    pace, inside, go = Pace(1), threading.Event(), threading.Event()
    ended: list[str] = []

    def slow() -> Generated:
        inside.set()
        go.wait(60)
        return TEN

    def second() -> None:
        try:
            pace.ask(lambda: TEN)
        except EngineError as error:
            ended.append(str(error))

    threads = [threading.Thread(target=lambda: pace.ask(slow)), threading.Thread(target=second)]
    threads[0].start()
    assert inside.wait(60)
    threads[1].start()
    pace.close()
    threads[1].join(60)
    assert ended and "any more" in ended[0]
    go.set()
    threads[0].join(60)


class Endpoint(BaseHTTPRequestHandler):
    """A full endpoint: refuses its first requests, then answers each with one piece of text."""

    server: Any

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            self.server.asked += 1
            refused = self.server.asked <= self.server.refuses
        if refused:
            self.send_response(429)
            self.send_header("Retry-After", "0")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        piece = {"choices": [{"text": "    return 1\n", "finish_reason": "stop"}], "usage": {"completion_tokens": 5}}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"data: {json.dumps(piece)}\n\ndata: [DONE]\n\n".encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[Any]:
    with served(Endpoint, lock=threading.Lock(), asked=0, refuses=0) as server:
        yield server


@pytest.mark.slow
@pytest.mark.skipif(not sandbox_available()[0], reason=f"no sandbox: {sandbox_available()[1]}")
def test_a_rate_limit_is_no_fault_of_the_model(endpoint: Any, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    store = workspace.store()
    url = f"http://127.0.0.1:{endpoint.server_address[1]}/v1"
    model = store.models.add(Model("far-1", "far", "remote", "mini", "f" * 64, 0, url, details={"model": "far"}))
    endpoint.refuses = 3
    (done,) = evaluate_humaneval([model], store, workspace, {"tasks": 4, "prompting": "raw", "slots": 4})
    outcomes = store.evaluations.outcomes(done.id)
    assert done.status == "finished" and [one.details["answer"] for one in outcomes] == ["    return 1\n"] * 4
    assert done.details["reached"]["refusals"] == 3 and done.details["verdicts"].get("error", 0) == 0
    assert endpoint.asked == 7
