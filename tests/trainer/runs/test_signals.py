"""Ctrl-C, SIGTERM and a closed terminal: at once while nothing would be lost, after the present step otherwise."""

from __future__ import annotations

import os
import pty
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from trainer.runs.signals import stop_on_signals


@pytest.fixture(autouse=True)
def usual_hangup() -> Iterator[None]:
    """A hangup as a terminal's programs hear it, also where nohup started the tests."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_outside_an_orderly_block_a_signal_ends_at_once(number: int) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), stop_on_signals():
        signal.raise_signal(number)
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_orderly_block_ends_itself_and_says_that_it_will(number: int) -> None:
    said = threading.Event()
    with stop_on_signals(said.set) as stop, stop.orderly():
        assert not stop.asked
        signal.raise_signal(number)
        assert stop.asked
        assert said.wait(120)


def test_a_second_interrupt_does_not_wait_and_a_second_sigterm_changes_nothing() -> None:
    with pytest.raises(KeyboardInterrupt), stop_on_signals() as stop, stop.orderly():
        for _ in range(3):
            signal.raise_signal(signal.SIGTERM)
        assert stop.asked
        signal.raise_signal(signal.SIGINT)


def test_other_threads_catch_nothing() -> None:
    before, seen = signal.getsignal(signal.SIGINT), []

    def work() -> None:
        with stop_on_signals() as stop:
            seen.append((stop.asked, signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, before)]


def test_what_nohup_started_hears_no_hangup() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signals() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop.asked
    finally:
        signal.signal(signal.SIGHUP, before)


AT_A_TERMINAL = """
import sys
from trainer.runs.signals import stop_on_signals
with stop_on_signals(lambda: print("ending", file=sys.stderr, flush=True)) as stop, stop.orderly():
    print("at work", flush=True)
    while not stop.asked:
        pass
    print("the last step is saved", flush=True)  # to nobody: the terminal is gone
    open(sys.argv[1], "w").write("saved")
"""


def test_a_closed_terminal_lets_the_step_finish_and_its_words_fail_nothing(tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    number, terminal = pty.fork()
    if number == 0:  # a session of its own, whose terminal the test holds
        os.execv(sys.executable, [sys.executable, "-c", AT_A_TERMINAL, str(saved)])
    seen = b""
    while b"at work" not in seen:
        seen += os.read(terminal, 1000)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]) == 0
    assert saved.read_text() == "saved"
