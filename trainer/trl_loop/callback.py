"""What happens around TRL's steps: curves, the best weights, NaN, early stopping, Ctrl-C and a sweep's cut."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from transformers import TrainerCallback

from results import Point
from trainer.bases.devices import peak_rss_bytes
from trainer.runs import divergence
from trainer.runs.signals import Stop


class Writer(Protocol):
    """Takes a run's points: the store's own writer, or what hands them to the process that has the store."""

    def add(self, points: Iterable[Point]) -> None:
        """Take points; returns at once."""

    def flush(self) -> bool:
        """Wait until everything added so far is safe."""


class Curves(Protocol):
    """Where a run's points go: `store.curves`, or what hands them to the process that has the store."""

    def truncate(self, run_id: str, after_step: int) -> None:
        """Forget what came after a step."""

    def writer(self, run_id: str) -> AbstractContextManager[Writer]:
        """A writer for the run."""


class Watch(TrainerCallback):  # type: ignore[misc]
    """Curves to the store, the best weights kept, NaN and early stopping noticed, Ctrl-C and a sweep's cut obeyed."""

    def __init__(
        self,
        save_best: Callable[[], None],
        writer: Writer,
        stop: Stop,
        until: int,
        patience: int | None,
        progress: Callable[[int], None],
        remembered: Mapping[str, Any],
    ) -> None:
        self._save_best, self._writer, self._stop, self._progress = save_best, writer, stop, progress
        self._until, self._patience = until, patience
        self._began = time.monotonic()
        self.elapsed_seconds: float = remembered.get("elapsed_seconds", 0.0)
        self.best_loss: float = remembered.get("best_loss") or math.inf
        self.best_step: int = remembered.get("best_step", 0)
        self.without_better: int = remembered.get("without_better", 0)
        self.diverged = ""
        self.interrupted = False
        self.lengths: Sequence[int] = ()
        """Tokens of each step."""
        self.dtype = ""
        """The base's."""
        self.before_first: Callable[[], Any] = bool
        """Called when everything is ready for the first step."""

    def state(self) -> dict[str, Any]:
        """What a resumed run has to remember."""
        return {
            "elapsed_seconds": self.elapsed_seconds,
            "best_loss": self.best_loss if math.isfinite(self.best_loss) else None,
            "best_step": self.best_step,
            "without_better": self.without_better,
        }

    def on_train_begin(self, _args: Any, _state: Any, control: Any, **_: Any) -> Any:
        """Time counts from here, loading apart."""
        self.before_first()
        self._began = time.monotonic()
        return control

    def on_step_end(self, _args: Any, state: Any, control: Any, **_: Any) -> Any:
        """Save and end where the process was asked to stop or the sweep cuts."""
        self._progress(state.global_step)
        self.interrupted = self._stop.asked and state.global_step < self._until
        if state.global_step >= self._until or self.interrupted:
            control.should_save = control.should_training_stop = True
            control.should_evaluate = control.should_evaluate or not self.interrupted
        return control

    @property
    def early(self) -> bool:
        """As long without a better validation loss as allowed?"""
        return self._patience is not None and self.without_better >= self._patience

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> Any:
        """One point a metric; a loss that is not finite ends the run before anything is saved."""
        logs = logs or {}
        step = state.global_step
        if "loss" in logs:
            tokens = self.lengths[step - 1]
            present = time.monotonic()
            seconds, self._began = max(present - self._began, 1e-9), present
            self.elapsed_seconds += seconds
            self._writer.add(
                Point(metric, step, float(value))
                for metric, value in {
                    "loss": logs["loss"],
                    "learning_rate": logs.get("learning_rate", math.nan),
                    "gradient_norm": logs.get("grad_norm", math.nan),
                    "tokens_per_second": tokens / seconds,
                    "tokens_seen": sum(self.lengths[:step]),
                    "elapsed_seconds": self.elapsed_seconds,
                    "epoch": logs.get("epoch", math.nan),
                    "peak_rss_bytes": peak_rss_bytes(),
                }.items()
            )
            if not math.isfinite(float(logs["loss"])):
                self.diverged = divergence.words(float(logs["loss"]), step, args.learning_rate, self.dtype)
                control.should_training_stop, control.should_save, control.should_evaluate = True, False, False
        return control

    def on_evaluate(
        self, _args: Any, state: Any, control: Any, metrics: dict[str, float] | None = None, **_: Any
    ) -> Any:
        """Note the validation and keep the weights if it is the best."""
        loss = (metrics or {})["eval_loss"]
        self._writer.add(
            [
                Point("validation_loss", state.global_step, loss),
                Point("validation_bits_per_byte", state.global_step, (metrics or {})["eval_bits_per_byte"]),
            ]
        )
        if loss < self.best_loss:
            self.best_loss, self.best_step, self.without_better = loss, state.global_step, 0
            self._save_best()
        else:
            self.without_better += 1
        if self.early:
            control.should_training_stop = control.should_save = True
        self._began = time.monotonic()
        return control
