"""How long an experiment takes as a whole, place by place: training from the plan, exports and measurements beside it.

Within a factor of two, and said so. GGUF files are written by the CPU and asked through llama.cpp, on a GPU only where
xllamacpp is a CUDA build; everything else is asked where training is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

import evaluator
import trainer
from bakeoff.experiment.elsewhere import Standing
from bakeoff.experiment.lm_eval_tests import TaskTest
from bakeoff.experiment.own_tests import OwnTest, latency_settings
from engines import Place, Sizes, llamacpp_gpus, places, this_device
from evaluator import Batch, Where
from results import BakeoffError, Form
from trainer import Evaluate, Group, Plan

BESIDE_A_BASE: tuple[Form, ...] = ("adapter", "merged")
"""Forms that an untouched base has no export of; that of lora-gguf is the file which the adapters stand beside."""


@dataclass(frozen=True)
class Part:
    """One stage of an experiment."""

    stage: str
    """training, export, humaneval, heldout, stopping, tests or latency."""
    form: str
    """Empty for training."""
    seconds: float


@dataclass(frozen=True)
class Whole:
    """An experiment from its first step to its last figure, at one place."""

    device: str
    seconds: float
    """Sum of the parts."""
    parts: tuple[Part, ...]
    llamacpp: str
    """Where GGUF files are asked."""


@dataclass(frozen=True)
class Others:
    """The models that an experiment does not train, and what is measured of them."""

    standing: tuple[Standing, ...] = ()
    heldout_tokens: float = 0.0
    """Tokens of the held-out rows, in all."""


NOBODY = Others()


def foretold(
    evaluate: Evaluate,
    plan: Plan,
    named: Sequence[Place] | None = None,
    others: Others = NOBODY,
    tests: Sequence[OwnTest | TaskTest] = (),
) -> tuple[Whole, ...]:
    """The time at every place that the plan names; none where a base's shape or rows cannot be had here.

    `named`: the plan's places, this machine's CPU first. `tests`: tests of one's own.
    Raises: BakeoffError for settings of a measurement that it refuses; BaseUnavailable for weights without a shape.
    """
    if any(group.shape is None or group.validation_tokens is None for group in plan.groups):
        return ()
    named = named or places(this_device("cpu").dtype)
    wholes, asides = [], aside(evaluate, others.standing)
    for place in named:
        where = Where(place, place if place.kind == "gpu" and llamacpp_gpus() else named[0], named[0])
        trained = sum(_training(group, place.name) for group in plan.groups)
        parts = [Part("training", "", trained)] if plan.groups else []
        for group in plan.groups:
            tokens = float(group.validation_tokens or 0)
            parts += _parts(evaluate, [(batch, False) for batch in batches(evaluate, group)], tokens, where, tests)
        parts += _parts(evaluate, asides, others.heldout_tokens, where, tests)
        summed = _summed(parts)
        wholes.append(Whole(place.name, sum(part.seconds for part in summed), summed, where.llamacpp.name))
    return tuple(wholes)


def _training(group: Group, place: str) -> float:
    return next(need.seconds for need in group.needs if need.device == place)


def _parts(
    wanted: Evaluate,
    asked: Sequence[tuple[Batch, bool]],
    tokens: float,
    where: Where,
    tests: Sequence[OwnTest | TaskTest],
) -> list[Part]:
    """Exports and measurements of batches, each with whether it is there and measured whatever forms are asked for.

    tokens: of the held-out rows.
    """
    found = []
    for batch, there in asked:
        found.append(Part("export", batch.form, 0.0 if there else evaluator.export_of(batch, where)))
        for name, settings in wanted.measurements.items():
            forms = settings.get("forms", wanted.forms)
            if there or batch.form in forms or batch.form in UNTOUCHED:
                own = {key: value for key, value in settings.items() if key != "forms"}
                own = latency_settings(own) if name == "latency" else own
                found.append(Part(name, batch.form, _measuring(name, batch, own, tokens, where)))
        for test in tests:
            if there or batch.form in test.forms or batch.form in UNTOUCHED:
                seconds = evaluator.questions_of(batch, test.answers, test.characters, test.foretold, where)
                found.append(Part("tests", batch.form, seconds))
    return [part for part in found if part.seconds]


UNTOUCHED: tuple[Form, ...] = ("base", "gguf-other")
"""Batches of a base alone, in a folder or a GGUF file."""


def _measuring(name: str, batch: Batch, settings: Mapping[str, Any], tokens: float, where: Where) -> float:
    if name == "heldout":
        return evaluator.heldout_of(batch, tokens, where)
    of = {"humaneval": evaluator.humaneval_of, "stopping": evaluator.stopping_of, "latency": evaluator.latency_of}[name]
    try:
        return of(batch, settings, where)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise BakeoffError(f"evaluate.{name}.{key}: {first['msg']}; it is {first['input']!r}") from error


def batches(wanted: Evaluate, group: Group) -> list[Batch]:
    """The models that will be there, by form: fine-tunes, and the untouched base where it is measured too."""
    assert group.shape is not None
    shape = group.shape
    sizes = Sizes(shape.layers, shape.linear_parameters, shape.vocabulary * shape.hidden)
    own: Form = "lora-gguf" if group.base_is_gguf else "adapter"
    beside: Form = "gguf-other" if group.base_is_gguf else wanted.lora_base
    found = []
    for form in wanted.forms:
        exported = not group.base_is_gguf and form not in ("adapter", "merged")
        models = len(group.runs) + int(wanted.base and (form == own or exported))
        written = form == "lora-gguf" and not group.base_is_gguf and beside not in wanted.forms
        found.append(Batch(form, models, sizes, form in ("adapter", "lora-gguf"), beside, written))
    if wanted.base and own not in wanted.forms:
        found.append(Batch("gguf-other" if group.base_is_gguf else "base", 1, sizes, True))
    return found


def aside(wanted: Evaluate, standing: Sequence[Standing]) -> list[tuple[Batch, bool]]:
    """The batches of models that are there already, each with whether its form is the only one that it is measured in.

    Adapters of one base are exported and measured as trained ones are; whole folders one by one; files as they are.
    Raises: BaseUnavailable.
    """
    found = list[tuple[Batch, bool]]()
    alike: dict[tuple[Form, Path], int] = {}
    for one in standing:
        alike[one.form, one.weights] = alike.get((one.form, one.weights), 0) + 1
    for (form, weights), count in alike.items():
        shape = trainer.base_shape(str(weights))
        is_gguf = weights.suffix == ".gguf"
        if form == "adapter":
            names = tuple(f"{weights}-{number}" for number in range(count))
            group = Group(str(weights), names, shape.parameters, shape=shape, base_is_gguf=is_gguf)
            found += [(batch, False) for batch in batches(wanted, group)]
            continue
        sizes = Sizes(shape.layers, shape.linear_parameters, shape.vocabulary * shape.hidden)
        if form != "merged":
            found.append((Batch(form, count, sizes, form == "lora-gguf"), True))
            continue
        for other in dict.fromkeys("merged" if other == "adapter" else other for other in wanted.forms):
            if other != "lora-gguf":
                found.append((Batch(other, count, sizes, shared=False), other == "merged"))
    return found


def _summed(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Parts of one stage and form added up over the bases, in the order of the stages."""
    summed: dict[tuple[str, str], float] = {}
    for part in sorted(parts, key=lambda part: STAGES.index(part.stage)):
        summed[part.stage, part.form] = summed.get((part.stage, part.form), 0.0) + part.seconds
    return tuple(Part(stage, form, seconds) for (stage, form), seconds in summed.items())


STAGES = ("training", "export", "humaneval", "heldout", "stopping", "tests", "latency")
"""What an experiment goes through, in this order."""
