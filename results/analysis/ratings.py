"""A ranking from pairwise votes: Bradley–Terry, with intervals, and with the length of the answers held equal.

Votes of people and of judging models are never pooled, nor blind votes and those with the names in sight: `rate` takes
the votes of one kind, chosen by `judge` and `blind`. Who knows whose answer it is votes on the name too.
Not covered: which pair to show next (`uncertain_pairs` gives the order) and how votes are cast (the dashboard).

    strength(a) - strength(b) = log odds that a's answer is preferred to b's answer

A tie, and "both bad", count as half a win for either. A weak pull towards equal strengths (a prior of one tie a model,
against all others together) keeps the fit finite for a model that has won every vote. Intervals are of fits to weights
drawn for every vote and for either half of each prior tie: of two models that is exactly Jeffreys' interval of the
share of wins, which covers from the first vote on. Where a ranking may be read as one is told by `Ratings.settled`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, special

from results.analysis.statistics import votes_to_separate
from results.errors import NotFound
from results.records import Vote

Floats = NDArray[np.float64]

ENDS = (0.025, 0.975)
"""The ends of a 95 % interval, as quantiles."""

RESAMPLES = 500
"""Weights drawn for the votes: each makes a whole fit."""

PRIOR_VOTES = 1.0
"""Prior ties of a model, shared out over all others; source: half a win and half a loss, as in Jeffreys' interval."""

NOTHING = 1e-6
"""Votes: a drawn prior win of about this weight or less is left out of a fit. All of a model's weigh half a vote."""

SWEEPS = 8
"""How many steps `_sweep` takes before Newton's method begins."""

SMALL_STEP = 1e-6
"""Log odds below which a step of Newton's method is the last: each squares the error that is left."""

MOST_CAST = 1000
"""Votes between two models beyond which none are asked for: nobody casts them, and so small a lead decides nothing."""

FEWEST_VOTES = 6
"""Votes of a model below which there is no ranking: of five that all fall one way no test tells two apart."""

SHARES = {"a": 1.0, "b": 0.0, "tie": 0.5, "both_bad": 0.5}


@dataclass(frozen=True)
class Rating:
    """One model's place."""

    model_id: str
    strength: float
    """Natural-log odds against the mean of all models, which is 0."""
    low: float
    high: float
    """95 % interval over votes."""
    votes: int
    rank: int
    """1 for the best."""
    rank_low: int
    rank_high: int
    """Best and worst place that the intervals leave open: models it surely loses to, surely beats."""

    @property
    def chance(self) -> tuple[float, float, float]:
        """(value, low, high) in [0, 1]: how often its answer is preferred to that of the average model."""
        value, low, high = _chances(np.array([self.strength, self.low, self.high]))
        return float(value), float(low), float(high)


@dataclass(frozen=True)
class PairRating:
    """Two models head to head."""

    model_a: str
    model_b: str
    votes: int
    wins_a: float
    """Ties count half."""
    probability: float
    """Fitted chance that a is preferred to b."""
    low: float
    high: float
    votes_needed: int | None
    """Decided votes after which a preference of this size would be found (power 0.8); None if there is none."""


@dataclass(frozen=True)
class Ratings:
    """The whole ranking, best first."""

    judge: str
    """Empty for people."""
    blind: bool
    """Whether the voters did not see the names."""
    votes: int
    ratings: tuple[Rating, ...]
    pairs: tuple[PairRating, ...]
    length_effect: float | None
    """Log odds per doubling of an answer's length against the other's; None if the fit holds no length equal."""
    length_low: float | None
    length_high: float | None
    settled: int | None = None
    """How many places from the top on are settled: each of those models is preferred to each below it, at 5 % for all
    pairs together. None where a model has fewer than FEWEST_VOTES votes: then there is no ranking yet."""

    @property
    def standing(self) -> str:
        """What may be read from the ranking, in a sentence."""
        fewest = min(self.ratings, key=lambda one: one.votes)
        places = len(self.ratings)
        if self.settled is None:
            return (
                f"No ranking yet: a model has {fewest.votes} vote{'' if fewest.votes == 1 else 's'}, and each needs at "
                f"least {FEWEST_VOTES}."
            )
        if self.settled == 0:
            leader, rival = self.ratings[0].model_id, self.ratings[1].model_id
            need = next(one.votes_needed for one in self.pairs if {one.model_a, one.model_b} == {leader, rival})
            few = need is not None and need <= MOST_CAST
            more = f": the first two are told apart by about {need:,} votes between them" if few else ""
            more += ": the first two are too close to be told apart by votes" if need and not few else ""
            return f"Not settled: the first place is open{more}."
        if self.settled >= places - 1:
            return "Settled: each model is preferred to each below it."
        return (
            f"Settled for the first {'place' if self.settled == 1 else f'{self.settled} places'}; those below are open."
        )

    @property
    def length_chance(self) -> float | None:
        """How often, in [0, 1], the longer of two answers is preferred that differ by twice the length alone."""
        return None if self.length_effect is None else float(_chances(np.array([self.length_effect]))[0])


def rate(
    votes: Iterable[Vote],
    judge: str = "",
    equal_length: bool = False,
    blind: bool = True,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Ratings:
    """Rank the models by the votes of people (`judge` empty) or of one judging model: the `blind` ones, or the others.

    `equal_length` adds the log2 ratio of the answers' lengths as a covariate: strengths are then those at equal length.
    Raises: NotFound without a vote of that kind.
    """
    kept = [one for one in votes if one.judge == judge and one.blind == blind and one.model_a != one.model_b]
    if not kept:
        kind = "blind votes" if blind else "votes with the names in sight"
        raise NotFound(f"No {kind} by {judge or 'people'} yet. Cast some in the dashboard: bakeoff dashboard")
    models = sorted({vote.model_a for vote in kept} | {vote.model_b for vote in kept})
    place = {model: index for index, model in enumerate(models)}
    sides = np.array([(place[vote.model_a], place[vote.model_b]) for vote in kept])
    shares = np.array([SHARES[vote.winner] for vote in kept])
    lengths = np.array([_length_ratio(vote) for vote in kept]) if equal_length else None
    cast = _Wins(sides, shares, np.ones(len(kept)), lengths)
    fitted = _fit(cast.joined(_prior(len(models))), len(models))
    drawn = _drawn(cast, fitted, len(models), resamples, seed)
    low, high = _differences(drawn[:, : len(models)])
    effect = (None, None, None) if lengths is None else (fitted[-1], *_ends(drawn[:, -1]))
    ratings = _ranked(models, fitted, drawn, sides, low, high)
    return Ratings(
        judge=judge,
        blind=blind,
        votes=len(kept),
        ratings=ratings,
        pairs=_pairs(models, fitted, sides, shares, low, high),
        length_effect=effect[0],
        length_low=effect[1],
        length_high=effect[2],
        settled=_settled(fitted[: len(models)], drawn[:, : len(models)], min(one.votes for one in ratings)),
    )


@dataclass(frozen=True)
class _Wins:
    """What strengths are fitted to: votes, and the prior's wins that nobody cast, a row each."""

    sides: NDArray[np.int64]
    """(rows, 2): places of a and b."""
    shares: Floats
    """(rows,): 1 where a won, 0 where b did, 0.5 for a tie."""
    weights: Floats
    lengths: Floats | None = None
    """(rows,): log2 of a's length over b's; None where no length is held equal."""

    def joined(self, prior: _Wins) -> _Wins:
        """These and the prior's, which tell nothing of lengths."""
        lengths = None if self.lengths is None else np.concatenate([self.lengths, np.zeros(len(prior.weights))])
        return _Wins(
            np.vstack([self.sides, prior.sides]),
            np.concatenate([self.shares, prior.shares]),
            np.concatenate([self.weights, prior.weights]),
            lengths,
        )


def _prior(models: int) -> _Wins:
    """A win of each over each, as many as there are pairs in either order, which weigh PRIOR_VOTES a model together."""
    sides = np.argwhere(~np.eye(models, dtype=bool))
    return _Wins(sides, np.ones(len(sides)), np.full(len(sides), PRIOR_VOTES / 2 / max(1, models - 1)))


def _drawn_prior(prior: _Wins, generator: np.random.Generator) -> _Wins:
    """The same, each win of a gamma weight of that mean, without those that weigh next to nothing: of hundreds of
    models nearly all.

    A gamma number of shape k < 1 is one of shape k + 1 times U^(1/k), U uniform (Stuart 1962): how many have a U^(1/k)
    above NOTHING is drawn first.
    """
    shape, rows = float(prior.weights[0]), len(prior.weights)
    least = NOTHING**shape
    kept = generator.choice(rows, generator.binomial(rows, 1 - least), replace=False, shuffle=False)
    weights = generator.gamma(shape + 1, size=len(kept)) * generator.uniform(least, 1, len(kept)) ** (1 / shape)
    return _Wins(prior.sides[kept], prior.shares[kept], weights)


def _settled(strengths: Floats, drawn: Floats, fewest: int) -> int | None:
    """Places from the top on that are settled (`Ratings.settled`); strengths (models,), drawn (resamples, models)."""
    if fewest < FEWEST_VOTES:
        return None
    order, models = np.argsort(-strengths, kind="stable"), len(strengths)
    z = -float(special.ndtri(0.025 / (models * (models - 1) / 2)))
    for place, one in enumerate(order):
        below = order[place + 1 :]
        errors = (drawn[:, [one]] - drawn[:, below]).std(axis=0)
        if (strengths[one] - strengths[below] < z * errors).any():
            return place
    return models


def uncertain_pairs(ranking: Ratings, models: Sequence[str]) -> list[tuple[str, str]]:
    """All pairs of `models`, the one whose next vote teaches most first: never compared, then widest interval."""
    widths = {(pair.model_a, pair.model_b): pair.high - pair.low for pair in ranking.pairs}
    counts = {(pair.model_a, pair.model_b): pair.votes for pair in ranking.pairs}

    def need(pair: tuple[str, str]) -> tuple[bool, float]:
        return counts.get(pair, 0) > 0, -widths.get(pair, 1.0)

    return sorted(combinations(sorted(models), 2), key=need)


def _length_ratio(vote: Vote) -> float:
    """log2 of a's characters over b's, at most 2^±5: one runaway answer does not decide the covariate."""
    ratio = math.log2((len(vote.answer_a) + 1) / (len(vote.answer_b) + 1))
    return max(-5.0, min(5.0, ratio))


def _fit(wins: _Wins, models: int, start: Floats | None = None) -> Floats:
    """Strengths (models,) with mean 0 [and the length effect last], by Newton's method on the penalised likelihood.

    Sums go over rows, and a step is one Cholesky factorisation: of 294 models half a millisecond on one core.
    """
    (a, b), lengths = wins.sides.T, wins.lengths
    found = np.zeros(models + (lengths is not None)) if start is None else start.copy()
    strengths = found[:models]  # a view
    _sweep(wins, found, models)
    # the likelihood does not change when all strengths shift together: a tiny ridge makes the curvature invertible
    ridge = np.full(len(found), 1e-9)
    if lengths is not None:
        ridge[-1] = 1e-3
    for _ in range(60):
        chance = _expected(wins, found, models)
        pull, bend = wins.weights * (wins.shares - chance), wins.weights * chance * (1 - chance)
        gradient, curvature = -ridge * found, np.diag(ridge)
        gradient[:models] += np.bincount(a, pull, models) - np.bincount(b, pull, models)
        between = np.bincount(a * models + b, bend, models**2).reshape(models, models)
        between += between.T.copy()
        curvature[:models, :models] += np.diag(between.sum(axis=1)) - between
        if lengths is not None:
            gradient[-1] += pull @ lengths
            cross = np.bincount(a, bend * lengths, models) - np.bincount(b, bend * lengths, models)
            curvature[:models, -1] = curvature[-1, :models] = cross
            curvature[-1, -1] += bend @ lengths**2
        step = linalg.cho_solve(linalg.cho_factor(curvature, overwrite_a=True, check_finite=False), gradient)
        step[:models] -= step[:models].mean()  # along a common shift there is only rounding, which never gets small
        found += step * min(1.0, 5.0 / max(1e-12, float(np.abs(step).max())))
        if np.abs(step).max() < SMALL_STEP:
            break
    strengths -= strengths.mean()
    return found


def _sweep(wins: _Wins, found: Floats, models: int) -> None:
    """Bring each strength nearer to where its wins and losses balance, all else held.

    Newton's method moves a model that lost hardly anything by one a step; half of the balance for all at once, after
    Newman 2023 (JMLR 24, 238), leads there in a few cheap ones, and a third of the factorisations is left.
    """
    a, b = wins.sides.T
    for _ in range(SWEEPS):
        chance = _expected(wins, found, models)
        for_a, for_b = wins.weights * wins.shares * (1 - chance), wins.weights * (1 - wins.shares) * chance
        up = np.bincount(a, for_a, models) + np.bincount(b, for_b, models)
        down = np.bincount(a, for_b, models) + np.bincount(b, for_a, models)
        found[:models] += 0.5 * np.log((up + 1e-12) / (down + 1e-12))


def _expected(wins: _Wins, found: Floats, models: int) -> Floats:
    """(rows,): the chance that a wins."""
    strengths, (a, b) = found[:models], wins.sides.T
    return _chances(strengths[a] - strengths[b] + (0.0 if wins.lengths is None else wins.lengths * found[-1]))


def _chances(log_odds: Floats) -> Floats:
    return 1 / (1 + np.exp(-np.clip(log_odds, -30, 30)))


def _drawn(cast: _Wins, fitted: Floats, models: int, resamples: int, seed: int) -> Floats:
    """(resamples, models [+ 1]) fits to votes of drawn weights (Rubin 1981); equal votes are one weighted row.

    Each vote weighs an exponential number, each prior win a gamma number of its own weight on average. Length ratios
    are rounded to a quarter of a doubling here, so that thousands of votes are a few hundred rows.
    """
    columns = [cast.sides.astype(np.float64), cast.shares[:, None]]
    if cast.lengths is not None:
        columns.append(np.round(4 * cast.lengths[:, None]) / 4)
    distinct, counts = np.unique(np.hstack(columns), axis=0, return_counts=True)
    rows = _Wins(
        distinct[:, :2].astype(np.int64),
        distinct[:, 2],
        counts.astype(np.float64),
        None if cast.lengths is None else distinct[:, 3],
    )
    generator, prior, fits = np.random.default_rng(seed), _prior(models), []
    for _ in range(resamples):
        drawn = replace(rows, weights=generator.gamma(rows.weights))
        fits.append(_fit(drawn.joined(_drawn_prior(prior, generator)), models, fitted))
    return np.array(fits)


def _ranked(
    models: list[str], fitted: Floats, drawn: Floats, sides: NDArray[np.int64], low: Floats, high: Floats
) -> tuple[Rating, ...]:
    """low, high: (models, models), of the difference in strength of each to each."""
    votes = np.bincount(sides.ravel(), minlength=len(models))
    ends = np.quantile(drawn[:, : len(models)], ENDS, axis=0)
    beaten_by, beats = (high < 0).sum(axis=1), (low > 0).sum(axis=1)
    return tuple(
        Rating(
            model_id=models[index], strength=float(fitted[index]), low=float(ends[0, index]),
            high=float(ends[1, index]), votes=int(votes[index]), rank=rank, rank_low=1 + int(beaten_by[index]),
            rank_high=len(models) - int(beats[index]),
        )
        for rank, index in enumerate(np.argsort(-fitted[: len(models)], kind="stable"), start=1)
    )  # fmt: skip


def _pairs(
    models: list[str], fitted: Floats, sides: NDArray[np.int64], shares: Floats, low: Floats, high: Floats
) -> tuple[PairRating, ...]:
    count, places = len(models), sides[:, 0] * len(models) + sides[:, 1]
    strengths = fitted[:count]
    chances, low, high = _chances(strengths[:, None] - strengths), _chances(low), _chances(high)
    cast = np.bincount(places, minlength=count**2).reshape(count, count)
    won = np.bincount(places, shares, count**2).reshape(count, count)
    found = []
    for one, two in combinations(range(count), 2):
        chance = float(chances[one, two])
        found.append(
            PairRating(
                model_a=models[one], model_b=models[two], votes=int(cast[one, two] + cast[two, one]),
                wins_a=float(won[one, two] + cast[two, one] - won[two, one]), probability=chance,
                low=float(low[one, two]), high=float(high[one, two]), votes_needed=votes_to_separate(chance),
            )
        )  # fmt: skip
    return tuple(found)


def _differences(drawn: Floats) -> tuple[Floats, Floats]:
    """(low, high), (models, models) each: the ends of each model's strength over each other's. drawn: (n, models)."""
    low, high = np.zeros((2, drawn.shape[1], drawn.shape[1]))
    for one in range(drawn.shape[1] - 1):
        low[one, one + 1 :], high[one, one + 1 :] = np.quantile(drawn[:, [one]] - drawn[:, one + 1 :], ENDS, axis=0)
    return low - high.T, high - low.T


def _ends(drawn: Floats) -> tuple[float, float]:
    low, high = np.quantile(drawn, ENDS)
    return float(low), float(high)
