"""macOS and Windows, imitated: what Linux alone has is not there, and everything but code tests works all the same."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engines import FolderSource, write_model
from trainer import miniature

REPOSITORY = Path(__file__).resolve().parents[2]
ROOMS = ("bakeoff", "trainer", "evaluator", "engines", "results", "dashboard")

IMITATION = """
import os, platform, select, signal, sys
from importlib.machinery import PathFinder

ROOMS = {rooms!r}
ABSENT = {{"macOS": (), "Windows": ("fcntl", "resource", "termios", "pwd", "grp")}}["{system}"]
GONE = {{
    "macOS": ((os, "sched_getaffinity"), (os, "sched_setaffinity")),
    "Windows": ((os, "sched_getaffinity"), (os, "sched_setaffinity"), (os, "killpg"),
                (os, "O_CLOEXEC"), (signal, "SIGHUP"), (select, "poll")),
}}["{system}"]
for place, name in GONE:
    delattr(place, name)
def asked_by_us():
    frame = sys._getframe(2)
    while frame and "importlib" in frame.f_globals.get("__name__", ""):
        frame = frame.f_back
    return frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in ROOMS

real_system = platform.system
platform.system = lambda: {{"macOS": "Darwin"}}.get("{system}", "{system}") if asked_by_us() else real_system()

real = __import__
def imported(name, *more, **named):
    if name in ABSENT and asked_by_us():
        raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
    if name == "msvcrt" and ABSENT and asked_by_us():
        return real("msvcrt_of_windows")
    return real(name, *more, **named)
import builtins
builtins.__import__ = imported
"""
"""What every Python process does at its start: the libraries keep what they need, our own rooms do not find it."""

MSVCRT = """
import fcntl
LK_UNLCK, LK_LOCK, LK_NBLCK = 0, 1, 2
def locking(number, how, size):
    if how == LK_UNLCK:
        fcntl.lockf(number, fcntl.LOCK_UN, size, 0, 1)
        return
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise PermissionError(13, "Permission denied") from None
"""
"""Windows' module of that name, as far as locks go: a lock that fails is an OSError, and closing the file ends it."""

POSIX = {
    "os.fork", "os.forkpty", "os.killpg", "os.setsid", "os.getpgid", "os.sched_getaffinity", "os.sched_setaffinity",
    "os.getloadavg", "os.uname", "os.ttyname", "os.sysconf", "signal.SIGKILL", "signal.SIGHUP", "signal.SIGUSR1",
    "select.poll", "select.epoll", "os.O_CLOEXEC", "resource", "fcntl", "pwd", "grp", "termios",
}  # fmt: skip
"""What Windows, and in part macOS, has not."""
MAY = {
    "results/process/systems.py": "asks whether it is there",
    "results/files/locks.py": "asks whether it is there",
    "results/process/belonging.py": "where a terminal has hung up, which Windows' does not",
    "results/store/machines.py": "asks whether it is there",
    "dashboard/launch.py": "refuses Windows by name",
    "dashboard/jobs/jobs.py": "started from the dashboard's pages, which refuse Windows",
    "evaluator/humaneval/scoring.py": "behind the sandbox, which refuses all but Linux by name",
}
"""Files that use some of it, and why they may; the sandbox's own all do."""


@pytest.mark.parametrize("room", ROOMS)
def test_what_other_systems_lack_is_used_where_it_was_thought_of(room: str) -> None:
    found = {}
    for path in (REPOSITORY / room).rglob("*.py"):
        name = path.relative_to(REPOSITORY).as_posix()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        used = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        used |= {one.name for node in ast.walk(tree) if isinstance(node, ast.Import) for one in node.names}
        if used & POSIX and not name.startswith("evaluator/sandbox/"):
            found[name] = used & POSIX
    assert {name: used for name, used in found.items() if name not in MAY} == {}
    assert {name for name in MAY if name.startswith(f"{room}/")} <= set(found), "strike what uses none of it any more"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("file")
    write_model(folder / "theirs.gguf", FolderSource(miniature("llama", folder / "base")), "gguf-q8_0")
    return folder / "theirs.gguf"


@pytest.fixture(params=["macOS", "Windows"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder whose Python processes find themselves on another system."""
    (tmp_path / "sitecustomize.py").write_text(IMITATION.format(rooms=ROOMS, system=request.param))
    (tmp_path / "msvcrt_of_windows.py").write_text(MSVCRT)
    (tmp_path / "mine.csv").write_text("input,target\nIs ice cold?,yes\nIs fire cold?,no\n")
    (tmp_path / "system").write_text(request.param)
    return tmp_path


def bakeoff(place: Path, *words: str, code: int = 0) -> str:
    """What a verb prints, or with another code its last line on stderr."""
    paths = os.pathsep.join((str(place), str(REPOSITORY)))
    environment = {**os.environ, "PYTHONPATH": paths, "BAKEOFF_WORKSPACE": str(place / "workspace")}
    done = subprocess.run(
        [sys.executable, "-m", "bakeoff", *words],
        env=environment,
        cwd=place,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == code, done.stderr
    return done.stderr.splitlines()[-1] if code else done.stdout


@pytest.mark.slow
def test_a_file_is_added_asked_timed_and_decided_on_and_code_tests_are_refused_by_name(place: Path, base: Path) -> None:
    name = (place / "system").read_text()
    assert json.loads(bakeoff(place, "add", str(base), "--json"))[0]["state"] == "added"
    scores = json.loads(bakeoff(place, "evaluate", "theirs", "--benchmark", "mine.csv", "--json"))
    assert {one["n"] for one in scores if one["metric"] == "pass@1"} == {2}
    few = ("--repetitions", "1", "--tokens", "4", "--natural-tokens", "4")
    assert json.loads(bakeoff(place, "latency", *few, "--json"))
    assert bakeoff(place, "decide")
    (place / "answers.jsonl").write_text('{"task_id": "HumanEval/0", "completion": "    return 1"}\n')
    said = bakeoff(place, "score", "answers.jsonl", code=2)
    assert f"a sandbox of Linux's, which {name} has not" in said and "docs/docker.md" in said
    if name == "Windows":
        assert "open it in WSL" in bakeoff(place, "dashboard", "--headless", code=2)
