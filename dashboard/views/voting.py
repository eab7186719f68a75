"""Votes as the pages read them, and the rankings by them; a ranking of many models is worked out beside the page."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter, OrderedDict
from concurrent.futures import Future

import results
from dashboard.views import kept
from results.records import Vote

MOST_AT_ONCE = 60
"""Models that are ranked while the page waits: that takes a second, and of 300 models ten."""
MOST_KEPT = 16
"""Rankings of more models that are remembered."""

_rankings: OrderedDict[tuple[str, bool], Future[results.Ratings]] = OrderedDict()
_lock = threading.Lock()


@kept.until_written(4)
def votes() -> list[Vote]:
    """Every vote."""
    return kept.store().votes.list()


@kept.until_written(4)
def by_model() -> dict[str, int]:
    """How many votes each model was part of, by id."""
    return dict(Counter(id_ for vote in votes() for id_ in (vote.model_a, vote.model_b)))


def chosen(judge: str = "", blind: bool = True, of: str = "") -> list[Vote]:
    """The votes of people, or of one judging model, the blind ones or the others.

    of: a prompt set, on whose prompts alone; empty for all.
    """
    cast = [vote for vote in votes() if vote.judge == judge and vote.blind == blind]
    return [vote for vote in cast if not of or vote.details.get("set") == of]


def ranking(cast: list[Vote], equal_length: bool = False) -> results.Ratings | None:
    """The ranking by votes of one kind, at least one; None while that of many models is worked out.

    It rests on the votes alone, so what else is written meanwhile changes nothing.
    """
    asked = _asked(cast, equal_length)
    many = len({id_ for vote in cast for id_ in (vote.model_a, vote.model_b)}) > MOST_AT_ONCE
    return asked.result() if asked.done() or not many else None


def teaching() -> results.Ratings | None:
    """The ranking by people's blind votes that says which pair teaches most; None without one, as yet or at all."""
    cast = chosen()
    return ranking(cast) if cast else None


def _asked(cast: list[Vote], equal_length: bool) -> Future[results.Ratings]:
    """The answer to come; worked out once, however many visitors ask, in a thread of its own."""
    about = [(vote.id, vote.winner, vote.model_a, vote.model_b) for vote in cast]
    key = hashlib.sha256(repr(about).encode()).hexdigest(), equal_length
    with _lock:
        if key in _rankings:
            _rankings.move_to_end(key)
            return _rankings[key]
        asked: Future[results.Ratings] = Future()
        _rankings[key] = asked
        while len(_rankings) > MOST_KEPT:
            _rankings.popitem(last=False)
    threading.Thread(target=_work, args=(asked, cast, equal_length), name="ranking", daemon=True).start()
    return asked


def _work(asked: Future[results.Ratings], cast: list[Vote], equal_length: bool) -> None:
    try:
        asked.set_result(results.rate(cast, cast[0].judge, equal_length, cast[0].blind))
    except BaseException as error:  # who asks is told
        asked.set_exception(error)


@kept.until_written(16, shared=True)
def calibration(judge: str) -> results.Calibration:
    """How far a judging model votes as people do who did not see the names."""
    return results.vote_calibration(votes(), judge)


def add(vote: Vote) -> None:
    """Keep a person's preference."""
    kept.store().votes.add(vote)
