"""A run in which tests were skipped says so in its last lines: how many, where and why."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SKIPPING = """
import pytest

@pytest.fixture(scope="session")
def server():
    pytest.skip("no server can be started here")

@pytest.mark.parametrize("number", range(4))
def test_with_a_server(server, number):
    pass

@pytest.mark.skipif(True, reason="no compiler")
def test_with_a_compiler():
    pass

def test_without():
    pass
"""


def last_lines(folder: Path, *options: str) -> list[str]:
    """What pytest says of that file, from the heading of what was not tested on."""
    (folder / "test_some.py").write_text(SKIPPING)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-c", "/dev/null", *options]
    command += ["--rootdir", str(folder), str(folder)]
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, env=ours)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    heading = next((number for number, line in enumerate(lines) if "NOT TESTED" in line), len(lines))
    return lines[heading + 1 :]


@pytest.mark.slow
def test_what_was_not_tested_is_grouped_and_counted(tmp_path: Path) -> None:
    lines = last_lines(tmp_path)
    assert lines[:2] == [
        "4 tests in test_some.py: no server can be started here",
        "1 test in test_some.py: no compiler",
    ]
    assert "1 passed, 5 skipped" in lines[2]


@pytest.mark.slow
def test_a_full_pass_says_nothing_of_it(tmp_path: Path) -> None:
    assert last_lines(tmp_path, "-k", "without") == []
