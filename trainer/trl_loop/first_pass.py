"""A look before the first step: the largest pass of the training, forward and backward, with nothing learned from it.

It finds out within seconds, instead of after hours, that memory does not reach for the longest rows, and that the base
gives no finite loss in its dtype. What dropout draws and what the model holds is as before afterwards.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Sequence
from typing import Any

import torch

from trainer.errors import TrainingFailed
from trainer.runs import divergence
from trainer.trl_loop.division import out_of_memory


class TooLarge(Exception):
    """A pass does not fit the device's memory. `fitting`: rows that do; 0 when not even one does."""

    def __init__(self, fitting: int, reason: str) -> None:
        super().__init__(reason)
        self.fitting = fitting


def first_pass(trl: Any, dtype: str) -> None:
    """Try the pass with the most tokens; halve its rows until one fits.

    trl: a transformers Trainer that is ready for its first step, its model called as in a step.
    Raises: TooLarge when fewer rows fit than a pass has; TrainingFailed when the loss is not finite though nothing was
    learned yet.
    """
    lengths = [len(ids) for ids in trl.train_dataset["input_ids"]]
    rows = trl.args.per_device_train_batch_size
    fitting, reason = rows, ""
    while fitting:
        loss, problem = _tried(trl, _largest(lengths, fitting))
        if not problem:
            break
        gc.collect()  # what the failed pass left must not stand in the way of the next one
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        fitting, reason = fitting // 2, reason or problem
    if fitting < rows:
        raise TooLarge(fitting, reason)
    if trl.state.global_step == 0 and not math.isfinite(loss):
        raise TrainingFailed(divergence.words(loss, 1, 0.0, dtype))


def _largest(lengths: Sequence[int], rows: int) -> list[int]:
    """Find the rows of the pass that has the most tokens with padding, of passes of so many rows."""
    starts = range(0, len(lengths), rows)
    start = max(starts, key=lambda start: len(lengths[start : start + rows]) * max(lengths[start : start + rows]))
    return list(range(start, min(start + rows, len(lengths))))


def _tried(trl: Any, rows: Sequence[int]) -> tuple[float, str]:
    """Try one pass: its loss, and the empty string or what the device said when its memory ran out. Frees it all."""
    model = trl.model
    devices = [model.device] if model.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices):
            moments = _moments(trl)
            batch = trl._prepare_inputs(trl.data_collator([trl.train_dataset[index] for index in rows]))
            with trl.compute_loss_context_manager():
                outputs = model(**batch, use_cache=False, fused_lm_head=True)
            loss = -outputs.log_probs.sum() / outputs.label_mask.sum().clamp(min=1)
            loss.backward()
            del moments
            return float(loss.detach()), ""
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        problem = " ".join(str(error).split())[:300]
    finally:
        model.zero_grad(set_to_none=True)
    return math.nan, problem


def _moments(trl: Any) -> list[torch.Tensor]:
    """Memory that AdamW takes at its first step and holds from then on, where it has not yet."""
    if trl.optimizer is not None and trl.optimizer.state:
        return []
    return [torch.empty_like(weight) for weight in trl.model.parameters() if weight.requires_grad for _ in range(2)]
