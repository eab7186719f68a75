"""Whether the statistics keep their word: coverage, false alarms and power of every interval and test that is shown.

    PYTHONPATH=. python benchmarks/intervals.py --worlds 2000
    PYTHONPATH=. python benchmarks/intervals.py --only power

An interval covers a world where the test that it inverts does not reject the truth at 2.5 % on either side; asked like
that, a world costs a millisecond. Verdicts are not drawn: every outcome is enumerated with its chance. Misses stay in
the table, marked. Not here: the choice between models, and `--until-decided`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from results.analysis import statistics
from results.analysis.confidence import Confidence, Subsets, share_of_means
from results.analysis.distributions.differing import FEWEST_DIFFERING
from results.analysis.groups import paired_in_groups
from results.analysis.paired import paired_numbers, paired_ratios, paired_verdicts, verdict_p_values

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator], Confidence]

COVERS = (0.93, 0.975)
ALARMS = (0.0, 0.05)
POWER = (0.78, 0.85)


@dataclass(frozen=True)
class Line:
    """One figure, and between what it should lie."""

    what: str
    case: str
    n: int
    found: float
    bounds: tuple[float, float]
    error: float
    """Standard error of a simulated figure; 0 for an enumerated one."""

    @property
    def mark(self) -> str:
        """Whether it lies inside, two standard errors allowed, and if not on which side."""
        low, high = self.bounds
        if self.found < low - 2 * self.error:
            return "below"
        return "above" if self.found > high + 2 * self.error else ""


def outcomes(n: int, share: float, difference: float) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """(only a, only b, chance) of all results of n tasks of which that share differs."""
    found = []
    for differing in range(n + 1):
        whole = stats.binom.pmf(differing, n, share)
        wins = np.arange(differing + 1)
        found.append((wins, differing - wins, whole * stats.binom.pmf(wins, differing, (1 + difference / share) / 2)))
    wins, losses, chances = (np.concatenate(part) for part in zip(*found, strict=True))
    likely = chances > 1e-9
    return wins[likely], losses[likely], chances[likely]


def verdicts(_: int) -> Iterator[Line]:
    """Pass or fail: coverage, two-sided alarms, and how often a model at the margin passes as not worse."""
    for n in (10, 16, 40, 164, 500):
        for share, difference in ((0.05, 0.0), (0.05, -0.03), (0.2, 0.0), (0.2, -0.1), (0.6, 0.0), (0.6, -0.03)):
            wins, losses, chances = outcomes(n, share, difference)
            case = f"{share:.0%} differ, {100 * difference:+.0f} points"
            below = verdict_p_values(wins, losses, n, difference)
            if difference == 0:
                missed = (np.minimum(below, 1 - below) <= 0.025) & (wins + losses >= FEWEST_DIFFERING)
                yield Line("verdicts, false alarm", case, n, float(chances[missed].sum()), ALARMS, 0.0)
            else:
                passes = float(chances[below <= 0.05].sum())
                yield Line("verdicts, at the margin passed as not worse", case, n, passes, ALARMS, 0.0)
            above = verdict_p_values(losses, wins, n, -difference)  # mid-p, as the interval
            held = np.minimum(above, 1 - above) > 0.025
            yield Line("verdicts, coverage", case, n, float(chances[held].sum()), COVERS, 0.0)


def _graded(chance: float, spread: float) -> Callable[[np.random.Generator, int], Floats]:
    def drawn(generator: np.random.Generator, n: int) -> Floats:
        return generator.binomial(4, generator.beta(spread * chance, spread * (1 - chance), n)) / 4

    return drawn


MEANS: dict[str, tuple[Callable[[np.random.Generator, int], Floats], float]] = {
    "normal": (lambda g, n: g.normal(1, 1, n), 1.0),
    "exponential": (lambda g, n: g.exponential(1, n), 1.0),
    "lognormal, sigma 0.5": (lambda g, n: g.lognormal(0, 0.5, n), float(np.exp(0.125))),
    "lognormal, sigma 1": (lambda g, n: g.lognormal(0, 1, n), float(np.exp(0.5))),
    "t with 3 degrees": (lambda g, n: g.standard_t(3, n), 0.0),
}
SHARES = {"hard (0.03)": 0.03, "middling (0.4)": 0.4, "easy (0.97)": 0.97}
VARYING: dict[str, tuple[Callable[[np.random.Generator, int], Floats], float]] = {
    "uniform": (lambda g, n: g.random(n), 0.5),
    "near 0 (exponential of 0.02)": (lambda g, n: np.minimum(1.0, g.exponential(0.02, n)), 0.02),
    "U-shaped, skewed (beta 0.5, 4)": (lambda g, n: g.beta(0.5, 4, n), 1 / 9),
}
SIZES = (10, 25, 80)


def _covered(draw: Draw, truth: float, worlds: int, seed: int) -> float:
    generator, hits = np.random.default_rng(seed), 0
    for _ in range(worlds):
        found = draw(generator)
        hits += min(found.below(truth), found.above(truth)) > 0.025
    return hits / worlds


def means(worlds: int) -> Iterator[Line]:
    """Means of any numbers, of shares, and bits per byte: coverage."""
    for name, (drawn, truth) in MEANS.items():
        for n in SIZES:
            found = _covered(lambda g, n=n, drawn=drawn: Subsets.of(drawn(g, n), amounts=True), truth, worlds, n)
            yield _simulated("mean, coverage", name, n, found, COVERS, worlds)
    for name, chance in SHARES.items():
        for n in SIZES:
            drawn = _graded(chance, 1.0)
            found = _covered(lambda g, n=n, drawn=drawn: statistics.share_confidence(drawn(g, n)), chance, worlds, n)
            yield _simulated("graded or pass@k, coverage", name, n, found, COVERS, worlds)
    for name, (drawn, truth) in VARYING.items():
        for n in SIZES:
            found = _covered(lambda g, n=n, drawn=drawn: statistics.share_confidence(drawn(g, n)), truth, worlds, n)
            yield _simulated("shares that vary, coverage", name, n, found, COVERS, worlds)
    for n in SIZES:

        def rows(generator: np.random.Generator, n: int = n) -> Confidence:
            sizes = generator.lognormal(5, 0.8, n)
            return Subsets.of(sizes * generator.gamma(6, 0.1, n), sizes)

        yield _simulated(
            "bits per byte, coverage", "rows of unequal length", n, _covered(rows, 0.6, worlds, n), COVERS, worlds
        )


def pairs(worlds: int) -> Iterator[Line]:
    """Two models on the same items: coverage of a real difference, alarms without one."""
    for n in SIZES:
        for name, change in (("graded, a quarter differ", 0.25), ("graded, most differ", 0.8)):
            for apart in (0.0, 0.1):

                def grades(
                    generator: np.random.Generator, n: int = n, change: float = change, apart: float = apart
                ) -> Confidence:
                    a = generator.integers(0, 5, n) / 4
                    again = generator.integers(0, 5, n) / 4
                    b = np.where(generator.random(n) < change, again, a)
                    return paired_numbers(a, np.where(generator.random(n) < apart, 0.0, b)).confidence

                truth = 0.5 * apart
                found = _covered(grades, truth, worlds, n)
                if apart:
                    yield _simulated("graded pairs, coverage", name, n, found, COVERS, worlds)
                else:
                    yield _simulated("graded pairs, false alarm", name, n, 1 - found, ALARMS, worlds)

        def losses(generator: np.random.Generator, n: int = n) -> Confidence:
            sizes, rate = generator.lognormal(5, 0.8, n), generator.gamma(6, 0.1, n)
            a, b = (sizes * rate * generator.lognormal(-0.005, 0.1, n) for _ in range(2))
            return paired_ratios(a, b, sizes).confidence

        found = _covered(losses, 0.0, worlds, n)
        yield _simulated("bits per byte, false alarm", "equal models", n, 1 - found, ALARMS, worlds)


def latency(worlds: int) -> Iterator[Line]:
    """Ratios of medians, prompt by prompt: coverage."""
    for prompts, requests in ((1, 40), (2, 4), (2, 10), (6, 5)):
        generator, hits = np.random.default_rng(requests), 0
        for _ in range(worlds):
            lengths = np.arange(prompts)[:, None] * 2.0
            noise = generator.normal(0, 0.1, (2, prompts, requests))
            stalls = (generator.random((2, prompts, requests)) < 0.03) * generator.exponential(
                0.7, (2, prompts, requests)
            )
            a, b = np.exp(lengths + noise + stalls + np.array([0.2, 0.0])[:, None, None])
            found = statistics.median_ratio(list(a), list(b))
            hits += found.low <= np.exp(0.2) <= found.high
        case = f"{prompts} prompts, 3 % stalls"
        yield _simulated("latency ratio, coverage", case, requests, hits / worlds, COVERS, worlds)


def prompts(worlds: int) -> Iterator[Line]:
    """Percentiles of requests of which five repeat each prompt: coverage of the percentile over all such prompts."""
    for count in (6, 12, 30, 100):
        for percentile in (50, 90):
            generator, hits, open_ = np.random.default_rng(count), 0, 0
            groups = [str(prompt) for prompt in range(count) for _ in range(5)]
            truth = float(np.exp(stats.norm.ppf(percentile / 100) * np.hypot(0.8, 0.1)))
            for _ in range(worlds):
                logs = np.repeat(generator.normal(0, 0.8, count), 5) + generator.normal(0, 0.1, 5 * count)
                found = statistics.percentile_interval(np.exp(logs), percentile, groups=groups)
                hits += found.low <= truth <= found.high
                open_ += not np.isfinite([found.low, found.high]).all()
            case = f"p{percentile} of prompts, an end open in {open_ / worlds:.0%}"
            yield _simulated("percentile of seconds, coverage", case, count, hits / worlds, COVERS, worlds)


def groups(worlds: int) -> Iterator[Line]:
    """Related items, correlation 0.5 within a group (beta-binomial): false alarms of no difference, and coverage."""
    for sizes_in, least, most in (("5 each", 5, 5), ("1 to 9", 1, 9)):
        for number in (12, 40, 150):
            for rate in (0.5, 0.9):
                generator = np.random.default_rng(number)
                alarms, alone, covered = 0, 0, 0
                for _ in range(worlds):
                    places = np.repeat(np.arange(number), generator.integers(least, most, number, endpoint=True))
                    sizes = np.bincount(places).astype(np.float64)
                    a, b = (
                        (generator.random(len(places)) < generator.beta(rate, 1 - rate, number)[places]).astype(float)
                        for _ in range(2)
                    )
                    found = paired_in_groups(a, b, places, True)
                    alarms += found.p_value <= 0.05 and not found.too_few
                    only_a, only_b = int((a > b).sum()), int((b > a).sum())
                    alone += paired_verdicts(0, only_a, only_b, len(a) - only_a - only_b).p_value <= 0.05
                    sums = np.bincount(places, a)
                    above = share_of_means(sums, sizes).above(rate) > 0.025
                    covered += above and share_of_means(sizes - sums, sizes).above(1 - rate) > 0.025
                case = f"groups of {sizes_in}, rate {rate:g}"
                yield _simulated("false alarm, by groups", case, number, alarms / worlds, ALARMS, worlds)
                yield _simulated("false alarm, each item by itself", case, number, alone / worlds, ALARMS, worlds)
                yield _simulated("coverage of a score, by groups", case, number, covered / worlds, COVERS, worlds)


def power(worlds: int) -> Iterator[Line]:
    """How often a difference is found with the number of items that is said to be needed."""
    for share, difference, family in (
        (0.18, 0.06, 1),
        (0.25, 0.15, 1),
        (0.18, 0.06, 45),
        (0.05, 0.04, 190),
        (0.5, 0.1, 10),
    ):
        n = statistics.tasks_to_separate(difference, share, family=family) or 0
        drawn = np.random.default_rng(n).multinomial(
            n, [(share + difference) / 2, (share - difference) / 2, 1 - share], worlds
        )
        p_values = verdict_p_values(drawn[:, 0], drawn[:, 1], n)
        enough = drawn[:, 0] + drawn[:, 1] >= FEWEST_DIFFERING
        found = float(((p_values <= 0.025 / family) & enough).mean())
        case = f"{share:.0%} differ, {100 * difference:.0f} points, family of {family}"
        yield _simulated("power at the tasks said to be needed", case, n, found, POWER, worlds)
    for effect, family in ((0.3, 1), (0.3, 45), (0.8, 10)):
        generator = np.random.default_rng(8)
        pilot = generator.normal(effect, 1, 400)
        pilot = (pilot - pilot.mean()) / pilot.std(ddof=1) + effect
        n, hits = statistics.items_to_separate(pilot, family=family) or 0, 0
        for _ in range(worlds):
            hits += Subsets.of(generator.normal(effect, 1, n)).below(0.0) <= 0.025 / family
        case = f"{effect} standard deviations, family of {family}"
        yield _simulated("power at the items said to be needed", case, n, hits / worlds, POWER, worlds)


def _simulated(what: str, case: str, n: int, found: float, bounds: tuple[float, float], worlds: int) -> Line:
    return Line(what, case, n, found, bounds, float(np.sqrt(max(found * (1 - found), 1e-4) / worlds)))


PARTS = {
    "verdicts": verdicts, "means": means, "pairs": pairs, "latency": latency, "prompts": prompts, "groups": groups,
    "power": power,
}  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=2000, help="simulated worlds for each line")
    parser.add_argument("--only", choices=PARTS, action="append", help="this part alone; may be repeated")
    chosen = parser.parse_args()
    print("| what | case | n | found | should be | |\n|---|---|---|---|---|---|")
    for part in chosen.only or PARTS:
        for line in PARTS[part](chosen.worlds):
            bounds = f"{line.bounds[0]:g} to {line.bounds[1]:g}"
            print(f"| {line.what} | {line.case} | {line.n:,} | {line.found:.3f} | {bounds} | {line.mark} |", flush=True)


if __name__ == "__main__":
    main()
