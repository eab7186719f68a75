"""`train`: every variant of an experiment, from whatever is there already to registered models.

    runs = train(load_experiment("experiments/demo.yaml"), workspace.store(), workspace, progress)

On a CPU, variants that share base, data and dtype train together in this process (`trainer.multi_lora.loop`); those
that cannot are trained one by one through TRL (`trainer.trl_loop.trainer`). On GPUs every run is TRL's, one a GPU, in a
process of its own (`trainer.gpu_runs.isolated`), and this one loads no weights and opens no GPU. A finished run is
reused, a stopped one goes on at its newest whole checkpoint, and one failed variant does not end the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import IO

from engines import Device, gpus, unusable_gpu
from results import Progress, Report, Run, RunStatus, Store, Workspace, digest, this_machine
from trainer.bases.loading import Base, LoadedBase, describe_base, load_base
from trainer.data.examples import PreparedData
from trainer.data.pipeline import prepare
from trainer.errors import BaseUnavailable, CheckpointInvalid, TrainerError
from trainer.experiment.schema import Experiment
from trainer.experiment.sweeps import halve, summarize
from trainer.experiment.variants import Variant, variants
from trainer.gpu_runs.handover import keep
from trainer.gpu_runs.isolated import train_isolated
from trainer.multi_lora.loop import Member, train_group
from trainer.multi_lora.model import Together, why_alone
from trainer.multi_lora.run_state import Trainee
from trainer.planning.sharing import ON_A_GPU
from trainer.runs import checkpoints, trackers
from trainer.runs.assignment import Assignment, assign, identity_of, row_order, settle
from trainer.runs.ended import Ended
from trainer.runs.registration import register_adapter, register_base
from trainer.runs.signals import Stop, stop_on_signals
from trainer.trl_loop.division import Division

WAITING = "stopping after this step; once more stops at once"
"""Progress after the first Ctrl-C."""


def train(
    experiment: Experiment,
    store: Store,
    workspace: Workspace,
    progress: Progress,
    devices: Sequence[Device] | None = None,
) -> list[Run]:
    """Train every variant that is not finished yet, and register the bases and the fine-tunes as models.

    devices: where runs train one a device, each in a process of its own. Default: the GPUs that torch can use, or none,
    and then all train in this process.
    Raises: TrainerError for what the user must mend before anything can train; KeyboardInterrupt after Ctrl-C, with
    every run resumable. A run that fails or diverges does not raise: its record says so.
    """
    if devices is None:
        if problem := unusable_gpu():
            raise BaseUnavailable(problem)
        devices = gpus()
    planned = variants(experiment)
    trackers.require({name for variant in planned for name in variant.experiment.training.report_to})
    for variant in planned:
        store.runs.add(_run(variant))
    with stop_on_signals(lambda: progress(WAITING, 0, 1)) as stop:

        def train_until(some: Sequence[Variant], step: int | None) -> bool:
            train_variants(some, store, workspace, progress, stop, step, devices)
            return not stop.asked

        if experiment.sweep.halving:
            halve(experiment, planned, store, train_until)
        else:
            train_until(planned, None)
    if stop.asked:
        raise KeyboardInterrupt
    if len(planned) > 1:
        summarize(experiment, planned, store)
    return [store.runs.get(variant.id) for variant in planned]


def train_variants(
    planned: Sequence[Variant],
    store: Store,
    workspace: Workspace,
    progress: Progress,
    stop: Stop,
    until: int | None = None,
    devices: Sequence[Device] = (),
) -> None:
    """Train variants, each to step `until` at most; one that is cut there is left stopped, to go on later.

    devices: as for `train`; without any, all train in this process.
    """
    groups: dict[str, list[Variant]] = {}
    for variant in planned:
        groups.setdefault(_group_key(variant), []).append(variant)
    open_groups = [
        unfinished
        for group in groups.values()
        if (unfinished := [variant for variant in group if store.runs.get(variant.id).status != "finished"])
    ]
    if devices:
        _train_isolated(open_groups, devices, store, workspace, progress, stop, until)
        return
    for group in open_groups:
        if stop.asked:
            return
        _train_group(group, store, workspace, progress, stop, until)


def _run(variant: Variant) -> Run:
    return Run(
        id=variant.id,
        name=variant.name,
        experiment=variant.experiment.name,
        base=variant.base,
        config=variant.config,
        seed=variant.seed,
    )


def _group_key(variant: Variant) -> str:
    """Variants with one key can share base and data."""
    own = variant.experiment
    return digest(
        {
            "base": variant.base,
            "data": own.data.model_dump(mode="json"),
            "max_length": own.training.max_length,
            "quantization": own.training.quantization,
            "dtype": own.training.dtype,
            "method": own.lora.method,
        }
    )


@dataclass(frozen=True)
class Ground:
    """What a group of variants stands on."""

    base: LoadedBase
    data: PreparedData


def _prepared(
    group: Sequence[Variant], base: Base, store: Store, workspace: Workspace, progress: Progress
) -> PreparedData:
    """The group's data; what it is goes to the store, and the base and the machine."""
    own = group[0].experiment
    data = prepare(own.data, base.tokenizer, own.training.max_length, workspace, progress)
    store.reports.put(Report(own.name, "data", {**data.report, "identity": data.identity}))
    for variant in group:  # variants of one experiment may have data of their own
        store.reports.put(Report(variant.id, "data", {**data.report, "identity": data.identity}))
        store.reports.put(Report(variant.id, "contamination", data.report["contamination"]))
    register_base(base, store, workspace)
    store.machines.add(this_machine())
    return data


def _train_isolated(
    groups: Sequence[Sequence[Variant]],
    devices: Sequence[Device],
    store: Store,
    workspace: Workspace,
    progress: Progress,
    stop: Stop,
    until: int | None,
) -> None:
    """Train groups one run a device. All data is prepared first: a bad row is found before any device works."""
    with ExitStack() as kept:
        assignments: list[tuple[Assignment, IO[bytes]]] = []
        for group in groups:
            training = group[0].experiment.training
            base = describe_base(group[0].base, training.quantization, training.dtype, devices[0].name)
            data = _prepared(group, base, store, workspace, progress)
            examples = kept.enter_context(keep(data.train, data.validation, workspace.folder("cache")))
            assignments += [(assign(variant, base, data, workspace, until, ON_A_GPU), examples) for variant in group]
        train_isolated(assignments, devices, store, workspace, progress, stop)


def _train_group(
    group: Sequence[Variant], store: Store, workspace: Workspace, progress: Progress, stop: Stop, until: int | None
) -> None:
    own = group[0].experiment
    progress(f"loading {group[0].base}", 0, 1)
    base = load_base(group[0].base, own.training.quantization, own.training.dtype)
    progress(f"loading {group[0].base}", 1, 1)
    data = _prepared(group, base, store, workspace, progress)
    ground = Ground(base, data)
    reasons = {variant.id: why_alone(variant.experiment, base.model) for variant in group}
    alone = [variant for variant in group if reasons[variant.id]]
    together = [variant for variant in group if not reasons[variant.id]]
    if together:
        with stop.orderly():
            _train_together(together, ground, store, workspace, progress, stop, until)
    for number, variant in enumerate(alone):
        if stop.asked:
            return
        if together or number:  # TRL changes the model it trains
            ground = replace(ground, base=load_base(variant.base, own.training.quantization, own.training.dtype))
        assignment = assign(variant, ground.base, data, workspace, until, reasons[variant.id])
        _train_alone(assignment, ground, store, workspace, progress, stop)


def _train_together(
    group: Sequence[Variant],
    ground: Ground,
    store: Store,
    workspace: Workspace,
    progress: Progress,
    stop: Stop,
    until: int | None,
) -> None:
    compute = Together(ground.base.model, ground.data.train, ground.data.validation)
    members = []
    for variant in group:
        try:
            members.append(_member(variant, compute, ground, workspace, until))
        except ValueError as error:
            store.runs.finish(variant.id, "failed", str(error))
    with ExitStack() as held:  # before any status changes: another process may be training these runs
        for member in members:
            held.enter_context(checkpoints.lock(member.folder))
        _run_group(compute, members, ground, store, workspace, progress, stop)


def _run_group(
    compute: Together,
    members: Sequence[Member],
    ground: Ground,
    store: Store,
    workspace: Workspace,
    progress: Progress,
    stop: Stop,
) -> None:
    for member in members:
        store.runs.start(member.trainee.run_id, this_machine().id, member.trainee.total_steps)
    names = ", ".join(member.trainee.name for member in members)
    try:
        train_group(compute, members, store, progress, stop, f"training {names}")
    except CheckpointInvalid as error:
        _finish_all(members, "stopped", str(error), store)
        raise
    except BaseException as error:
        status: RunStatus = "stopped" if isinstance(error, (KeyboardInterrupt, SystemExit)) else "failed"
        _finish_all(members, status, f"{type(error).__name__}: {error}".strip(": "), store)
        if not isinstance(error, (RuntimeError, MemoryError)):
            raise
        return
    for member in members:
        if member.status == "finished":
            _register(member, ground, store, workspace)
        elif not member.reason:
            member.reason = f"cut at step {member.trainee.step} of {member.trainee.total_steps}"
        store.runs.finish(member.trainee.run_id, member.status, member.reason)
        if member.notes:
            store.reports.put(Report(member.trainee.run_id, "training", {"notes": member.notes}))


def _train_alone(
    assignment: Assignment, ground: Ground, store: Store, workspace: Workspace, progress: Progress, stop: Stop
) -> None:
    with checkpoints.lock(assignment.folder):
        ended = _run_alone(assignment, ground, store, progress, stop)
    if ended is not None:
        with stop.orderly():
            settle(assignment, ground.base.notes, ended, store, workspace)


def _run_alone(assignment: Assignment, ground: Ground, store: Store, progress: Progress, stop: Stop) -> Ended | None:
    """What became of the run; None when it failed, which its record says."""
    from trainer.trl_loop import trainer as alone  # TRL takes seconds to import, and most experiments never need it

    variant, data = assignment.variant, ground.data
    training = variant.experiment.training
    store.runs.start(variant.id, this_machine().id, assignment.steps)
    try:
        order = row_order(training, [len(example.input_ids) for example in data.train], packing=False)
        place = alone.Ground(ground.base, data.train, data.validation, assignment.folder, assignment.identity)
        trl = alone.build(variant.experiment, place, order, assignment.steps, Division.of(training))
        with stop.orderly():
            return alone.train_alone(
                variant.id,
                trl,
                store.curves,
                lambda step: progress(f"training {variant.name}", step, assignment.steps),
                stop,
                assignment.until,
                training,
            )
    except BaseException as error:
        status: RunStatus = "failed" if isinstance(error, Exception) else "stopped"
        status = "stopped" if isinstance(error, CheckpointInvalid) else status
        store.runs.finish(variant.id, status, f"{type(error).__name__}: {error}".strip(": "))
        if status == "stopped":
            raise
        return None


def _member(variant: Variant, compute: Together, ground: Ground, workspace: Workspace, until: int | None) -> Member:
    """A run ready to train. Raises ValueError when its adapter fits no layer."""
    own = variant.experiment
    training = own.training
    order = row_order(training, compute.train.lengths, training.packing)
    steps = training.max_steps or order.steps_of(training.epochs)
    trainee = Trainee(
        run_id=variant.id,
        name=variant.name,
        base=variant.base,
        lora=own.lora,
        settings=training,
        adapter=compute.adapter(own),
        order=order,
        total_steps=steps,
    )
    return Member(
        trainee=trainee,
        folder=workspace.folder("runs") / variant.id,
        identity=identity_of(variant, ground.base, ground.data.identity),
        until=steps if until is None else min(until, steps),
    )


def _register(member: Member, ground: Ground, store: Store, workspace: Workspace) -> None:
    trainee = member.trainee
    if member.best is None:
        raise TrainerError(f"{trainee.name} finished without a validation; training.eval_steps is too large")
    details = {
        "best_step": trainee.best_step,
        "validation_loss": trainee.best_loss,
        "steps": trainee.step,
        "dtype": ground.base.dtype,
        "notes": [*ground.base.notes, *member.notes],
    }
    register_adapter(trainee.run_id, trainee.name, ground.base, member.best, store, workspace, details)


def _finish_all(members: Iterable[Member], status: RunStatus, reason: str, store: Store) -> None:
    for member in members:
        store.runs.finish(member.trainee.run_id, status, reason)
