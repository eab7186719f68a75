"""Rankings: worked out once for the same votes, and beside the page where many models are ranked."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from dashboard.views import voting
from results import Vote, rate


def ring(models: int) -> list[Vote]:
    """As many votes as models, each of one against the next."""
    return [Vote(f"{models}-{n}", "?", f"m{n}", f"m{(n + 1) % models}", "x", "y", "a") for n in range(models)]


def test_a_ranking_of_few_is_there_at_once_and_one_for_all_who_ask() -> None:
    cast = ring(3)
    found = voting.ranking(cast)
    assert found == rate(cast) and voting.ranking(list(cast)) is found
    assert voting.ranking(cast, equal_length=True) is not found
    other = [*cast, Vote("more", "?", "m0", "m1", "x", "y", "a")]
    more = voting.ranking(other)
    assert more is not None and more.votes == 4


def test_a_ranking_of_many_is_worked_out_beside_the_page() -> None:
    let = threading.Event()

    class Held(list[Vote]):
        """Votes that cannot be read in another thread until they may: the ranking is under way for as long."""

        def __iter__(self) -> Iterator[Vote]:
            if threading.current_thread().name == "ranking":
                assert let.wait(120)
            return super().__iter__()

    cast = Held(ring(voting.MOST_AT_ONCE + 1))
    assert voting.ranking(cast) is None and voting.ranking(cast) is None
    let.set()
    for thread in threading.enumerate():
        if thread.name == "ranking":
            thread.join()
    found = voting.ranking(cast)
    assert found is not None and len(found.ratings) == voting.MOST_AT_ONCE + 1


def test_what_fails_beside_the_page_is_told_to_who_asks() -> None:
    with pytest.raises(KeyError):
        voting.ranking([Vote("odd", "?", "a", "b", "x", "y", "nobody")])  # type: ignore[arg-type]
