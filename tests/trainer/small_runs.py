"""What tests of training share: a miniature base with rows, an experiment over them, and the points that a run left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from results import Workspace
from trainer import miniature
from trainer.experiment.reading import experiment_of
from trainer.experiment.schema import Experiment

UNTIMED = (
    "loss",
    "learning_rate",
    "gradient_norm",
    "tokens_seen",
    "epoch",
    "validation_loss",
    "validation_bits_per_byte",
)


def laid_ground(folder: Path, architecture: str = "llama") -> Path:
    """A folder with a miniature base and 40 rows of very different lengths."""
    miniature(architecture, folder / "base")
    rows = [{"prompt": f"Count to {n} please.", "completion": " ".join(map(str, range(n % 17 + 1)))} for n in range(40)]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def experiment(ground: Path, **sections: Any) -> Experiment:
    """Ten steps over the ground; sections are merged into the defaults."""
    raw: dict[str, Any] = {
        "name": "mini",
        "bases": [str(ground / "base")],
        "data": {
            "sources": [{"name": str(ground / "rows.jsonl")}],
            "quality": {"near_duplicates": None, "max_repetition": None},
            "decontaminate": [],
            "validation_fraction": 0.2,
        },
        "training": {"max_steps": 10, "learning_rate": 0.02, "batch_size": 2, "dtype": "float32", "eval_steps": 5},
        "lora": {"rank": 4},
    }
    for name, section in sections.items():
        raw[name] = {**raw.get(name, {}), **section} if isinstance(section, dict) else section
    return experiment_of(raw, "test")


def curves(folder: Path, run_id: str) -> dict[str, list[tuple[int, str]]]:
    """Every untimed point of a run in the workspace at `folder`, exactly."""
    store = Workspace(folder).store()
    found = {}
    for metric in UNTIMED:
        steps, values = store.curves.read(run_id, metric)
        found[metric] = [(int(step), float(value).hex()) for step, value in zip(steps, values, strict=True)]
    store.close()
    return found


def losses(folder: Path, run_id: str, metric: str = "loss") -> list[float]:
    """The values of one of a run's metrics."""
    return [float.fromhex(value) for _, value in curves(folder, run_id)[metric]]


def notes(folder: Path, run_id: str) -> list[str]:
    """What a training left to be known."""
    store = Workspace(folder).store()
    report = store.reports.get(run_id, "training")
    store.close()
    return list(report.payload["notes"]) if report else []
