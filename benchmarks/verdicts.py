"""What the three verdicts do over simulated worlds of known truth: how often they ship what they should not.

Each world draws the outcomes of some models on the same items; how well they agree is a world's own (fine-tunes of one
base agree on most items; unrelated models fall independently). The question is asked of the outcomes alone, by the code
that decides for people. Counted are worlds in which

    far      a model was shipped that is worse than the best by more than the margin (at most 5 % are promised)
    alarm    "better than each" was said of a model that is not (at most 5 %)
    shipped  anything was shipped at all
    cheapest a rule that ships the cheapest of those that cannot be told apart ships one that is far behind
    highest  a rule that ships the highest score does

    python benchmarks/verdicts.py --worlds 2000
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray
from peers import describe_machine
from scipy import special

from results.analysis.deciding.choice import Choice, Cost, choose
from results.analysis.findings import ALPHA, MARGIN
from results.analysis.paired import PairedDifference, paired_verdicts
from results.analysis.statistics import holm, mcnemar_exact

Booleans = NDArray[np.bool_]


def outcomes(rates: Sequence[float], items: int, agreement: float, draws: np.random.Generator) -> Booleans:
    """(models, items) outcomes: each model passes at its rate, and outcomes correlate by `agreement` (0 to 1) of z."""
    shared = draws.standard_normal(items)
    own = draws.standard_normal((len(rates), items))
    z = np.sqrt(agreement) * shared + np.sqrt(1 - agreement) * own
    found: Booleans = z < special.ndtri(np.asarray(rates))[:, None]
    return found


def decided(passed: Booleans, costs: Sequence[float], margin: float) -> Choice:
    """The verdict over models named by their place; costs in bytes."""
    names = [str(place) for place in range(len(passed))]
    scores = passed.mean(axis=1)
    order = sorted(names, key=lambda one: (-scores[int(one)], costs[int(one)]))

    def lead(a: str, b: str) -> PairedDifference:
        return difference(passed[int(a)], passed[int(b)])

    return choose(order, lead, {one: Cost(costs[int(one)]) for one in names}, margin)


def difference(a: Booleans, b: Booleans) -> PairedDifference:
    """How far a is ahead of b."""
    both, only_a, only_b = int((a & b).sum()), int((a & ~b).sum()), int((~a & b).sum())
    return paired_verdicts(both, only_a, only_b, len(a) - both - only_a - only_b)


def cheapest_tied(passed: Booleans, costs: Sequence[float]) -> int:
    """The place of the model that the rule of before ships: the cheapest of those not told apart from the best."""
    best = int(passed.mean(axis=1).argmax())
    others = [place for place in range(len(passed)) if place != best]

    def p_value(a: int, b: int) -> float:
        return mcnemar_exact(int((passed[a] & ~passed[b]).sum()), int((~passed[a] & passed[b]).sum()))

    family = [p_value(best, place) for place in others]
    family += [p_value(a, b) for a, b in combinations(others, 2)]
    adjusted = holm(family)[: len(others)]
    tied = [best, *(place for place, p in zip(others, adjusted, strict=True) if p > ALPHA)]
    return min(tied, key=lambda place: costs[place])


def worlds(
    rates: Sequence[float], costs: Sequence[float], items: int, agreement: float, count: int, margin: float, seed: int
) -> dict[str, float]:
    """Shares of `count` worlds in which each thing happens."""
    draws, best = np.random.default_rng(seed), max(rates)
    far = [best - rate > margin + 1e-9 for rate in rates]
    counted = dict.fromkeys(("far", "alarm", "shipped", "cheapest", "highest"), 0)
    for _ in range(count):
        passed = outcomes(rates, items, agreement, draws)
        choice = decided(passed, costs, margin)
        place = int(choice.chosen) if choice.chosen is not None else -1
        counted["shipped"] += place >= 0
        counted["far"] += place >= 0 and far[place]
        counted["alarm"] += choice.kind == "ship" and any(
            rates[place] <= rate for other, rate in enumerate(rates) if other != place
        )
        counted["cheapest"] += far[cheapest_tied(passed, costs)]
        counted["highest"] += far[int(passed.mean(axis=1).argmax())]
    return {name: value / count for name, value in counted.items()}


def main() -> None:
    """Print one line a cell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=2000)
    parser.add_argument("--models", type=int, nargs="+", default=[2, 4, 8, 24])
    parser.add_argument("--items", type=int, nargs="+", default=[16, 40, 80, 164, 500])
    arguments = parser.parse_args()
    print(describe_machine())
    print(f"{arguments.worlds} worlds a cell; margin {MARGIN:g}; the cheapest is behind by `gap`, agreement is of z")
    print("models items  agree   gap |   far  alarm  shipped | cheapest of the untold  highest score")
    worst = {"far": 0.0, "alarm": 0.0}
    for models, items, agreement, gap in product(arguments.models, arguments.items, (0.0, 0.8), (0.0, 0.04, 0.1)):
        base, count = 0.5, models
        rates = [base - gap * (place > 0) for place in range(count)]  # all but the best, all cheaper than it
        costs = [2.0 - 0.9 * place / count for place in range(count)]
        if gap:
            costs[0] = 4.0
        found = worlds(rates, costs, items, agreement, arguments.worlds, MARGIN, seed=models * 1000 + items)
        worst = {name: max(most, found[name]) for name, most in worst.items()}
        print(
            f"{models:6} {items:5} {agreement:6} {gap:5} | {found['far']:5.3f}  {found['alarm']:5.3f}  "
            f"{found['shipped']:7.3f} | {found['cheapest']:22.3f}  {found['highest']:13.3f}",
            flush=True,
        )
    print(f"worst: far {worst['far']:.3f}, alarm {worst['alarm']:.3f} (wanted: 0.05 at most each)")


if __name__ == "__main__":
    main()
