"""`train`: every variant of an experiment, from whatever is there already to registered models.

    runs = train(load_experiment("experiments/demo.yaml"), workspace.store(), workspace, progress)

On a CPU, variants that share base, data and dtype train together in this process (`trainer.multi_lora.loop`); those
that cannot are trained one by one through TRL (`trainer.trl_loop.trainer`). On GPUs every run is TRL's, one a GPU, in a
process of its own (`trainer.gpu_runs.isolated`), and this one loads no weights and opens no GPU. Over a cluster
(`trainer.ray_runs`) its workers do the same, each for its part of the variants. A finished run is reused, a stopped one
goes on at its newest whole checkpoint, and one failed variant does not end the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from functools import partial
from typing import IO, Any

from engines import Device, gpus, unusable_gpu
from results import Progress, Run, RunStatus, Store, Workspace, digest, this_machine
from trainer.bases.loading import Base, LoadedBase, base_identity, describe_base, is_here, load_base
from trainer.data.examples import PreparedData
from trainer.data.pipeline import prepare, rows_now
from trainer.errors import BaseUnavailable, CheckpointInvalid, DataInvalid, TrainerError
from trainer.experiment.schema import Data, Experiment
from trainer.experiment.sweeps import halve, summarize
from trainer.experiment.variants import Variant, variants
from trainer.gpu_runs.handover import keep
from trainer.gpu_runs.isolated import train_isolated
from trainer.multi_lora import Member, SharedBase, Trainee, train_group, why_alone
from trainer.planning.sharing import ON_A_GPU
from trainer.runs import checkpoints, trackers
from trainer.runs.assignment import Assignment, assign, identity_of, row_order, settle
from trainer.runs.ended import Ended
from trainer.runs.registration import Trained, register_adapter, register_base
from trainer.runs.session import Session
from trainer.runs.signals import stop_on_signals
from trainer.trl_loop.division import Division
from trainer.trl_loop.supervision import Supervision

Trains = Callable[[Session, Sequence[Variant]], None]
"""Trains variants, each to the session's `until` at most. Raises what the user must mend, once all have ended."""

WAITING = "stopping after this step; once more stops at once"
"""Progress after the first Ctrl-C."""


def train(
    experiment: Experiment,
    store: Store,
    workspace: Workspace,
    progress: Progress,
    devices: Sequence[Device] | None = None,
    over: AbstractContextManager[Trains] | None = None,
) -> list[Run]:
    """Train every variant that is not finished yet, and register the bases and the fine-tunes as models.

    devices: where runs train one a device, each in a process of its own. Default: the GPUs that torch can use, or none,
    and then all train in this process.
    over: who trains them instead, e.g. `OverRay`; entered while there is something to train.
    Raises: TrainerError for what the user must mend before anything can train; KeyboardInterrupt after Ctrl-C, with
    every run resumable. A run that fails or diverges does not raise: its record says so.
    """
    if devices is None and over is None:
        if problem := unusable_gpu():
            raise BaseUnavailable(problem)
        devices = gpus()
    planned = variants(experiment)
    if problem := changed_since(experiment, store, workspace):
        raise TrainerError(problem)
    trackers.require({name for variant in planned for name in variant.experiment.training.report_to})
    for variant in planned:
        store.runs.add(_run(variant))
    with stop_on_signals(lambda: progress(WAITING, 0, 1)) as stop:
        session = Session(store, workspace, progress, stop)
        with over or nullcontext(partial(train_variants, devices=devices or ())) as train_some:

            def train_until(some: Sequence[Variant], step: int | None) -> bool:
                train_some(replace(session, until=step), some)
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


def train_variants(session: Session, planned: Sequence[Variant], devices: Sequence[Device] = ()) -> None:
    """Train variants, each to the session's `until` at most; one that is cut there is left stopped, to go on later.

    devices: as for `train`; without any, all train in this process.
    """
    open_groups = unfinished(session.store, planned)
    if devices:
        _train_isolated(session, open_groups, devices)
        return
    for group in open_groups:
        if session.stop.asked:
            return
        _train_group(session, group)


def unfinished(store: Store, planned: Sequence[Variant]) -> list[list[Variant]]:
    """The variants that have not finished, those together that can share base and data."""
    groups: dict[str, list[Variant]] = {}
    for variant in planned:
        if store.runs.get(variant.id).status != "finished":
            groups.setdefault(_group_key(variant), []).append(variant)
    return list(groups.values())


def changed_since(experiment: Experiment, store: Store, workspace: Workspace) -> str:
    """Which finished runs learned other rows or another base than there are now, in one line; empty where none did.

    Each would pass for a run on today's. Not told of what cannot be read here any more, of a Hub's base, and of runs
    that finished before the digests were kept, but where the number of their rows tells.
    """
    today: dict[str, tuple[str, int]] = {}
    found: list[str] = []
    there = {summary.run.id for summary in store.runs.list() if summary.run.status == "finished"}
    for variant in (one for one in variants(experiment) if one.id in there):
        if report := store.reports.get(variant.id, "data"):
            base = _other_base(variant.base, report.payload.get("base_sha256", ""))
            rows = "" if base else _other_rows(variant.experiment.data, report.payload, workspace, today)
            found += [f"{variant.name} ({base or rows})"] if base or rows else []
    if not found:
        return ""
    named = [*found[:3], *([f"and {len(found) - 3} more"] if len(found) > 3 else [])]
    return (
        f"These runs finished on something else than there is now: {', '.join(named)}. To train anew give the "
        "experiment another name, or put back what was changed; what is trained can be measured: bakeoff evaluate"
    )


def _other_base(name: str, then: str) -> str:
    try:
        now = base_identity(name) if then and is_here(name) else then
    except BaseUnavailable:
        return ""
    return f"base {name}: SHA-256 {then[:12]} then, {now[:12]} now" if now != then else ""


def _other_rows(data: Data, then: Mapping[str, Any], workspace: Workspace, today: dict[str, tuple[str, int]]) -> str:
    key = digest(data.model_dump(mode="json"))
    try:
        sha, count = today[key] = today.get(key) or rows_now(data, workspace)
    except DataInvalid:
        return ""
    if then.get("rows_sha256", sha) == sha and then["kept"] == count:
        return ""
    return f"{', '.join(source.name for source in data.sources)}: {then['kept']} rows then, {count} now"


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


def _prepared(session: Session, group: Sequence[Variant], base: Base) -> PreparedData:
    """The group's data; what it is goes to the store, and the base and the machine."""
    own = group[0].experiment
    data = prepare(own.data, base.tokenizer, own.training.max_length, session.workspace, session.progress)
    session.verify(base.identity, data.identity)
    payload = {**data.report, "identity": data.identity, "base_sha256": base.identity}
    for variant in group:  # variants of one experiment may have data of their own
        session.report(variant.id, "data", payload)
        session.report(variant.id, "contamination", data.report["contamination"])
    register_base(base, session)
    session.store.machines.add(this_machine())
    return data


def _train_isolated(session: Session, groups: Sequence[Sequence[Variant]], devices: Sequence[Device]) -> None:
    """Train groups one run a device. All data is prepared first: a bad row is found before any device works."""
    with ExitStack() as kept:
        assignments: list[tuple[Assignment, IO[bytes]]] = []
        for group in groups:
            training = group[0].experiment.training
            base = describe_base(group[0].base, training.quantization, training.dtype, devices[0].name)
            data = _prepared(session, group, base)
            examples = kept.enter_context(keep(data.train, data.validation, session.workspace.folder("cache")))
            assignments += [(assign(session, variant, base, data, ON_A_GPU), examples) for variant in group]
        train_isolated(session, assignments, devices)


def _train_group(session: Session, group: Sequence[Variant]) -> None:
    own = group[0].experiment
    session.progress(f"loading {group[0].base}", 0, 1)
    base = load_base(group[0].base, own.training.quantization, own.training.dtype)
    session.progress(f"loading {group[0].base}", 1, 1)
    data = _prepared(session, group, base)
    reasons = [(variant, why_alone(variant.experiment, base.model)) for variant in group]
    together = [variant for variant, reason in reasons if not reason]
    alone = [(variant, reason) for variant, reason in reasons if reason]
    if together:
        with session.stop.orderly():
            _train_together(session, together, base, data)
    for number, (variant, reason) in enumerate(alone):
        if session.stop.asked:
            return
        if together or number:  # TRL changes the model it trains
            base = load_base(variant.base, own.training.quantization, own.training.dtype)
        _train_alone(session, assign(session, variant, base, data, reason), base, data)


def _train_together(session: Session, group: Sequence[Variant], base: LoadedBase, data: PreparedData) -> None:
    compute = SharedBase(base.model, data.train, data.validation)
    members = []
    for variant in group:
        try:
            members.append(_member(session, variant, compute, base, data))
        except ValueError as error:
            session.finish(variant.id, "failed", str(error))
    with ExitStack() as held:  # before any status changes: another process may be training these runs
        for member in members:
            held.enter_context(checkpoints.lock(member.folder))
        _run_group(session, compute, members, base)


def _run_group(session: Session, compute: SharedBase, members: Sequence[Member], base: LoadedBase) -> None:
    for member in members:
        session.start(member.trainee.run_id, member.trainee.total_steps)
    try:
        train_group(session, compute, members)
    except CheckpointInvalid as error:
        for member in members:
            session.finish(member.trainee.run_id, "stopped", str(error))
        raise
    except BaseException as error:
        status: RunStatus = "stopped" if isinstance(error, (KeyboardInterrupt, SystemExit)) else "failed"
        for member in members:
            session.fail(member.trainee.run_id, error, status)
        if not isinstance(error, (RuntimeError, MemoryError)):
            raise
        return
    for member in members:
        if member.status == "finished":
            _register(session, member, base)
        elif not member.reason:
            member.reason = f"cut at step {member.progress.step} of {member.trainee.total_steps}"
        session.finish(member.trainee.run_id, member.status, member.reason)
        if member.notes:
            session.report(member.trainee.run_id, "training", {"notes": member.notes})


def _train_alone(session: Session, assignment: Assignment, base: LoadedBase, data: PreparedData) -> None:
    with checkpoints.lock(assignment.folder):
        ended = _run_alone(session, assignment, base, data)
    if ended is not None:
        with session.stop.orderly():
            settle(session, assignment, base.notes, ended)


def _run_alone(session: Session, assignment: Assignment, base: LoadedBase, data: PreparedData) -> Ended | None:
    """Train one run through TRL. None when it failed, which its record says."""
    from trainer.trl_loop import trainer as alone  # TRL takes seconds to import, and most experiments never need it

    variant, steps = assignment.variant, assignment.steps
    training = variant.experiment.training
    session.start(variant.id, steps)
    try:
        order = row_order(training, [len(example.input_ids) for example in data.train], packing=False)
        material = alone.Material(base, data.train, data.validation, assignment.folder, assignment.identity)
        trl = alone.build(variant.experiment, material, order, steps, Division.of(training))
        supervision = Supervision(
            curves=session.store.curves,
            progress=lambda step: session.progress(f"training {variant.name}", step, steps),
            stop=session.stop,
            until=assignment.until,
        )
        with session.stop.orderly():
            return alone.train_alone(variant.id, trl, supervision, training)
    except BaseException as error:
        status: RunStatus = "failed" if isinstance(error, Exception) else "stopped"
        status = "stopped" if isinstance(error, CheckpointInvalid) else status
        session.fail(variant.id, error, status)
        if status == "stopped":
            raise
        return None


def _member(session: Session, variant: Variant, compute: SharedBase, base: LoadedBase, data: PreparedData) -> Member:
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
        folder=session.run_folder(variant.id),
        identity=identity_of(variant, base, data.identity),
        until=session.last_step(steps),
    )


def _register(session: Session, member: Member, base: LoadedBase) -> None:
    trainee, progress = member.trainee, member.progress
    if member.best is None:
        raise TrainerError(f"{trainee.name} finished without a validation; training.eval_steps is too large")
    details = {
        "best_step": progress.best_step,
        "validation_loss": progress.best_loss,
        "steps": progress.step,
        "dtype": base.dtype,
        "notes": [*base.notes, *member.notes],
    }
    register_adapter(Trained(trainee.run_id, trainee.name, base, member.best, details), session)
