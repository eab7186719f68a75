"""What `--until-decided` saves and what it risks, over simulated worlds of known truth.

    PYTHONPATH=. python benchmarks/racing.py --worlds 2000
    PYTHONPATH=. python benchmarks/racing.py --only pairs

Outcomes of models on one item agree as those of fine-tunes do (`verdicts.outcomes`): at an agreement of 0.8 two models
of 60 % differ on one item in five. Tables:

    alarms   equal models, looked at after every item: worlds in which any is said to be worse
    pairs    two models: how many fewer items, and whether the verdict is that of all items and McNemar's test
    budget   siblings at 30 % of the answers: how far the chosen one is behind the best of all items
    ties     two equal models: whether the race ends at the margin
    decisions  what is decided on raced answers: alarms, and models that are shipped though far behind

    PYTHONPATH=. python benchmarks/racing.py --published outcomes.jsonl

races models whose outcomes others published.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from verdicts import difference, outcomes

from results.analysis.deciding.choice import Choice, Cost, choose
from results.analysis.findings import ALPHA
from results.analysis.paired import PairedDifference
from results.analysis.racing.betting import SHARES, log_capital, raced_verdicts, shares
from results.analysis.racing.rule import block_end, stand
from results.analysis.racing.standing import RaceStanding, RaceTerms

Floats = NDArray[np.float64]

SIBLINGS = 0.02
"""Standard deviation of siblings' true rates: fine-tunes of one base with other seeds and settings."""


@dataclass(frozen=True)
class Raced:
    """One world, raced and measured whole."""

    race: RaceStanding
    asked: int
    """Answers that were asked for."""
    passed: NDArray[np.bool_]
    """(models, items) of all."""

    @property
    def loss(self) -> float:
        """How far the race's choice is behind the best, by the scores of all items."""
        whole = self.passed.mean(axis=1)
        return float(whole.max() - whole[int(self.race.inside[0])])


def raced(rates: Sequence[float], agreement: float, terms: RaceTerms, draws: np.random.Generator) -> Raced:
    """One race."""
    passed = outcomes(rates, terms.most, agreement, draws)
    names = [str(place) for place in range(len(rates))]
    race = stand(names, passed.astype(np.float64), terms)
    asked = sum(one.items for one in race.left) + race.items * len(race.inside)
    return Raced(race, asked, passed)


def alarmed(passed: Floats) -> NDArray[np.bool_]:
    """(worlds,): whether a look after every item would send any model away as worse.

    passed (worlds, models, items). The rule of `results.analysis.racing.rule` up to the first departure, for all worlds
    at once; `alarms` holds it against the rule itself.
    """
    worlds, models, items = passed.shape
    sums, capital = np.zeros((worlds, models)), np.zeros((worlds, models, SHARES))
    found, staked = np.zeros(worlds, np.bool_), shares(items)
    for item in range(items):
        x = passed[:, :, item]
        best = sums == sums.max(axis=1, keepdims=True)
        second = sums == np.where(best, -1.0, sums).max(axis=1, keepdims=True)
        alone = best.sum(axis=1, keepdims=True) == 1
        of_best, count = (x * best).sum(axis=1, keepdims=True), best.sum(axis=1, keepdims=True)
        of_second = (x * second).sum(axis=1, keepdims=True) / np.maximum(second.sum(axis=1, keepdims=True), 1)
        shared = (of_best - x) / np.maximum(count - 1, 1)
        rivals = np.where(best, np.where(alone, of_second, shared), of_best / count)
        capital += np.log1p(staked * (rivals - x)[:, :, None])
        sums += x
        found |= (log_capital(capital) >= np.log(models / ALPHA)).any(axis=1)
    return found


def alarms(worlds: int) -> Iterator[str]:
    """Equal models, a look after every item."""
    yield "| models | items | agreement | any said to be worse | goal |\n|---|---|---|---|---|"
    cells = ((2, 164, 0.0), (2, 164, 0.8), (2, 1319, 0.8), (5, 164, 0.8), (24, 164, 0.8), (100, 164, 0.0),
             (100, 164, 0.8))  # fmt: skip
    for models, items, agreement in cells:
        draws = np.random.default_rng(models + items)
        passed = np.array([outcomes([0.6] * models, items, agreement, draws) for _ in range(worlds)], dtype=np.float64)
        found = alarmed(passed)
        names, terms = [str(place) for place in range(models)], RaceTerms(items, margin=1e-9)
        for world in range(min(10, worlds)):
            assert bool(stand(names, passed[world], terms, range(1, items + 1)).left) == found[world]
        yield f"| {models} | {items:,} | {agreement} | {found.mean():.3f} | ≤ 0.05 |"


def duels(passed: NDArray[np.bool_], terms: RaceTerms) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(items asked, 0 or 1 for who is left, 2 for a tie, 3 for neither), (worlds,) each, of races of two.

    passed (worlds, 2, items). The rule for all worlds at once, held against the rule itself by `_checked`.
    """
    ahead = np.cumsum(passed[:, 0] & ~passed[:, 1], axis=1), np.cumsum(passed[:, 1] & ~passed[:, 0], axis=1)
    asked, end = np.full(len(passed), terms.most), np.full(len(passed), 3)
    look = 0
    while look < terms.most:
        look = block_end(look, terms.most)
        wins, losses = (one[:, look - 1].astype(np.float64) for one in ahead)
        better = [_capital(wins, losses, look, 0.0, terms.most), _capital(losses, wins, look, 0.0, terms.most)]
        near = [_capital(losses, wins, look, -terms.margin, terms.most),
                _capital(wins, losses, look, -terms.margin, terms.most)]  # fmt: skip
        needed = np.log(2 / ALPHA)
        now = np.where(better[0] >= needed, 0, np.where(better[1] >= needed, 1, 3))
        now = np.where((now == 3) & (np.minimum(*near) >= needed), 2, now)
        fresh = (end == 3) & (now != 3)
        asked[fresh], end[fresh] = look, now[fresh]
    return asked, end


def _capital(wins: Floats, losses: Floats, items: int, shift: float, most: int) -> Floats:
    """(worlds,) logarithm of the capital of bets against "the mean of a - b is at most shift"."""
    staked, agree = shares(most), items - wins - losses
    of = [np.log(1 - staked + staked * (1 + d) / (1 + shift)) for d in (1.0, -1.0, 0.0)]
    return log_capital(
        np.multiply.outer(wins, of[0]) + np.multiply.outer(losses, of[1]) + np.multiply.outer(agree, of[2])
    )


def _checked(passed: NDArray[np.bool_], terms: RaceTerms, asked: NDArray[np.int64], end: NDArray[np.int64]) -> None:
    """Hold the first worlds against the rule itself."""
    for world in range(min(10, len(passed))):
        race = stand(["0", "1"], passed[world].astype(np.float64), terms)
        said = int(race.inside[0]) if race.end == "one left" else 2 if race.end == "tie" else 3
        assert (race.items, said) == (asked[world], end[world]), (race, asked[world], end[world])


def pairs(worlds: int) -> Iterator[str]:
    """Two models: what is saved, and the verdict of all items."""
    yield (
        "| gap, points | items | agreement | fewer items, times | verdict of all items | told apart: race | all |\n"
        "|---|---|---|---|---|---|---|"
    )
    for gap, items, agreement in product((0.0, 0.03, 0.05, 0.1, 0.2), (164, 1319, 2850), (0.5, 0.8)):
        draws, terms = np.random.default_rng(items), RaceTerms(items)
        passed = np.array([outcomes([0.6, 0.6 - gap], items, agreement, draws) for _ in range(worlds)])
        asked, end = duels(passed, terms)
        _checked(passed, terms, asked, end)
        whole = [difference(one[0], one[1]) for one in passed]
        better = np.array([3 if one.p_value > ALPHA else 0 if one.value > 0 else 1 for one in whole])
        winner = np.where(end == 2, 3, end)
        yield (
            f"| {100 * gap:.0f} | {items:,} | {agreement} | {items * worlds / asked.sum():.1f} | "
            f"{(winner == better).mean():.3f} | {(winner != 3).mean():.3f} | {(better != 3).mean():.3f} |"
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
            one = raced(list(rates), agreement, terms, draws)
            asked, loss, same = asked + one.asked, loss + one.loss, same + (one.loss == 0)
        share = asked / (worlds * models * items)
        yield (
            f"| {models} | {items:,} | {agreement} | {share:.1%} | {same / worlds:.3f} | "
            f"{100 * loss / worlds:.3f} | ≤ 0.2 |"
        )


def ties(worlds: int) -> Iterator[str]:
    """Two equal models: how the race ends, by the margin."""
    yield (
        "| items | agreement | margin, points | ends in a tie | one said to be worse | fewer items, times |\n"
        "|---|---|---|---|---|---|"
    )
    for items, agreement, margin in ((164, 0.98, 0.05), (1319, 0.8, 0.03), (1319, 0.8, 0.05), (1319, 0.95, 0.03),
                                     (5000, 0.8, 0.02), (5000, 0.8, 0.03)):  # fmt: skip
        draws, terms = np.random.default_rng(items), RaceTerms(items, margin=margin)
        passed = np.array([outcomes([0.6, 0.6], items, agreement, draws) for _ in range(worlds)])
        asked, end = duels(passed, terms)
        _checked(passed, terms, asked, end)
        yield (
            f"| {items:,} | {agreement} | {100 * margin:.0f} | {(end == 2).mean():.3f} | {(end < 2).mean():.3f} | "
            f"{items * worlds / asked.sum():.2f} |"
        )


def decided(passed: NDArray[np.bool_], race: RaceStanding, costs: Sequence[float], terms: RaceTerms) -> Choice:
    """The verdict of `bakeoff decide` on what a race asked; costs in bytes."""
    asked = {one.model: one.items for one in race.left}
    counts = [asked.get(str(place), race.items) for place in range(len(passed))]
    scores = {str(place): passed[place, :count].mean() for place, count in enumerate(counts)}
    order = sorted(scores, key=lambda one: (one in asked, -scores[one], costs[int(one)]))

    def lead(a: str, b: str) -> PairedDifference:
        shared = min(counts[int(a)], counts[int(b)])
        one, two = passed[int(a), :shared], passed[int(b), :shared]
        both, only_a, only_b = int((one & two).sum()), int((one & ~two).sum()), int((~one & two).sum())
        return raced_verdicts(both, only_a, only_b, shared - both - only_a - only_b, terms.most)

    beaten = {one.model: one.p_value for one in race.left if one.why == "worse"}
    return choose(order, lead, {one: Cost(costs[int(one)]) for one in scores}, terms.margin, beaten=beaten)


def decisions(worlds: int) -> Iterator[str]:
    """What is decided on raced answers: how often a model is shipped that is far behind, or wrongly called better."""
    yield "| models | items | agreement | gap, points | far | alarm | shipped | goal |\n" + 8 * "|---" + "|"
    for models, items, agreement, gap in product((2, 8, 24), (164,), (0.0, 0.8), (0.0, 0.04, 0.1)):
        draws, terms = np.random.default_rng(models + items), RaceTerms(items)
        rates = [0.5 - gap * (place > 0) for place in range(models)]
        costs = [4.0 if gap else 2.0] + [2.0 - 0.9 * place / models for place in range(1, models)]
        far = alarm = shipped = 0
        for _ in range(worlds):
            one = raced(rates, agreement, terms, draws)
            choice = decided(one.passed, one.race, costs, terms)
            place = -1 if choice.chosen is None else int(choice.chosen)
            shipped += place >= 0
            far += place >= 0 and rates[0] - rates[place] > terms.margin
            alarm += choice.kind == "ship" and (gap == 0 or place > 0)
        yield (
            f"| {models} | {items} | {agreement} | {100 * gap:.0f} | {far / worlds:.3f} | {alarm / worlds:.3f} | "
            f"{shipped / worlds:.3f} | ≤ 0.05 each |"
        )


def published(path: Path, worlds: int) -> Iterator[str]:
    """Races of models whose outcomes others published, in orders drawn anew, against all items."""
    known: dict[str, dict[str, float]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        one = json.loads(line)
        known.setdefault(one["model"], {})[one["example_id"]] = float(one["pass1"])
    whole = max(len(of) for of in known.values())
    known = {model: of for model, of in known.items() if len(of) == whole and set(of.values()) <= {0.0, 1.0}}
    items = sorted(set.intersection(*(set(of) for of in known.values())))
    table = np.array([[of[item] for item in items] for of in known.values()]) > 0.5
    draws, terms = np.random.default_rng(len(items)), RaceTerms(len(items))
    for models in (2, 8):
        same = alike = decided = answers = 0
        for _ in range(worlds):
            chosen = draws.choice(len(table), models, replace=False)
            passed = table[chosen][:, draws.permutation(len(items))]
            race = stand([str(place) for place in range(models)], passed.astype(np.float64), terms)
            answers += sum(one.items for one in race.left) + race.items * len(race.inside)
            best, winner = int(passed.sum(axis=1).argmax()), int(race.inside[0])
            equal = passed[winner].sum() == passed[best].sum()
            same, decided = same + equal, decided + (race.end == "one left")
            alike += bool(equal or difference(passed[best], passed[winner]).p_value > ALPHA)
        saved = worlds * models * len(items) / answers
        yield (
            f"| {path.stem} | {len(table)} | {models} | {len(items)} | {same / worlds:.3f} | {alike / worlds:.3f} | "
            f"{decided / worlds:.3f} | {saved:.2f} |"
        )


TABLES = {"alarms": alarms, "pairs": pairs, "budget": budget, "ties": ties, "decisions": decisions}


def main() -> None:
    """Print the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=2000)
    parser.add_argument("--only", choices=TABLES, action="append")
    parser.add_argument("--published", type=Path, nargs="+", help="JSON Lines: model, example_id, pass1")
    arguments = parser.parse_args()
    if arguments.published:
        print(
            "| table | its models | race of | items | same best | or not told apart from it | decided | fewer answers |"
        )
        print("|---|---|---|---|---|---|---|---|")
        for path in arguments.published:
            for line in published(path, arguments.worlds):
                print(line, flush=True)
        return
    for name in arguments.only or TABLES:
        print(f"\n{name}, {arguments.worlds:,} worlds a row\n")
        for line in TABLES[name](arguments.worlds):
            print(line, flush=True)


if __name__ == "__main__":
    main()
