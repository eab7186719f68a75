"""How an optimizer step's rows are divided into passes so that they fit a device, and what is tried when they do not.

A step always trains on the same rows, and its loss is the mean over all their answer tokens, so the division decides
memory and time and nothing else, but for what dropout draws.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from trainer.experiment.schema import Training


@dataclass(frozen=True)
class Division:
    """A step's rows, cut into passes of equal size."""

    rows: int
    """Rows of a forward and backward pass: the micro-batch."""
    passes: int
    """Passes of an optimizer step: the accumulation."""
    checkpointing: bool
    """Whether activations are recomputed on the way back instead of kept."""
    may_recompute: bool = True
    """Whether they may be, where nothing else fits: the file does not forbid it."""

    @classmethod
    def of(cls, training: Training) -> Division:
        """Divide a step as the experiment file says; where it says nothing, nothing is recomputed."""
        recomputes = training.gradient_checkpointing
        return cls(training.batch_size, training.gradient_accumulation, bool(recomputes), recomputes is not False)

    def smaller(self, fitting: int | None = None) -> Division | None:
        """Return what to try after an out-of-memory; None when nothing is left.

        Half the rows are tried, or `fitting` where so many were seen to fit; for a single row recomputed activations,
        unless the file forbids them.
        """
        step = self.rows * self.passes
        most = self.rows // 2 if fitting is None else min(fitting, self.rows - 1)
        if most < 1:
            can = self.may_recompute and not self.checkpointing
            return replace(self, checkpointing=True, rows=1, passes=step) if can else None
        rows = next(rows for rows in range(most, 0, -1) if step % rows == 0)
        return replace(self, rows=rows, passes=step // rows)

    @property
    def words(self) -> str:
        """The division in words, for people."""
        rows = "1 row" if self.rows == 1 else f"{self.rows} rows"
        passes = "1 pass" if self.passes == 1 else f"{self.passes} passes"
        return f"{rows} a pass, {passes} a step{', activations recomputed' if self.checkpointing else ''}"


def out_of_memory(error: BaseException) -> bool:
    """Whether an error, or what caused it, is a device's or the machine's memory running out."""
    import torch

    seen: BaseException | None = error
    while seen is not None:
        text = str(seen)
        if isinstance(seen, (torch.OutOfMemoryError, MemoryError)):
            return True
        if isinstance(seen, RuntimeError) and any(sign in text for sign in _SIGNS):
            return True
        seen = seen.__cause__
    return False


_SIGNS = ("out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED", "can't allocate memory")
"""What libraries say that raise no error of a kind of its own."""
