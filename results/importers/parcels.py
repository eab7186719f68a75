"""What a reader of foreign files hands over: records ready for the store, and what was missing. It writes nothing."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from results.records import Evaluation, Form, Machine, Model, Outcome, Point, Run, Score, digest

LARGEST_STEP = 2**62
"""Beyond it a step does not fit the store's 64-bit column with room to spare."""

NAMES = {
    "grad_norm": "gradient_norm",
    "lr": "learning_rate",
    "num_input_tokens_seen": "tokens_seen",
    "num_tokens": "tokens_seen",
    "total_tokens": "tokens_seen",
    "throughput": "tokens_per_second",
    "elapsed_time": "elapsed_seconds",
}
"""Other tools' names → the store's."""


@dataclass(frozen=True)
class ImportedRun:
    """A run with its curves."""

    run: Run
    points: tuple[Point, ...]
    missing: tuple[str, ...] = ()
    """What the file does not say, as sentences."""
    summary: Mapping[str, Any] = field(default_factory=dict)
    """Figures of the whole run that are no curve: run time, final averages."""


@dataclass(frozen=True)
class ImportedEvaluation:
    """A model's measurement."""

    model: Model
    evaluation: Evaluation
    machine: Machine
    scores: tuple[Score, ...]
    outcomes: tuple[Outcome, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Parcel:
    """Everything read from one file or folder."""

    format: str
    runs: tuple[ImportedRun, ...] = ()
    evaluations: tuple[ImportedEvaluation, ...] = ()
    notes: tuple[str, ...] = ()


class Curves:
    """Collects points under the store's metric names; (metric, step) again takes the new value."""

    def __init__(self) -> None:
        self._values: dict[str, dict[int, float]] = {}
        self._owner: dict[str, str] = {}

    def add(self, raw: str, step: int, value: float) -> None:
        """One value. Two raw names that would become one metric stay apart: the second keeps its own.

        Raises: ValueError for a step that is negative or too large.
        """
        if not 0 <= step <= LARGEST_STEP:
            raise ValueError(f"step {step} of {raw[:80]!r} is not between 0 and 2^62")
        name = metric_name(raw)
        if self._owner.setdefault(name, raw) != raw:
            name = raw
        self._values.setdefault(name, {})[step] = value

    def points(self) -> tuple[Point, ...]:
        """All points, by metric, then step."""
        return tuple(
            Point(metric, step, values[step])
            for metric, values in sorted(self._values.items())
            for step in sorted(values)
        )

    def last_step(self, metric: str = "loss") -> int:
        """The last step with that metric; 0 without one."""
        return max(self._values.get(metric, {}), default=0)

    def last(self, metric: str = "loss") -> float | None:
        """The last value of that metric."""
        values = self._values.get(metric)
        return values[max(values)] if values else None

    def __contains__(self, metric: str) -> bool:
        return metric in self._values


def metric_name(raw: str) -> str:
    """The store's name of another tool's metric: train/loss → loss, eval_loss and val/loss → validation_loss."""
    if re.fullmatch(r"(train|training)[/_]loss|lm_loss", raw.strip()):
        return "loss"
    name = re.sub(r"^(train|training)/", "", raw.strip())
    validation = re.match(r"^(eval|val|valid|validation)[/_](.+)$", name)
    if validation:
        return "validation_" + NAMES.get(validation.group(2), validation.group(2))
    return NAMES.get(name, name)


def run_id(tool: str, name: str, identity: Any) -> str:
    """Deterministic id of an imported run: reading the same file again names the same run."""
    return f"{slug(name)}-{digest([tool, name, canonical(identity)])[:8]}"


def beginning(points: Iterable[Point]) -> list[list[Any]]:
    """The values of the first step: what a run's file says at any time of its growth, so part of its identity."""
    known = list(points)
    first = min((one.step for one in known), default=0)
    return sorted([one.metric, one.step, canonical(one.value)] for one in known if one.step == first)


def slug(name: str) -> str:
    """Lower-case letters, digits and dashes, at most 60; never empty."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60].strip("-") or "imported"


def canonical(value: Any) -> Any:
    """A JSON value whose NaN and infinities are words, so that it can be hashed and stored anywhere."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): canonical(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(one) for one in value]
    return value


def foreign_model(tool: str, name: str, base: str = "", form: Form = "remote", size: int = 0, **details: Any) -> Model:
    """A model that was measured elsewhere: its weights are not here."""
    identity = digest(["imported", tool, name])
    return Model(
        id=f"{slug(name)}-{identity[:8]}", name=name, form=form, base=base or name, identity=identity, bytes=size,
        path="", details={"imported_by": tool, **details},
    )  # fmt: skip


def foreign_machine(
    cpu: str = "", gpu: str = "", system: str = "", versions: Mapping[str, str] | None = None
) -> Machine:
    """The machine as far as a file tells."""
    machine = Machine("", cpu or "not recorded", (), 0, 0, gpu, system or "not recorded", dict(versions or {}))
    fields = {key: value for key, value in dataclasses.asdict(machine).items() if key != "id"}
    return dataclasses.replace(machine, id=digest(canonical(fields))[:12])


def evaluation_id(model: Model, benchmark: str, settings: Mapping[str, Any], machine: Machine, content: Any) -> str:
    """Deterministic id of an imported evaluation; other content is another evaluation."""
    return digest([model.id, benchmark, canonical(settings), machine.id, canonical(content)])[:32]


def outcomes_content(outcomes: Sequence[Outcome], scores: Iterable[Score]) -> Any:
    """What makes an imported evaluation itself."""
    return [[one.item, one.sample, one.verdict, one.value] for one in outcomes] or [
        [one.metric, one.value] for one in scores
    ]
