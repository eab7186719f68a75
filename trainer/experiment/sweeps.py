"""Sweeps: which settings go on after a cut, and what each swept setting did, held against the noise between seeds.

Successive halving (Jamieson and Talwalkar 2016, arXiv 1502.07943): all settings train for `first_steps`, the best
1/factor of them go on to `factor` times the steps, and so on; the schedule is that of the full length from the start.
Every decision is kept in Report(experiment, "sweep"), so an interrupted sweep takes none twice.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from scipy import stats

from results import Report, Store
from trainer.experiment.schema import Experiment
from trainer.experiment.variants import Variant

MANY = 6
"""A setting with more values than this, all numbers, is reported by its lower and upper half."""


def halve(
    experiment: Experiment,
    planned: Sequence[Variant],
    store: Store,
    train_until: Callable[[Sequence[Variant], int | None], bool],
) -> None:
    """Train the planned variants with cuts. `train_until` trains to a step (None: to the end); False if interrupted.

    Bases are cut apart from each other unless `keep_best_by` is comparable between tokenizers.
    """
    halving = experiment.sweep.halving
    assert halving is not None
    report = store.reports.get(experiment.name, "sweep")
    decided: dict[str, Any] = dict((report.payload.get("halving") or {}) if report else {})
    active = list(planned)
    steps = halving.first_steps
    while len(_fields(experiment, active)[0]) > 1 and any(steps < _length(variant, store) for variant in active):
        key = f"{steps}:{','.join(sorted(variant.id for variant in active))}"
        if key not in decided:
            if not train_until(active, steps):
                return
            decided[key] = [_cut(experiment, field, steps, store) for field in _fields(experiment, active)]
            _put(experiment.name, {"halving": decided}, store)
        promoted = {run for decision in decided[key] for run in decision["promoted"]}
        for decision in decided[key]:
            for run, reason in decision["dropped"].items():
                if (there := store.runs.get(run)).status == "stopped" and there.reason != reason:
                    store.runs.finish(run, "stopped", reason)
        active = [variant for variant in active if variant.id in promoted]
        steps *= halving.factor
    train_until(active, None)


def summarize(experiment: Experiment, planned: Sequence[Variant], store: Store) -> None:
    """Store what the sweep showed in Report(experiment, "sweep"): `effects`, `best`, and the unfinished runs."""
    metric = experiment.sweep.keep_best_by
    scores = {variant.id: score for variant in planned if (score := _best(store, variant.id, metric)) is not None}
    finished = [variant for variant in planned if store.runs.get(variant.id).status == "finished"]
    best = min((v for v in finished if v.id in scores), key=lambda v: scores[v.id], default=None)
    unfinished = {
        variant.name: f"{run.status}: {run.reason}"
        for variant in planned
        if (run := store.runs.get(variant.id)).status != "finished"
    }
    found = [
        effect
        for base in experiment.bases
        for effect in effects([v for v in finished if v.base == base and v.id in scores], scores, metric, base)
    ]
    payload = {
        "metric": metric,
        "effects": found,
        "best": {"run": best.id, "name": best.name, "value": scores[best.id]} if best else None,
        "unfinished": unfinished,
    }
    _put(experiment.name, payload, store)


def effects(
    finished: Sequence[Variant], scores: Mapping[str, float], metric: str, base: str = ""
) -> list[dict[str, Any]]:
    """What each swept setting moved, and whether that is more than seeds move.

    The noise is the pooled standard deviation between seeds of one setting; a move counts as real when it exceeds what
    that noise makes likely in 95 % of cases (t distribution). With one seed a setting the noise is unknown, and said
    to be.
    """
    spread, freedom = seed_spread(finished, scores)
    keys = sorted({key for variant in finished for key in variant.settings})
    found = []
    for key in keys:
        groups: dict[Any, list[float]] = {}
        for variant in finished:
            groups.setdefault(_level(variant.settings.get(key)), []).append(scores[variant.id])
        if len(groups) < 2:
            continue
        levels = _levels(groups)
        means = {label: statistics.mean(values) for label, values in levels.items()}
        low, high = min(means, key=lambda label: means[label]), max(means, key=lambda label: means[label])
        moved = means[high] - means[low]
        real: bool | None = None
        if spread is not None:
            error = spread * math.sqrt(1 / len(levels[low]) + 1 / len(levels[high]))
            real = moved > float(stats.t.ppf(0.975, freedom)) * error
        found.append(
            {
                "base": base,
                "setting": key,
                "metric": metric,
                "means": {str(label): mean for label, mean in means.items()},
                "runs": {str(label): len(values) for label, values in levels.items()},
                "best": str(low),
                "moved": moved,
                "seed_spread": spread,
                "beyond_noise": real,
                "words": _words(key, metric, low, high, moved, spread, real),
            }
        )
    return found


def seed_spread(finished: Sequence[Variant], scores: Mapping[str, float]) -> tuple[float | None, int]:
    """Pool the standard deviation between seeds of a setting; with its degrees of freedom. None with one seed each."""
    by_setting: dict[str, list[float]] = {}
    for variant in finished:
        by_setting.setdefault(_setting_key(variant), []).append(scores[variant.id])
    repeated = [values for values in by_setting.values() if len(values) > 1]
    freedom = sum(len(values) - 1 for values in repeated)
    if not freedom:
        return None, 0
    squares = sum((value - statistics.mean(values)) ** 2 for values in repeated for value in values)
    return math.sqrt(squares / freedom), freedom


def _level(value: Any) -> Any:
    """Make a swept value one that can be grouped by: whole sections, such as data.sources, as their JSON text."""
    return json.dumps(value, sort_keys=True, default=str) if isinstance(value, list | dict) else value


def _levels(groups: Mapping[Any, list[float]]) -> dict[Any, list[float]]:
    """Values with their scores; many different numbers become a lower and an upper half."""
    if len(groups) <= MANY or not all(isinstance(value, (int, float)) for value in groups):
        return dict(groups)
    ordered = sorted(groups)
    middle = len(ordered) // 2
    halves = {
        f"{ordered[0]:g} to {ordered[middle - 1]:g}": ordered[:middle],
        f"{ordered[middle]:g} to {ordered[-1]:g}": ordered[middle:],
    }
    return {label: [score for value in values for score in groups[value]] for label, values in halves.items()}


def _words(key: str, metric: str, low: Any, high: Any, moved: float, spread: float | None, real: bool | None) -> str:
    text = f"{key} {high} → {low} lowers {metric} by {moved:.4f}"
    if spread is None:
        return f"{text}; how much seeds differ is unknown: give sweep.seeds two or more"
    verdict = "more than seeds explain" if real else "seeds alone could do that"
    return f"{text}; seeds differ by {spread:.4f}: {verdict}"


def _fields(experiment: Experiment, active: Sequence[Variant]) -> list[list[Variant]]:
    """Variants that are cut against each other; the largest field first."""
    if experiment.sweep.keep_best_by == "validation_bits_per_byte":
        return [list(active)]
    by_base: dict[str, list[Variant]] = {}
    for variant in active:
        by_base.setdefault(variant.base, []).append(variant)
    return sorted(by_base.values(), key=lambda field: -len({_setting_key(variant) for variant in field}))


def _cut(experiment: Experiment, field: Sequence[Variant], steps: int, store: Store) -> dict[str, Any]:
    """Rank the settings of a field by the mean over their seeds, and keep the best 1/factor, at least one."""
    halving = experiment.sweep.halving
    assert halving is not None
    metric = experiment.sweep.keep_best_by
    by_setting: dict[str, list[Variant]] = {}
    for variant in field:
        by_setting.setdefault(_setting_key(variant), []).append(variant)
    means = {}
    for key, members in by_setting.items():
        values = [_best(store, variant.id, metric, steps) for variant in members]
        known = [value for value in values if value is not None]
        means[key] = (
            statistics.mean(known) if len(known) == len(values) else math.inf
        )  # a failed seed fails its setting
    ranked = sorted(by_setting, key=lambda key: means[key])
    kept = [key for key in ranked[: max(1, len(ranked) // halving.factor)] if math.isfinite(means[key])]
    dropped = {
        variant.id: f"dropped at step {steps}: {place} of {len(ranked)} settings by {metric}"
        for place, key in enumerate(ranked, 1)
        if key not in kept
        for variant in by_setting[key]
    }
    return {
        "base": field[0].base,
        "steps": steps,
        "metric": metric,
        "ranking": [
            {"settings": by_setting[key][0].settings, "mean": means[key] if math.isfinite(means[key]) else None}
            for key in ranked
        ],
        "promoted": [variant.id for key in kept for variant in by_setting[key]],
        "dropped": dropped,
    }


def _best(store: Store, run_id: str, metric: str, last_step: int | None = None) -> float | None:
    """The lowest validation value up to a step."""
    steps, values = store.curves.read(run_id, metric)
    fit = [
        float(value)
        for step, value in zip(steps, values, strict=True)
        if (last_step is None or step <= last_step) and math.isfinite(value)
    ]
    return min(fit, default=None)


def _length(variant: Variant, store: Store) -> int:
    """Planned steps; a run that never started counts as endless, so that the first cut comes."""
    return store.runs.get(variant.id).total_steps or 2**62


def _setting_key(variant: Variant) -> str:
    return f"{variant.base}\0{sorted((key, repr(value)) for key, value in variant.settings.items())}"


def _put(name: str, payload: Mapping[str, Any], store: Store) -> None:
    """Merge into the sweep's report."""
    there = store.reports.get(name, "sweep")
    store.reports.put(Report(name, "sweep", {**(there.payload if there else {}), **payload}))
