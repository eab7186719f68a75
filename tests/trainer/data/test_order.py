"""The data order: every row once an epoch, whatever the step it is asked from."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from trainer.data.order import RowOrder

lengths = st.lists(st.integers(1, 50), min_size=1, max_size=40)


@given(lengths, st.integers(1, 6), st.one_of(st.none(), st.integers(50, 120)), st.integers(0, 9))
def test_each_epoch_has_every_row_once(lengths: list[int], sequences: int, packed: int | None, seed: int) -> None:
    order = RowOrder(lengths, sequences, packed, seed)
    steps = order.steps_of(2)
    assert Counter(row for step in range(steps) for row in order.rows(step)) == dict.fromkeys(range(len(lengths)), 2)
    assert order.epoch(steps) == 2


@given(lengths, st.integers(1, 6), st.one_of(st.none(), st.integers(50, 120)), st.lists(st.integers(0, 60)))
def test_a_step_has_the_same_rows_from_wherever_it_is_reached(
    lengths: list[int], sequences: int, packed: int | None, jumps: list[int]
) -> None:
    straight, jumping = RowOrder(lengths, sequences, packed, 1), RowOrder(lengths, sequences, packed, 1)
    rows = [straight.rows(step) for step in range(61)]
    for step in jumps:
        assert jumping.rows(step) == rows[step]


@given(lengths, st.integers(1, 4))
def test_a_packed_step_never_holds_more_than_its_sequences(lengths: list[int], sequences: int) -> None:
    order = RowOrder(lengths, sequences, 50, 0)
    for step in range(order.steps_of(1)):
        assert sum(lengths[row] for row in order.rows(step)) <= 50 * sequences


def test_epochs_differ_and_seeds_differ() -> None:
    order, other = RowOrder([1] * 20, 20, None, 0), RowOrder([1] * 20, 20, None, 1)
    assert order.rows(0) != order.rows(1)
    assert order.rows(0) != other.rows(0)


def test_half_an_epoch_is_rounded_up() -> None:
    order = RowOrder([1] * 10, 4, None, 0)
    assert [order.steps_of(epochs) for epochs in (0.1, 0.5, 1, 1.5)] == [1, 2, 3, 5]
