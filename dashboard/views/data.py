"""What the pages show, read from the store.

What nobody wrote is never read twice, and what was written is seen at the next look (`kept.until_written`). Curves of
runs that have ended never change and are kept for good. Nothing here writes but `edit_run`, `rename` and `freeze`,
each at a person's click.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

import results
from dashboard import palette
from dashboard.views import kept, settings
from dashboard.views.curves import Curve
from dashboard.views.training.whereabouts import of_runs
from results.errors import BakeoffError
from results.records import (
    PLACE,
    RETRIES,
    DecisionRecord,
    Evaluation,
    Machine,
    Model,
    PublishedResult,
    RunSummary,
    ScoreRow,
)

BUCKETS = 256
"""Buckets a curve: as many as the store keeps ready, each with its least and greatest value, on 800 to 1,600 pixels."""
CROWD_BUCKETS = 100
"""Buckets a curve when hundreds are drawn over each other."""


@kept.until_written(4, shared=True)
def runs() -> list[RunSummary]:
    """Every run, with the ends of its curves."""
    return kept.store().runs.list()


@kept.until_written(4)
def every_model() -> list[Model]:
    """Every model in the order of registration, the archived too."""
    return kept.store().models.list()


def models(archived: bool = False) -> list[Model]:
    """The models in the order of registration. archived: those too that were put out of every list."""
    return [model for model in every_model() if archived or not model.archived]


@kept.until_written(2, shared=True)  # it only reads, and keeps what it read
def snapshot() -> results.Reading:
    """The store as it stands, read once for all that is computed from it."""
    return results.Reading(kept.store())


@kept.until_written(4)
def every_score() -> list[ScoreRow]:
    """Every score in the store."""
    return kept.store().evaluations.scores()


def scores(benchmark: str | None = None, metric: str | None = None) -> pd.DataFrame:
    """Scores of models that are not archived, with everything they can be traced to; columns as `ScoreRow`."""
    listed = {model.id for model in models()}
    rows = [
        row
        for row in every_score()
        if benchmark in (None, row.benchmark) and metric in (None, row.metric) and row.model_id in listed
    ]
    return pd.DataFrame([vars(row) for row in rows], columns=list(ScoreRow.__dataclass_fields__))


@kept.until_written(4)
def machines() -> dict[str, str]:
    """The line that names a machine, by the machine's id."""
    return {machine.id: machine_line(machine) for machine in kept.store().machines.list()}


@kept.until_written(4)
def whereabouts() -> dict[str, dict[str, Any]]:
    """Where runs train and what was begun again: run → kind of report → what it says."""
    every = kept.store().reports
    return of_runs([one for kind in (PLACE, RETRIES) for one in every.list(kind=kind)])


def machine_line(machine: Machine) -> str:
    """CPU, cores, memory and GPU of a machine, and the beginning of its id."""
    gpu = f", {machine.gpu}" if machine.gpu else ""
    return f"{machine.cpu}, {machine.cores} cores, {machine.ram_bytes / 2**30:.0f} GiB{gpu} ({machine.id[:6]})"


@kept.until_written(4)
def styles() -> Mapping[str, palette.Style]:
    """How each run and model is drawn, by id; the same on every page."""
    return palette.styles(runs(), every_model())


@kept.until_written(4)
def published() -> pd.DataFrame:
    """Figures of others' studies, those that ship with Bakeoff and those in the store; columns as `PublishedResult`."""
    rows = [*results.read_published(), *kept.store().published.list()]
    last = {(row.study, row.subject, row.metric, row.item): row for row in rows}
    return pd.DataFrame([vars(row) for row in last.values()], columns=list(PublishedResult.__dataclass_fields__))


@kept.until_written(64)
def evaluations(benchmark: str | None = None, model_id: str | None = None) -> list[Evaluation]:
    """Evaluations, the half-written ones too."""
    return kept.store().evaluations.list(model_id=model_id, benchmark=benchmark)


def answered(evaluation: Evaluation) -> int:
    """Answers that an evaluation has so far."""
    return len(kept.store().evaluations.verdicts(evaluation.id))


@kept.until_written(32)
def seconds_of(benchmark: str) -> float | None:
    """Seconds that one model takes by a benchmark, judged by those before; None without any."""
    return results.seconds_to_measure(benchmark, evaluations())


@kept.until_written(16)
def contaminated(benchmark: str) -> list[str]:
    """Items of a benchmark that some model's training data is known to hold."""
    return sorted(results.contaminated_items(snapshot(), every_model(), benchmark))


@kept.until_written(64)
def compared(a: str, b: str, benchmark: str) -> str:
    """Two models by name, paired item by item, in the words that the command line uses."""
    known = {model.name: model for model in every_model()}
    try:
        return results.compare(snapshot(), known[a], known[b], benchmark).verdict
    except BakeoffError as error:
        return str(error)


@kept.until_written(4)
def form_costs(benchmark: str) -> list[str]:
    """What each exported format costs against its source, a sentence each."""
    return [cost.sentence for cost in results.form_costs(snapshot(), benchmark)]


@kept.until_written(4)
def judged() -> str:
    """Changes with what judgements rest on. A run in training writes every second, and moves none of it."""
    about = [
        [(one.id, one.name, one.identity, one.bytes, one.run_id, one.archived) for one in every_model()],
        [(one.id, one.finished_at) for one in evaluations() if one.status == "finished"],
        [(one.run.id, one.run.experiment, one.run.base, one.run.tags) for one in runs()],
        [one.payload for kind in ("contamination", "models") for one in kept.store().reports.list(kind=kind)],
    ]
    return f"{kept.workspace().store_url}:{hashlib.sha256(repr(about).encode()).hexdigest()}"


@kept.until(judged, 64, shared=True)
def decision(question: results.Question) -> results.Decision:
    """What to ship, and why. Raises NotFound for an experiment or model that is not there."""
    return results.decide(snapshot(), question)


@kept.until(judged, 64, shared=True)
def scored(question: results.Question, benchmark: str, baseline: tuple[str, ...]) -> dict[str, results.Scored]:
    """Score of every model by a test, by id: on shared items those that the question is about, the others' own.

    baseline: ids of the formats of what they are held against.
    """
    asked = {one.model_id for one in decision(question).candidates} | set(baseline)
    every = models()
    among = results.scored(snapshot(), [one for one in every if one.id in asked], benchmark, baseline)
    rest = results.own_scores(snapshot(), [one for one in every if one.id not in asked], benchmark)
    return rest | among


@kept.until_written(4)
def experiments() -> list[str]:
    """Names of the experiments that have models here which are not archived."""
    present = {model.id for model in models()}
    return [name for name, members in results.experiments(snapshot()).items() if members & present]


@kept.until_written(4)
def measures() -> list[str]:
    """Benchmarks that some model's quality was measured by, the first to decide by first."""
    return list(results.measures_of(snapshot(), models()))


@kept.until_written(4)
def decisions() -> list[DecisionRecord]:
    """Every frozen decision."""
    return kept.store().decisions.list()


@kept.until_written(16, shared=True)
def rechecks() -> list[tuple[DecisionRecord, results.Recheck | None]]:
    """Frozen decisions, each held against the store of today; without the check where its model is gone."""
    found: list[tuple[DecisionRecord, results.Recheck | None]] = []
    for record in kept.store().decisions.list():
        try:
            found.append((record, results.recheck(record, kept.store())))
        except BakeoffError:
            found.append((record, None))
    return found


@kept.until_written(16)
def recorded_metrics(run_ids: tuple[str, ...]) -> list[str]:
    """Metrics that any of the runs recorded, by the alphabet."""
    return sorted({name for run in run_ids for name in kept.store().curves.metrics(run)})


def metrics(run_ids: Sequence[str]) -> list[str]:
    """Metrics that any of the runs recorded (of many runs, the first 20 are asked); losses first."""
    found = recorded_metrics(tuple(run_ids[:20]))
    return sorted(found, key=lambda name: (name != "loss", name != "validation_loss", name))


@kept.until_written(32)
def settings_of(run_ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """Settings in which the runs differ: setting → run id → value as shown."""
    known = {row.run.id: row.run for row in runs()}
    return settings.differing({run: known[run] for run in run_ids})


def figures(machine: str | None) -> dict[str, list[float]]:
    """What limits can bound: figures by metric, of all models on one machine (None: on any), and the models' bytes."""
    found: dict[str, list[float]] = {"bytes": [float(model.bytes) for model in models()]}
    present = {model.id for model in models()}
    for row in every_score():
        if row.model_id in present and row.benchmark == "latency" and machine in (None, row.machine_id):
            found.setdefault(row.metric, []).append(row.value)
    return found


def freeze(decision: results.Decision, name: str) -> DecisionRecord:
    """Keep a decision as it stands. Raises BakeoffError if nothing was chosen."""
    return results.freeze(decision, kept.store(), name)


def models_by_id() -> dict[str, Model]:
    """Every model by its id, the archived too."""
    return {model.id: model for model in every_model()}


def model_names() -> dict[str, str]:
    """Every model's name by its id, the archived too."""
    return {model.id: model.name for model in every_model()}


def model_ids() -> dict[str, str]:
    """Every model's id by its name, the archived too."""
    return {model.name: model.id for model in every_model()}


def run_names() -> dict[str, str]:
    """Name by run id; runs that share a name get the end of their id behind it."""
    listed = [row.run for row in runs()]
    times: dict[str, int] = {}
    for run in listed:
        times[run.name] = times.get(run.name, 0) + 1
    return {run.id: run.name if times[run.name] == 1 else f"{run.name} ({run.id[-6:]})" for run in listed}


def newest(benchmark: str) -> list[Evaluation]:
    """Each model's evaluation: the finished before the half-written, the fuller before the smaller, then the newest."""
    best: dict[str, tuple[tuple[bool, int, str], Evaluation]] = {}
    for one in evaluations(benchmark):
        worth = (one.status == "finished", max((score.n for score in one.scores), default=0), str(one.finished_at))
        if one.model_id not in best or worth >= best[one.model_id][0]:
            best[one.model_id] = (worth, one)
    return [one for _, one in best.values()]


@st.cache_resource(max_entries=512, show_spinner=False)  # shared: nobody changes a frame in place
def _outcomes(evaluation_id: str, version: str) -> pd.DataFrame:
    rows = kept.store().evaluations.outcomes(evaluation_id)
    return pd.DataFrame(
        [
            {"item": row.item, "sample": row.sample, "verdict": row.verdict, "value": row.value, **dict(row.details)}
            for row in rows
        ]
    )


def outcomes(evaluation: Evaluation) -> pd.DataFrame:
    """Items of an evaluation: item, sample, verdict, value and the columns of their details."""
    return _outcomes(evaluation.id, "" if evaluation.status == "finished" else kept.stamp())


def answer(frame: pd.DataFrame, item: str) -> dict[str, Any]:
    """A model's first answer to one item: the columns of `outcomes`; empty without one."""
    rows = frame[frame["item"] == item] if not frame.empty else frame
    return {} if rows.empty else {str(key): value for key, value in rows.iloc[0].items()}


def latency_requests(chosen: Sequence[Evaluation]) -> pd.DataFrame:
    """All requests of latency evaluations, with model_id, model, form, machine_id and the timings in seconds."""
    known = models_by_id()
    frames, whose = [], []
    for evaluation in chosen:
        frame, model = outcomes(evaluation), known.get(evaluation.model_id)
        if not frame.empty and model is not None:
            frames.append(frame)
            words = settings.line(evaluation.settings)
            whose += [(model.id, model.name, model.form, evaluation.machine_id, words)] * len(frame)
    if not frames:
        return pd.DataFrame()
    columns = ["model_id", "label", "form", "machine_id", "settings"]
    return pd.concat(frames, ignore_index=True).assign(**pd.DataFrame(whose, columns=columns))


def curves(run_ids: Sequence[str], metric: str) -> list[Curve]:
    """A metric of several runs at screen resolution, in the order asked; runs without it are left out."""
    states = {row.run.id: (row.run.status, row.steps) for row in runs()}
    buckets = BUCKETS if len(run_ids) <= palette.CROWD else CROWD_BUCKETS
    ended = tuple(run for run in run_ids if states.get(run, ("", 0))[0] not in ("running", "planned"))
    live = tuple(run for run in run_ids if states.get(run, ("", 0))[0] in ("running", "planned"))
    version = f"{kept.workspace().store_url}:{hash((ended, tuple(states.get(run) for run in ended)))}"
    found = dict(_curves(ended, metric, buckets, version)) if ended else {}
    if live:
        found |= _curves(live, metric, buckets, f"{kept.stamp()}:{hash(live)}")
    return [found[run] for run in run_ids if run in found and found[run].steps.size]


@st.cache_resource(max_entries=16, show_spinner=False)  # shared: frozen. `_run_ids` is hashed in `version`
def _curves(_run_ids: tuple[str, ...], metric: str, buckets: int, version: str) -> dict[str, Curve]:
    views = kept.store().curves.overview(_run_ids, metric, buckets=buckets)
    return {
        view.run_id: Curve(
            run_id=view.run_id,
            steps=view.steps.astype(np.float64),
            values=(view.low + view.high) / 2,
            low=view.low,
            high=view.high,
            broken=view.marks.astype(np.float64),
        )
        for view in views.values()
    }


def present_name(name: str) -> str:
    """What a model is called today that a link calls `name`; the same where there is none."""
    try:
        return kept.store().models.find(name).name
    except results.NotFound:
        return name


def present_fine_tune(name: str) -> str:
    """The fine-tune that a link means by its name or earlier name, by a format's, or by a model's id."""
    try:
        found = kept.store().models.find(name)
    except results.NotFound:
        return name
    return found.fine_tune or found.name


def edit_run(run_id: str, **changes: Any) -> None:
    """Rename, tag, note or archive a run: what people may change of a finished one."""
    kept.store().runs.edit(run_id, **changes)


def rename(fine_tune: str, name: str) -> None:
    """Call a fine-tune that no run made otherwise, in all its formats. Raises NotFound, NameTaken."""
    kept.store().models.rename(fine_tune, name)
