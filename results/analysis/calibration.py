"""How far a judging model may be believed: its verdicts against a person's on the same answers. Nothing is drawn.

    found = calibrated("qwen3:8b", pairs)     # (judge's verdict, person's) of every answer that both judged
    found.words                               # agreement and kappa with intervals, or that it is uncalibrated
    corrected_share(judged, labelled)         # what a person would have passed, of all that the judge has seen

A judge's own share is biased by as much as it errs one way more than the other. The corrected one adds the mean of
person minus judge on the labelled answers to it, and its interval holds both samples' noise: prediction-powered
inference (Angelopoulos et al. 2023, arXiv 2301.09633), here with the labelled answers among the judged ones. It wants
labels of answers taken at random, not of those that looked odd.

Not here: asking a judge (`evaluator.text.llm_judge`, `evaluator.question_sets.judging`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from results.analysis.ratings import SHARES
from results.analysis.statistics import Estimate, wilson_interval
from results.records import Vote, Winner, percent

FEWEST_LABELS = 30
"""Labels below which nothing is said of a judge: of 30 that all agree, agreement is at least 89 % (Wilson)."""

TURNED: dict[Winner, Winner] = {"a": "b", "b": "a", "tie": "tie", "both_bad": "both_bad"}


@dataclass(frozen=True)
class Calibration:
    """A judging model against people, on the answers that both have judged."""

    judge: str
    labels: int
    """Answers that both have judged."""
    agreement: Estimate
    """Share of them on which the two say the same, in [0, 1]."""
    kappa: Estimate | None
    """Cohen's kappa: agreement beyond chance, 1 for all and 0 for none. None where chance alone would agree always."""

    @property
    def enough(self) -> bool:
        """Whether there are labels enough to say how far the judge may be believed."""
        return self.labels >= FEWEST_LABELS

    @property
    def words(self) -> str:
        """What may be read from it, in a sentence."""
        if not self.enough:
            have = (
                "no person's labels" if not self.labels else f"{self.labels} label{'s' * (self.labels > 1)} of people"
            )
            return f"{self.judge} is uncalibrated: {have} on what it judged, and {FEWEST_LABELS} are needed."
        chance = "kappa has no meaning, since both always say the same one thing"
        if self.kappa is not None:
            chance = f"kappa {self.kappa.value:.2f} ({self.kappa.low:.2f} to {self.kappa.high:.2f})"
        shares = f"{percent(self.agreement.value)} ({percent(self.agreement.low)} to {percent(self.agreement.high)})"
        return f"{self.judge} agrees with people on {shares} of {self.labels} labelled answers; {chance}."


def calibrated(judge: str, pairs: Sequence[tuple[str, str]]) -> Calibration:
    """pairs: (judge's verdict, person's verdict) of each answer that both judged, in the same words."""
    same, n = sum(one == two for one, two in pairs), len(pairs)
    agreement = Estimate(same / n if n else 0.0, *wilson_interval(same, n))
    return Calibration(judge, n, agreement, cohens_kappa(pairs) if n else None)


def cohens_kappa(pairs: Sequence[tuple[str, str]]) -> Estimate | None:
    """Cohen's kappa of two raters with its 95 % interval; None where both say one and the same thing throughout.

    The interval is the large-sample one (Fleiss, Cohen and Everitt 1969, eq. 13) of the table with half a count in each
    cell, so that a judge who never erred yet has one.
    """
    names = sorted({name for pair in pairs for name in pair})
    if len(names) < 2:
        return None
    place = {name: index for index, name in enumerate(names)}
    table = np.zeros((len(names), len(names)))
    for one, two in pairs:
        table[place[one], place[two]] += 1
    value, _ = _kappa(table)
    centre, error = _kappa(table + 0.5)
    z = float(special.ndtri(0.975))
    return Estimate(value, max(-1.0, min(value, centre - z * error)), min(1.0, max(value, centre + z * error)))


def _kappa(table: np.ndarray) -> tuple[float, float]:
    """(kappa, its standard error) of a table of counts (categories, categories) whose margins are not all in one."""
    n = table.sum()
    p = table / n
    rows, columns, diagonal = p.sum(1), p.sum(0), np.diag(p)
    chance = float(rows @ columns)
    kappa = float((diagonal.sum() - chance) / (1 - chance))
    agreeing = float((diagonal * (1 - (rows + columns) * (1 - kappa)) ** 2).sum())
    crossed = p * (columns[:, None] + rows[None, :]) ** 2
    differing = (1 - kappa) ** 2 * float(crossed.sum() - np.diag(crossed).sum())
    spread = agreeing + differing - (kappa - chance * (1 - kappa)) ** 2
    return kappa, math.sqrt(max(0.0, spread) / n) / (1 - chance)


def corrected_share(judged: Sequence[float], labelled: Sequence[tuple[float, float]]) -> Estimate | None:
    """What a person would give all that was judged, a share, with its 95 % interval; None below FEWEST_LABELS labels.

    judged: what the judge gave each answer, the labelled ones included. labelled: (judge's, person's) of those.
    Source: Angelopoulos et al. 2023, arXiv 2301.09633, eq. 1 (the mean), with the two parts' covariance, since the
    labelled answers are among the judged; one disagreement is added each way to what the labels show.
    """
    if len(labelled) < FEWEST_LABELS or len(judged) < len(labelled):
        return None
    every, (own, person) = np.array(judged), np.array(labelled, float).T
    gaps = person - own
    value = float(every.mean() + gaps.mean())
    padded_own, padded = np.append(own, [own.mean()] * 2), np.append(gaps, [1.0, -1.0])
    covariance = float(np.cov(padded_own, padded)[0, 1])
    spread = (float(every.var(ddof=1)) + 2 * covariance) / len(every) + float(padded.var(ddof=1)) / len(gaps)
    half = float(special.ndtri(0.975)) * math.sqrt(max(0.0, spread))
    value = min(1.0, max(0.0, value))
    return Estimate(value, max(0.0, value - half), min(1.0, value + half))


def judged_by_both(votes: Iterable[Vote], judge: str, blind: bool = True) -> list[tuple[Vote, Winner]]:
    """(judging model's vote, how a person voted on the same two answers), each pair of answers once.

    blind: people's votes without the names in sight, else those with them: the two are never pooled. Of several on one
    pair of answers the newest counts.
    """
    people: dict[tuple[str, ...], Winner] = {}
    own: dict[tuple[str, ...], Vote] = {}
    for vote in votes:
        if vote.judge == judge:
            own[_pair(vote)] = vote
        elif not vote.judge and vote.blind == blind:
            people[_pair(vote)] = vote.winner if _straight(vote) else TURNED[vote.winner]
    return [
        (vote, people[pair] if _straight(vote) else TURNED[people[pair]])
        for pair, vote in own.items()
        if pair in people
    ]


def vote_calibration(votes: Iterable[Vote], judge: str, blind: bool = True) -> Calibration:
    """How far a judging model votes as people do on the same two answers (`judged_by_both`)."""
    return calibrated(judge, [(vote.winner, person) for vote, person in judged_by_both(votes, judge, blind)])


def corrected_preference(votes: Sequence[Vote], judge: str, a: str, b: str, blind: bool = True) -> Estimate | None:
    """How often people would prefer model a's answer to b's, of all pairs that the judge has compared; ties half.

    None below FEWEST_LABELS pairs of these two models that people judged too.
    """

    def share(vote: Vote, winner: Winner) -> float:
        return SHARES[winner if vote.model_a == a else TURNED[winner]]

    between = [vote for vote in votes if {vote.model_a, vote.model_b} == {a, b}]
    judged = [share(vote, vote.winner) for vote in between if vote.judge == judge]
    both = judged_by_both(between, judge, blind)
    return corrected_share(judged, [(share(vote, vote.winner), share(vote, person)) for vote, person in both])


def _straight(vote: Vote) -> bool:
    return (vote.model_a, vote.answer_a) <= (vote.model_b, vote.answer_b)


def _pair(vote: Vote) -> tuple[str, ...]:
    """What makes two votes be on the same: the prompt and both answers, in an order of their own."""
    sides = [(vote.model_a, vote.answer_a), (vote.model_b, vote.answer_b)]
    return (vote.prompt, *(part for side in sorted(sides) for part in side))
