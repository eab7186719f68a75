"""Turns and slots: no adapter waits for another's whole answer, and prompts go where their prefix is."""

from __future__ import annotations

import threading
import time

from engines.llamacpp.scheduler import Lanes


def never() -> bool:
    return False


def test_a_slot_with_the_same_beginning_is_taken() -> None:
    lanes = Lanes(2)
    first = lanes.take_slot(0, [1, 2, 3], never)
    second = lanes.take_slot(0, [7, 8, 9], never)
    assert first and second
    lanes.give_slot(first, 0, [1, 2, 3, 4])
    lanes.give_slot(second, 0, [7, 8, 9])
    again = lanes.take_slot(0, [1, 2, 3, 4, 5], never)
    assert again is first


def test_a_prefix_of_another_lane_is_not_shared() -> None:
    lanes = Lanes(2)
    slot = lanes.take_slot(0, [1, 2, 3], never)
    assert slot
    lanes.give_slot(slot, 0, [1, 2, 3])
    other = lanes.take_slot(1, [1, 2, 3], never)
    assert other is not slot  # the longest unused one instead


def test_waiting_for_a_slot_says_the_place_and_can_be_cancelled() -> None:
    lanes = Lanes(1)
    assert lanes.take_slot(0, [], never)
    places: list[int] = []
    assert lanes.take_slot(0, [], lambda: bool(places), places.append) is None
    assert places == [1]
    assert lanes.waiting == 0


def test_one_lane_at_a_time_and_turns_in_order() -> None:
    lanes, order, held = Lanes(3), [], []
    assert lanes.enter(0, False, never)

    def wait(lane: int, begun: bool) -> None:
        assert lanes.enter(lane, begun, never)
        order.append(lane)
        held.append(lane)
        time.sleep(0.02)
        held.remove(lane)
        assert set(held) <= {lane}, "two lanes ran at once"
        lanes.leave()

    threads = []
    for lane, begun in ((1, True), (2, False)):
        threads.append(threading.Thread(target=wait, args=(lane, begun)))
        threads[-1].start()
        while not lanes.contested(0) or len(lanes._waiting) < len(threads):
            time.sleep(0.001)
    assert lanes.contested(0)
    lanes.leave()
    for thread in threads:
        thread.join()
    assert order == [2, 1]  # what has not begun goes first


def test_the_same_lane_runs_together_only_while_nobody_else_waits() -> None:
    lanes = Lanes(3)
    assert lanes.enter(0, False, never)
    assert lanes.enter(0, False, never)  # joins at once
    other = threading.Thread(target=lambda: (lanes.enter(1, False, never), lanes.leave()))
    other.start()
    while not lanes.contested(0):
        time.sleep(0.001)
    tries: list[int] = []
    assert not lanes.enter(0, True, lambda: len(tries) > 0 or tries.append(1) is not None)  # type: ignore[func-returns-value]
    lanes.leave()
    lanes.leave()
    other.join()
