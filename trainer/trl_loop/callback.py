"""What happens around TRL's steps: curves, the best weights, NaN, early stopping, Ctrl-C and a sweep's cut."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from transformers import TrainerCallback

from trainer.runs import divergence
from trainer.runs.progress import RunProgress, Step
from trainer.trl_loop.supervision import Supervision, Writer


class Watch(TrainerCallback):  # type: ignore[misc]
    """Curves to the store, the best weights kept, NaN and early stopping noticed, Ctrl-C and a sweep's cut obeyed."""

    def __init__(
        self, save_best: Callable[[], None], writer: Writer, supervision: Supervision, run_progress: RunProgress
    ) -> None:
        self._save_best, self._writer, self._supervision = save_best, writer, supervision
        self.run_progress = run_progress
        self._began = time.monotonic()
        self.diverged = ""
        """Why the loss is not finite any more; empty while it is."""
        self.interrupted = False
        self.lengths: Sequence[int] = ()
        """Tokens of each step."""
        self.dtype = ""
        """The base's."""
        self.before_first: Callable[[], Any] = bool
        """Called when everything is ready for the first step."""

    def on_train_begin(self, _args: Any, _state: Any, control: Any, **_: Any) -> Any:
        """Time counts from here, loading apart."""
        self.before_first()
        self._began = time.monotonic()
        return control

    def on_step_end(self, _args: Any, state: Any, control: Any, **_: Any) -> Any:
        """Save and end where the process was asked to stop or the sweep cuts."""
        self.run_progress.step = step = state.global_step
        self._supervision.progress(step)
        until = self._supervision.until
        self.interrupted = self._supervision.stop.asked and step < until
        if step >= until or self.interrupted:
            control.should_save = control.should_training_stop = True
            control.should_evaluate = control.should_evaluate or not self.interrupted
        return control

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> Any:
        """One point a metric; a loss that is not finite ends the run before anything is saved."""
        logs = logs or {}
        number = state.global_step
        if "loss" in logs:
            present = time.monotonic()
            step = Step(
                loss=float(logs["loss"]),
                learning_rate=logs.get("learning_rate", math.nan),
                gradient_norm=logs.get("grad_norm", math.nan),
                tokens=self.lengths[number - 1],
                seconds=max(present - self._began, 1e-9),
            )
            self._began = present
            self.run_progress.tokens_seen = sum(self.lengths[:number])
            self._writer.add(self.run_progress.stepped(step, number, logs.get("epoch", math.nan)))
            if not math.isfinite(step.loss):
                self.diverged = divergence.words(step.loss, number, args.learning_rate, self.dtype)
                control.should_training_stop, control.should_save, control.should_evaluate = True, False, False
        return control

    def on_evaluate(
        self, _args: Any, _state: Any, control: Any, metrics: dict[str, float] | None = None, **_: Any
    ) -> Any:
        """Note the validation and keep the weights if it is the best."""
        found = metrics or {}
        self._writer.add(self.run_progress.validated(found["eval_loss"], found["eval_bits_per_byte"]))
        if self.run_progress.is_best:
            self._save_best()
        if self.run_progress.stopped_early:
            control.should_training_stop = control.should_save = True
        self._began = time.monotonic()
        return control
