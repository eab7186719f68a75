"""What the pages show, read from the store: the only cached module.

Every cached function takes plain arguments and `stamp()`, which changes when the store does: what nobody wrote is never
read twice, and what was written is seen at the next look. Curves of runs that have ended never change and are kept
without it. Nothing here writes but `edit_run`, `add_vote` and `freeze`, each at a person's click.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

import results
from dashboard import palette
from dashboard.chat import client
from dashboard.views.curves import Curve
from results.errors import BakeoffError
from results.records import (
    DecisionRecord,
    Evaluation,
    Json,
    Machine,
    Model,
    PublishedResult,
    Run,
    RunSummary,
    ScoreRow,
    Vote,
)

BUCKETS = 256
"""Buckets a curve: as many as the store keeps ready, each with its least and greatest value, on 800 to 1,600 pixels."""
CROWD_BUCKETS = 100
"""Buckets a curve when hundreds are drawn over each other."""


def workspace() -> results.Workspace:
    """The workspace that `bakeoff dashboard` was started for."""
    return results.Workspace.open()


@st.cache_resource(max_entries=4, show_spinner=False)
def _store(folder: str, url: str) -> results.Store:
    return results.Workspace(folder).store(url)


def store() -> results.Store:
    """The store of this workspace, opened once a process."""
    place = workspace()
    return _store(str(place.path), place.store_url)


def stamp() -> str:
    """Changes whenever the store was written. For SQLite its files' times and sizes, else every 3 seconds."""
    place = workspace().path
    marks = []
    for name in ("results.db", "results.db-wal"):
        try:
            status = (place / name).stat()
            marks.append(f"{status.st_mtime_ns}.{status.st_size}")
        except OSError:
            marks.append("-")
    if os.environ.get("BAKEOFF_DATABASE_URL") or marks[0] == "-":
        marks.append(str(int(time.time() / 3)))
    return f"{place}:{':'.join(marks)}"


@st.cache_resource(max_entries=4, show_spinner=False)  # frozen, so shared: a thousand take 10 ms to copy
def _runs(stamp: str) -> list[RunSummary]:
    return store().runs.list()


@st.cache_data(max_entries=4, show_spinner=False)
def _models(stamp: str) -> list[Model]:
    return store().models.list()


@st.cache_resource(max_entries=2, show_spinner=False)  # shared: it only reads, and keeps what it read
def _reading(stamp: str) -> results.Reading:
    return results.Reading(store())


@st.cache_data(max_entries=4, show_spinner=False)
def _scores(stamp: str) -> list[ScoreRow]:
    return store().evaluations.scores()


@st.cache_data(max_entries=4, show_spinner=False)
def _machines(stamp: str) -> list[Machine]:
    return store().machines.list()


@st.cache_data(max_entries=4, show_spinner=False)
def _styles(stamp: str) -> Mapping[str, palette.Style]:
    return palette.styles(_runs(stamp), _models(stamp))


@st.cache_data(max_entries=4, show_spinner=False)
def _votes(stamp: str) -> list[Vote]:
    return store().votes.list()


@st.cache_data(max_entries=4, show_spinner=False)
def _published(stamp: str) -> list[PublishedResult]:
    rows = [*results.read_published(), *store().published.list()]
    return list({(row.study, row.subject, row.metric, row.item): row for row in rows}.values())


@st.cache_data(max_entries=64, show_spinner=False)
def _evaluations(model_id: str | None, benchmark: str | None, stamp: str) -> list[Evaluation]:
    return store().evaluations.list(model_id=model_id, benchmark=benchmark)


@st.cache_resource(max_entries=512, show_spinner=False)  # shared: nobody changes a frame in place
def _outcomes(evaluation_id: str, version: str) -> pd.DataFrame:
    rows = store().evaluations.outcomes(evaluation_id)
    return pd.DataFrame(
        [
            {"item": row.item, "sample": row.sample, "verdict": row.verdict, "value": row.value, **dict(row.details)}
            for row in rows
        ]
    )


@st.cache_data(max_entries=16, show_spinner=False)
def _contaminated(benchmark: str, stamp: str) -> list[str]:
    return sorted(results.contaminated_items(_reading(stamp), _models(stamp), benchmark))


def contaminated(benchmark: str) -> list[str]:
    """Items of a benchmark that some model's training data is known to hold."""
    return _contaminated(benchmark, stamp())


@st.cache_data(max_entries=64, show_spinner=False)
def _compared(a: str, b: str, benchmark: str, stamp: str) -> str:
    known = {model.name: model for model in _models(stamp)}
    try:
        return results.compare(_reading(stamp), known[a], known[b], benchmark).verdict
    except BakeoffError as error:
        return str(error)


def compared(a: str, b: str, benchmark: str) -> str:
    """Two models by name, paired item by item, in the words that the command line uses."""
    return _compared(a, b, benchmark, stamp())


@st.cache_data(max_entries=4, show_spinner=False)
def _form_costs(benchmark: str, stamp: str) -> list[str]:
    return [cost.sentence for cost in results.form_costs(_reading(stamp), benchmark)]


def form_costs(benchmark: str) -> list[str]:
    """What each exported form costs against its source, a sentence each."""
    return _form_costs(benchmark, stamp())


@st.cache_resource(max_entries=64, show_spinner=False)  # frozen, so shared
def _decision(
    limits: tuple[tuple[str, float], ...], machine: str | None, benchmark: str | None, stamp: str
) -> results.Decision:
    bounds: dict[str, Any] = dict(limits)
    return results.decide(_reading(stamp), results.Limits(**bounds), machine, benchmark)


def decision(limits: Mapping[str, float], machine: str | None = None, benchmark: str | None = None) -> results.Decision:
    """What to ship under these limits (fields of `results.Limits`), and why."""
    return _decision(tuple(sorted(limits.items())), machine, benchmark, stamp())


def figures(machine: str | None) -> dict[str, list[float]]:
    """What limits can bound: figures by metric, of all models on one machine (None: on any), and the models' bytes."""
    found: dict[str, list[float]] = {"bytes": [float(model.bytes) for model in models()]}
    for row in _scores(stamp()):
        if row.benchmark == "latency" and machine in (None, row.machine_id):
            found.setdefault(row.metric, []).append(row.value)
    return found


def freeze(decision: results.Decision, name: str) -> DecisionRecord:
    """Keep a decision as it stands. Raises BakeoffError if nothing was chosen."""
    return results.freeze(decision, store(), name)


@st.cache_resource(max_entries=16, show_spinner=False)
def _rechecks(stamp: str) -> list[tuple[DecisionRecord, results.Recheck | None]]:
    found: list[tuple[DecisionRecord, results.Recheck | None]] = []
    for record in store().decisions.list():
        try:
            found.append((record, results.recheck(record, store())))
        except BakeoffError:
            found.append((record, None))
    return found


def rechecks() -> list[tuple[DecisionRecord, results.Recheck | None]]:
    """Frozen decisions, each held against the store of today; None where its model is gone."""
    return _rechecks(stamp())


@st.cache_resource(max_entries=16, show_spinner=False)
def _ranking(judge: str, equal_length: bool, stamp: str) -> results.Ratings | None:
    votes = [vote for vote in _votes(stamp) if vote.judge == judge]
    return results.rate(votes, judge, equal_length) if votes else None


def ranking(judge: str = "", equal_length: bool = False) -> results.Ratings | None:
    """The ranking by votes of people, or of one judging model; None without a vote."""
    return _ranking(judge, equal_length, stamp())


def runs() -> list[RunSummary]:
    """Every run, with the ends of its curves."""
    return list(_runs(stamp()))


def models(archived: bool = False) -> list[Model]:
    """Every model, in the order of registration."""
    return [model for model in _models(stamp()) if archived or not model.archived]


def model_names() -> dict[str, str]:
    """Name by model id."""
    return {model.id: model.name for model in models(archived=True)}


def run_names() -> dict[str, str]:
    """Name by run id; runs that share a name get the end of their id behind it."""
    listed = [row.run for row in runs()]
    times: dict[str, int] = {}
    for run in listed:
        times[run.name] = times.get(run.name, 0) + 1
    return {run.id: run.name if times[run.name] == 1 else f"{run.name} ({run.id[-6:]})" for run in listed}


def styles() -> Mapping[str, palette.Style]:
    """How each run and model is drawn, by id; the same on every page."""
    return _styles(stamp())


def machines() -> dict[str, str]:
    """Machine id → one line that names it."""
    return {machine.id: machine_line(machine) for machine in _machines(stamp())}


def machine_line(machine: Machine) -> str:
    """CPU, cores, memory, GPU and the fastest instruction set."""
    gpu = f", {machine.gpu}" if machine.gpu else ""
    return f"{machine.cpu}, {machine.cores} cores, {machine.ram_bytes / 2**30:.0f} GiB{gpu} ({machine.id[:6]})"


def scores(benchmark: str | None = None, metric: str | None = None) -> pd.DataFrame:
    """Scores with everything they can be traced to, one row each; columns as `ScoreRow`."""
    rows = [
        row
        for row in _scores(stamp())
        if (benchmark is None or row.benchmark == benchmark) and (metric is None or row.metric == metric)
    ]
    frame = pd.DataFrame([vars(row) for row in rows])
    if frame.empty:
        return pd.DataFrame(columns=list(ScoreRow.__dataclass_fields__))
    return frame


def evaluations(benchmark: str | None = None, model_id: str | None = None) -> list[Evaluation]:
    """Evaluations, the half-written ones too."""
    return _evaluations(model_id, benchmark, stamp())


def newest(benchmark: str) -> list[Evaluation]:
    """Each model's evaluation: the finished before the half-written, the fuller before the smaller, then the newest."""
    best: dict[str, tuple[tuple[bool, int, str], Evaluation]] = {}
    for one in evaluations(benchmark):
        worth = (one.status == "finished", max((score.n for score in one.scores), default=0), str(one.finished_at))
        if one.model_id not in best or worth >= best[one.model_id][0]:
            best[one.model_id] = (worth, one)
    return [one for _, one in best.values()]


def answer(frame: pd.DataFrame, item: str) -> dict[str, Any]:
    """A model's first answer to one item: the columns of `outcomes`; empty without one."""
    rows = frame[frame["item"] == item] if not frame.empty else frame
    return {} if rows.empty else {str(key): value for key, value in rows.iloc[0].items()}


def outcomes(evaluation: Evaluation) -> pd.DataFrame:
    """Items of an evaluation: item, sample, verdict, value and the columns of their details."""
    return _outcomes(evaluation.id, "" if evaluation.status == "finished" else stamp())


def latency_requests(chosen: Sequence[Evaluation]) -> pd.DataFrame:
    """All requests of latency evaluations, with model_id, model, form, machine_id and the timings in seconds."""
    known = {model.id: model for model in models(archived=True)}
    frames, whose = [], []
    for evaluation in chosen:
        frame, model = outcomes(evaluation), known.get(evaluation.model_id)
        if not frame.empty and model is not None:
            frames.append(frame)
            words = setting_line(evaluation.settings)
            whose += [(model.id, model.name, model.form, evaluation.machine_id, words)] * len(frame)
    if not frames:
        return pd.DataFrame()
    columns = ["model_id", "label", "form", "machine_id", "settings"]
    return pd.concat(frames, ignore_index=True).assign(**pd.DataFrame(whose, columns=columns))


def prompt_sets() -> dict[str, list[Evaluation]]:
    """Evaluations of prompt sets by the set's name, the newest set first."""
    found: dict[str, list[Evaluation]] = {}
    for one in reversed(evaluations("prompts")):
        found.setdefault(f"{one.settings.get('set')} ({one.settings.get('prompts')})", []).append(one)
    return found


def prompt_table(found: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Prompts down, models across: the answers."""
    columns = [frame.set_index("item")["answer"].rename(model) for model, frame in found.items() if not frame.empty]
    prompts = pd.concat(
        [frame.set_index("item")["prompt"] for frame in found.values() if not frame.empty] or [pd.Series(dtype=str)]
    )
    table = pd.concat([prompts[~prompts.index.duplicated()].rename("Prompt"), *columns], axis=1)
    return pd.DataFrame(table.sort_index())


def setting_line(settings: Json) -> str:
    """Settings as one line: `max_tokens=64, threads=2`."""
    return ", ".join(f"{key}={value}" for key, value in sorted(settings.items()))


def votes() -> list[Vote]:
    """Every vote."""
    return _votes(stamp())


def published() -> pd.DataFrame:
    """Figures of others' studies, those that ship with Bakeoff and those in the store; columns as `PublishedResult`."""
    rows = _published(stamp())
    columns = list(PublishedResult.__dataclass_fields__)
    return pd.DataFrame([vars(row) for row in rows], columns=columns)


def curves(run_ids: Sequence[str], metric: str) -> list[Curve]:
    """A metric of several runs at screen resolution, in the order asked; runs without it are left out."""
    states = {row.run.id: (row.run.status, row.steps) for row in runs()}
    buckets = BUCKETS if len(run_ids) <= 24 else CROWD_BUCKETS
    ended = tuple(run for run in run_ids if states.get(run, ("", 0))[0] not in ("running", "planned"))
    live = tuple(run for run in run_ids if states.get(run, ("", 0))[0] in ("running", "planned"))
    version = f"{workspace().store_url}:{hash((ended, tuple(states.get(run) for run in ended)))}"
    found = dict(_curves(ended, metric, buckets, version)) if ended else {}
    if live:
        found |= _curves(live, metric, buckets, f"{stamp()}:{hash(live)}")
    return [found[run] for run in run_ids if run in found and found[run].steps.size]


@st.cache_resource(max_entries=16, show_spinner=False)  # shared: frozen. `_run_ids` is hashed in `version`
def _curves(_run_ids: tuple[str, ...], metric: str, buckets: int, version: str) -> dict[str, Curve]:
    views = store().curves.overview(_run_ids, metric, buckets=buckets)
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


@st.cache_data(max_entries=16, show_spinner=False)
def _metrics(run_ids: tuple[str, ...], stamp: str) -> list[str]:
    names: set[str] = set()
    for run in run_ids:
        names |= set(store().curves.metrics(run))
    return sorted(names)


def metrics(run_ids: Sequence[str]) -> list[str]:
    """Metrics that any of the runs recorded (of many runs, the first 20 are asked); losses first."""
    found = _metrics(tuple(run_ids[:20]), stamp())
    return sorted(found, key=lambda name: (name != "loss", name != "validation_loss", name))


@st.cache_data(max_entries=32, show_spinner=False)
def _settings(run_ids: tuple[str, ...], stamp: str) -> dict[str, dict[str, str]]:
    known = {row.run.id: row.run for row in _runs(stamp)}
    flat = {run: flatten(known[run].config) | {"base": known[run].base, "seed": known[run].seed} for run in run_ids}
    keys = sorted({key for config in flat.values() for key in config})
    differing = [key for key in keys if len({repr(config.get(key)) for config in flat.values()}) > 1]
    return {key: {run: text(config.get(key)) for run, config in flat.items()} for key in differing}


def settings_of(run_ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """Settings in which the runs differ: setting → run id → value as shown."""
    return _settings(tuple(run_ids), stamp())


def flatten(config: Json, prefix: str = "") -> dict[str, Any]:
    """Nested settings under dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{name}.")
        else:
            flat[name] = value
    return flat


def text(value: object) -> str:
    """A setting as it is shown: absent is a dash."""
    return "–" if value is None else str(value)


def find_run(run_id: str) -> Run | None:
    """A run by its id."""
    return next((row.run for row in runs() if row.run.id == run_id), None)


@st.cache_data(ttl=5, max_entries=4, show_spinner=False)
def _served(url: str) -> list[str]:
    return [str(row["id"]) for row in client.served()]


def served() -> list[str]:
    """Names that the model server answers to. Raises ServerSilent."""
    return _served(client.address())


def base_name(names: Sequence[str]) -> str | None:
    """The untouched base among those served: the first that no run made."""
    return next((model.name for model in models() if model.run_id is None and model.name in names), None)


def edit_run(run_id: str, **changes: Any) -> None:
    """Rename, tag, note or archive a run: what people may change of a finished one."""
    store().runs.edit(run_id, **changes)


def add_vote(vote: Vote) -> None:
    """Keep a person's preference."""
    store().votes.add(vote)
