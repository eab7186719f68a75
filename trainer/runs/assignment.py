"""One run that trains alone: what it is to do, and what its end leaves in the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.bases.loading import Base
from trainer.data.examples import PreparedData
from trainer.data.order import RowOrder
from trainer.experiment.schema import Training
from trainer.experiment.variants import Variant
from trainer.runs.ended import Ended
from trainer.runs.registration import Trained, register_adapter, register_whole
from trainer.runs.session import Session


@dataclass(frozen=True)
class Assignment:
    """A run to be trained alone, with all that stands ready for it but weights and rows."""

    variant: Variant
    base: Base
    data_identity: str
    folder: Path
    """Where its checkpoints are."""
    steps: int
    """Optimizer steps of the whole training; the schedule goes by them."""
    until: int
    """The step at which this call stops; a sweep's cut."""
    reason: str
    """Why it trains alone."""

    @property
    def identity(self) -> dict[str, Any]:
        """What a checkpoint must have in common with the run."""
        return identity_of(self.variant, self.base, self.data_identity)


def assign(session: Session, variant: Variant, base: Base, data: PreparedData, reason: str) -> Assignment:
    """Make the assignment of a variant over prepared data. `reason`: why it trains alone."""
    training = variant.experiment.training
    order = row_order(training, [len(example.input_ids) for example in data.train], packing=False)
    steps = training.max_steps or order.steps_of(training.epochs)
    return Assignment(
        variant=variant,
        base=base,
        data_identity=data.identity,
        folder=session.run_folder(variant.id),
        steps=steps,
        until=session.last_step(steps),
        reason=reason,
    )


def settle(session: Session, assignment: Assignment, base_notes: Sequence[str], ended: Ended) -> None:
    """Register what a run left, and write down how it ended. `base_notes`: of the base that it was trained on."""
    variant = assignment.variant
    notes = [f"trained alone through TRL: {assignment.reason}", *ended.notes]
    if variant.experiment.training.packing:
        notes.append("packing is ignored: TRL packs correctly with FlashAttention only")
    if ended.best is not None:
        register = register_whole if variant.experiment.lora.method == "full" else register_adapter
        details = {**ended.details, "dtype": assignment.base.dtype, "notes": [*base_notes, *notes]}
        register(Trained(variant.id, variant.name, assignment.base, ended.best, details), session)
    session.finish(variant.id, ended.status, ended.reason)
    session.report(variant.id, "training", {"notes": notes})


def row_order(training: Training, lengths: Sequence[int], packing: bool) -> RowOrder:
    """The data order of a run with these settings over rows of these lengths."""
    return RowOrder(
        lengths,
        training.batch_size * training.gradient_accumulation,
        training.max_length if packing else None,
        training.seed,
    )


def identity_of(variant: Variant, base: Base, data_identity: str) -> dict[str, Any]:
    """What a checkpoint must have in common with a run: base, data, and every setting that decides the weights."""
    return {**variant.config, "base.identity": base.identity, "data.identity": data_identity}
