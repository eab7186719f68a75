"""`train`: every variant of an experiment, from whatever is there already to registered models.

    runs = train(load_experiment("experiments/demo.yaml"), workspace.store(), workspace, progress)

Variants that share base, data and dtype train together in one process (`trainer.lockstep`); those that cannot are
trained one by one through TRL (`trainer.alone`). A finished run is reused, a stopped one goes on at its newest whole
checkpoint, and one failed variant does not end the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from results import Progress, Report, Run, RunStatus, Store, Workspace, digest, this_machine
from trainer import checkpoints, reporters
from trainer.bases import LoadedBase, load_base
from trainer.data import PreparedData, prepare
from trainer.errors import CheckpointInvalid, TrainerError
from trainer.experiment import Experiment
from trainer.lockstep import Member, train_group
from trainer.registration import register_adapter, register_base, register_whole
from trainer.row_order import RowOrder
from trainer.signals import Stop, stop_on_signals
from trainer.sweeps import halve, summarize
from trainer.together import Together, trains_together
from trainer.trainee import Trainee
from trainer.variants import Variant, variants

if TYPE_CHECKING:
    from trainer.alone import Ended


WAITING = "stopping after this step; once more stops at once"
"""Progress after the first Ctrl-C."""


def train(experiment: Experiment, store: Store, workspace: Workspace, progress: Progress) -> list[Run]:
    """Train every variant that is not finished yet, and register the bases and the fine-tunes as models.

    Raises: TrainerError for what the user must mend before anything can train; KeyboardInterrupt after Ctrl-C, with
    every run resumable. A run that fails or diverges does not raise: its record says so.
    """
    planned = variants(experiment)
    reporters.require({name for variant in planned for name in variant.experiment.training.report_to})
    for variant in planned:
        store.runs.add(_run(variant))
    with stop_on_signals(lambda: progress(WAITING, 0, 1)) as stop:

        def train_until(some: Sequence[Variant], step: int | None) -> bool:
            train_variants(some, store, workspace, progress, stop, step)
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
) -> None:
    """Train variants, each to step `until` at most; one that is cut there is left stopped, to go on later."""
    groups: dict[str, list[Variant]] = {}
    for variant in planned:
        groups.setdefault(_group_key(variant), []).append(variant)
    for group in groups.values():
        waiting = [variant for variant in group if store.runs.get(variant.id).status != "finished"]
        if stop.asked:
            return
        if waiting:
            _train_group(waiting, store, workspace, progress, stop, until)


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


def _train_group(
    group: Sequence[Variant], store: Store, workspace: Workspace, progress: Progress, stop: Stop, until: int | None
) -> None:
    own = group[0].experiment
    progress(f"loading {group[0].base}", 0, 1)
    base = load_base(group[0].base, own.training.quantization, own.training.dtype)
    progress(f"loading {group[0].base}", 1, 1)
    data = prepare(own.data, base.tokenizer, own.training.max_length, workspace, progress)
    store.reports.put(Report(own.name, "data", {**data.report, "identity": data.identity}))
    for variant in group:  # variants of one experiment may have data of their own
        store.reports.put(Report(variant.id, "data", {**data.report, "identity": data.identity}))
        store.reports.put(Report(variant.id, "contamination", data.report["contamination"]))
    register_base(base, store, workspace)
    store.machines.add(this_machine())
    ground = Ground(base, data)
    reasons = {variant.id: trains_together(variant.experiment, base.model) for variant in group}
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
        _train_alone(variant, ground, store, workspace, progress, stop, until, reasons[variant.id])


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
    variant: Variant,
    ground: Ground,
    store: Store,
    workspace: Workspace,
    progress: Progress,
    stop: Stop,
    until: int | None,
    why: str,
) -> None:
    training = variant.experiment.training
    order = row_order(variant, [len(example.input_ids) for example in ground.data.train], packing=False)
    steps = training.max_steps or order.steps_of(training.epochs)
    folder = workspace.folder("runs") / variant.id
    with checkpoints.lock(folder):
        ended = _run_alone(variant, ground, folder, order, steps, store, progress, stop, until)
    if ended is None:
        return
    notes = [f"trained alone through TRL: {why}", *ended.notes]
    notes += ["packing is ignored: TRL packs correctly with FlashAttention only"] if training.packing else []
    with stop.orderly():
        if ended.best is not None:
            register = register_whole if variant.experiment.lora.method == "full" else register_adapter
            details = {**ended.details, "dtype": ground.base.dtype, "notes": [*ground.base.notes, *notes]}
            register(variant.id, variant.name, ground.base, ended.best, store, workspace, details)
        store.runs.finish(variant.id, ended.status, ended.reason)
        store.reports.put(Report(variant.id, "training", {"notes": notes}))


def _run_alone(
    variant: Variant,
    ground: Ground,
    folder: Path,
    order: RowOrder,
    steps: int,
    store: Store,
    progress: Progress,
    stop: Stop,
    until: int | None,
) -> Ended | None:
    """What became of the run; None when it failed, which its record says."""
    from trainer.alone import build, train_alone  # TRL takes seconds to import, and most experiments never need it

    store.runs.start(variant.id, this_machine().id, steps)
    try:
        trl = build(variant.experiment, ground.base, ground.data, folder, identity_of(variant, ground), order, steps)
        with stop.orderly():
            return train_alone(
                variant.id,
                trl,
                store,
                lambda step: progress(f"training {variant.name}", step, steps),
                stop,
                steps if until is None else min(until, steps),
                variant.experiment.training,
            )
    except BaseException as error:
        status: RunStatus = "failed" if isinstance(error, Exception) else "stopped"
        status = "stopped" if isinstance(error, CheckpointInvalid) else status
        store.runs.finish(variant.id, status, f"{type(error).__name__}: {error}".strip(": "))
        if status == "stopped":
            raise
        return None


def row_order(variant: Variant, lengths: Sequence[int], packing: bool) -> RowOrder:
    """A variant's data order."""
    training = variant.experiment.training
    return RowOrder(
        lengths,
        training.batch_size * training.gradient_accumulation,
        training.max_length if packing else None,
        training.seed,
    )


def _member(variant: Variant, compute: Together, ground: Ground, workspace: Workspace, until: int | None) -> Member:
    """A run ready to train. Raises ValueError when its adapter fits no layer."""
    own = variant.experiment
    training = own.training
    order = row_order(variant, compute.train.lengths, training.packing)
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
        identity=identity_of(variant, ground),
        until=steps if until is None else min(until, steps),
    )


def identity_of(variant: Variant, ground: Ground) -> dict[str, Any]:
    """What a checkpoint must have in common with a run: base, data, and every setting that decides the weights."""
    return {**variant.config, "base.identity": ground.base.identity, "data.identity": ground.data.identity}


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
