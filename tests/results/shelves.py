"""Stores with models and measurements of known quality, for the tests of the judge."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from results import Evaluation, Machine, Model, Outcome, Score, Store, digest
from results.analysis.statistics import wilson_interval

HERE = Machine("here", "a CPU", ("avx2",), 2, 8_000_000_000, "", "Linux")
THERE = Machine("there", "another CPU", ("avx2",), 8, 32_000_000_000, "", "Linux")


def add_model(store: Store, name: str, size: int = 100_000_000, **fields: Any) -> Model:
    """A model; its weights are not needed to judge it."""
    model = Model(name, name, fields.pop("form", "gguf-q8_0"), "base", digest([name]), size, f"{name}.gguf", **fields)
    return store.models.add(model)


def add_humaneval(
    store: Store,
    model: Model,
    passed: Sequence[bool | None],
    machine: Machine = HERE,
    settings: Mapping[str, Any] | None = None,
    subset: str = "",
    details: Mapping[str, Any] | None = None,
) -> Evaluation:
    """One answer per task; None is an error of ours."""
    chosen = {"prompting": "chat", **(settings or {})}
    outcomes = [
        Outcome(f"HumanEval/{task}", 0, "error" if one is None else "passed" if one else "wrong")
        for task, one in enumerate(passed)
    ]
    counted = [one for one in passed if one is not None]
    low, high = wilson_interval(sum(counted), len(counted))
    scores = [Score("pass@1", sum(counted) / len(counted), low, high, len(counted))]
    measured = Evaluation("", model.id, "humaneval", chosen, machine.id, subset=subset, details=details or {})
    return _add(store, measured, machine, outcomes, scores)


def add_graded(
    store: Store, model: Model, values: Sequence[float], groups: Sequence[str] = (), benchmark: str = "mine"
) -> Evaluation:
    """Scores in [0, 1] of an own test's items; groups: of related items, one label an item."""
    details = [{"group": label} for label in groups] or [{}] * len(values)
    outcomes = [
        Outcome(f"q{item:03}", 0, "passed" if one == 1 else "wrong", one, details=details[item])
        for item, one in enumerate(values)
    ]
    scores = [Score("mean_share", float(np.mean(values)), None, None, len(values))]
    return _add(store, Evaluation("", model.id, benchmark, {"prompting": "chat"}, HERE.id), HERE, outcomes, scores)


def add_heldout(store: Store, model: Model, nats: Sequence[float], size: int = 100) -> Evaluation:
    """Summed nats of rows of `size` bytes each."""
    outcomes = [Outcome(str(row), value=one, details={"tokens": 30, "bytes": size}) for row, one in enumerate(nats)]
    value = sum(nats) / (size * len(nats)) / 0.6931471805599453
    scores = [Score("bits_per_byte", value, None, None, len(nats))]
    return _add(store, Evaluation("", model.id, "heldout", {}, HERE.id), HERE, outcomes, scores)


def add_latency(
    store: Store,
    model: Model,
    ttft: float,
    tpot: float,
    machine: Machine = HERE,
    settings: Mapping[str, Any] | None = None,
    rss: float = 3e8,
) -> Evaluation:
    """Ten requests around the given seconds."""
    spread = [0.9, 0.95, 0.97, 0.99, 1.0, 1.0, 1.01, 1.03, 1.05, 1.1]
    outcomes = [
        Outcome("short", sample, None, 24 * tpot * one, {"ttft_seconds": ttft * one, "tpot_seconds": tpot * one})
        for sample, one in enumerate(spread)
    ]
    scores = [
        Score("ttft_seconds_p50", ttft, ttft * 0.95, ttft * 1.05, 10),
        Score("ttft_seconds_p90", ttft * 1.05, None, None, 10),
        Score("tpot_seconds_p50", tpot, tpot * 0.95, tpot * 1.05, 10),
        Score("tokens_per_second_p50", 1 / tpot, None, None, 10),
        Score("peak_rss_bytes", rss, None, None, 1),
    ]
    measured = Evaluation("", model.id, "latency", {"tokens": 24, **(settings or {})}, machine.id)
    return _add(store, measured, machine, outcomes, scores)


def _add(
    store: Store, measured: Evaluation, machine: Machine, outcomes: Sequence[Outcome], scores: Sequence[Score]
) -> Evaluation:
    """The evaluation in the store, under an id of what it measured and found."""
    store.machines.add(machine)
    about = [measured.model_id, measured.benchmark, dict(measured.settings), machine.id]
    id_ = digest([*about, [repr(one) for one in outcomes]])[:24]
    store.evaluations.begin(dataclasses.replace(measured, id=id_))
    store.evaluations.add_outcomes(id_, outcomes)
    return store.evaluations.finish(id_, scores)


def passes(share: float, tasks: int = 164, seed: int = 0) -> list[bool]:
    """Tasks are passed in order of difficulty, but for a few: models of one family agree on most tasks."""
    noise = np.random.default_rng(seed).normal(0, 0.02, tasks)
    return [bool(place / tasks + jitter < share) for place, jitter in enumerate(noise)]
