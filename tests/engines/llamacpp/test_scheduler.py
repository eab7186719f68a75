"""Slices and slots: no adapter waits for another's whole answer, and prompts go where their prefix is."""

from __future__ import annotations

import threading
import time

from engines.llamacpp.scheduler import Scheduler


def never() -> bool:
    return False


def test_a_slot_with_the_same_beginning_is_taken() -> None:
    scheduler = Scheduler(2)
    first = scheduler.take_slot(0, [1, 2, 3], never)
    second = scheduler.take_slot(0, [7, 8, 9], never)
    assert first and second
    scheduler.give_slot(first, 0, [1, 2, 3, 4])
    scheduler.give_slot(second, 0, [7, 8, 9])
    again = scheduler.take_slot(0, [1, 2, 3, 4, 5], never)
    assert again is first


def test_a_prefix_of_another_lane_is_not_shared() -> None:
    scheduler = Scheduler(2)
    slot = scheduler.take_slot(0, [1, 2, 3], never)
    assert slot
    scheduler.give_slot(slot, 0, [1, 2, 3])
    other = scheduler.take_slot(1, [1, 2, 3], never)
    assert other is not slot  # the longest unused one instead


def test_waiting_for_a_slot_says_the_place_and_can_be_cancelled() -> None:
    scheduler = Scheduler(1)
    assert scheduler.take_slot(0, [], never)
    places: list[int] = []
    assert scheduler.take_slot(0, [], lambda: bool(places), places.append) is None
    assert places == [1]
    assert scheduler.waiting == 0


def test_one_lane_at_a_time_and_turns_in_order() -> None:
    scheduler, order, held = Scheduler(3), [], []
    assert scheduler.enter(0, False, never)

    def wait(adapter: int, begun: bool) -> None:
        assert scheduler.enter(adapter, begun, never)
        order.append(adapter)
        held.append(adapter)
        time.sleep(0.02)
        held.remove(adapter)
        assert set(held) <= {adapter}, "two scheduler ran at once"
        scheduler.leave()

    threads = []
    for adapter, begun in ((1, True), (2, False)):
        threads.append(threading.Thread(target=wait, args=(adapter, begun)))
        threads[-1].start()
        while not scheduler.contested(0) or len(scheduler._waiting) < len(threads):
            time.sleep(0.001)
    assert scheduler.contested(0)
    scheduler.leave()
    for thread in threads:
        thread.join()
    assert order == [2, 1]  # what has not begun goes first


def test_the_same_lane_runs_together_only_while_nobody_else_waits() -> None:
    scheduler = Scheduler(3)
    assert scheduler.enter(0, False, never)
    assert scheduler.enter(0, False, never)  # joins at once
    other = threading.Thread(target=lambda: (scheduler.enter(1, False, never), scheduler.leave()))
    other.start()
    while not scheduler.contested(0):
        time.sleep(0.001)
    tries: list[int] = []
    assert not scheduler.enter(0, True, lambda: len(tries) > 0 or tries.append(1) is not None)  # type: ignore[func-returns-value]
    scheduler.leave()
    scheduler.leave()
    other.join()
