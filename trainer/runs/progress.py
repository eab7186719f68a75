"""How far a run has come and how well it does: the book that both training loops keep and their checkpoints hold.

The loops are `trainer.multi_lora.loop` and `trainer.trl_loop.callback`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from results import Point, peak_rss_bytes


@dataclass(frozen=True)
class Step:
    """What one optimizer step of one run showed."""

    loss: float
    """Mean over the answer tokens of the step, in nats, before the update."""
    learning_rate: float
    gradient_norm: float
    """Before clipping."""
    tokens: int
    seconds: float
    """This run's share of the time by tokens."""


@dataclass
class RunProgress:
    """What a run has done so far and what the best of it was; everything a resumed run has to remember but weights."""

    patience: int | None = None
    """Validations in a row without a better loss after which the training stops early; None: it does not."""
    step: int = 0
    """Optimizer steps done."""
    tokens_seen: int = 0
    """Tokens trained on so far, prompts included."""
    elapsed_seconds: float = 0.0
    """Time in training, this run's share where several train together; validation and saving apart."""
    best_step: int = 0
    """The step of the best validation loss; 0 before the first validation."""
    best_loss: float = math.inf
    without_better: int = 0
    """Validations since the best one."""

    @property
    def stopped_early(self) -> bool:
        """Whether as many validations as allowed have passed without a better loss."""
        return self.patience is not None and self.without_better >= self.patience

    @property
    def is_best(self) -> bool:
        """Whether the last validation was the best one, of the weights as they are."""
        return self.best_step == self.step

    def stepped(self, step: Step, number: int, epoch: float) -> list[Point]:
        """Count the time of a step and return its points. `number`: the step's, counted from 1; `epoch`: after it."""
        self.elapsed_seconds += step.seconds
        values = {
            "loss": step.loss,
            "learning_rate": step.learning_rate,
            "gradient_norm": step.gradient_norm,
            "tokens_per_second": step.tokens / max(step.seconds, 1e-9),
            "tokens_seen": self.tokens_seen,
            "elapsed_seconds": self.elapsed_seconds,
            "epoch": epoch,
            "peak_rss_bytes": peak_rss_bytes(),
        }
        return [Point(metric, number, float(value)) for metric, value in values.items()]

    def validated(self, loss: float, bits_per_byte: float) -> list[Point]:
        """Note a validation of the present step and return its points."""
        if loss < self.best_loss:
            self.best_loss, self.best_step, self.without_better = loss, self.step, 0
        else:
            self.without_better += 1
        return [
            Point("validation_loss", self.step, loss),
            Point("validation_bits_per_byte", self.step, bits_per_byte),
        ]

    def forget_best(self) -> None:
        """Let the next validation be the best one: the weights of the best so far are gone."""
        self.best_step, self.best_loss = 0, math.inf

    def as_json(self) -> dict[str, Any]:
        """Plain values for a checkpoint's `state.json`; no infinity, which JSON has not."""
        return {
            "step": self.step,
            "tokens_seen": self.tokens_seen,
            "elapsed_seconds": self.elapsed_seconds,
            "best_step": self.best_step,
            "best_loss": self.best_loss if math.isfinite(self.best_loss) else None,
            "without_better": self.without_better,
        }

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Take over what `as_json` gave; checkpoints of the TRL loop once left out the step and its tokens."""
        self.step = kept.get("step", self.step)
        self.tokens_seen = kept.get("tokens_seen", self.tokens_seen)
        self.elapsed_seconds = kept["elapsed_seconds"]
        self.best_step = kept["best_step"]
        self.best_loss = math.inf if kept["best_loss"] is None else kept["best_loss"]
        self.without_better = kept["without_better"]
