"""`OverRay`: the variants of an experiment as tasks of a Ray cluster, followed until each has ended.

A task is what trains in one process without Ray, too: the variants of a base that share passes on CPUs, one variant
anywhere else. So a run over Ray has the losses of a run without, bit for bit. This process trains nothing: it prepares
the data first, submits, reads how far the runs are from the store, and submits again what lost its worker; killed, the
same command goes on. What was lost and why stays in Report(run, "retries").
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from results import now
from trainer.bases.devices import choose
from trainer.bases.loading import base_identity, base_tokenizer
from trainer.data.pipeline import prepare
from trainer.errors import TrainerError
from trainer.experiment.variants import Variant
from trainer.planning.sharing import shares_passes
from trainer.ray_runs.cluster import Cancelled, Cluster, Ended
from trainer.ray_runs.demands import Demand, Node, cores_beside_a_gpu, cores_for, demand_of, missing
from trainer.ray_runs.worker import Order
from trainer.runs.checkpoints import step_of
from trainer.runs.session import PLACE, RETRIES, Agreed, Session

LOOK_SECONDS = 1.0
"""The pause between looks at the store, while no task ends."""

ABSENT_SECONDS = 30.0

MOST_DEATHS = 5
"""Deaths of a task's worker in a row without a new checkpoint, after which something kills it each time."""

ENTERING = "entering the Ray cluster"


class OverRay:
    """`train(…, over=OverRay("local"))`, or the address of a cluster's head node. Connects when there is work."""

    def __init__(self, address: str, absent_seconds: float = ABSENT_SECONDS) -> None:
        """absent_seconds: how long a task may need what no node has: nodes come and go.

        Raises: ModuleNotFoundError without Ray; TrainerError for an address that cannot be, or asks for a token.
        """
        self._cluster = Cluster(address)
        self._absent_seconds = absent_seconds

    def __enter__(self) -> OverRay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cluster.leave()

    def __call__(self, session: Session, planned: Sequence[Variant]) -> None:
        """Train variants that are one experiment's, each to the session's `until` at most.

        Raises: TrainerError for what the user must mend, after all other tasks have ended.
        """
        from trainer.training import unfinished  # it stands above: the workers' tasks are made of it

        groups = unfinished(session.store, planned)
        if not groups:
            return
        session.progress(ENTERING, 0, 1)
        self._cluster.enter()
        session.progress(ENTERING, 1, 1)
        hosts = self._cluster.hosts
        if len(hosts) > 1 and session.store.url_masked.startswith("sqlite"):
            raise TrainerError(
                f"the cluster's nodes are on {len(hosts)} machines, and an SQLite file is one machine's: set "
                "BAKEOFF_DATABASE_URL to a PostgreSQL database, here and in the environment of every node"
            )
        with _mark(session) as mark:
            tasks = list(tasks_of(session, groups, self._cluster.nodes(), mark))
            Following(session, self._cluster, tasks, self._absent_seconds).to_the_end()


@contextmanager
def _mark(session: Session) -> Iterator[Path]:
    """A file in the workspace that no other workspace has, while the block runs."""
    mark = session.workspace.folder("cache") / f"ray-{secrets.token_hex(8)}"
    mark.touch()
    try:
        yield mark
    finally:
        mark.unlink(missing_ok=True)


@dataclass
class Task:
    """One task: what it trains, what it needs, what became of it so far."""

    order: Order
    demand: Demand
    waits_for: Any = None
    """What stands for its result at the cluster."""
    deaths: int = 0
    """Deaths in a row, with no new checkpoint of its runs in between."""
    saved: int = 0
    """Steps of its runs' newest checkpoints when its worker last died."""
    absent_since: float | None = None
    """When nodes that have what it needs were first missed, by time.monotonic(); None while there is one."""


def tasks_of(
    session: Session, groups: Sequence[Sequence[Variant]], nodes: Sequence[Node], mark: Path
) -> Iterator[Task]:
    """Make the tasks of groups that share base and data. All data is prepared here first: bad rows are found early."""
    import torch

    on_gpu = any(node.gpus >= 1 for node in nodes)
    cores = cores_beside_a_gpu(nodes) if on_gpu else cores_for(nodes, torch.get_num_threads())
    for group in groups:
        own = group[0].experiment
        tokenizer = base_tokenizer(group[0].base)
        data = prepare(own.data, tokenizer, own.training.max_length, session.workspace, session.progress)
        agreed = Agreed(base_identity(group[0].base), data.identity)
        for together in parts(group, on_gpu):
            order = Order(
                variants=tuple(together),
                workspace=str(session.workspace.path),
                mark=str(mark),
                store=session.store.url_masked,
                agreed=agreed,
                until=session.until,
                threads=cores,
                on_gpu=on_gpu,
            )
            yield Task(order, demand_of(together, data, nodes, cores, on_gpu))


def parts(group: Sequence[Variant], on_gpu: bool) -> list[list[Variant]]:
    """Cut a group that shares base and data into what one task trains each: who shares passes stays together."""
    shared: list[Variant] = []
    alone: list[list[Variant]] = []
    for variant in group:
        training, lora = variant.experiment.training, variant.experiment.lora
        dtype = "" if on_gpu else choose(training.dtype, "cpu", training.quantization).dtype
        if shares_passes(training, lora, dtype, on_gpu):
            shared.append(variant)
        else:
            alone.append([variant])
    return ([shared] if shared else []) + alone


class Following:
    """The tasks of one call, from their submission to their end."""

    def __init__(self, session: Session, cluster: Cluster, tasks: Sequence[Task], absent_seconds: float) -> None:
        self._session = session
        self._absent_seconds = absent_seconds
        self._cluster = cluster
        self._all = tuple(tasks)
        self._open = list(tasks)
        self._problems: list[Exception] = []
        """What the user must mend."""
        self._told: set[tuple[str, int]] = set()

    def to_the_end(self) -> None:
        """Submit all and follow them. Raises: the first of what the user must mend, once all others have ended.

        A cluster whose head is gone is left at once, its tasks ended.
        """
        stop, asked = self._session.stop, False
        try:
            for task in self._open:
                self._submit(task)
            with stop.orderly():
                while self._open:
                    for handle in self._cluster.ended([task.waits_for for task in self._open], LOOK_SECONDS):
                        self._conclude(next(task for task in self._open if task.waits_for is handle))
                    self._tell()
                    self._give_up_what_no_node_has()
                    if stop.asked and not asked:
                        asked = True
                        for handle in self._waited_for():
                            self._cluster.cancel(handle)
        finally:
            self._cluster.end(self._waited_for())
        if self._problems:
            raise self._problems[0]

    def _submit(self, task: Task) -> None:
        task.waits_for = self._cluster.submit(task.order, task.demand)

    def _conclude(self, task: Task) -> None:
        """A task has ended, its own way or by what happened to its worker: then it is submitted again."""
        try:
            problem = self._cluster.result(task.waits_for)
        except Cancelled:
            problem = ""
        except Ended as death:
            if self._goes_on(task, str(death)):
                return
            problem = ""
        except Exception as error:
            self._problems.append(error)
            problem = ""
        if problem:
            self._problems.append(TrainerError(problem))
        self._open.remove(task)

    def _goes_on(self, task: Task, reason: str) -> bool:
        """Write down why a task lost its worker, and submit it again; False where that leads nowhere."""
        if self._session.stop.asked:
            return False
        saved = self._saved(task)
        task.deaths = task.deaths + 1 if saved == task.saved else 1
        task.saved = saved
        where = self._place(task)
        words = f"{reason} ({where})" if where else reason
        for run in task.order.runs:
            report = self._session.store.reports.get(run, RETRIES)
            before = report.payload["retries"] if report else []
            self._session.report(run, RETRIES, {"retries": [*before, {"at": now().isoformat(), "why": words}]})
        if task.deaths >= MOST_DEATHS:
            self._abandon(task, f"{words}, {task.deaths} times in a row without a new checkpoint: what kills it?")
            return False
        self._session.progress(f"{task.order.names}: {words}; goes on from step {saved}", 0, 1)
        self._submit(task)
        return True

    def _give_up_what_no_node_has(self) -> None:
        nodes, present = self._cluster.nodes(), time.monotonic()
        for task in list(self._open):
            lacking = missing([one.name for one in task.order.variants], task.demand, nodes)
            task.absent_since = (task.absent_since or present) if lacking else None
            if task.absent_since is not None and present - task.absent_since >= self._absent_seconds:
                self._cluster.cancel(task.waits_for)
                self._session.progress(lacking, 0, 1)
                self._abandon(task, lacking)
                self._open.remove(task)

    def _abandon(self, task: Task, reason: str) -> None:
        """Write down that its runs stopped: nothing of the models' own."""
        for run in task.order.runs:
            if self._session.store.runs.get(run).status != "finished":
                self._session.finish(run, "stopped", reason)

    def _waited_for(self) -> list[Any]:
        """What stands for the open tasks that were submitted."""
        return [task.waits_for for task in self._open if task.waits_for is not None]

    def _tell(self) -> None:
        """Say how far each run is, by the store."""
        runs = {summary.run.id: summary for summary in self._session.store.runs.list()}
        for variant in (variant for task in self._all for variant in task.order.variants):
            summary = runs[variant.id]
            said = (variant.id, summary.steps)
            known = summary.run.status in ("running", "finished") and summary.run.total_steps
            if known and said not in self._told:
                self._told.add(said)
                last = self._session.last_step(summary.run.total_steps or 0)
                self._session.progress(f"training {variant.name}", summary.steps, last)

    def _place(self, task: Task) -> str:
        """Where its worker was, as it wrote down itself."""
        report = self._session.store.reports.get(task.order.runs[0], PLACE)
        return f"process {report.payload['process']} on {report.payload['host']}" if report else ""

    def _saved(self, task: Task) -> int:
        """Steps of the newest checkpoints of its runs."""
        folders = [self._session.run_folder(run) for run in task.order.runs]
        return max((step_of(path) for folder in folders for path in folder.glob("step-*")), default=0)
