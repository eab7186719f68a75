"""Waiting is wall time in which nothing was computed and every usable processor had something else to do."""

from __future__ import annotations

import math
import os

import pytest

from evaluator.sandbox.stopwatch import Look, Stopwatch, idle_between, look


@pytest.mark.parametrize(
    ("later", "idle"),
    [
        (Look(1.0, 0.0, 0.0), 1.0),
        (Look(1.0, 1.0, 0.0), 0.0),
        (Look(1.0, 0.1, 0.2), 0.7),
        (Look(1.0, 0.1, 0.0, {"a": 0.9}), 0.0),
        (Look(1.0, 0.1, 0.0, {"a": 0.5}, 0.1), 0.3),
        (Look(1.0, 4.0, 0.0), 0.0),
        (Look(1.0, 0.0, 0.0, {str(number): 0.9 for number in range(60)}, 0.0, {"cpu0": 0.97}), 0.97),
        (Look(1.0, 0.1, 0.0, {str(number): 0.9 for number in range(60)}, 0.0, {"cpu0": 0.0}), 0.0),
        (Look(1.0, 0.0, 0.0, {}, 5.0, {"cpu0": 0.0}), 0.0),
        (Look(1.0, 0.0, math.nan), 0.0),
    ],
    ids=["slept", "computed", "the judge too", "waited for a processor", "interrupts", "four processors",
         "sixty threads in turn, and a free processor", "sixty threads on a full machine", "stolen", "unknown"],
)  # fmt: skip
def test_what_counts_as_waiting(later, idle):
    earlier = Look(0.0, 0.0, 0.0, {}, 0.0, {"cpu0": 0.0})
    assert idle_between(earlier, later) == pytest.approx(idle)


def test_nothing_is_banked_for_later():
    """Delays of sixty threads in one second are no credit for the next ones; a thread that ends takes none away."""
    watch = Stopwatch()
    crowd = {str(number): 1.0 for number in range(60)}
    for now in (Look(0.0, 0.0, 0.0), Look(1.0, 0.1, 0.0, crowd), Look(2.0, 0.1, 0.0, crowd), Look(3.0, 1.1, 0.0, {})):
        watch.add(now)
    assert watch.idle == pytest.approx(1.0)
    assert watch.test == 0.0


@pytest.mark.parametrize(("free", "idle"), [(0.0, 0.1), (0.4, 0.4)], ids=["a crowded machine", "one with room"])
def test_a_wait_that_outlasts_many_looks_is_told_when_it_is_over(free, idle):
    """The kernel adds a wait for a processor up at its end: until then it looks like sleep."""
    watch = Stopwatch()
    for tenth in range(5):
        watch.add(Look(tenth / 10, 0.0, 0.0, {"a": 0.0}, 0.0, {"cpu0": free * tenth / 4}))
    watch.add(Look(0.5, 0.05, 0.0, {"a": 0.35}, 0.0, {"cpu0": free}))
    assert watch.idle == pytest.approx(idle)


def test_a_look_at_this_process():
    seen = look(os.getppid(), os.getpid(), 0.0)  # one of that one's children
    assert seen.test > 0 and len(seen.delays) >= 2
    assert set(seen.free) <= {f"cpu{number}" for number in os.sched_getaffinity(0)}
