"""What `--until-decided` saves and what it risks, over simulated worlds of known truth.

    PYTHONPATH=. python benchmarks/racing.py --worlds 2000
    PYTHONPATH=. python benchmarks/racing.py --only pairs

Outcomes of models on one item agree as those of fine-tunes do (`verdicts.outcomes`): at an agreement of 0.8 two models
of 60 % differ on one item in five. Tables:

    alarms   equal models, looked at after every item: worlds in which any is said to be worse
    pairs    two models: how many fewer items, and whether the verdict is that of all items and McNemar's test
    budget   siblings at 30 % of the answers: how far the chosen one is behind the best of all items
    ties     equal models that agree on nearly all: whether the race ends at the margin

Not here: tables of outcomes that others published.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from verdicts import difference, outcomes

from results.analysis.racing.rule import stand
from results.analysis.racing.standing import RaceStanding, RaceTerms

SIBLINGS = 0.02
"""Standard deviation of siblings' true rates: fine-tunes of one base with other seeds and settings."""


@dataclass(frozen=True)
class Raced:
    """One world, raced and measured whole."""

    race: RaceStanding
    asked: int
    """Answers that were asked for."""
    passed: np.ndarray
    """(models, items) of all."""

    @property
    def loss(self) -> float:
        """How far the race's choice is behind the best, by the scores of all items."""
        whole = self.passed.mean(axis=1)
        return float(whole.max() - whole[int(self.race.inside[0])])


def raced(rates: Sequence[float], agreement: float, terms: RaceTerms, draws: np.random.Generator, every: bool) -> Raced:
    """One race; every: looked at after every item."""
    passed = outcomes(rates, terms.most, agreement, draws)
    names = [str(place) for place in range(len(rates))]
    at = range(1, terms.most + 1) if every else None
    race = stand(names, passed.astype(np.float64), terms, at)
    asked = sum(one.items for one in race.left) + race.items * len(race.inside)
    return Raced(race, asked, passed)


def alarms(worlds: int) -> Iterator[str]:
    """Equal models, a look after every item."""
    yield "| models | items | agreement | any said to be worse | goal |\n|---|---|---|---|---|"
    for models, items, agreement in ((2, 164, 0.0), (2, 500, 0.8), (5, 164, 0.8), (24, 164, 0.8), (100, 100, 0.0),
                                     (100, 100, 0.8)):  # fmt: skip
        draws, terms = np.random.default_rng(models + items), RaceTerms(items, margin=1e-9)
        found = sum(bool(raced([0.6] * models, agreement, terms, draws, True).race.left) for _ in range(worlds))
        yield f"| {models} | {items:,} | {agreement} | {found / worlds:.3f} | ≤ 0.05 |"


def pairs(worlds: int) -> Iterator[str]:
    """Two models: what is saved, and the verdict of all items."""
    yield (
        "| gap, points | items | agreement | fewer items, times | verdict of all items | told apart: race | all |\n"
        "|---|---|---|---|---|---|---|"
    )
    cells = [(gap, items, 0.8) for gap in (0.0, 0.03, 0.05, 0.1, 0.2) for items in (164, 1319, 2850)]
    for gap, items, agreement in (*cells, (0.1, 1319, 0.5), (0.1, 2850, 0.5)):
        draws, terms = np.random.default_rng(items), RaceTerms(items)
        asked = same = apart = apart_of_all = 0
        for _ in range(worlds):
            one = raced([0.6, 0.6 - gap], agreement, terms, draws, False)
            whole = difference(one.passed[0] > 0, one.passed[1] > 0)
            better = (0 if whole.value > 0 else 1) if whole.p_value <= 0.05 else None
            winner = int(one.race.inside[0]) if one.race.end == "one left" else None
            asked, same = asked + one.asked, same + (winner == better)
            apart, apart_of_all = apart + (winner is not None), apart_of_all + (better is not None)
        saved = 2 * items * worlds / asked
        yield (
            f"| {100 * gap:.0f} | {items:,} | {agreement} | {saved:.1f} | {same / worlds:.3f} | "
            f"{apart / worlds:.3f} | {apart_of_all / worlds:.3f} |"
        )


def budget(worlds: int) -> Iterator[str]:
    """Siblings at 30 % of the answers."""
    yield "| models | items | agreement | answers | same best | loss, points | goal |\n|---|---|---|---|---|---|---|"
    for models, agreement in product((8, 16, 24), (0.8, 0.9)):
        draws, items = np.random.default_rng(models), 1319
        terms = RaceTerms(items, budget=round(0.3 * models * items))
        asked, loss, same = 0, 0.0, 0
        for _ in range(worlds):
            rates = np.clip(draws.normal(0.6, SIBLINGS, models), 0.05, 0.95)
            one = raced(list(rates), agreement, terms, draws, False)
            asked, loss, same = asked + one.asked, loss + one.loss, same + (one.loss == 0)
        share = asked / (worlds * models * items)
        yield (
            f"| {models} | {items:,} | {agreement} | {share:.1%} | {same / worlds:.3f} | "
            f"{100 * loss / worlds:.3f} | ≤ 0.2 |"
        )


def ties(worlds: int) -> Iterator[str]:
    """Equal models that agree on nearly all items: how they end, by the margin."""
    yield "| models | items | agreement | margin, points | ends | fewer answers, times |\n|---|---|---|---|---|---|"
    for models, items, agreement, margin in ((2, 1319, 0.8, 0.03), (2, 1319, 0.98, 0.03), (2, 1319, 0.8, 0.06),
                                             (2, 5000, 0.8, 0.03), (5, 5000, 0.9, 0.03)):  # fmt: skip
        draws, terms = np.random.default_rng(items), RaceTerms(items, margin=margin)
        ends, asked = Counter[str](), 0
        for _ in range(worlds):
            one = raced([0.6] * models, agreement, terms, draws, False)
            ends[one.race.end] += 1
            asked += one.asked
        told = ", ".join(f"{end} {count / worlds:.3f}" for end, count in ends.most_common())
        saved = models * items * worlds / asked
        yield f"| {models} | {items:,} | {agreement} | {100 * margin:.0f} | {told} | {saved:.2f} |"


TABLES = {"alarms": alarms, "pairs": pairs, "budget": budget, "ties": ties}


def main() -> None:
    """Print the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=2000)
    parser.add_argument("--only", choices=TABLES, action="append")
    arguments = parser.parse_args()
    for name in arguments.only or TABLES:
        print(f"\n{name}, {arguments.worlds:,} worlds a row\n")
        for line in TABLES[name](arguments.worlds):
            print(line, flush=True)


if __name__ == "__main__":
    main()
