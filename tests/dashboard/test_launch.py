"""The dashboard's processes: a model server that is killed is followed by the next, and none outlives its starter."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboard.chat import client, revival
from dashboard.chat.client import Answer, Sampling
from dashboard.errors import ServerSilent
from dashboard.launch import ModelServer, free_port
from results import LIFELINE, Workspace
from tests.dashboard.answers import AnswerServer
from tests.dashboard.chat.test_chat import until
from tests.dashboard.test_gate import listening
from tests.processes import stand_still

PATIENCE_SECONDS = 600.0
"""For starting processes on a machine that others starve."""


@pytest.fixture
def said() -> list[str]:
    """What a model server's keeper says."""
    return []


@pytest.fixture
def model_server(small: Workspace, said: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    """The real one over a small store, and the environment that points the pages at it."""
    lifeline, held = os.pipe()
    server = ModelServer(small.path, {**os.environ, LIFELINE: str(lifeline)}, lifeline, said.append)
    monkeypatch.setenv("BAKEOFF_SERVE_URL", server.url)
    monkeypatch.setenv("BAKEOFF_SERVE_KEY", server.key)
    yield server
    server.stop()
    os.close(lifeline)
    os.close(held)


@pytest.mark.slow
def test_a_model_server_that_is_killed_is_followed_by_the_next(model_server: ModelServer, said: list[str]) -> None:
    names = [row["id"] for row in client.served(PATIENCE_SECONDS)]  # asked before it is up: the socket is open already
    assert names
    for moment in ("right before the request", "while it holds the request"):
        killed = model_server.process.pid
        if moment == "right before the request":
            os.kill(killed, signal.SIGKILL)
        else:
            stand_still(killed)  # takes the request and answers nothing
            threading.Timer(0.5, os.kill, (killed, signal.SIGKILL)).start()
        assert [row["id"] for row in client.served(PATIENCE_SECONDS)] == names
        until(lambda killed=killed: model_server.process.pid != killed, PATIENCE_SECONDS)  # type: ignore[misc]
    assert said == ["The model server ended with signal 9; it is started again"] * 2


@pytest.mark.slow
def test_a_model_server_that_cannot_run_is_given_up_with_a_word(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    lifeline, held = os.pipe()
    server = ModelServer(tmp_path / "file", dict(os.environ), lifeline, said.append)
    monkeypatch.setenv("BAKEOFF_SERVE_URL", server.url)
    with pytest.raises(ServerSilent, match="No model server"):  # not for ever: whoever waits is refused in the end
        client.served(PATIENCE_SECONDS)
    until(lambda: not server.keeping, PATIENCE_SECONDS)
    server.stop()
    assert said[-1].endswith("exit status 2, 3 times in a row; the pages stay without it")
    os.close(lifeline)
    os.close(held)


@pytest.mark.slow
def test_a_ring_starts_one_that_was_given_up_at_the_same_address_and_replaces_one_that_hangs(
    small: Workspace, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lifeline, held = os.pipe()
    broken = small.path.rename(small.path.with_name("elsewhere"))
    small.path.write_text("no folder")
    server = ModelServer(small.path, dict(os.environ), lifeline, said.append)
    monkeypatch.setenv("BAKEOFF_SERVE_URL", server.url)
    monkeypatch.setenv("BAKEOFF_SERVE_KEY", server.key)
    monkeypatch.setenv(revival.VARIABLE, str(server.bell))
    until(lambda: not server.keeping, PATIENCE_SECONDS)
    with pytest.raises(ServerSilent, match="Start it again: the button"):
        client.served(PATIENCE_SECONDS)
    small.path.unlink()
    broken.rename(small.path)
    revival.ring()
    until(lambda: server.keeping, PATIENCE_SECONDS)
    assert client.served(PATIENCE_SECONDS)
    hung = server.process.pid
    stand_still(hung)
    revival.ring()
    until(lambda: server.process.pid != hung, PATIENCE_SECONDS)
    assert client.served(PATIENCE_SECONDS)
    server.stop()
    os.close(lifeline)
    os.close(held)


def test_an_answer_not_begun_is_asked_again_of_the_next_server(serving: AnswerServer) -> None:
    asked = len(serving.requests)
    answer = Answer("falls-once", [{"role": "user", "content": "Why?"}], Sampling(max_tokens=8)).start()
    until(lambda: not answer.active)
    shot = answer.snapshot()
    assert (shot.state, shot.tokens) == ("finished", 8)
    assert len(serving.requests) == asked + 2


@pytest.mark.parametrize(("name", "times"), [("falls-always", 2), ("dies-early", 1)])
def test_an_answer_that_breaks_off_is_no_finished_one(serving: AnswerServer, name: str, times: int) -> None:
    asked = len(serving.requests)
    answer = Answer(name, [{"role": "user", "content": "Why?"}], Sampling()).start()
    until(lambda: not answer.active)
    shot = answer.snapshot()
    assert shot.state == "failed" and "broke off" in shot.message and not shot.finish_reason
    assert len(serving.requests) == asked + times


def dashboard(folder: Path, *before: str) -> tuple[subprocess.Popen[bytes], int]:
    """`bakeoff dashboard` and its port, answering. `before`: what starts it."""
    port, said = free_port(), folder / "out"
    usual = [
        "env",
        "--default-signal=HUP,INT,TERM",
    ]  # also where nohup, or a shell in the background, started the tests
    command = [*usual, *before, sys.executable, "-m", "bakeoff", "dashboard", "--port", str(port), "--headless"]
    environment = {**os.environ, "BAKEOFF_WORKSPACE": str(folder / "workspace"), "PYTHONUNBUFFERED": "1"}
    with said.open("wb") as out:
        running = subprocess.Popen(command, env=environment, stdout=out, stderr=out)
    until(lambda: f"127.0.0.1:{port}" in said.read_text() or running.poll() is not None, PATIENCE_SECONDS)
    assert running.poll() is None, said.read_text()
    return running, port


def descendants(pid: int) -> set[int]:
    """Processes that this one started, and theirs."""
    import psutil

    return {child.pid for child in psutil.Process(pid).children(recursive=True)}


def alive(pids: set[int]) -> set[int]:
    """Those of them that still run."""
    import psutil

    return {pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP, signal.SIGTERM])
def test_nothing_outlives_the_dashboard(tmp_path: Path, number: signal.Signals) -> None:
    running, port = dashboard(tmp_path)
    started = descendants(running.pid)
    assert len(started) == 2
    running.send_signal(number)
    running.wait(PATIENCE_SECONDS)
    until(lambda: not alive(started), PATIENCE_SECONDS)
    assert f"0100007F:{port:04X}" not in listening()


@pytest.mark.slow
def test_started_in_the_background_control_c_ends_it_too(tmp_path: Path) -> None:
    """As shells start background jobs: with SIGINT ignored."""
    running, _ = dashboard(tmp_path, "sh", "-c", 'trap "" INT; exec "$@"', "sh")
    started = descendants(running.pid)
    running.send_signal(signal.SIGINT)
    assert running.wait(PATIENCE_SECONDS) == 130
    until(lambda: not alive(started), PATIENCE_SECONDS)
