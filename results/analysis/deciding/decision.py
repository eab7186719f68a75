"""Which model to ship: one question, hard limits, then quality, then cost; every reason as data.

    1. who is asked about               one experiment, a tag, a list (`question`)
    2. who meets the limits              an unknown figure is not a pass: the reason names what to run
    3. who is best, and who as good      three verdicts on the items that all share (`choice`)
    4. who is cheaper                    of those shown to be as good: another measure that tells them apart, else cost

Published counts are judged by `decide_counts`, from totals alone. Words are in `recommendation`; freezing a decision
and checking it again later in `freezing`.

Try: bakeoff decide --experiment demo --max-ttft-p90 2.0 --json
"""

from __future__ import annotations

import dataclasses
import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from results.analysis import statistics
from results.analysis.comparison import contrast, contrast_counts, shared_with_left
from results.analysis.deciding import recommendation, terms
from results.analysis.deciding.choice import Choice, Cost, choose
from results.analysis.deciding.leads import TotalsLead, beaten, leads
from results.analysis.deciding.question import asked, measures_of
from results.analysis.durations import seconds_to_measure
from results.analysis.findings import (
    MARGIN,
    Beside,
    Candidate,
    Contrast,
    Decision,
    Figure,
    Limit,
    Limits,
    Missing,
    Question,
    Raced,
    Tie,
)
from results.analysis.groups import group_sums, mean_in_groups, places_of
from results.analysis.measurements import (
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
from results.analysis.racing.betting import raced_mean
from results.analysis.snapshot import Reading
from results.analysis.wording import broken_text, unknown_text
from results.records import Evaluation, Model
from results.schema.judged import calibration_label

if TYPE_CHECKING:
    from results.store.store import Store

LARGEST_SHARE = 0.25
"""The margin is at most this share of the best's own pass rate: where it is 4 %, 3 points are nearly all of it."""


def decide(store: Store | Reading, question: Question | None = None) -> Decision:
    """Answer a question (default: the newest experiment's). Raises: NotFound for what the store does not know."""
    reading = Reading.of(store)
    found = asked(reading, question or Question())
    asked_for, margin = found.question, found.question.margin or MARGIN
    machine_id = asked_for.machine_id or latency_machine(reading, found.models)
    timed = latencies(reading, found.models, machine_id)
    costed = {
        model.id: _measured(reading, model, asked_for.limits, timed.get(model.id), machine_id) for model in found.models
    }
    qualified = [model for model in found.models if costed[model.id].qualifies]
    benchmark, *further = asked_for.measures or measures_of(reading, qualified or found.models) or ("humaneval",)
    first = _judged(reading, qualified or found.models, benchmark, costed, margin, any_cost=bool(further))
    # To show what limits cost: the score of those that are out.
    everyone = first.shelf if len(qualified) == len(found.models) else quality_shelf(reading, found.models, benchmark)
    candidates = {id_: _with_quality(one, first.shelf if one.qualifies else everyone) for id_, one in costed.items()}
    chosen, beside = first.choice.chosen if first.choice else None, list[Beside]()
    for name in further:
        among = [model for model in qualified if model.id in first.open_]
        said = _heard(_judged(reading, among, name, costed, margin), chosen, any(one.broke for one in beside))
        chosen = said.best if said and said.broke else chosen
        beside += [said] if said else []
    decision = Decision(
        kind=first.choice.kind if first.choice else "nobody",
        chosen=chosen,
        about=found.about,
        elsewhere=found.elsewhere,
        measures=(benchmark, *further),
        machine_id=machine_id,
        limits=asked_for.limits.all(),
        question=asked_for,
        beside=tuple(beside),
        **_stood(first, candidates),
    )
    return recommendation.worded(dataclasses.replace(decision, seconds_needed=_seconds_needed(reading, decision)))


def _seconds_needed(reading: Reading, decision: Decision) -> float | None:
    """Seconds for all items needed, by the models that are not shown to be behind: a longer test is a new one."""
    size = terms.SIZES.get(decision.benchmark, math.inf)
    if decision.items_needed is None or decision.items >= size:
        return None
    each = seconds_to_measure(decision.benchmark, reading.evaluations(), int(min(decision.items_needed, size)))
    return each * sum(one.qualifies and one.tied for one in decision.candidates) if each is not None else None


def decide_counts(
    counts: Mapping[str, tuple[int, int]],
    benchmark: str = "humaneval",
    source: str = "published",
    margin: float = MARGIN,
) -> Decision:
    """Choose from totals, name → (passed, n), such as a study's table. Unpaired, so conservative; costs are unknown.

    Raises: ValueError without counts, or for impossible ones.
    """
    if not counts:
        raise ValueError("no counts to decide from")
    candidates = {}
    for name, (passed, n) in counts.items():
        low, high = statistics.wilson_interval(passed, n)
        figure = Figure(metric_of(benchmark), passed / n, low, high, n, origin=source)
        candidates[name] = Candidate(model_id=name, model=name, identity=name, quality=figure)
    order = _ordered(candidates.values(), benchmark)
    allowed = _margin(margin, benchmark, candidates[order[0]].quality)
    costs = {name: Cost() for name in counts}
    choice = choose(order, lambda a, b: TotalsLead(*counts[a], *counts[b]), costs, allowed)
    contrasts = {name: contrast_counts(*counts[order[0]], *counts[name]) for name in order[1:]}
    shelf = Shelf(benchmark, {}, {}, tuple(str(index) for index in range(min(n for _, n in counts.values()))))
    decision = Decision(
        kind=choice.kind, chosen=choice.chosen, about=f"the {len(counts)} variants of the study",
        measures=(benchmark,), machine_id=None, limits=(), question=Question(margin=margin), published=True,
        **_stood(_Judged(shelf, 0, choice, contrasts), candidates),
    )  # fmt: skip
    return recommendation.worded(decision)


@dataclasses.dataclass(frozen=True)
class _Judged:
    """What one measure says of some models."""

    shelf: Shelf
    left_out: int
    """Contaminated items that count for nobody."""
    choice: Choice | None
    """None where nobody was measured."""
    contrasts: Mapping[str, Contrast]
    """The best against each of the others."""

    @property
    def open_(self) -> frozenset[str]:
        """Whom another measure is asked about: those shown to be as good, or where nothing is shown, all not behind."""
        if self.choice is None:
            return frozenset()
        places = self.choice.places
        if self.choice.kind == "tie":
            return frozenset(one for one, place in places.items() if place.within)
        return frozenset(one for one, place in places.items() if not place.behind)


def _judged(
    reading: Reading, models: Sequence[Model], benchmark: str, costed: Mapping[str, Candidate], margin: float,
    any_cost: bool = False,
) -> _Judged:  # fmt: skip
    """Who is best of `models` by one measure, on the items that all share."""
    dirty = contaminated_items(reading, models, benchmark)
    shelf = quality_shelf(reading, models, benchmark, dirty)
    compared = [_with_quality(costed[id_], shelf) for id_ in shelf.found]
    order = _ordered((one for one in compared if one.qualifies and one.quality is not None), benchmark)
    if not order:
        return _Judged(shelf, len(dirty), None, {})
    best = next(one for one in compared if one.model_id == order[0])
    costs = {id_: Cost(costed[id_].bytes, costed[id_].answer_seconds) for id_ in order}
    allowed = _margin(margin, benchmark, best.quality)
    choice = choose(order, leads(shelf), costs, allowed, any_cost, beaten(reading, shelf))
    contrasts = {}
    for one in order[1:]:
        a, b = shelf.found[order[0]], shelf.found[one]
        common = shared_with_left(a, b) or shelf.common
        found = contrast(a, b, common if a.items and b.items else None)
        if found is not None:
            contrasts[one] = found
    return _Judged(shelf, len(dirty), choice, contrasts)


def _heard(judged: _Judged, chosen: str | None, broken: bool) -> Beside | None:
    """What another measure makes of the models that the first left open: it breaks a tie, and chooses nobody else."""
    choice = judged.choice
    if choice is None or choice.kind == "only one":
        return None
    broke = chosen is not None and not broken and choice.kind == "ship"
    return Beside(judged.shelf.benchmark, choice.kind, len(judged.shelf.common), choice.best, broke)


def _stood(judged: _Judged, candidates: Mapping[str, Candidate]) -> dict[str, Any]:
    """The fields of a decision that one measure fills."""
    choice, shelf = judged.choice, judged.shelf
    places = choice.places if choice else {}
    ties = [
        Tie(id_, found, places[id_].p_adjusted, not places[id_].behind, places[id_].within,
            places[id_].behind_at_most)
        for id_, found in judged.contrasts.items()
    ]  # fmt: skip
    compared = [candidates[id_] for id_ in places]
    front = _front(compared, shelf.benchmark)
    marked = [
        dataclasses.replace(one, tied=id_ in places and not places[id_].behind, on_front=id_ in front)
        for id_, one in candidates.items()
    ]
    best = candidates[choice.best].quality if choice else None
    unit = best.value if best and shelf.benchmark == "heldout" else 1.0
    return {
        "best": choice.best if choice else None,
        "benchmark": shelf.benchmark,
        "metric": shelf.metric,
        "items": len(shelf.common) or max((one.quality.n for one in marked if one.quality), default=0),
        "left_out": judged.left_out,
        "candidates": tuple(sorted(marked, key=lambda one: (not one.qualifies, _rank(one, shelf.benchmark)))),
        "ties": tuple(ties),
        "margin": choice.margin if choice else 0.0,
        "family": choice.family if choice else 0,
        "best_behind_at_most": places[choice.best].behind_at_most if choice else None,
        "items_needed": choice.items_needed if choice and best and best.value else None,
        "margin_shown": _shown(choice, unit, best, shelf.benchmark) if choice else None,
    }


def _margin(asked_for: float, benchmark: str, best: Figure | None) -> float:
    """The margin in the measure's unit: a share of the best's bits per byte; points of 100, LARGEST_SHARE at most."""
    value = best.value if best else 0.0
    if benchmark == "heldout":
        return max(asked_for * value, 1e-9)
    return max(min(asked_for, LARGEST_SHARE * value), 1e-9)


def _shown(choice: Choice, unit: float, best: Figure | None, benchmark: str) -> float | None:
    """The margin, as it would be stated, at which the best could be shipped; None where there is none to state."""
    bound = choice.places[choice.best].behind_at_most
    if choice.kind != "not enough data" or bound is None or bound >= _margin(0.5, benchmark, best):
        return None
    return bound / unit


def _ordered(candidates: Iterable[Candidate], benchmark: str) -> list[str]:
    """Ids, best quality first. Equals by cost, then by identity: no name and no order of registration decides."""
    return [one.model_id for one in sorted(candidates, key=lambda one: _rank(one, benchmark))]


def _rank(one: Candidate, benchmark: str) -> tuple[bool, bool, float, float, float, str]:
    """Who left a race comes after those that stayed: its score is one of fewer items."""
    goodness = _goodness(one.quality.value, benchmark) if one.quality else 0.0
    gone = one.raced is not None and one.raced.left is not None
    return one.quality is None, gone, -goodness, one.bytes or math.inf, one.answer_seconds or math.inf, one.identity


def _measured(
    reading: Reading, model: Model, limits: Limits, timed: Evaluation | None, machine: str | None
) -> Candidate:
    """The candidate with its costs, and whether it meets the limits."""
    figures = _figures(reading, model, limits, timed)
    reasons, missing = [], []
    for limit in limits.all():
        figure = figures.get(limit.metric)
        if figure is None:
            unknown = _unknown(limit, model, machine, unknown_text(limit))
            reasons.append(unknown.reason)
            missing += [unknown] if unknown.run else []
        elif not limit.holds(figure.value):
            reasons.append(broken_text(limit, figure.value))
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
    entry = quality.entry
    figure = quality_figure(quality, shelf.common)
    stored = score_of(quality.evaluation, quality.metric)
    everything = None
    if stored is not None and figure is not None and stored.n != figure.n:
        evaluation = quality.evaluation
        everything = Figure(
            stored.metric, stored.value, stored.low, stored.high, stored.n, evaluation.subset, evaluation.id,
            evaluation.origin,
        )  # fmt: skip
    raced = Raced(entry.items, entry.most, entry.models, entry.left, entry.p_value) if entry else None
    return dataclasses.replace(candidate, quality=figure, quality_all=everything, raced=raced)


def quality_figure(quality: Quality, common: Sequence[str]) -> Figure | None:
    """A model's score with its interval on the items that all share; on its own if it left a race; None without one."""
    common = sorted(quality.items) if quality.left else common
    total = quality.total(common if quality.items else None)
    if total is None:
        return None
    low, high, groups = total.low, total.high, 0
    if quality.entry is not None and quality.items:
        spread = raced_mean([quality.items[item] for item in common], quality.entry.most)
        low, high = spread.low, spread.high
    elif quality.items and (places := places_of(common, quality.groups)) is not None:
        groups, values = int(places.max()) + 1, [quality.items[item] for item in common]
        rows = None if quality.higher_is_better else [quality.weights[item] for item in common]
        spread = (
            mean_in_groups(values, places)
            if rows is None
            else statistics.bits_per_byte(group_sums(values, places), group_sums(rows, places))
        )
        low, high = spread.low, spread.high
    elif quality.yes_or_no:
        low, high = statistics.wilson_interval(round(total.value * total.n), total.n)
    elif quality.items and len(common) > 1:
        values = [quality.items[item] for item in common]
        rows = None if quality.higher_is_better else [quality.weights[item] for item in common]
        spread = statistics.graded_interval(values) if rows is None else statistics.bits_per_byte(values, rows)
        low, high = spread.low, spread.high
    evaluation = quality.evaluation
    subset = f"{total.n:,} items of a {evaluation.subset}" if quality.entry else evaluation.subset
    if groups:
        subset = f"{subset}, in {groups:,} groups" if subset else f"{total.n:,} items in {groups:,} groups"
    return Figure(
        total.metric, total.value, low, high, total.n, subset, evaluation.id, evaluation.origin, quality.engine, groups,
        calibration_label(evaluation.details),
    )  # fmt: skip


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
