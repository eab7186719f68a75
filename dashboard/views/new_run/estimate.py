"""What a plan foretells (`bakeoff plan --json`), as a page shows it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from results import duration

Json = Mapping[str, Any]
STAGES = {
    "training": "training", "export": "exports", "heldout": "held-out rows", "humaneval": "HumanEval",
    "latency": "latency", "stopping": "stopping",
}  # fmt: skip
"""What each part of the time is called; a test of one's own has its own name."""


def headline(plan: Json) -> str:
    """One line: how many fine-tunes, how long on this machine, how much of it is measuring."""
    runs = sum(len(group["runs"]) for group in plan["groups"])
    said = f"{runs} fine-tune{'s' if runs != 1 else ''}"
    if plan["time"]:
        here = plan["time"][0]
        training = sum(part["seconds"] for part in here["parts"] if part["stage"] == "training")
        said += (
            f": about {duration(here['seconds'])} on {here['device']}, of which training {duration(training)} and "
            f"exports and measuring {duration(here['seconds'] - training)} (within a factor of two)"
        )
    return said


def times(plan: Json) -> pd.DataFrame:
    """Places down, parts of the time across; text for people."""
    rows = []
    for whole in plan["time"]:
        spent: dict[str, float] = {}
        for part in whole["parts"]:
            stage = STAGES.get(part["stage"], part["stage"])
            spent[stage] = spent.get(stage, 0.0) + part["seconds"]
        parts = {stage: duration(seconds) for stage, seconds in spent.items()}
        rows.append({"Where": whole["device"], "All": duration(whole["seconds"])} | parts)
    return pd.DataFrame(rows)


def needs(plan: Json) -> pd.DataFrame:
    """A row a base and place: memory that training takes of what is there."""
    return pd.DataFrame(
        [
            {
                "Base": group["base"],
                "Where": need["device"],
                "Memory": f"{need['memory_bytes'] / 1e9:.1f} of {need['device_bytes'] / 1e9:.0f} GB",
                "Training": duration(need["seconds"]),
                "Weights in": need["dtype"],
                "Note": need["note"],
            }
            for group in plan["groups"]
            for need in group["needs"]
        ]
    )


def rows(plan: Json) -> list[str]:
    """A sentence a base: rows, tokens, epochs."""
    return [
        f"{group['base']}: {group['rows']:,} training and {group['validation_rows']:,} validation rows, "
        f"{group['tokens']:,} tokens per epoch, {group['steps']:,} steps, {group['passes']:.1f} epochs"
        for group in plan["groups"]
    ]
