"""What a command says cannot act on a terminal, and where it cannot be said the command ends in one line or goes on."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from results import Workspace

HOSTILE = "name\x1b[2J\x1b]0;title\x07\u202e\x9b8m\r"
SPELT = r"name\x1b[2J\x1b]0;title\x07\u202e\x9b8m\r"
FULL = Path("/dev/full")


def said(code: str, shell: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """A process that opens its streams and runs some code; shell: where its streams go."""
    program = f"import sys; from bakeoff.streams import open_streams; open_streams(); {code}"
    return subprocess.run(
        ["bash", "-c", f'"$0" -c "$1" {shell}', sys.executable, program],
        capture_output=True, text=True, check=False, timeout=120, env={**os.environ, **environment},
    )  # fmt: skip


def test_what_would_act_on_a_terminal_is_spelt_out() -> None:
    done = said(f"print({HOSTILE!r}); print('a\\tb', file=sys.stderr)")
    assert (done.stdout, done.stderr) == (SPELT + "\n", "a\tb\n")


def test_on_a_terminal_colours_pass_and_nothing_else_does() -> None:
    ours, theirs = pty.openpty()
    program = f"from bakeoff.streams import *; open_streams(); print('\\x1b[1;31mred\\x1b[0m', {HOSTILE!r})"
    subprocess.run([sys.executable, "-c", program], stdout=theirs, check=True, timeout=120)
    shown = os.read(ours, 4096).decode()
    assert shown == f"\x1b[1;31mred\x1b[0m {SPELT}\r\n"
    os.close(ours)
    os.close(theirs)


def test_letters_that_the_terminal_lacks_are_spelt_out() -> None:
    done = said("print('5 \u2013 7'); print('\u2026', file=sys.stderr)", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout, done.stderr) == (0, "5 \\u2013 7\n", "\\u2026\n")


@pytest.mark.slow
@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")
def test_a_result_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    Workspace(tmp_path).store().close()
    command = f'"{sys.executable}" -m bakeoff models --workspace "{tmp_path}"'
    done = subprocess.run(["bash", "-c", f"{command} > /dev/full"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr.startswith("bakeoff: the output cannot be written: No space left") and done.stderr.count("\n") == 1
    )
    lost = subprocess.run(["bash", "-c", f"{command} 2> /dev/full"], capture_output=True, text=True, check=False)
    assert (lost.returncode, lost.stdout.startswith("No models yet")) == (0, True)


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")
def test_words_on_how_it_goes_are_dropped_where_they_cannot_be_written() -> None:
    done = said("print('lost', file=sys.stderr); print('there')", "2> /dev/full")
    assert (done.returncode, done.stdout) == (0, "there\n")


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&-", ">&- 2>&- <&-"])
def test_a_closed_stream_is_nothing_and_no_file_takes_its_number(closed: str, tmp_path: Path) -> None:
    kept = tmp_path / "numbers"
    code = f"f = open({str(kept)!r}, 'w'); print('x'); print('y', file=sys.stderr); f.write(str(f.fileno())); f.close()"
    done = said(code, closed)
    assert done.returncode == 0, done.stderr
    assert int(kept.read_text()) > 2
