"""Reporters: the trackers that `training.report_to` names, beside our own store.

transformers' callbacks do the reporting; here is what they leave to their caller: to say before a training that one is
not installed, and to end a tracker's run with ours, so that the next variant does not go on in it.
Where they write is theirs: `TENSORBOARD_LOGGING_DIR`, `WANDB_PROJECT`, `WANDB_MODE`, `MLFLOW_TRACKING_URI`, ….
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable

from trainer.errors import TrainerError

PACKAGES = {"tensorboard": ("tensorboard", "tensorboardX"), "wandb": ("wandb",)}
"""Reporter → packages of which one must be there; the others' packages have the reporter's name."""


def require(report_to: Iterable[str]) -> None:
    """Raises TrainerError naming every reporter that is not installed, with the command that installs it."""
    missing = sorted(
        {name for name in report_to if not any(map(importlib.util.find_spec, PACKAGES.get(name, (name,))))}
    )
    if missing:
        raise TrainerError(
            f"training.report_to names {', '.join(missing)}, which is not installed: pip install {' '.join(missing)}, "
            "or leave it out (every value is in the store anyway)"
        )


def finish(report_to: Iterable[str]) -> None:
    """End the trackers' present runs. TensorBoard, MLflow and Trackio do so by themselves, W&B does not."""
    if "wandb" in report_to and (wandb := sys.modules.get("wandb")):
        wandb.finish()
