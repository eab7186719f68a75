"""What a reader of foreign files hands over: records ready for the store, and what was missing. It writes nothing."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, count
from typing import Any

from results.importers.names import LONGEST, Called
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


NAMELESS = Called(("imported",), "")


@dataclass(frozen=True)
class ImportedRun:
    """A run with its curves. `delivery` gives it its id and a name that is free."""

    run: Run
    points: tuple[Point, ...]
    called: Called
    """What it can be called, and where it lies or by which id its tool knows it: growing there, it stays itself."""
    former_id: str = ""
    """The id by which stores of before know it."""
    missing: tuple[str, ...] = ()
    """What the file does not say, as sentences."""
    summary: Mapping[str, Any] = field(default_factory=dict)
    """Figures of the whole run that are no curve: run time, final averages."""
    rest: Any = None
    """What else the file says of it and the store has no place for: part of what makes it itself."""

    @property
    def tool(self) -> str:
        """What wrote the file, from the source's end: "r8/trainer_state.json (Hugging Face Trainer)"."""
        return tool_of(self.run.source)

    @cached_property
    def content(self) -> str:
        """Digest of everything that the file says: any difference is another run, or the same one further on."""
        run = self.run
        times = [one and one.isoformat() for one in (run.started_at, run.finished_at)]
        said = [run.experiment, run.base, run.config, run.seed, run.status, run.total_steps, times]
        return digest(
            canonical(
                [self.tool, self.called.names[0], said, [list(one) for one in self.points], self.summary, self.rest]
            )
        )


@dataclass(frozen=True)
class ImportedEvaluation:
    """A model's measurement. `delivery` gives it its id, and its model a name that is free."""

    model: Model
    evaluation: Evaluation
    machine: Machine
    scores: tuple[Score, ...]
    outcomes: tuple[Outcome, ...] = ()
    called: Called = NAMELESS
    """What the model can be called."""
    former: str = ""
    """The model's identity in stores of before."""
    missing: tuple[str, ...] = ()
    rest: Any = None
    """What else the file says of it and the store has no place for: part of what makes it itself."""
    own: str = ""
    """Its id in the store that measured it, where that was Bakeoff's."""

    @cached_property
    def content(self) -> str:
        """Digest of everything that the file says, answers' texts too: any difference is another evaluation."""
        one = self.evaluation
        outcomes = [[each.item, each.sample, each.verdict, each.value, each.details] for each in self.outcomes]
        scores = [[each.metric, each.value, each.low, each.high, each.n] for each in self.scores]
        at = one.finished_at and one.finished_at.isoformat()
        said = [one.benchmark, one.settings, self.machine.id, one.subset, at, one.details]
        return digest(canonical([said, scores, outcomes, self.rest]))


@dataclass(frozen=True)
class Parcel:
    """Everything read from one file or folder."""

    format: str
    runs: tuple[ImportedRun, ...] = ()
    evaluations: tuple[ImportedEvaluation, ...] = ()
    notes: tuple[str, ...] = ()


class Curves:
    """Collects points under the store's metric names; (metric, step) again takes the new value, and is counted."""

    def __init__(self) -> None:
        self._values: dict[str, dict[int, float]] = {}
        self._names: dict[str, str] = {}
        self._again: dict[str, int] = {}

    def add(self, raw: str, step: int, value: float) -> None:
        """One value. Two raw names that would become one metric stay apart: the second keeps its own.

        Raises: ValueError for a step that is negative or too large.
        """
        if not 0 <= step <= LARGEST_STEP:
            raise ValueError(f"step {step} of {raw[:80]!r} is not between 0 and 2^62")
        raw = synonym(raw)
        name = self._names.get(raw) or self._named(raw)
        values = self._values.setdefault(name, {})
        if step in values and not same(values[step], value):
            self._again[name] = self._again.get(name, 0) + 1
        values[step] = value

    def _named(self, raw: str) -> str:
        """A metric's name, taken by no other raw name."""
        taken = set(self._names.values())
        own = raw[:LONGEST]
        wanted = chain([metric_name(raw)[:LONGEST], own], (f"{own} ({number})" for number in count(2)))
        self._names[raw] = next(one for one in wanted if one.strip() and one not in taken)
        return self._names[raw]

    def said(self) -> list[str]:
        """What happened to values, as sentences."""
        return several_values(self._again)

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


def several_values(again: Mapping[str, int]) -> list[str]:
    """Sentences on metrics of which so many steps were given another value."""
    return [f"{metric}: {times} steps have several values, of which the last counts" for metric, times in again.items()]


def synonym(raw: str) -> str:
    """A raw name in the store's word for it: train/lr and train/learning_rate are one."""
    head, slash, tail = raw.strip().rpartition("/")
    return f"{head}{slash}{NAMES.get(tail, tail)}"


def metric_name(raw: str) -> str:
    """The store's name of another tool's metric: train/loss → loss, eval_loss and val/loss → validation_loss."""
    if re.fullmatch(r"(train|training)[/_]loss|lm_loss", raw.strip()):
        return "loss"
    name = re.sub(r"^(train|training)/", "", raw.strip())
    validation = re.match(r"^(eval|val|valid|validation)[/_](.+)$", name)
    if validation:
        return "validation_" + NAMES.get(validation.group(2), validation.group(2))
    return NAMES.get(name, name)


def former_run_id(tool: str, name: str, identity: Any) -> str:
    """The id that a run had in stores of before: of its name and its beginning, which other runs may share."""
    return f"{slug(name)}-{digest([tool, name, canonical(identity)])[:8]}"


def tool_of(source: str) -> str:
    """The tool in a source's brackets."""
    return source.rpartition(" (")[2].removesuffix(")")


def beginning(points: Iterable[Point]) -> list[list[Any]]:
    """The values of the first step: what a run's file says at any time of its growth, so part of its identity."""
    known = list(points)
    first = min((one.step for one in known), default=0)
    return sorted([one.metric, one.step, canonical(one.value)] for one in known if one.step == first)


def same(one: float, other: float) -> bool:
    """Whether two values are one; NaN is NaN."""
    return one == other or (one != one and other != other)


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


def foreign_model(
    tool: str, called: Called, base: str = "", form: Form = "remote", size: int = 0, **details: Any
) -> Model:
    """A model that was measured elsewhere: its weights are not here. Its place is part of its identity."""
    name = called.names[0]
    identity = digest(["imported", tool, name, *([called.place] if called.place else [])])
    kept = {"imported_by": tool, "imported_as": name, **({"place": called.place} if called.place else {}), **details}
    return Model(
        id=f"{slug(name)}-{identity[:8]}", name=name, form=form, base=base or name, identity=identity, bytes=size,
        path="", details=kept,
    )  # fmt: skip


def former_identity(tool: str, name: str) -> str:
    """The identity that a foreign model had in stores of before: its tool and its file's name."""
    return digest(["imported", tool, name])


def foreign_machine(
    cpu: str = "", gpu: str = "", system: str = "", versions: Mapping[str, str] | None = None
) -> Machine:
    """The machine as far as a file tells."""
    machine = Machine("", cpu or "not recorded", (), 0, 0, gpu, system or "not recorded", dict(versions or {}))
    fields = {key: value for key, value in dataclasses.asdict(machine).items() if key != "id"}
    return dataclasses.replace(machine, id=digest(canonical(fields))[:12])
