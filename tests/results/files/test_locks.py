"""A lock on a file says whether the process that took it lives."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from results.files.locks import lock_is_held, take_lock

HOLD = """
import sys
from results.files.locks import take_lock

file = open(sys.argv[1], "a")
print(take_lock(file), flush=True)
sys.stdin.read()
"""


def test_a_lock_lives_exactly_as_long_as_the_process_that_took_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not lock_is_held(path), "nothing is there"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None and holder.stdout.readline() == "True\n"
    with path.open("a") as file:
        assert lock_is_held(path) and not take_lock(file)
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        assert not lock_is_held(path) and take_lock(file)
    assert not lock_is_held(path), "closed"


def test_who_looks_keeps_nobody_else_from_looking(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    assert not any(lock_is_held(path) for _ in range(3))
