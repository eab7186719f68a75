"""`OverRay`: the variants of an experiment as tasks of a Ray cluster, followed until each has ended.

A task is what trains in one process without Ray, too: the variants of a base that share passes on CPUs, one variant
anywhere else. So a run over Ray has the losses of a run without, bit for bit. This process trains nothing: it prepares
the data first, submits, reads how far the runs are from the store, and submits again what lost its worker; killed, the
same command goes on. What was lost and why stays in Report(run, "retries").
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import TracebackType

from results import PLACE, RETRIES, Progress, Store, Workspace, now
from trainer.bases.devices import choose
from trainer.bases.loading import base_identity, base_tokenizer
from trainer.data.pipeline import prepare
from trainer.errors import TrainerError
from trainer.experiment.variants import Variant
from trainer.planning.sharing import shares_passes
from trainer.ray_runs.cluster import LOCAL, Cluster
from trainer.ray_runs.demands import Demand, Node, cores_beside_a_gpu, cores_for, demand_of
from trainer.ray_runs.following import ABSENT_SECONDS, Following, Task
from trainer.ray_runs.worker import Ground, Order, fulfil
from trainer.runs.checkpoints import step_of
from trainer.runs.session import Agreed, Session
from trainer.runs.signals import stop_on_signals

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
        self._enter(session.store, session.progress)
        with self._ground(session.workspace, session.store) as ground:
            wanted = list(tasks_of(session, groups, self._cluster.nodes(), ground))
            tasks = [Task(order.names, partial(fulfil, order), demand) for order, demand in wanted]
            training = Training(session, {order.names: order for order, _ in wanted})
            Following(self._cluster, tasks, training, session.stop, self._absent_seconds).to_the_end()

    def each(self, errands: Sequence[Errand], store: Store, workspace: Workspace, progress: Progress) -> None:
        """Have errands done on the cluster's nodes, each by a task of its own; nothing where it has one node alone.

        What loses its worker begins again; what no node has room for, or what dies again and again, is left undone.
        Raises: TrainerError for what the user must mend; KeyboardInterrupt.
        """
        if not errands or self._cluster.address == LOCAL:
            return
        self._enter(store, progress)
        nodes = [node for node in self._cluster.nodes() if node.cores >= 1]
        if len(nodes) < 2:
            return
        with self._ground(workspace, store) as ground, stop_on_signals() as stop:
            gpus = int(ground.on_gpu)
            demand = {one.names: Demand(ground.threads, gpus, 0 if gpus else one.memory_bytes) for one in errands}
            tasks = [Task(one.names, partial(one.call, ground), demand[one.names]) for one in errands]
            owner = Errands({one.names: one for one in errands}, progress)
            Following(self._cluster, tasks, owner, stop, self._absent_seconds).to_the_end()
        if stop.asked:
            raise KeyboardInterrupt

    def _enter(self, store: Store, progress: Progress) -> None:
        progress(ENTERING, 0, 1)
        self._cluster.enter()
        progress(ENTERING, 1, 1)
        hosts = self._cluster.hosts
        if len(hosts) > 1 and store.url_masked.startswith("sqlite"):
            raise TrainerError(
                f"the cluster's nodes are on {len(hosts)} machines, and an SQLite file is one machine's: set "
                "BAKEOFF_DATABASE_URL to a PostgreSQL database, here and in the environment of every node"
            )

    @contextmanager
    def _ground(self, workspace: Workspace, store: Store) -> Iterator[Ground]:
        """Where tasks work while the block runs: the workspace has a mark then that no other one has."""
        import torch

        nodes = self._cluster.nodes()
        on_gpu = any(node.gpus >= 1 for node in nodes)
        cores = cores_beside_a_gpu(nodes) if on_gpu else cores_for(nodes, torch.get_num_threads())
        mark = workspace.folder("cache") / f"ray-{secrets.token_hex(8)}"
        mark.touch()
        try:
            yield Ground(str(workspace.path), str(mark), store.url_masked, cores, on_gpu)
        finally:
            mark.unlink(missing_ok=True)


@dataclass(frozen=True)
class Errand:
    """What a node is to do besides training."""

    names: str
    """What people are told that it is; no two of one call share it."""
    call: Callable[[Ground], str]
    """Pickled; returns what the user must mend, "" for nothing."""
    memory_bytes: int
    stored: Callable[[], int]
    """How much of it is in the store; asked here."""


def tasks_of(
    session: Session, groups: Sequence[Sequence[Variant]], nodes: Sequence[Node], ground: Ground
) -> Iterator[tuple[Order, Demand]]:
    """Make the orders of groups that share base and data, and what they need.

    All data is prepared here first: bad rows are found early.
    """
    for group in groups:
        own = group[0].experiment
        tokenizer = base_tokenizer(group[0].base)
        data = prepare(own.data, tokenizer, own.training.max_length, session.workspace, session.progress)
        agreed = Agreed(base_identity(group[0].base), data.identity)
        for together in parts(group, ground.on_gpu):
            demand = demand_of(together, data, nodes, ground.threads, ground.on_gpu)
            yield Order(tuple(together), ground, agreed, session.until), demand


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


class Training:
    """The runs that the tasks of one call train: what is stored of them, and what is written down of their workers."""

    def __init__(self, session: Session, orders: Mapping[str, Order]) -> None:
        """orders: by the names of their tasks."""
        self._session = session
        self._orders = orders
        self._told: set[tuple[str, int]] = set()

    def stored(self, task: Task) -> int:
        """Steps of the newest checkpoints of its runs."""
        folders = [self._session.run_folder(run) for run in self._orders[task.names].runs]
        return max((step_of(path) for folder in folders for path in folder.glob("step-*")), default=0)

    def lost(self, task: Task, why: str, stored: int) -> str:
        """Add to the runs' reports on why they were begun again."""
        runs, store = self._orders[task.names].runs, self._session.store
        place = store.reports.get(runs[0], PLACE)
        words = f"{why} (process {place.payload['process']} on {place.payload['host']})" if place else why
        for run in runs:
            report = store.reports.get(run, RETRIES)
            before = report.payload["retries"] if report else []
            self._session.report(run, RETRIES, {"retries": [*before, {"at": now().isoformat(), "why": words}]})
        self._session.progress(f"{task.names}: {words}; goes on from step {stored}", 0, 1)
        return words

    def given_up(self, task: Task, why: str) -> None:
        """Its runs are stopped."""
        self._session.progress(why, 0, 1)
        for run in self._orders[task.names].runs:
            if self._session.store.runs.get(run).status != "finished":
                self._session.finish(run, "stopped", why)

    def look(self) -> None:
        """Say how far each run is, by the store."""
        runs = {summary.run.id: summary for summary in self._session.store.runs.list()}
        for variant in (variant for order in self._orders.values() for variant in order.variants):
            summary = runs[variant.id]
            said = (variant.id, summary.steps)
            known = summary.run.status in ("running", "finished") and summary.run.total_steps
            if known and said not in self._told:
                self._told.add(said)
                last = self._session.last_step(summary.run.total_steps or 0)
                self._session.progress(f"training {variant.name}", summary.steps, last)


class Errands:
    """Errands of one call: what became of one is in the store, and whoever asked for it looks there."""

    def __init__(self, errands: Mapping[str, Errand], progress: Progress) -> None:
        self._errands = errands
        self._progress = progress

    def stored(self, task: Task) -> int:
        """How much of it is there."""
        return self._errands[task.names].stored()

    def lost(self, task: Task, why: str, stored: int) -> str:
        """Told, and no more: the records say which machine they are of."""
        self._progress(f"{task.names}: {why}; goes on from {stored} answers", 0, 1)
        return why

    def given_up(self, task: Task, why: str) -> None:
        """Told: whoever asked for it does it."""
        self._progress(f"{why}; {task.names} is done here instead", 0, 1)

    def look(self) -> None:
        """Nothing: how far they are is known on their nodes."""
