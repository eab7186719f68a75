"""Which variants of a base can train together in the CPU's shared loop, by what the experiment file says."""

from __future__ import annotations

from trainer.experiment.schema import Lora, Training

ON_A_GPU = "a GPU trains run by run"
"""Why nothing trains together there: TRL fills a GPU with one run, and our loop's kernels are for CPUs."""


def why_alone(training: Training, lora: Lora, dtype: str, on_a_gpu: bool) -> str:
    """Say why a variant cannot share the loop's passes; the empty string where it can.

    dtype: what the base computes in: bfloat16, float16 or float32.
    """
    if on_a_gpu:
        return ON_A_GPU
    if lora.method == "full":
        return "full fine-tuning changes the base"
    if lora.dora:
        return "DoRA rescales the base's own weights"
    if training.quantization != "none":
        return "the base is quantized"
    if dtype == "float16":
        return "fp16 needs loss scaling"
    if training.report_to:
        return f"report_to {', '.join(training.report_to)} goes through transformers' callbacks"
    if training.gradient_checkpointing:
        return "gradient checkpointing is asked for"
    return ""


def shares_passes(training: Training, lora: Lora, dtype: str, on_a_gpu: bool) -> bool:
    """Whether the shared loop takes such a variant, as far as the file tells: the base's head has a say too."""
    return not why_alone(training, lora, dtype, on_a_gpu)
