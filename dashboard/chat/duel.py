"""One blind comparison in the arena: two models, sides drawn by lot, one prompt. Draws nothing."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
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

    @property
    def active(self) -> bool:
        """Whether either is still being written."""
        return self.left.active or self.right.active

    @property
    def judgeable(self) -> bool:
        """Whether both answered to the end: a vote on half an answer would be no vote on the model."""
        return all(answer.snapshot().state == "finished" for answer in (self.left, self.right))

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
            details={"a": left, "b": right},
            created_at=now(),
        )
        return self.vote


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


def begin(prompt: str, names: tuple[str, str], sampling: Sampling) -> Duel:
    """Ask both at once."""
    left, right = (Answer(name, [{"role": "user", "content": prompt}], sampling).start() for name in names)
    return Duel(prompt, left, right)
