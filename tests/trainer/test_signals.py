"""Ctrl-C and SIGTERM: at once while nothing would be lost, after the present step otherwise."""

from __future__ import annotations

import signal
import threading

import pytest

from trainer.signals import stop_on_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_outside_an_orderly_block_a_signal_ends_at_once(number: int) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), stop_on_signals():
        signal.raise_signal(number)
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
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
