"""Held-out rows of every kind are measured: weights are followed, and no row ends a measurement."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from evaluator.text.perplexity import evaluate_heldout
from results import Model, Store, Workspace
from trainer import miniature


@dataclass(frozen=True)
class Row:
    """A held-out row, as the trainer gives them."""

    messages: tuple[dict[str, Any], ...]


CALL = {"type": "function", "function": {"name": "calc", "arguments": {"sum": "17*3"}}}
ASKED = {"role": "user", "content": "17*3?"}
ROWS = [
    Row(({"role": "system", "content": "Be brief."}, ASKED, {"role": "assistant", "content": "51"})),
    Row((ASKED, {"role": "assistant", "content": "50", "train": False}, ASKED, {"role": "assistant", "content": "51"})),
    Row((ASKED, {"role": "assistant", "content": "", "tool_calls": [CALL]}, {"role": "tool", "content": "51"},
         {"role": "assistant", "content": "It is 51."})),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["gemma", "qwen2"])
def test_every_row_is_measured_and_a_masked_answer_is_not(tmp_path: Path, architecture: str) -> None:
    folder = miniature(architecture, tmp_path / "base")
    store = Store(f"sqlite:///{tmp_path / 'results.db'}")
    model = store.models.add(Model("m1", "m", "base", "m", "i", 1, str(folder)))
    [evaluation] = evaluate_heldout([model], ROWS, store, Workspace(tmp_path / "w"))
    outcomes = store.evaluations.outcomes(evaluation.id)
    sizes = [outcome.details["bytes"] for outcome in sorted(outcomes, key=lambda outcome: int(outcome.item))]
    assert sizes == [2, 2, 9]
