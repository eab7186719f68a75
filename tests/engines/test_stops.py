"""Stop strings cut alike however the text arrives."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engines.stops import StopFilter, cut

letters = st.text("ab\n", max_size=30)


@given(
    text=letters, stop=st.lists(st.text("ab\n", min_size=1, max_size=4), max_size=3), sizes=st.lists(st.integers(1, 5))
)
def test_pieces_are_cut_as_the_whole(text: str, stop: list[str], sizes: list[int]) -> None:
    filtered, shown, at = StopFilter(stop), "", 0
    for size in [*sizes, len(text)]:
        shown += filtered.feed(text[at : at + size])
        at += size
    whole, stopped = cut(text, stop)
    if not filtered.stopped:
        shown += filtered.end()
        assert (shown, False) == (whole, stopped)
    else:  # in pieces, the stop that is complete first wins: never more text than that
        assert stopped and shown.startswith(whole) and not any(one in shown for one in stop)


def test_nothing_is_held_back_without_stop_strings() -> None:
    assert StopFilter(()).feed("anything") == "anything"


def test_the_beginning_of_a_stop_string_waits() -> None:
    filtered = StopFilter(["</s>"])
    assert filtered.feed("done</") == "done"
    assert filtered.feed("b>") == "</b>"
    assert filtered.feed("</s>more") == ""
    assert filtered.stopped
