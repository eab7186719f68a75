"""What an experiment would do, before anything is spent: runs, rows, tokens, memory, time, and what to change.

Nothing is trained and no weights are loaded; data and tokenizers are. How long exports and measurements take is not
here: they are foretold by `bakeoff.experiment.foretelling`, from this plan.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

from engines import (
    CUDA_WHEELS,
    OVERFLOWS,
    Place,
    gpus,
    llamacpp_gpus,
    places,
    unusable_gpu,
)
from results import Json, Progress, Workspace, digest, percent
from trainer.bases.devices import choose
from trainer.bases.loading import base_tokenizer
from trainer.bases.registry import PACKAGED, Shape
from trainer.data.examples import PreparedData
from trainer.data.pipeline import prepare
from trainer.data.report_words import data_words
from trainer.errors import TrainerError
from trainer.experiment.schema import Experiment
from trainer.experiment.variants import Variant, variants
from trainer.planning.estimates import dtype_of, memory, seconds, starting_seconds, validation_seconds
from trainer.planning.shapes import base_shape
from trainer.planning.shipping import impossible_forms
from trainer.runs import trackers


@dataclass(frozen=True)
class Need:
    """What a group needs at one place: this CPU, this machine's GPUs, or a card of `engines.LISTED`."""

    device: str
    memory_bytes: float
    """What one device must hold."""
    device_bytes: float
    checkpointing: bool
    seconds: float
    """Time of all its runs with their validations, several at once where there are several GPUs; no measurements."""
    dtype: str = ""
    """What it computes in there."""
    micro_batch: int = 0
    """Rows of a forward pass where the file's do not fit; 0 where they do."""
    at_once: int = 1
    """Runs that train at the same time, one a GPU."""
    note: str = ""
    """What the figures rest on, where that is not plain."""

    @property
    def fits(self) -> bool:
        """Whether it stays below 95 % of the device's memory."""
        return self.memory_bytes <= 0.95 * self.device_bytes


@dataclass(frozen=True)
class Group:
    """Variants of one base on one data set: they share both."""

    base: str
    runs: tuple[str, ...]
    parameters: int | None
    rows: int | None = None
    """Training rows after all filters; None when data or tokenizer cannot be had here."""
    validation_rows: int | None = None
    tokens: int | None = None
    """Tokens of one pass over the training rows."""
    validation_tokens: int | None = None
    steps: int | None = None
    """Optimizer steps of the longest run."""
    passes: float | None = None
    """Over the training rows, by the longest run."""
    needs: tuple[Need, ...] = ()
    report: Json = field(default_factory=dict)
    shape: Shape | None = None
    base_is_gguf: bool = False


@dataclass(frozen=True)
class Plan:
    """The plan of a whole experiment."""

    experiment: str
    groups: tuple[Group, ...]
    warnings: tuple[str, ...]
    """Each names the setting to change."""
    problems: tuple[str, ...]
    """What would stop the experiment on this machine."""

    @property
    def runs(self) -> int:
        """The number of runs."""
        return sum(len(group.runs) for group in self.groups)


def plan(
    experiment: Experiment,
    workspace: Workspace,
    progress: Progress | None = None,
    named: Sequence[Place] | None = None,
) -> Plan:
    """Plan an experiment. What cannot be had here becomes a problem in the plan, not an error.

    `named`: the places to say it for; by default this machine's and `engines.LISTED`.
    Raises: ExperimentInvalid when a swept setting does not fit.
    """
    groups: list[Group] = []
    warnings: list[str] = []
    problems: list[str] = [unusable] if (unusable := unusable_gpu()) else []
    ordered = sorted(
        variants(experiment), key=lambda variant: (experiment.bases.index(variant.base), _data_key(variant))
    )
    for _, members in groupby(ordered, key=lambda variant: (variant.base, _data_key(variant))):
        group, told, stopped = _group(list(members), workspace, progress, named)
        groups.append(group)
        warnings += [warning for warning in told if warning not in warnings]
        problems += [problem for problem in stopped if problem not in problems]
    warnings += _experiment_warnings(experiment)
    problems += impossible_forms(experiment)
    return Plan(experiment.name, tuple(groups), tuple(warnings), tuple(problems))


def _data_key(variant: Variant) -> str:
    own = variant.experiment
    return digest({"data": own.data.model_dump(mode="json"), "max_length": own.training.max_length})


def _group(
    members: Sequence[Variant],
    workspace: Workspace,
    progress: Progress | None,
    named: Sequence[Place] | None,
) -> tuple[Group, list[str], list[str]]:
    """Plan one group; also its warnings and its problems."""
    own = members[0].experiment
    base = members[0].base
    names = tuple(variant.name for variant in members)
    problems: list[str] = []
    shape: Shape | None = None
    prepared: PreparedData | None = None
    try:
        trackers.require(own.training.report_to)
        choose(own.training.dtype, quantization=own.training.quantization)
    except TrainerError as error:
        problems.append(str(error))
    try:
        shape = base_shape(base)
        prepared = prepare(own.data, base_tokenizer(base), own.training.max_length, workspace, progress)
    except TrainerError as error:
        problems.append(str(error))
    if shape is None:
        return Group(base, names, None), [], problems
    cpu = choose(own.training.dtype if own.training.dtype != "float16" else "auto", "cpu").dtype
    if prepared is None:
        long_row, work = own.training.max_length, None
    else:
        lengths = sorted(len(example.input_ids) for example in prepared.train)
        long_row, work = lengths[int(0.95 * (len(lengths) - 1))], _work(members, prepared)
    needs = tuple(_need(shape, members, long_row, work, place) for place in named or places(cpu))
    warned = _memory_warnings(base, needs, own)
    is_gguf = base.lower() == PACKAGED or base.endswith(".gguf")
    if prepared is None or work is None:
        return Group(base, names, shape.parameters, needs=needs, shape=shape, base_is_gguf=is_gguf), warned, problems
    group = Group(
        base=base,
        runs=names,
        parameters=shape.parameters,
        rows=len(prepared.train),
        validation_rows=len(prepared.validation),
        tokens=sum(lengths),
        validation_tokens=work.validation_tokens,
        steps=max(work.steps),
        passes=max(work.steps) * own.training.batch_size * own.training.gradient_accumulation / len(lengths),
        needs=needs,
        report=prepared.report,
        shape=shape,
        base_is_gguf=is_gguf,
    )
    return group, [*_data_warnings(group, own), *warned], problems


@dataclass(frozen=True)
class Work:
    """The steps and tokens that a group's runs go through."""

    steps: tuple[int, ...]
    """Optimizer steps of each run."""
    step_tokens: float
    step_answers: float
    """Tokens of a step that are trained on."""
    validation_tokens: int
    validation_answers: int


def _work(members: Sequence[Variant], prepared: PreparedData) -> Work:
    own = members[0].experiment
    tokens, rows = sum(len(example.input_ids) for example in prepared.train), len(prepared.train)
    rows_a_step = own.training.batch_size * own.training.gradient_accumulation
    answers = prepared.report["tokens"]["training"]["trained_tokens"]
    return Work(
        steps=tuple(_steps(variant.experiment, rows) for variant in members),
        step_tokens=tokens / rows * rows_a_step,
        step_answers=answers / rows * rows_a_step,
        validation_tokens=sum(len(example.input_ids) for example in prepared.validation),
        validation_answers=sum(label != -100 for example in prepared.validation for label in example.labels),
    )


def _steps(experiment: Experiment, rows: int) -> int:
    training = experiment.training
    if training.max_steps is not None:
        return training.max_steps
    return max(1, math.ceil(rows * training.epochs / (training.batch_size * training.gradient_accumulation)))


def _need(shape: Shape, members: Sequence[Variant], long_row: int, work: Work | None, place: Place) -> Need:
    """Estimate what the runs take there. Without their `work`, which needs the data, time is 0: not known."""
    found = [
        memory(shape, variant.experiment.training, variant.experiment.lora, long_row, len(members), place)
        for variant in members
    ]
    dtype = dtype_of(shape, members[0].experiment.training, place)
    overflow = OVERFLOWS.get(shape.architecture, "") if (place.dtype, dtype) == ("float16", "float32") else ""
    at_once, batch = min(place.count, len(members)), members[0].experiment.training.batch_size
    duration = 0.0
    if work is not None:
        each = [
            _run_seconds(shape, variant, steps, work, place) for variant, steps in zip(members, work.steps, strict=True)
        ]
        starting = starting_seconds(shape, members[0].experiment.training, place)
        starting *= len(members) if place.kind == "gpu" else 1  # a process a run; the CPU's runs share one
        duration = max(max(each), (sum(each) + starting) / at_once)
    return Need(
        device=place.name,
        memory_bytes=max(one.total for one in found),
        device_bytes=place.memory_bytes,
        checkpointing=any(one.checkpointing for one in found),
        seconds=duration,
        dtype=dtype,
        micro_batch=min((one.micro_batch for one in found if one.micro_batch < batch), default=0),
        at_once=at_once,
        note="; ".join(note for note in (place.note, overflow) if note),
    )


def _run_seconds(shape: Shape, variant: Variant, steps: int, work: Work, place: Place) -> float:
    training, lora = variant.experiment.training, variant.experiment.lora
    trained = seconds(shape, training, lora, steps, steps * work.step_tokens, steps * work.step_answers, place)
    validations = steps // (training.eval_steps or max(1, steps // 10))
    one = validation_seconds(shape, training, lora, work.validation_tokens, work.validation_answers, place)
    return trained + validations * one


def _data_warnings(group: Group, own: Experiment) -> list[str]:
    told = []
    found = group.report["tokens"]["training"]
    cut = (found["truncated"]) / max(1, found["rows"] + found["left_out_no_answer"])
    if cut > 0.05:
        told.append(
            f"{percent(cut)} of the rows are longer than {own.training.max_length} tokens and lose their end, so the "
            "model never sees them stop: raise training.max_length"
        )
    if group.passes and group.passes > 4:
        told.append(
            f"{group.steps} steps go {group.passes:.0f} times over {group.rows} rows, which is more than most data "
            "bears: lower training.max_steps or training.epochs, or add data"
        )
    if group.validation_rows is not None and group.validation_rows < 100 and own.data.validation_limit is None:
        told.append(
            f"{group.validation_rows} validation rows leave a wide interval: raise data.validation_fraction above "
            f"{own.data.validation_fraction:g}"
        )
    told += data_words(group.report)
    contamination = group.report.get("contamination") or {}
    for benchmark in [contamination, *contamination.get("others", [])] if contamination else []:
        if benchmark["items"] and not own.data.remove_contaminated:
            told.append(
                f"{len(benchmark['items'])} of {benchmark['total']} tasks of {benchmark['benchmark']} are in the "
                "training data; scores will be given with and without them: set data.remove_contaminated: true"
            )
    return told


def _memory_warnings(base: str, needs: Sequence[Need], own: Experiment) -> list[str]:
    """Say what to change for devices that are too small; the first change that the file has not made yet."""
    told = []
    for need in needs:
        if need.fits:
            continue
        if own.lora.method == "full":
            remedy = "set lora.method: lora"
        elif own.training.quantization == "none":
            remedy = "set training.quantization: nf4"
        elif own.training.batch_size > 1:
            remedy = f"lower training.batch_size from {own.training.batch_size}, raise training.gradient_accumulation"
        else:
            remedy = f"lower training.max_length from {own.training.max_length}, or choose a smaller base"
        told.append(
            f"{base} needs about {need.memory_bytes / 1e9:.1f} GB on {need.device}, which has "
            f"{need.device_bytes / 1e9:.1f}: {remedy}"
        )
    return told


def _tokenizer_kind(base: str) -> tuple[str, int]:
    """Return what tells tokenizers apart without loading them; bases that cannot be had count as one kind."""
    try:
        shape = base_shape(base)
    except TrainerError:
        return "", 0
    return shape.architecture, shape.vocabulary


def _experiment_warnings(experiment: Experiment) -> list[str]:
    told = []
    sweep, evaluate = experiment.sweep, experiment.evaluate
    if (sweep.grid or sweep.random or sweep.variants) and len(sweep.seeds) < 2:
        told.append(
            "one seed per setting cannot tell a setting's effect from chance: give sweep.seeds two or more, e.g. [0, 1]"
        )
    if evaluate.latency is not None and not any("gguf" in form for form in evaluate.forms):
        told.append("latency is measured on GGUF files only: add gguf-q8_0 or lora-gguf to evaluate.forms")
    if any("gguf" in form for form in evaluate.forms) and gpus() and not llamacpp_gpus():
        told.append(
            "GGUF files are asked through llama.cpp, whose build here is for processors, so that part of the time is "
            f"the processor's: {CUDA_WHEELS}"
        )
    if not evaluate.base and experiment.bases:
        told.append("the untouched bases are not measured, so nobody learns whether training helped: evaluate.base")
    if sweep.keep_best_by == "validation_loss" and len({_tokenizer_kind(base) for base in experiment.bases}) > 1:
        told.append(
            "loss per token does not compare across tokenizers: set sweep.keep_best_by: validation_bits_per_byte"
        )
    return told
