"""What a loss that is not finite means, and what to do about it."""

from __future__ import annotations


def words(loss: float, step: int, learning_rate: float, dtype: str) -> str:
    """The reason of a run that ended with such a loss at a step counted from 1.

    Before the first update nothing was learned, so the learning rate is not to blame.
    """
    if step > 1:
        return f"the loss became {loss} at step {step}; try a lower training.learning_rate than {learning_rate:g}"
    return f"the loss is {loss} before anything was learned: {_before_learning(dtype)}"


def _before_learning(dtype: str) -> str:
    if dtype == "float16":
        return (
            "the base's activations leave the range of float16, as those of Qwen2 and Qwen2.5 are known to do; set "
            "training.dtype: float32, or bfloat16 on a GPU that has it (Ampere and newer)"
        )
    remedy = "set training.dtype: float32, or check" if dtype == "bfloat16" else "check"
    return f"the base gives no finite loss in {dtype}; {remedy} that its weights are whole"
