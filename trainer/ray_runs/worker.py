"""What a task does on whichever node Ray gives it: train its variants, or whatever else, as the same command would.

It opens the store and the workspace itself, so nothing that counts passes through Ray: killed anywhere, the next one
goes on from the newest checkpoint. Where the store is and how to enter it is the node's environment's to say
(`BAKEOFF_DATABASE_URL`); an order has no secret in it.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from results import BakeoffError, Store, Workspace, lock_is_held
from trainer.errors import TrainerError
from trainer.experiment.variants import Variant
from trainer.runs.session import Agreed, Session
from trainer.runs.signals import stop_on_signals

PATIENCE_SECONDS = 90.0
"""How long another holder of a run is waited for: a machine that has vanished is noticed by PostgreSQL in a minute."""


@dataclass(frozen=True)
class Ground:
    """Where a task works: what has to be the same on its node as where the command was given."""

    workspace: str
    mark: str
    """A file in the workspace, by which a node sees that its folder is that one."""
    store: str
    """The store's URL, its password masked."""
    threads: int
    on_gpu: bool

    @contextmanager
    def entered(self) -> Iterator[tuple[Store, Workspace]]:
        """The store and the workspace, open. Raises: TrainerError where this node has others."""
        if not self.on_gpu:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""  # before torch is imported: Ray gave this task none
        import torch

        torch.set_num_threads(self.threads)
        workspace = Workspace(self.workspace)
        if not Path(self.mark).is_file():
            raise TrainerError(
                f"{workspace.path} on {socket.gethostname()} is not the workspace of the command: give all nodes one "
                "shared folder under the same path"
            )
        with workspace.store() as store:
            if store.url_masked != self.store:
                raise self.other_store(store)
            yield store, workspace

    def other_store(self, store: Store) -> TrainerError:
        """The refusal of a node that writes elsewhere than the command."""
        return TrainerError(
            f"{socket.gethostname()} writes to the store {store.url_masked}, the command to {self.store}: set "
            "BAKEOFF_DATABASE_URL alike in the environment of every node before `ray start`"
        )


@dataclass(frozen=True)
class Order:
    """What a task is to train."""

    variants: tuple[Variant, ...]
    """Several only where they share passes."""
    ground: Ground
    agreed: Agreed
    until: int | None
    """The step at which to stop, to go on later: a sweep's cut."""

    @property
    def runs(self) -> tuple[str, ...]:
        """The ids of its variants."""
        return tuple(variant.id for variant in self.variants)

    @property
    def names(self) -> str:
        """The names of its variants, as people are told them."""
        return ", ".join(variant.name for variant in self.variants)


def fulfil(order: Order) -> str:
    """Train the order's variants; the store says what became of them. Returns what the user must mend, "" for nothing.

    Raises: KeyboardInterrupt where asked to stop before anything trained.
    """
    try:
        _train(order)
    except BakeoffError as error:
        return str(error)
    return ""


def _train(order: Order) -> None:
    with stop_on_signals() as stop, order.ground.entered() as (store, workspace):
        from engines import gpus
        from trainer.training import train_variants

        known = {summary.run.id for summary in store.runs.list()}
        if not known.issuperset(order.runs):
            raise order.ground.other_store(store)
        session = Session(store, workspace, _unheard, stop, order.until, order.agreed)
        wait_for_others(session, order.runs, PATIENCE_SECONDS)
        train_variants(session, order.variants, gpus()[:1] if order.ground.on_gpu else ())


def wait_for_others(session: Session, runs: Sequence[str], patience_seconds: float) -> None:
    """Wait until nobody else trains the runs: a worker that Ray has given up may not know it yet.

    Whoever is still there afterwards is named by what begins to train.
    """
    until = time.monotonic() + patience_seconds
    while time.monotonic() < until:
        locked = any(lock_is_held(session.run_folder(run) / "lock") for run in runs)
        if not (locked or session.store.runs.at_work_elsewhere(runs)):
            return
        time.sleep(0.1)


def _unheard(_: str, __: int, ___: int) -> None:
    """Nobody listens to a task: how far its runs are is in the store."""
