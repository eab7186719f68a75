"""Engine processes that are killed at every moment: what was not begun is answered, what was begun fails by name.

Nothing here waits for a killed process to be dead: it may run, listen and take connections for a while yet. A stopped
one (SIGSTOP) that is then killed shows that moment for certain: it takes the request and never answers it.
"""

from __future__ import annotations

import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from engines import EngineCrashed, LlamaCppEngine, Sampling
from engines.llamacpp.http import Wire
from engines.llamacpp.server_process import LlamaServer, Threading
from engines.processes.child_process import ROOT, ChildProcess
from engines.processes.succession import ASKED_AGAIN, Succession
from engines.server.residency import Residency
from engines.server.worker import OneModel
from results import Model, Workspace
from tests.engines.llamacpp.test_llamacpp import in_turns
from tests.engines.server.test_server import ASK, run, said, stream
from tests.processes import dying, end

pytestmark = pytest.mark.slow

HELLO = [{"role": "user", "content": "Hello, world!"}]
LONG = Sampling(120, ignore_end=True)


@pytest.fixture(scope="module")
def engine(tiny: Path) -> Iterator[LlamaCppEngine]:
    """llama.cpp over the miniature."""
    made = LlamaCppEngine(LlamaServer(tiny, context=256, slots=2, threading_choice=Threading(1, patient=True)))
    yield made
    made.close()


@pytest.fixture(scope="module")
def wanted(engine: LlamaCppEngine) -> str:
    """The whole answer."""
    return "".join(piece.text for piece in engine.stream(HELLO, LONG))


def later(act: Callable[[], Any]) -> threading.Thread:
    """Do it beside what follows."""
    thread = threading.Thread(target=act)
    thread.start()
    return thread


def answered(pieces: Iterator[Any]) -> tuple[str, EngineCrashed | None]:
    """(the text that came, why no more of it came)."""
    text = ""
    try:
        for piece in pieces:
            text += piece.text
    except EngineCrashed as crash:
        return text, crash
    return text, None


def test_a_request_to_a_dying_llama_is_answered_by_a_new_one(engine: LlamaCppEngine, wanted: str) -> None:
    before = engine.server.children.restarts
    for _ in range(3):
        with dying(engine.server.child().pid):
            assert answered(engine.stream(HELLO, LONG)) == (wanted, None)
        with dying(engine.server.child().pid):
            assert engine.count_tokens("Hello") > 0
    assert engine.server.children.restarts == before + 6


def test_the_answer_itself_is_asked_again_not_only_its_prompt(engine: LlamaCppEngine, wanted: str) -> None:
    """The process stops after the prompt was rendered and before the completion is asked for."""
    prompt, note = engine.fit(HELLO, LONG.max_tokens)
    for how in (nullcontext(), in_turns(engine)):
        answer = engine.stream(HELLO, LONG)
        answer._prepare = lambda: (prompt, note)
        with how, dying(engine.server.child().pid):
            assert answered(answer) == (wanted, None)
        assert answer.note == ASKED_AGAIN  # its first token took longer than the model needs


def test_killed_at_any_moment_llama_answers_whole_or_fails_by_name(engine: LlamaCppEngine, wanted: str) -> None:
    moments, cut = random.Random(13), 0
    began = time.perf_counter()
    assert answered(engine.stream(HELLO, LONG))[0] == wanted
    whole = time.perf_counter() - began
    for turn in range(25):
        pid = engine.server.child().pid

        def kill(pid: int = pid, wait: float = 0.0 if turn % 5 == 0 else moments.uniform(0, 1.2 * whole)) -> None:
            time.sleep(wait)
            with suppress(ProcessLookupError):  # the last turn's, which was still dying when this one began
                os.kill(pid, signal.SIGKILL)

        if turn % 5 == 0:
            kill()  # right before the request
            text, crash = answered(engine.stream(HELLO, LONG))
        else:
            killing = later(kill)
            text, crash = answered(engine.stream(HELLO, LONG))
            killing.join()
        if crash is None:
            assert text == wanted
        else:
            cut += 1
            assert text and wanted.startswith(text), "an answer that had not begun was not asked again"
            assert "signal 9" in str(crash)
    assert cut < 25
    assert answered(engine.stream(HELLO, LONG)) == (wanted, None)


def test_after_the_first_piece_it_fails_by_name(engine: LlamaCppEngine, wanted: str) -> None:
    answer = engine.stream(HELLO, LONG)
    with in_turns(engine):
        first = next(answer).text
        with dying(engine.server.child().pid):
            text, crash = answered(answer)
    assert wanted.startswith(first + text) and "signal 9" in str(crash) and "tiny.gguf" in str(crash)


def test_between_two_slices_the_answer_goes_on_in_a_new_process(engine: LlamaCppEngine, wanted: str) -> None:
    answer = engine.stream(HELLO, LONG)
    with in_turns(engine):
        first = next(answer).text
        end(engine.server.child().pid)
        assert (first + answered(answer)[0]) == wanted


def test_what_kills_every_process_is_asked_twice_and_no_more(engine: LlamaCppEngine) -> None:
    asked: list[int] = []

    def deadly(child: ChildProcess) -> None:
        asked.append(child.pid)
        os.kill(child.pid, signal.SIGKILL)
        Wire(child.address, child.key).call("/tokenize", {"content": "a"})
        raise EngineCrashed("It answered before it died: as good as broken off.")

    with pytest.raises(EngineCrashed, match=r"tiny\.gguf failed: it ended with signal 9"):
        engine.server.children.ask(deadly)
    assert len(asked) == len(set(asked)) == 2


def test_a_process_that_lives_is_kept_when_one_connection_breaks(engine: LlamaCppEngine) -> None:
    asked: list[int] = []

    def broken_once(child: ChildProcess) -> int:
        asked.append(child.pid)
        if len(asked) == 1:
            raise EngineCrashed("A connection broke.")
        return len(Wire(child.address, child.key).call("/tokenize", {"content": "Hello"})["tokens"])

    assert engine.server.children.ask(broken_once) > 0
    assert asked[0] == asked[1]


class Assassin(threading.Thread):
    """Kills the first new child of this process as soon as it is seen to run the module, once."""

    def __init__(self, module: str, after_seconds: float) -> None:
        super().__init__(daemon=True)  # a test that fails before there is a victim leaves nobody waiting
        self._module, self._after = module, after_seconds
        self._known = {child.pid for child in psutil.Process().children()}
        self.killed: list[int] = []
        self.start()

    def run(self) -> None:
        deadline = time.monotonic() + 900
        while not self.killed and time.monotonic() < deadline:
            for child in psutil.Process().children():
                with suppress(psutil.Error):
                    if child.pid not in self._known and self._module in child.cmdline():
                        time.sleep(self._after)
                        child.kill()
                        self.killed.append(child.pid)
                        return
            time.sleep(0.005)


@pytest.mark.parametrize("after_seconds", [0.0, 0.05, 0.2])
def test_a_llama_killed_while_it_loads_is_loaded_again(tiny: Path, wanted: str, after_seconds: float) -> None:
    assassin = Assassin("engines.llamacpp.child_main", after_seconds)
    made = LlamaCppEngine(LlamaServer(tiny, context=256, threading_choice=Threading(1, patient=True)))
    assassin.join()
    assert assassin.killed
    assert answered(made.stream(HELLO, LONG)) == (wanted, None)
    made.close()


class Log(io.BytesIO):
    """A child's log that takes a while to close, and shows when two close it at once: a real file then raises."""

    def __init__(self) -> None:
        super().__init__(b"its last words")
        self._free = threading.Lock()

    def close(self) -> None:
        assert self._free.acquire(blocking=False), "closed by two threads at once"
        time.sleep(0.05)
        super().close()
        self._free.release()


@contextmanager
def short_of_memory(pid: int) -> Iterator[None]:
    """The kernel ends this process when it wants another page (a memory cgroup of either kind). Skips without one."""
    for root, limit in (
        (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
        (Path("/sys/fs/cgroup"), "memory.max"),
    ):
        cage = root / f"bakeoff-test-{pid}"
        try:
            cage.mkdir()
            if not (cage / limit).exists():  # a plain folder
                raise FileNotFoundError(limit)
            (cage / limit).write_text(str(1 << 18))
            (cage / "cgroup.procs").write_text(str(pid))
            break
        except OSError:
            with suppress(OSError):
                cage.rmdir()
    else:
        pytest.skip("no memory cgroup can be made here")
    try:
        yield
    finally:
        for _ in range(100):  # it may be dying yet
            with suppress(OSError):
                cage.rmdir()
                break
            time.sleep(0.1)


def test_a_process_that_the_system_ends_for_want_of_memory_is_named_so(engine: LlamaCppEngine, wanted: str) -> None:
    """Its unfinished request fails by name, one that had not begun is answered anew: no answer is made of it."""
    child = engine.server.child()
    said: set[str] = set()
    with short_of_memory(child.pid):
        while child.alive:
            text, problem = answered(engine.stream(HELLO, LONG))
            said.add(text if problem is None else str(problem))
    assert child.reason() == "it ended with signal 9: the system ended it because memory ran out"
    assert all(one == wanted or child.reason() in one for one in said) and said
    assert answered(engine.stream(HELLO, LONG)) == (wanted, None)


def test_every_request_that_a_death_breaks_off_may_end_the_process(engine: LlamaCppEngine) -> None:
    """At once: each of many threads sees its connection break, and ends what is left of the child."""
    child = engine.server.children.child()
    child._log.close()
    child._log = Log()
    os.kill(child.pid, signal.SIGKILL)
    meeting = threading.Barrier(8)

    def end() -> str:
        meeting.wait()
        child.stop()
        return child.reason()

    with ThreadPoolExecutor(8) as pool:
        said = {future.result() for future in [pool.submit(end) for _ in range(8)]}
    (reason,) = said
    assert reason.startswith("it ended with signal 9") and reason.endswith(" (its last words)")


def test_what_dies_whenever_it_is_loaded_is_tried_twice() -> None:
    started = 0

    def start() -> ChildProcess:
        nonlocal started
        started += 1
        return ChildProcess("engines.no_such_module", {"path": "deadly.gguf"}, 60)

    with pytest.raises(EngineCrashed, match=r"deadly\.gguf.*exit status 1"):
        Succession("deadly", start)
    assert started == 2


def test_a_worker_killed_at_any_moment_answers_whole_or_fails_by_name(
    miniature: Callable[[str], Path], tmp_path: Path
) -> None:
    place = Workspace(tmp_path)
    with place.store() as store:
        store.models.add(Model("m-1", "whole", "merged", "mini", "e" * 64, 1, str(miniature("llama"))))
        assassin = Assassin("engines.server.worker", 1.0)
        residency = Residency(store, place, 4 << 30)
        url, stop = run(residency)
        try:
            first = said(stream(url, {**ASK, "model": "whole"}))  # the first worker is killed while it loads
            assassin.join()
            assert assassin.killed and first
            (resident,) = residency._resident.values()
            children: Succession = resident.host._children  # type: ignore[attr-defined]
            with dying(children.child().pid):
                events = stream(url, {**ASK, "model": "whole"})
            assert said(events) == first
            assert [event["bakeoff"]["notes"] for event in events if "bakeoff" in event][-1] == [ASKED_AGAIN]
            for _ in range(20):  # until the kill comes before the answer's end, which a late reader has not seen yet
                lines = _killed_amid_its_answer(url, children)
                failed = any('"error"' in line and "signal 9" in line and "whole" in line for line in lines)
                assert failed != any('"finish_reason": "' in line for line in lines)
                if failed:
                    break
            assert failed
            before = children.restarts
            assert resident.host.memory_bytes() == 0 and children.restarts == before  # counting starts nothing
            assert said(stream(url, {**ASK, "model": "whole"})) == first
        finally:
            stop()
            residency.close()


def _killed_amid_its_answer(url: str, children: Succession) -> list[str]:
    body, lines = {**ASK, "model": "whole", "stream": True, "max_tokens": 400}, []
    with httpx.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=900) as answer:
        for line in answer.iter_lines():
            if '"content": "' in line and '"role"' not in line and not lines:
                os.kill(children.child().pid, signal.SIGKILL)
                lines.append(line)
            elif lines:
                lines.append(line)
    return lines


class Breaking:
    """An engine whose answer just ends: no last piece, no error, as after a death that nobody noticed."""

    def __init__(self, pieces: tuple[str, ...]) -> None:
        self._pieces = pieces

    def stream(self, messages: Any, sampling: Sampling) -> Iterator[Any]:
        from engines import Chunk

        return (Chunk(piece) for piece in self._pieces)

    def render(self, messages: Any) -> str:
        return ""

    def count_tokens(self, text: str) -> int:
        return 0


@pytest.mark.parametrize("pieces", [(), ("half",)])
def test_an_answer_that_just_ends_is_no_finished_answer(pieces: tuple[str, ...], tmp_path: Path) -> None:
    with Workspace(tmp_path).store() as store:
        store.models.add(Model("m-1", "whole", "merged", "mini", "e" * 64, 1, "."))
        url, stop = run(OneModel(store, store.models.get("m-1"), Breaking(pieces)))
        try:
            if pieces:
                events = stream(url, {**ASK, "model": "whole"})
                assert "broke off" in events[-1]["error"]["message"]
                assert not any(event["choices"][0]["finish_reason"] for event in events[:-1])
            else:  # nothing of the answer was sent: the status says it
                body = {**ASK, "model": "whole", "stream": True}
                answer = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=900)
                assert answer.status_code == 503 and "broke off" in answer.text
            body = {**ASK, "model": "whole"}
            answer = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=900)
            assert answer.status_code == 503 and "broke off" in json.dumps(answer.json())
        finally:
            stop()


def test_a_child_whose_starter_dies_while_it_loads_ends_when_it_has_loaded(tiny: Path) -> None:
    task = {
        "path": str(tiny), "adapters": [], "context": 256, "slots": 1, "threads": 1, "memory_bytes": 8 << 30, "key": "k"
    }  # fmt: skip
    command = [sys.executable, "-m", "engines.llamacpp.child_main"]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    assert child.stdin is not None and child.stdout is not None
    child.stdin.write(json.dumps(task).encode() + b"\n")
    child.stdin.close()
    child.stdout.close()
    try:
        assert child.wait(240) == 1
    finally:
        child.kill()
        child.wait()
