"""Which model to ship: hard limits, then quality, then cost; every reason as data.

    1. who meets the limits              an unknown figure is not a pass: the reason names what to run
    2. who is on the Pareto front        quality against the time to an answer
    3. who is tied with the best         paired by tasks, Holm-adjusted over all pairs of models
    4. the cheapest of the tied          fewest bytes, then the fastest

Published counts are judged by `decide_counts`, from totals alone. Words are in `results.analysis.wording`; freezing
a decision and checking it again later in `results.analysis.freezing`.

Try: bakeoff decide --max-ttft-p90 2.0 --json
"""

from __future__ import annotations

import dataclasses
import math
import shlex
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

from results.analysis import statistics, wording
from results.analysis.comparison import contrast, contrast_counts, p_value
from results.analysis.findings import ALPHA, Candidate, Contrast, Decision, Figure, Limit, Limits, Missing, Tie
from results.analysis.measurements import (
    QUALITY,
    Quality,
    Shelf,
    answer_seconds,
    contaminated_items,
    latencies,
    latency_machine,
    metric_of,
    quality_shelf,
    score_of,
)
from results.analysis.snapshot import Reading
from results.records import Evaluation, Model

if TYPE_CHECKING:
    from results.store.store import Store


def decide(
    store: Store | Reading,
    limits: Limits | None = None,
    machine_id: str | None = None,
    benchmark: str | None = None,
    models: Sequence[Model] | None = None,
) -> Decision:
    """Choose among `models` (default: `contenders`). Where HumanEval leaves a tie, what held-out loss says is added.

    `machine_id`: whose latencies count; default: the machine with most of them. `benchmark`: humaneval or heldout;
    default: HumanEval where two models have it, else held-out loss.
    """
    reading, limits = Reading.of(store), limits or Limits()
    models = list(models) if models is not None else contenders(reading)
    machine_id = machine_id or latency_machine(reading, models)
    timed = latencies(reading, models, machine_id)
    candidates = {model.id: _measured(reading, model, limits, timed.get(model.id), machine_id) for model in models}
    found = _chosen(reading, models, candidates, limits, machine_id, benchmark)
    if benchmark is None and found.benchmark == "humaneval" and any(tie.tied for tie in found.ties):
        return wording.beside(found, _chosen(reading, models, candidates, limits, machine_id, "heldout"))
    return found


def contenders(store: Store | Reading) -> list[Model]:
    """Models that are not archived, without the forms of a run that nobody measured while another form was measured.

    Such a form, an adapter beside its measured GGUF file as a rule, is a step on the way to the file that ships.
    """
    reading = Reading.of(store)
    measured = {one.model_id for one in reading.evaluations() if one.status == "finished"}
    models = [one for one in reading.models if not one.archived]
    runs = {one.run_id for one in models if one.id in measured and one.run_id}
    return [one for one in models if one.id in measured or one.run_id not in runs]


def decide_counts(
    counts: Mapping[str, tuple[int, int]], benchmark: str = "humaneval", source: str = "published"
) -> Decision:
    """Choose from totals, name → (passed, n), such as a study's table. The tests are unpaired: conservative.

    Costs are unknown, so the highest of the tied is named, and the sentence says that they are tied.
    Raises: ValueError without counts, or for impossible ones.
    """
    if not counts:
        raise ValueError("no counts to decide from")
    candidates = {}
    for name, (passed, n) in counts.items():
        low, high = statistics.wilson_interval(passed, n)
        figure = Figure(metric_of(benchmark), passed / n, low, high, n, origin=source)
        candidates[name] = Candidate(model_id=name, model=name, quality=figure)
    best = max(counts, key=lambda name: counts[name][0] / counts[name][1])
    contrasts = {name: contrast_counts(*counts[best], *counts[name]) for name in counts if name != best}
    rest = [statistics.fisher_exact(*counts[one], *counts[two]) for one, two in combinations(contrasts, 2)]
    shelf = Shelf(benchmark, {}, {}, tuple(str(index) for index in range(min(n for _, n in counts.values()))))
    return _judged(shelf, 0, Limits(), None, candidates, _adjusted(best, contrasts, rest), published=True)


def _chosen(
    reading: Reading,
    models: Sequence[Model],
    costed: Mapping[str, Candidate],
    limits: Limits,
    machine_id: str | None,
    benchmark: str | None,
) -> Decision:
    """The choice by one benchmark among candidates whose costs are known."""
    qualified = [model for model in models if costed[model.id].qualifies]
    shelf, left_out = _shelf(reading, qualified or models, benchmark)
    # To show what limits cost: the score of those that are out.
    everyone = quality_shelf(reading, models, shelf.benchmark)
    candidates = {
        model.id: _with_quality(costed[model.id], shelf if model in qualified else everyone) for model in models
    }
    measured = {id_: quality for id_, quality in shelf.found.items() if candidates[id_].qualifies}
    return _judged(shelf, left_out, limits, machine_id, candidates, _leading(measured, shelf.common))


def _shelf(reading: Reading, models: Sequence[Model], benchmark: str | None) -> tuple[Shelf, int]:
    """Comparable quality measurements, and how many contaminated items were left out of them."""
    names = [benchmark] if benchmark else list(QUALITY)
    shelves, counts = [], []
    for name in names:
        dirty = contaminated_items(reading, models, name)
        shelves.append(quality_shelf(reading, models, name, dirty))
        counts.append(len(dirty))
    for wanted in (2, 1, 0):
        for shelf, count in zip(shelves, counts, strict=True):
            if len(shelf.found) >= wanted:
                return shelf, count
    raise AssertionError("every shelf holds at least nobody")


def _measured(
    reading: Reading, model: Model, limits: Limits, timed: Evaluation | None, machine: str | None
) -> Candidate:
    """The candidate with its costs, and whether it meets the limits."""
    figures = _figures(reading, model, limits, timed)
    reasons, missing = [], []
    for limit in limits.all():
        figure = figures.get(limit.metric)
        sign = "at most" if limit.at_most else "at least"
        if figure is None:
            unknown = _unknown(limit, model, machine, f"{limit.metric} is unknown (limit: {sign} {limit.bound:g})")
            reasons.append(unknown.reason)
            missing += [unknown] if unknown.run else []
        elif not limit.holds(figure.value):
            reasons.append(f"{limit.metric} is {figure.value:g}, the limit is {sign} {limit.bound:g}")
    return Candidate(
        model_id=model.id,
        model=model.name,
        form=model.form,
        identity=model.identity,
        bytes=model.bytes or None,
        answer_seconds=answer_seconds(timed) if timed else None,
        figures=tuple(figures.values()),
        qualifies=not reasons,
        reasons=tuple(reasons),
        missing=tuple(missing),
    )


def _figures(reading: Reading, model: Model, limits: Limits, timed: Evaluation | None) -> dict[str, Figure]:
    """Figures by metric: latency scores from `timed` only, others from the newest evaluation that has them."""
    wanted = ["ttft_seconds_p50", "ttft_seconds_p90", "tpot_seconds_p50", "tokens_per_second_p50", "peak_rss_bytes"]
    wanted += [limit.metric for limit in limits.others if limit.metric not in wanted]
    found = {"bytes": Figure("bytes", float(model.bytes))} if model.bytes else {}
    others = [
        one for one in reading.evaluations(model_id=model.id) if one.status == "finished" and one.benchmark != "latency"
    ]
    for metric in wanted:
        for evaluation in ([timed] if timed else []) + others:
            score = score_of(evaluation, metric)
            if score is not None:
                found[metric] = Figure(
                    metric, score.value, score.low, score.high, score.n, evaluation.subset, evaluation.id,
                    evaluation.origin,
                )  # fmt: skip
                break
    return found


def _unknown(limit: Limit, model: Model, machine: str | None, what: str) -> Missing:
    """What to do about an unknown figure."""
    if limit.metric == "bytes":
        return Missing(f"{what}; the size of its files was not recorded")
    where = f" on machine {machine}" if machine else ""
    command = f"bakeoff latency --model {shlex.quote(model.name)}"
    return Missing(f"{what}; run{where}: {command}", command)


def _with_quality(candidate: Candidate, shelf: Shelf) -> Candidate:
    """The candidate with its score on the shared items, or the reason why it has none."""
    quality = shelf.found.get(candidate.model_id)
    if quality is None:
        why = shelf.missing.get(candidate.model_id) if candidate.qualifies else None
        if why is None:
            return candidate
        missing = (*candidate.missing, why) if why.run else candidate.missing
        return dataclasses.replace(candidate, reasons=(*candidate.reasons, why.reason), missing=missing)
    figure = _quality_figure(quality, shelf.common)
    stored = score_of(quality.evaluation, quality.metric)
    everything = None
    if stored is not None and figure is not None and stored.n != figure.n:
        evaluation = quality.evaluation
        everything = Figure(
            stored.metric, stored.value, stored.low, stored.high, stored.n, evaluation.subset, evaluation.id,
            evaluation.origin,
        )  # fmt: skip
    return dataclasses.replace(candidate, quality=figure, quality_all=everything)


def _quality_figure(quality: Quality, common: Sequence[str]) -> Figure | None:
    total = quality.total(common if quality.items else None)
    if total is None:
        return None
    low, high = total.low, total.high
    if quality.yes_or_no:
        low, high = statistics.wilson_interval(round(total.value * total.n), total.n)
    elif quality.items and len(common) > 1:
        spread = statistics.mean_interval([quality.items[item] for item in common])
        factor = total.value / spread.value if spread.value else 0.0
        low, high = spread.low * factor, spread.high * factor
    evaluation = quality.evaluation
    return Figure(
        total.metric, total.value, low, high, total.n, evaluation.subset, evaluation.id, evaluation.origin,
        quality.engine,
    )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class _Lead:
    """The best contender and how it stands to each of the others."""

    best: str | None = None
    """The best model's id; None where nobody was measured."""
    ties: tuple[Tie, ...] = ()
    family: int = 0
    """Comparisons that the ties are adjusted over."""


def _leading(contenders: Mapping[str, Quality], common: Sequence[str]) -> _Lead:
    """The best contender, and its contrast with each of the others on the `common` items."""
    totals = {}
    for model_id, quality in contenders.items():
        total = quality.total(common if quality.items else None)
        if total is not None:
            totals[model_id] = total.value if quality.higher_is_better else -total.value
    if not totals:
        return _Lead()
    best = max(totals, key=lambda model_id: totals[model_id])

    def items(one: str, two: str) -> Sequence[str] | None:
        return common if contenders[one].items and contenders[two].items else None

    contrasts = {}
    for one in totals:
        if one != best:
            found = contrast(contenders[best], contenders[one], items(best, one))
            if found is not None:
                contrasts[one] = found
    rest = [p_value(contenders[one], contenders[two], items(one, two)) for one, two in combinations(contrasts, 2)]
    return _adjusted(best, contrasts, [p for p in rest if p is not None])


def _adjusted(best: str, contrasts: Mapping[str, Contrast], rest: Sequence[float]) -> _Lead:
    """The lead of the best, from its contrasts with the others.

    The best is known only after looking at all, which amounts to comparing all with all: the family is every pair, the
    p-values between the others (`rest`) too. Adjusting over the contrasts with the best alone lets 7 % of families of
    five equal models through where 5 % are meant.
    """
    family = [*(one.p_value for one in contrasts.values()), *rest]
    adjusted = statistics.holm(family)
    ties = [Tie(one, found, p, tied=p > ALPHA) for (one, found), p in zip(contrasts.items(), adjusted, strict=False)]
    return _Lead(best, tuple(ties), len(family))


def _judged(
    shelf: Shelf,
    left_out: int,
    limits: Limits,
    machine_id: str | None,
    candidates: Mapping[str, Candidate],
    lead: _Lead,
    published: bool = False,
) -> Decision:
    """Front, ties, choice and words."""
    best, ties = lead.best, lead.ties
    tied = {best, *(tie.model_id for tie in ties if tie.tied)} if best else set()
    compared = {best, *(tie.model_id for tie in ties)} if best else set()
    front = _front([candidates[one] for one in compared], shelf.benchmark)
    marked = {id_: dataclasses.replace(one, tied=id_ in tied, on_front=id_ in front) for id_, one in candidates.items()}
    chosen = min((marked[one] for one in tied), key=lambda one: _cost(one, shelf.benchmark), default=None)
    decision = Decision(
        chosen=chosen.model_id if chosen else None,
        best=best,
        benchmark=shelf.benchmark,
        metric=shelf.metric,
        items=len(shelf.common) or max((one.quality.n for one in marked.values() if one.quality), default=0),
        left_out=left_out,
        limits=limits.all(),
        machine_id=machine_id,
        candidates=tuple(sorted(marked.values(), key=lambda one: _order(one, shelf.benchmark))),
        ties=ties,
        family=lead.family,
        published=published,
    )
    decision = dataclasses.replace(decision, would_change=wording.changes(decision))
    return wording.worded(dataclasses.replace(decision, reasons=wording.reasons(decision)))


def _front(compared: Sequence[Candidate], benchmark: str) -> set[str]:
    """Ids of those that nobody beats in both quality and time (or bytes, where no time is known)."""
    timed = any(one.answer_seconds is not None for one in compared)
    places: dict[str, tuple[float, float]] = {}
    for one in compared:
        cost = one.answer_seconds if timed else one.bytes
        if one.quality is not None and (cost is not None or not any(other.bytes for other in compared)):
            places[one.model_id] = (_goodness(one.quality.value, benchmark), -(cost or 0.0))
    return {
        id_
        for id_, place in places.items()
        if not any(other != place and other[0] >= place[0] and other[1] >= place[1] for other in places.values())
    }


def _goodness(value: float, benchmark: str) -> float:
    return -value if benchmark == "heldout" else value


def _cost(one: Candidate, benchmark: str) -> tuple[float, float, float, str]:
    """Cheapest first: bytes, seconds, then the better score. Unknown costs come last."""
    goodness = _goodness(one.quality.value, benchmark) if one.quality else -math.inf
    return (one.bytes or math.inf, one.answer_seconds or math.inf, -goodness, one.model)


def _order(one: Candidate, benchmark: str) -> tuple[bool, bool, float, str]:
    goodness = _goodness(one.quality.value, benchmark) if one.quality else 0.0
    return (not one.qualifies, one.quality is None, -goodness, one.model)
