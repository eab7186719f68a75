"""One blind comparison in the arena: two models, sides drawn by lot, one prompt. Draws nothing."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from dashboard.chat.client import Answer, Sampling
from dashboard.chat.conversation import exported
from results import Ratings, uncertain_pairs
from results.records import Vote, Winner, now


@dataclass
class Duel:
    """Two answers being written; who wrote them is shown after the vote."""

    prompt: str
    left: Answer
    right: Answer
    vote: Vote | None = None
    of: str = ""
    """The prompt set that the prompt is of; empty for one that was typed."""

    @property
    def active(self) -> bool:
        """Whether either is still being written."""
        return self.left.active or self.right.active

    @property
    def judgeable(self) -> bool:
        """Whether both said something and came to their end: a vote on less would be no vote on the model."""
        return self.left.whole and self.right.whole

    def judge(self, winner: Winner, ids: dict[str, str], voter: str) -> Vote:
        """The vote, a being the left one. ids: model id by name."""
        left, right = exported(self.left), exported(self.right)
        self.vote = Vote(
            id=uuid4().hex,
            prompt=self.prompt,
            model_a=ids[self.left.model],
            model_b=ids[self.right.model],
            answer_a=str(left["text"]),
            answer_b=str(right["text"]),
            winner=winner,
            voter=voter,
            blind=True,
            details={"a": left, "b": right} | ({"set": self.of} if self.of else {}),
            created_at=now(),
        )
        return self.vote


def as_kept(match: Duel) -> dict[str, Any]:
    """A pair as JSON, for `from_kept`."""
    sides = {"left": exported(match.left), "right": exported(match.right)}
    return {"prompt": match.prompt, "set": match.of, "vote": match.vote.id if match.vote else "", **sides}


def from_kept(record: object, votes: Iterable[Vote]) -> Duel | None:
    """The pair that was written down; None for a record of another kind. votes: among which its own is."""
    try:
        kept: Any = record
        left, right = Answer.kept(kept["left"]), Answer.kept(kept["right"])
        own = next((one for one in votes if one.id == kept["vote"]), None)
        return Duel(str(kept["prompt"]), left, right, own, str(kept["set"]))
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def pair(ranking: Ratings | None, ids: Sequence[str], draw: random.Random) -> tuple[str, str]:
    """The two models whose next comparison teaches most, by id, the sides drawn by lot.

    Among pairs that were never compared one is drawn, so that no model waits for the alphabet.
    """
    if ranking is None:
        chosen = draw.sample(list(ids), 2)
    else:
        pairs = uncertain_pairs(ranking, ids)
        compared = {frozenset((one.model_a, one.model_b)) for one in ranking.pairs if one.votes}
        fresh = [one for one in pairs if frozenset(one) not in compared]
        chosen = list(draw.choice(fresh) if fresh else pairs[0])
    draw.shuffle(chosen)
    return chosen[0], chosen[1]


def begin(prompt: str, names: tuple[str, str], sampling: Sampling, of: str = "") -> Duel:
    """Ask both at once. of: the prompt set."""
    left, right = (Answer(name, [{"role": "user", "content": prompt}], sampling).start() for name in names)
    return Duel(prompt, left, right, of=of)


MOST_HELD = 256
"""Visitors whose pair is remembered."""
_held: OrderedDict[tuple[str, str], Duel] = OrderedDict()


def hold(place: str, person: str, match: Duel) -> None:
    """Remember a visitor's pair, so that a page that is loaded anew finds it. place: the workspace."""
    if person:
        _held[place, person] = match
        _held.move_to_end((place, person))
        while len(_held) > MOST_HELD:
            _held.popitem(last=False)


def held(place: str, person: str) -> Duel | None:
    """A visitor's pair; None without one."""
    return _held.get((place, person))
