"""Two models against each other, on the same tasks, rows and prompts wherever that is known.

    paired     outcomes of both on the same items: McNemar's test for pass or fail, sign flips for numbers
    unpaired   totals only (published counts, imported scores): Newcombe's interval, conservative for shared tasks

Each p-value is that of the interval beside it: `results.analysis.paired`, `statistics.newcombe_interval`.

`compare` reads the store; `contrast` and `contrast_counts` are pure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from results.analysis import statistics, wording
from results.analysis.findings import ALPHA, Comparison, Contrast, LatencyRatio, Method
from results.analysis.groups import Places, paired_in_groups, places_of, ratio_in_groups
from results.analysis.measurements import (
    QUALITY,
    Quality,
    answer_seconds,
    contaminated_items,
    groups_of,
    latencies,
    latency_machine,
    quality_shelf,
)
from results.analysis.paired import PairedDifference, paired_numbers, paired_ratios, paired_verdicts
from results.analysis.racing.betting import raced_numbers, raced_verdicts
from results.analysis.snapshot import Reading
from results.errors import NotFound
from results.records import Evaluation, Model
from results.schema.judged import calibration_label, judged_text

if TYPE_CHECKING:
    from results.store.store import Store

Floats = NDArray[np.float64]
Timings = Mapping[str, Sequence[tuple[int, Mapping[str, float]]]]
"""(sample, seconds by metric) of each request, by prompt."""

ASSUMED = {
    "mcnemar": "new tasks behave as these did: the same difference, the same share that just one model passes",
    "sign flips": "new items behave as these did: the same mean difference, the same spread",
    "bets": "new items behave as these did, and are looked at once, when all are answered",
    "newcombe": "the two are independent of one another; fine-tunes of one base agree more often and need fewer tasks",
}


def formats_compared(store: Store, a: str, b: str, benchmark: str = "humaneval") -> tuple[Model, Model]:
    """The models that two names mean in a comparison: any format may be named, `demo-rank8@q4_0`.

    A fine-tune's name alone is the format that would ship; unless it was not measured, then one that was, the same
    format of both if there is one. Raises NotFound.
    """
    left, right = store.models.formats(a), store.models.formats(b)
    measured = {one.model_id for one in store.evaluations.list(benchmark=benchmark) if one.status == "finished"}
    pairs = [(one, two) for one in left for two in right if one.id != two.id] or [(left[0], right[0])]
    return min(pairs, key=lambda pair: (-sum(one.id in measured for one in pair), pair[0].form != pair[1].form))


def contrast(a: Quality, b: Quality, items: Sequence[str] | None = None) -> Contrast | None:
    """The difference on the items that both share (or the `items` given); None if there is nothing to compare.

    Falls back to totals, unpaired, where either model has no outcomes.
    """
    higher = a.higher_is_better
    if not a.items or not b.items:
        one, two = a.total(), b.total()
        if one is None or two is None or not higher or min(one.n, two.n) == 0:
            return None
        return contrast_counts(round(one.value * one.n), one.n, round(two.value * two.n), two.n)
    shared = sorted(a.items.keys() & b.items.keys()) if items is None else list(items)
    if not shared:
        return None
    first, second = (np.fromiter(map(side.items.__getitem__, shared), np.float64, len(shared)) for side in (a, b))
    sizes = None if higher else np.array([a.weights[item] for item in shared])
    places = places_of(shared, groups_of(a, b))
    found = paired(a, b, first, second, sizes, places)
    scale = 1.0 if sizes is None else len(sizes) / (sizes.sum() * math.log(2))
    counted = a.yes_or_no and b.yes_or_no
    by_sign = not counted or "sign flips" in found.method
    method: Method = "bets" if _most(a, b) else "sign flips" if by_sign else "mcnemar"
    both, only_a, only_b, neither = _passed(first, second) if counted else (None, None, None, None)
    needed = None
    if found.too_few or found.p_value > ALPHA:
        needed = _needed(found, first - second, counted, places)
    return Contrast(
        metric=QUALITY["heldout"] if not higher else "pass@1" if counted else a.metric,
        method=method,
        items=len(shared),
        value_a=float(first.mean() * scale),
        value_b=float(second.mean() * scale),
        difference=found.value,
        low=found.low,
        high=found.high,
        p_value=found.p_value,
        both=both,
        only_a=only_a,
        only_b=only_b,
        neither=neither,
        items_needed=needed,
        assumption=ASSUMED[method],
        too_few=found.too_few,
        groups=found.groups,
    )


def _needed(found: PairedDifference, differences: Floats, counted: bool, places: Places | None) -> int | None:
    """Items in all that would show the difference; of related ones as many more as groups are needed."""
    if found.groups and places is not None:
        groups = statistics.items_to_separate(np.bincount(places, differences))
        return None if groups is None else math.ceil(groups * len(differences) / found.groups)
    if counted:
        return statistics.tasks_to_separate(found.value, found.differing / len(differences))
    return statistics.items_to_separate(differences)


def paired(
    a: Quality, b: Quality, first: Floats, second: Floats, sizes: Floats | None, places: Places | None = None
) -> PairedDifference:
    """a minus b, by the test that fits: first, second (items,) and, of rows of bits per byte, their bytes (rows,).

    places: the groups that related items are in. Where a race may have stopped either, by one that holds at every look.
    """
    if sizes is not None:
        return paired_ratios(first, second, sizes) if places is None else ratio_in_groups(first, second, sizes, places)
    counted, most = a.yes_or_no and b.yes_or_no, _most(a, b)
    if most:
        counts = _passed(first, second) if counted else None
        return raced_verdicts(*counts, most=most) if counts else raced_numbers(first, second, most)
    if places is not None:
        return paired_in_groups(first, second, places, counted)
    return paired_verdicts(*_passed(first, second)) if counted else paired_numbers(first, second)


def _most(a: Quality, b: Quality) -> int:
    """The most items of a race that either ran, which may have stopped for what was seen; 0 where neither did."""
    return max((entry.most for entry in (a.entry, b.entry) if entry is not None), default=0)


def shared_with_left(a: Quality, b: Quality) -> list[str] | None:
    """The items that both have, sorted, where either left a race and has fewer than all; None for any other pair."""
    if not (a.left or b.left) or not a.items or not b.items:
        return None
    return sorted(a.items.keys() & b.items.keys())


def _passed(first: Floats, second: Floats) -> tuple[int, int, int, int]:
    """Tasks that both pass, only the first, only the second, neither."""
    a, b = first > 0.5, second > 0.5
    return int((a & b).sum()), int((a & ~b).sum()), int((~a & b).sum()), int((~a & ~b).sum())


def contrast_counts(passed_a: int, n_a: int, passed_b: int, n_b: int) -> Contrast:
    """The difference between totals. Which tasks were passed is not known, so the test is unpaired: conservative.

    Raises: ValueError unless 0 <= passed <= n for both and n > 0.
    """
    if min(n_a, n_b) <= 0:
        raise ValueError("a comparison of totals needs at least one task each")
    rate_a, rate_b = passed_a / n_a, passed_b / n_b
    counts = passed_a, n_a, passed_b, n_b
    low, high = statistics.newcombe_interval(*counts)
    share, p_value = statistics.independent_discordance(rate_a, rate_b), statistics.newcombe_p_value(*counts)
    return Contrast(
        metric="pass@1",
        method="newcombe",
        items=min(n_a, n_b),
        value_a=rate_a,
        value_b=rate_b,
        difference=rate_a - rate_b,
        low=low,
        high=high,
        p_value=p_value,
        items_needed=statistics.tasks_to_separate(rate_a - rate_b, share) if p_value > ALPHA else None,
        assumption=ASSUMED["newcombe"],
        p_at_best=statistics.mcnemar_at_best(passed_a - passed_b) if n_a == n_b else None,
    )


def compare(
    store: Store | Reading, model_a: Model, model_b: Model, benchmark: str = "humaneval", machine_id: str | None = None
) -> Comparison:
    """Compare two models on what the store holds. `problems` says what could not be compared and what to run.

    Raises: NotFound if nothing at all was measured on both.
    """
    reading, both = Reading.of(store), (model_a, model_b)
    problems: list[str] = []
    quality, subset = _on(reading, both, benchmark, problems)
    clean = _clean(reading, both, benchmark) if quality else None
    bits = None
    if benchmark != "heldout":
        bits, _ = _on(reading, both, "heldout", problems)
    machine_id = machine_id or latency_machine(reading, both)
    timed = latencies(reading, both, machine_id)
    ratios: tuple[LatencyRatio, ...] = ()
    if len(timed) == 2:
        ratios, said = _ratios(reading, timed[model_a.id], timed[model_b.id])
        problems += [said] if said else []
    else:
        problems.append(_no_latency(reading, both, machine_id))
    if quality is None and bits is None and not ratios:
        raise NotFound(f"Nothing was measured on both {model_a.name} and {model_b.name}. " + " ".join(problems))
    return Comparison(
        model_a=model_a.name,
        model_b=model_b.name,
        benchmark=benchmark,
        quality=quality,
        clean=clean,
        bits_per_byte=bits,
        latency=ratios,
        machine_id=machine_id if ratios else None,
        bytes_a=model_a.bytes,
        bytes_b=model_b.bytes,
        subset=subset,
        problems=tuple(problems),
        verdict=wording.verdict(model_a.name, model_b.name, benchmark, quality or bits),
    )


def _on(reading: Reading, both: Sequence[Model], benchmark: str, problems: list[str]) -> tuple[Contrast | None, str]:
    """The contrast on one benchmark, and its subset label; appends to `problems` what stands in the way."""
    shelf = quality_shelf(reading, both, benchmark)
    for model in both:
        if model.id in shelf.missing:
            problems.append(f"{benchmark}: {model.name} {shelf.missing[model.id].reason}.")
    if len(shelf.found) < 2:
        return None, ""
    if shelf.engines_said:
        problems.append(f"{benchmark}: {shelf.engines_said}")
    labels = [calibration_label(shelf.found[model.id].evaluation.details) for model in both]
    problems += filter(None, [judged_text(benchmark, labels)])
    a, b = (shelf.found[model.id] for model in both)
    found = contrast(a, b)
    subset = " and ".join(sorted({one.evaluation.subset for one in (a, b)} - {""}))
    if found is None:
        problems.append(f"{benchmark}: {a.model.name} and {b.model.name} were measured on different items.")
    elif a.items and b.items and (len(a.items) > found.items or len(b.items) > found.items):
        problems.append(f"{benchmark}: only the {found.items} items that both have are compared.")
        subset = f"{found.items} shared items"
    return found, subset


def _clean(reading: Reading, both: Sequence[Model], benchmark: str) -> Contrast | None:
    """The contrast without contaminated items, if any are known."""
    dirty = contaminated_items(reading, both, benchmark)
    found = quality_shelf(reading, both, benchmark, dirty).found if dirty else {}
    return contrast(found[both[0].id], found[both[1].id]) if len(found) == 2 else None


def _no_latency(reading: Reading, both: Sequence[Model], machine_id: str | None) -> str:
    """Why there is no latency ratio, naming what to run."""
    timed = latencies(reading, both, machine_id)
    elsewhere = {
        model.name: sorted({one.machine_id for one in reading.evaluations(model_id=model.id, benchmark="latency")})
        for model in both
        if model.id not in timed
    }
    reasons = [
        f"{name} was measured on machine {', '.join(machines)}, not on {machine_id}"
        if machines
        else f"{name} was not measured; run: bakeoff latency --model {name}"
        for name, machines in elsewhere.items()
    ]
    return f"latency: {'; '.join(reasons)}."


def _ratios(reading: Reading, a: Evaluation, b: Evaluation) -> tuple[tuple[LatencyRatio, ...], str]:
    """(ratios of medians prompt by prompt, over the prompts that both answered; what was left out of them).

    The first request of a prompt is slower by a third than those after it: it is left out where the measurement did not
    ask each prompt once before, and at least three requests of it remain. Medians are geometric means over prompts.
    """
    timings = [_timings(reading, one) for one in (a, b)]
    shared = sorted(timings[0].keys() & timings[1].keys())
    left_out = [_warm_up(one, side, shared) for one, side in zip((a, b), timings, strict=True)]
    found = []
    for metric in ("ttft_seconds", "tpot_seconds"):
        sides = [
            [[row[metric] for sample, row in side[item] if metric in row and sample >= first] for item in shared]
            for side, first in zip(timings, left_out, strict=True)
        ]
        kept = [pair for pair in zip(*sides, strict=True) if all(pair)]
        if kept:
            spread = statistics.median_ratio([one for one, _ in kept], [two for _, two in kept])
            median_a, median_b = (
                math.exp(np.mean([math.log(np.median(pair[side])) for pair in kept])) for side in (0, 1)
            )
            n_a, n_b = (sum(len(pair[side]) for pair in kept) for side in (0, 1))
            found.append(LatencyRatio(metric, median_a, median_b, spread.value, spread.low, spread.high, n_a, n_b))
    if not found:
        one, two = answer_seconds(a), answer_seconds(b)
        if one and two:  # totals only: a ratio, without an interval
            found.append(LatencyRatio("answer_seconds", one, two, one / two, -math.inf, math.inf, 1, 1))
    said = "latency: the first request of each prompt is left out: it warms up." if any(left_out) and found else ""
    return tuple(found), said


def _warm_up(evaluation: Evaluation, timings: Timings, shared: Sequence[str]) -> int:
    """Samples of each prompt that only warm up: those of the first round."""
    beside = evaluation.settings.get("concurrency")
    if not isinstance(beside, int) or int(evaluation.details.get("warm_up_dropped") or 0) >= len(timings):
        return 0
    return beside if all(len(timings[item]) >= 3 * beside + beside for item in shared) else 0


def _timings(reading: Reading, evaluation: Evaluation) -> Timings:
    """Positive finite timings by prompt."""
    found: dict[str, list[tuple[int, dict[str, float]]]] = {}
    for outcome in reading.outcomes(evaluation.id):
        row = {
            key: float(value)
            for key, value in outcome.details.items()
            if key in ("ttft_seconds", "tpot_seconds") and isinstance(value, int | float) and 0 < value < math.inf
        }
        found.setdefault(outcome.item, []).append((outcome.sample, row))
    return found
