"""What the store knows about models, arranged so that like is compared with like.

Quality is compared between evaluations of one benchmark with the same settings, on the same items. Latency is taken
from one machine. What is measured otherwise is named, never mixed in.
"""

from __future__ import annotations

import json
import math
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from results.analysis.findings import Missing
from results.analysis.racing.entry import RaceEntry
from results.analysis.snapshot import Reading
from results.records import Evaluation, Model, Score, ScoreRow
from results.schema.judged import options_of, questions_of
from results.schema.tallies import ERROR, NO_VERDICT, PASSED, Tally

if TYPE_CHECKING:
    from results.store.store import Store

FREE_SETTINGS = frozenset(
    [
        *("batch_size", "cache", "device", "dtype", "engine", "parallel", "slots", "threads", "workers"),
        *("benchmark_sha256", "k", "limit", "race", "repetitions", "subset", "tasks"),
    ]
)
"""Settings that may differ between comparable evaluations: how it was computed (the form that ships decides the
engine; where models share none it is said: `engines_said`)
and on which items or how often (items are intersected; the benchmark's digest is that of the chosen items)."""

ENGINES = {
    "llamacpp": "llama.cpp", "huggingface": "transformers", "openai": "an endpoint", "ctransformers": "ctransformers",
}  # fmt: skip
"""Engines in words, the one that answers people first."""

DEQUANTIZED = "transformers over dequantized weights"
"""What answers for a GGUF file in transformers, in words: the same engine, and not the file that ships."""

QUALITY = {"humaneval": "pass@1", "heldout": "bits_per_byte"}
"""The benchmarks that rank models unasked, preferred first, and their metric."""

GRADED = "mean_share"
"""The metric of evaluations whose answers get shares from 0 to 1 where others pass or fail."""

NOTHING = Score(metric="", value=math.nan, low=None, high=None, n=0)

ANSWER_TOKENS = 128
"""Length of the answer whose duration stands for a model's speed: long answers do not make a model slow."""


@dataclass(frozen=True)
class Quality:
    """One model's outcomes on one benchmark."""

    model: Model
    evaluation: Evaluation
    items: Mapping[str, float] = field(default_factory=dict)
    """HumanEval: share of a task's samples that pass, by task. Held-out: nats of a row, by row. Empty: totals only."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Held-out: bytes of a row."""
    samples: int = 1
    """Most answers to one task."""
    groups: Mapping[str, str] = field(default_factory=dict)
    """Item → the label of its group of related items, of those that have one."""

    @property
    def higher_is_better(self) -> bool:
        return self.evaluation.benchmark != "heldout"

    @property
    def metric(self) -> str:
        """What ranks by this evaluation."""
        return metric_of(self.evaluation.benchmark, self.evaluation)

    @property
    def yes_or_no(self) -> bool:
        """Whether each item has one answer, which passes or fails: what binomial intervals and McNemar's test need."""
        return self.higher_is_better and self.samples == 1 and self.metric != GRADED

    def total(self, items: Iterable[str] | None = None) -> Score | None:
        """The metric over `items` (all without them); from the stored score where there are no outcomes."""
        metric = self.metric
        if not self.items:
            return score_of(self.evaluation, metric)
        chosen = list(self.items if items is None else items)
        if not chosen:
            return None
        value = sum(map(self.items.__getitem__, chosen))
        if self.higher_is_better:
            value /= len(chosen)
        else:
            value /= sum(map(self.weights.__getitem__, chosen)) * math.log(2)
        return Score(metric=metric, value=value, low=None, high=None, n=len(chosen))

    @property
    def engine(self) -> str:
        """What answered, in words; empty where it was not recorded."""
        return engine_words(self.model, self.evaluation)

    @property
    def entry(self) -> RaceEntry | None:
        """The race that it was measured in, if any."""
        return RaceEntry.of(self.evaluation)

    @property
    def left(self) -> bool:
        """Whether it left a race before the end: what it was not asked is no gap in it."""
        entry = self.entry
        return entry is not None and entry.left is not None


@dataclass(frozen=True)
class Shelf:
    """Comparable measurements of several models, and why the others are not among them."""

    benchmark: str
    found: Mapping[str, Quality]
    """What each model reached, by model id."""
    missing: Mapping[str, Missing]
    """Why the others have nothing to compare, by model id."""
    common: tuple[str, ...] = ()
    """Items that all of `found` with outcomes share, sorted; without those who left a race, which have a part."""

    @property
    def metric(self) -> str:
        """What its models are ranked by."""
        return next((one.metric for one in self.found.values()), metric_of(self.benchmark))

    @property
    def engines_said(self) -> str:
        """That what answered differs between the models, in a sentence; empty where it does not."""
        return engines_said({one.model.name: one.engine for one in self.found.values()})


def groups_of(a: Quality, b: Quality) -> Mapping[str, str]:
    """Item → the label of its group, as the newer of two measurements has it."""
    older, newer = sorted((a, b), key=lambda one: _time(one.evaluation))
    return newer.groups if newer.groups is older.groups or not older.groups else {**older.groups, **newer.groups}


def metric_of(benchmark: str, evaluation: Evaluation | None = None) -> str:
    """The metric of a benchmark: pass@1 for all whose answers pass or fail, such as HumanEval+ or a file of a user.

    evaluation: one by it, whose answers may be graded.
    """
    if evaluation is not None and score_of(evaluation, GRADED) is not None:
        return GRADED
    return QUALITY.get(benchmark, "pass@1")


def contaminated_items(store: Store | Reading, models: Sequence[Model], benchmark: str) -> frozenset[str]:
    """Items of the benchmark that any model's training data is known to contain: they count for no model then.

    Known from reports of kind contamination about a model, its run or its experiment, and from evaluations' details.
    """
    reading, tasks = Reading.of(store), questions_of(benchmark)
    subjects = {model.id for model in models} | {model.run_id for model in models if model.run_id}
    experiments = {one.run.experiment for one in reading.runs if one.run.id in subjects}
    payloads = [one.payload for one in reading.contamination if one.subject in subjects | experiments]
    payloads += [one.details.get("contamination") or {} for one in _finished(reading, models, benchmark)]
    payloads += [other for payload in payloads for other in payload.get("others") or ()]
    return frozenset(
        str(item)
        for payload in payloads
        if isinstance(payload, Mapping) and questions_of(payload.get("benchmark", benchmark)) == tasks
        for item in payload.get("items") or ()
    )


def score_of(evaluation: Evaluation, metric: str) -> Score | None:
    """The named score of an evaluation, if it has a finite one."""
    for score in evaluation.scores:
        if score.metric == metric and math.isfinite(score.value):
            return score
    return None


def engine_words(model: Model, evaluation: Evaluation | ScoreRow) -> str:
    """What answered in an evaluation, or for its score; empty where it was not recorded."""
    engine = str(evaluation.settings.get("engine", ""))
    ships = model.form.startswith("gguf-") or model.form == "lora-gguf"
    gguf = ships or (model.form != "adapter" and model.path.endswith(".gguf"))
    return DEQUANTIZED if gguf and engine == "huggingface" else ENGINES.get(engine, engine)


def engines_said(engines: Mapping[str, str]) -> str:
    """Model name → what answered: a sentence where that differs, else nothing."""
    by_engine: dict[str, list[str]] = {}
    for name, engine in engines.items():
        if engine:
            by_engine.setdefault(engine, []).append(name)
    if len({ENGINES["huggingface"] if engine == DEQUANTIZED else engine for engine in by_engine}) < 2:
        return ""
    listed = "; ".join(f"{_few(names)} through {engine}" for engine, names in sorted(by_engine.items()))
    return f"Not all were asked through one engine, so a part of a difference may be the engines': {listed}."


def _few(names: Sequence[str], most: int = 4) -> str:
    return (
        ", ".join(names) if len(names) <= most else f"{', '.join(names[: most - 1])} and {len(names) - most + 1} more"
    )


def settings_of(evaluation: Evaluation) -> dict[str, Any]:
    """The settings that must agree between comparable evaluations."""
    return {key: value for key, value in evaluation.settings.items() if key not in FREE_SETTINGS}


def settings_difference(one: Evaluation, two: Evaluation) -> list[str]:
    """Each setting that differs, as "key: value against value"."""
    first, second = settings_of(one), settings_of(two)
    return [
        f"{key}: {first.get(key, 'unset')!s} against {second.get(key, 'unset')!s}"
        for key in sorted(first.keys() | second.keys())
        if first.get(key) != second.get(key)
    ]


def quality_shelf(reading: Reading, models: Sequence[Model], benchmark: str, excluded: Iterable[str] = ()) -> Shelf:
    """The comparable evaluations of `models`: the settings that most models share, each model's fullest, then newest.

    Settings under which nobody has half the items of the fullest are an older glimpse and not what is compared.
    Of evaluations through several engines those of the engine that most models share, as far as they have half the
    items of the model's fullest.
    `excluded` items (contaminated tasks) count for nobody. A model measured on fewer than half the items of the fullest
    is set aside: it would shrink what all the others are compared on.
    """
    every: dict[str, dict[str, list[Evaluation]]] = {}
    for evaluation in _finished(reading, models, benchmark):
        every.setdefault(_key(evaluation), {}).setdefault(evaluation.model_id, []).append(evaluation)
    groups = {key: _one_engine(group) for key, group in every.items()}
    if not groups:
        return Shelf(benchmark, {}, {model.id: _to_run(model, benchmark) for model in models})
    chosen = _fullest_group(list(groups.values()))
    found, missing = {}, {}
    reading.tallies([chosen[model.id].id for model in models if model.id in chosen])  # all at once
    for model in models:
        if model.id in chosen:
            found[model.id] = _quality(reading, model, chosen[model.id], frozenset(excluded))
        else:
            missing[model.id] = _missing(model, benchmark, groups, next(iter(chosen.values())))
    return _with_common(Shelf(benchmark, found, missing))


def _fullest_group(groups: Sequence[Mapping[str, Evaluation]]) -> Mapping[str, Evaluation]:
    """The evaluations under the settings of the most models; an older glimpse of few items is no rival."""

    def fullness(group: Mapping[str, Evaluation]) -> int:
        return max(_fullness(one) for one in group.values())

    several = [group for group in groups if len(group) > 1] or list(groups)
    most = max(fullness(group) for group in several)
    enough = [group for group in several if fullness(group) >= most / 2]
    return max(enough, key=lambda group: (len(group), fullness(group), _newest(group)))


def _one_engine(group: Mapping[str, Sequence[Evaluation]]) -> dict[str, Evaluation]:
    """Each model's evaluation, `group` ordered as by `_finished`: like engine with like, the fullest, then the last."""
    full: dict[str, list[Evaluation]] = {}
    for model_id, found in group.items():
        most = max(_fullness(one) for one in found)
        full[model_id] = [one for one in found if _fullness(one) >= most / 2]
    counts = Counter(engine for found in full.values() for engine in {_engine(one) for one in found})
    order = list(ENGINES)

    def rank(engine: str) -> tuple[int, int]:
        return counts[engine], -(order.index(engine) if engine in order else len(order))

    return {
        model_id: max(enumerate(found), key=lambda one: (rank(_engine(one[1])), _fullness(one[1]), one[0]))[1]
        for model_id, found in full.items()
    }


def _engine(evaluation: Evaluation) -> str:
    return str(evaluation.settings.get("engine", ""))


def latency_machine(reading: Reading, models: Sequence[Model]) -> str | None:
    """The machine on which most of `models` have comparable latencies, the newest of equals; None without any."""
    groups = _latency_groups(reading, models)
    return max(groups, key=lambda key: (len(groups[key]), _newest(groups[key])))[0] if groups else None


def latencies(reading: Reading, models: Sequence[Model], machine_id: str | None) -> dict[str, Evaluation]:
    """Each model's newest latency evaluation on that machine, with the settings that most models share, by model id."""
    groups = [group for (machine, _), group in _latency_groups(reading, models).items() if machine == machine_id]
    return max(groups, key=lambda group: (len(group), _newest(group)), default={})


def _latency_groups(reading: Reading, models: Sequence[Model]) -> dict[tuple[str, str], dict[str, Evaluation]]:
    """(machine, settings) → model id → the newest evaluation."""
    groups: dict[tuple[str, str], dict[str, Evaluation]] = {}
    for evaluation in _finished(reading, models, "latency"):
        groups.setdefault((evaluation.machine_id, _key(evaluation)), {})[evaluation.model_id] = evaluation
    return groups


def _newest(group: Mapping[str, Evaluation]) -> float:
    return max(_time(one) for one in group.values())


def _key(evaluation: Evaluation) -> str:
    """The settings that must agree, as one text."""
    return json.dumps(settings_of(evaluation), sort_keys=True, default=str)


def answer_seconds(evaluation: Evaluation) -> float | None:
    """Median seconds to an answer of ANSWER_TOKENS tokens: TTFT + (tokens - 1) * TPOT."""
    first, each = score_of(evaluation, "ttft_seconds_p50"), score_of(evaluation, "tpot_seconds_p50")
    if first is not None and each is not None:
        return first.value + (ANSWER_TOKENS - 1) * each.value
    speed = score_of(evaluation, "tokens_per_second_p50")
    return ANSWER_TOKENS / speed.value if speed is not None and speed.value > 0 else None


@dataclass(frozen=True)
class Reached:
    """What an evaluation's outcomes come to, item by item."""

    items: Mapping[str, float]
    weights: Mapping[str, float]
    samples: int
    groups: Mapping[str, str]


def reached(tally: Tally) -> Reached:
    """The mean of each item's outcomes. An `error` is Bakeoff's own failure and counts nowhere."""
    counted, credits = tally.codes != ERROR, (tally.codes == PASSED).astype(np.float64)
    weights: dict[str, float] = {}
    if tally.values is not None and tally.sizes is not None:
        bare = tally.codes == NO_VERDICT
        counted &= ~bare | np.isfinite(tally.values)
        credits = np.where(bare, tally.values, credits)
        rows = (bare & counted).nonzero()[0].tolist()
        weights = {tally.items[row]: size for row, size in zip(rows, tally.sizes[rows].tolist(), strict=True)}
    if counted.all() and len(items := dict(zip(tally.items, credits.tolist(), strict=True))) == len(tally.items):
        return Reached(items, weights, 1, tally.groups)
    answers: dict[str, list[float]] = {}
    for item, counts, value in zip(tally.items, counted.tolist(), credits.tolist(), strict=True):
        if counts:
            answers.setdefault(item, []).append(value)
    items = {item: sum(values) / len(values) for item, values in answers.items()}
    return Reached(items, weights, max(map(len, answers.values()), default=1), tally.groups)


def _quality(reading: Reading, model: Model, evaluation: Evaluation, excluded: frozenset[str]) -> Quality:
    known = reading.kept("reached", evaluation.id, lambda: reached(reading.tallies([evaluation.id])[evaluation.id]))
    items = known.items
    if excluded:
        items = {item: value for item, value in items.items() if item not in excluded}
    if evaluation.benchmark == "heldout":
        items = {item: value for item, value in items.items() if known.weights.get(item, 0) > 0}
    return Quality(model, evaluation, items, known.weights, known.samples, known.groups)


def _with_common(shelf: Shelf) -> Shelf:
    """Set aside who was measured on few items, and intersect the items of the others."""
    found, missing = dict(shelf.found), dict(shelf.missing)

    def set_aside(model_id: str, why: str) -> None:
        missing[model_id] = _to_run(found.pop(model_id).model, shelf.benchmark, why)

    sizes = {id_: len(one.items) or (one.total() or NOTHING).n for id_, one in found.items()}
    most = max(sizes.values(), default=0)
    for model_id, size in sizes.items():
        if not size:
            set_aside(model_id, "has neither outcomes nor a score; ")
        elif size < most / 2 and not found[model_id].left:
            set_aside(model_id, f"measured on {size} items where others have {most}; ")
    stayed = {id_: one for id_, one in found.items() if not one.left} or found
    own = [one.items.keys() for one in stayed.values() if one.items]
    if all(keys == own[0] for keys in own) and len(stayed) == len(found):  # usual, and a hundredth of the time
        return Shelf(shelf.benchmark, found, missing, tuple(sorted(own[0])) if own else ())
    items = {id_: frozenset(one.items) for id_, one in stayed.items() if one.items}
    for model_id in _apart(items):
        set_aside(model_id, f"shares too few of its {len(items[model_id])} items with the others; ")
    sets = [items[id_] for id_ in found if id_ in items]
    common = frozenset.intersection(*sets) if sets else frozenset()
    for model_id in [id_ for id_ in found if id_ not in stayed and not common & found[id_].items.keys()]:
        set_aside(model_id, "shares none of its items with the others; ")
    return Shelf(shelf.benchmark, found, missing, tuple(sorted(common)))


def _apart(items: Mapping[str, frozenset[str]]) -> list[str]:
    """Who must be left out lest the items that all share are fewer than half of what the others share, worst first."""
    left, out = dict(items), list[str]()
    while len(left) > 1:
        counts = Counter(item for own in left.values() for item in own)
        everybody = sum(count == len(left) for count in counts.values())
        nearly = {item for item, count in counts.items() if count == len(left) - 1}
        gains = {id_: len(nearly - own) for id_, own in left.items()} if nearly else {}
        worst = max(gains, key=lambda id_: (gains[id_], id_), default="")
        if not worst or gains[worst] <= everybody:
            if everybody:
                return out
            worst = min(left, key=lambda id_: (len(left[id_]), id_))
        out.append(worst)
        del left[worst]
    return out


def _finished(reading: Reading, models: Sequence[Model], benchmark: str) -> list[Evaluation]:
    """Finished ones, the one to prefer last: what was measured here before what was imported, then the newest."""
    wanted = {model.id for model in models}
    found = [one for one in reading.evaluations(benchmark=benchmark) if one.status == "finished"]
    return sorted(
        (one for one in found if one.model_id in wanted), key=lambda one: (one.origin == "measured", _time(one))
    )


def _time(evaluation: Evaluation) -> float:
    return evaluation.finished_at.timestamp() if evaluation.finished_at else 0.0


def _fullness(evaluation: Evaluation) -> int:
    return max((score.n for score in evaluation.scores), default=0)


def _missing(
    model: Model, benchmark: str, groups: Mapping[str, Mapping[str, Evaluation]], example: Evaluation
) -> Missing:
    """Why a model is not among those that were measured like the example."""
    for group in groups.values():
        if model.id in group:
            difference = "; ".join(settings_difference(group[model.id], example))
            return Missing(f"measured with other settings ({difference})")
    return _to_run(model, benchmark)


def _to_run(model: Model, benchmark: str, why: str = "not measured; ") -> Missing:
    """That a benchmark is to be run, after a word on why."""
    name = shlex.quote(model.name)
    if benchmark == "heldout":
        why, command = f"{why}held-out rows belong to an experiment, run", "bakeoff run FILE"
    elif benchmark == "latency":
        why, command = f"{why}run", f"bakeoff latency --model {name}"
    else:
        why, command = f"{why}run", f"bakeoff evaluate {name} {options_of(benchmark)}"
    return Missing(f"{why}: {command}", command)
