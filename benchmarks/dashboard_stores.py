"""The stores that dashboard.py opens: ours, TensorBoard's and MLflow's, with the same curves in them.

Twenty curves are distinct, the others are copies of them, row by row or file by file.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from peers import MLflow

from results import Point, Run, Workspace
from results.records import Outcome
from tests.dashboard import stores

DISTINCT = 20


def curve(number: int, steps: int) -> np.ndarray[Any, Any]:
    """A falling, noisy loss with one spike."""
    noise = np.random.default_rng(number)
    values = 1.5 + 2 * np.exp(-np.arange(steps) / (steps / 5)) + noise.normal(0, 0.1, steps)
    values[int(noise.integers(1, steps - 1))] = 50.0
    return values


def fill(folder: Path, runs: int, steps: int, evaluations: int) -> Workspace:
    """Many runs, the first twenty curves through the store, the others copied in SQL; the first runs' models measured.

    evaluations: HumanEval (40 tasks) and latency (12 requests) by turns, so of half as many models; among these are
    as many votes, and each answered three prompts of a set.
    """
    workspace = Workspace(folder)
    with workspace.store() as store:
        store.machines.add(stores.LAPTOP)
        for number in range(runs):
            store.runs.add(Run(f"run{number}", f"run{number}", "benchmark", "base", {"lora.rank": number % 4}, number))
            if number < DISTINCT:
                points = [Point("loss", at, float(value)) for at, value in enumerate(curve(number, steps))]
                store.curves.append(f"run{number}", points)
        for number in range(evaluations // 2):
            model = stores.model(f"model{number}", "lora-gguf", f"run{number}", 270_000_000 + 1000 * number)
            store.models.add(model)
            stores.write_humaneval(store, model, 0.2 + 0.3 * number / evaluations)
            stores.write_latency(store, model, 50 + number, stores.LAPTOP)
            begun = store.evaluations.begin(
                stores.evaluation(model, "prompts", stores.LAPTOP, {"set": "three", "prompts": 3})
            )
            details = [{"prompt": prompt, "answer": f"{prompt} Because. " * 20} for prompt in ("Why?", "How?", "When?")]
            rows = [Outcome(f"prompt-{at}", value=1.0, details=each) for at, each in enumerate(details)]
            store.evaluations.add_outcomes(begun.id, rows)
            store.evaluations.finish(begun.id, [], {})
        if len(models := store.models.list()) > 1:
            stores.write_votes(store, models, evaluations)
        stores.write_published(store)
    with sqlite3.connect(folder / "results.db") as connection:
        connection.row_factory = sqlite3.Row
        for number in range(DISTINCT, runs):
            _copy(connection, f"run{number % DISTINCT}", f"run{number}")
        connection.execute("UPDATE runs SET status = 'finished'")
    return workspace


def _copy(connection: sqlite3.Connection, source: str, target: str) -> None:
    """One run's curve with all its segments and its level under another run."""
    for curve_row in connection.execute("SELECT * FROM curves WHERE run_id = ?", (source,)).fetchall():
        row = {key: curve_row[key] for key in tuple(curve_row.keys()) if key != "id"} | {"run_id": target}
        new = _insert(connection, "curves", row)
        for table in ("curve_segments", "curve_levels"):
            for part in connection.execute(f"SELECT * FROM {table} WHERE curve_id = ?", (curve_row["id"],)).fetchall():
                kept = {key: part[key] for key in tuple(part.keys()) if key != "id"}
                _insert(connection, table, kept | {"curve_id": new})


def _insert(connection: sqlite3.Connection, table: str, row: dict[str, Any]) -> int:
    marks = ", ".join("?" for _ in row)
    names = ", ".join(f'"{name}"' for name in row)
    done = connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(row.values()))
    return int(done.lastrowid or 0)


def fill_tensorboard(folder: Path, runs: int, steps: int) -> None:
    """One event file a run, as its SummaryWriter leaves it; twenty written, the others copied."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    for number in range(runs):
        path = folder / f"run{number}" / "events.out.tfevents.0"
        path.parent.mkdir(parents=True)
        if number >= DISTINCT:
            os.link(folder / f"run{number % DISTINCT}" / path.name, path)
            continue
        with path.open("wb") as file:
            writer = RecordWriter(file)
            writer.write(Event(wall_time=0.0, file_version="brain.Event:2").SerializeToString())
            for step, value in enumerate(curve(number, steps)):
                summary = Summary(value=[Summary.Value(tag="loss", simple_value=float(value))])
                writer.write(Event(wall_time=step, step=step, summary=summary).SerializeToString())


def fill_mlflow(folder: Path, python: str, runs: int, steps: int) -> Path:
    """Its SQLite file with as many runs, in an experiment called `benchmark` (its number is 1)."""
    folder.mkdir()
    np.concatenate([curve(number % DISTINCT, steps) for number in range(runs)]).tofile(folder / "values")
    with MLflow(python, folder) as mlflow:
        mlflow.ask("fill", file=str(folder / "values"), runs=runs, steps=steps)
    return folder / "mlflow.db"
