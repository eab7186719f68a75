"""The form of a new run: what people change most, as an experiment file. The trainer checks it, not this page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st
import yaml

from results import FileUnreadable, safe_yaml

BASES = (
    "smollm2-135m-instruct",
    "meta-llama/Llama-3.2-1B-Instruct",
    "meta-llama/Llama-3.2-3B-Instruct",
    "Qwen/Qwen2.5-0.5B-Instruct",
    "Qwen/Qwen2.5-1.5B-Instruct",
)
SOURCES = ("python-stdlib", "mlabonne/FineTome-100k")
FORMS = ("adapter", "merged", "lora-gguf", "gguf-f16", "gguf-q8_0", "gguf-q4_0")


def form(known_bases: list[str]) -> str:
    """The fields, and the file they make (YAML)."""
    bases = list(dict.fromkeys([*BASES, *known_bases]))
    left, right = st.columns(2)
    title = left.text_input("Name", "my-experiment", max_chars=80)
    base = left.multiselect(
        "Bases", bases, bases[:1], accept_new_options=True, help="Hub id, local folder or GGUF file"
    )
    sources = left.multiselect(
        "Data", list(SOURCES), list(SOURCES[:1]), accept_new_options=True, help="Hub id, file or built-in"
    )
    split = left.text_input("Split", "train", help="For Hub data sets and for folders with train and test files")
    limit = left.number_input("Max rows per source", 10, None, None, placeholder="all")
    clean = left.toggle("Remove training rows that contain HumanEval tasks", value=True)
    steps = right.number_input("Steps", 1, 1_000_000, 100)
    rate = right.number_input("Learning rate", 1e-6, 1e-1, 2e-4, format="%.1e")
    ranks = right.multiselect("LoRA ranks (one run per rank)", [4, 8, 16, 32, 64, 128], [16])
    seeds = right.number_input(
        "Seeds per rank", 1, 10, 1, help="With two or more you see how much of a difference is chance"
    )
    forms = right.multiselect(
        "Formats to measure",
        FORMS,
        ["lora-gguf"],
        help="Each is exported and scored: what you ship is what is measured",
    )
    measure = right.pills(
        "Measure",
        ["humaneval", "latency", "heldout"],
        selection_mode="multi",
        default=["humaneval", "latency", "heldout"],
    )
    grid: dict[str, Any] = {}
    if len(ranks) > 1:
        grid["lora.rank"] = sorted(ranks)
    if seeds > 1:
        grid["training.seed"] = list(range(int(seeds)))
    kept: dict[str, Any] = {"limit": int(limit)} if limit else {}
    if split not in ("", "train"):
        kept["split"] = split
    made: dict[str, Any] = {
        "name": title,
        "bases": base,
        "data": {"sources": [{"name": name, **kept} for name in sources]},
        "training": {"max_steps": int(steps), "learning_rate": float(rate)},
    }
    if clean:
        made["data"] |= {"decontaminate": ["humaneval"], "remove_contaminated": True}
    if len(ranks) == 1:
        made["lora"] = {"rank": ranks[0]}
    if grid:
        made["sweep"] = {"grid": grid}
    made["evaluate"] = {**{name: {} for name in measure or []}, "forms": forms}
    return str(yaml.safe_dump(made, sort_keys=False, allow_unicode=True))


def name(text: str) -> str:
    """The experiment's name, or `experiment` where the file is not readable."""
    try:
        found = safe_yaml(text, Path("the experiment file"))
    except FileUnreadable:
        return "experiment"
    return str(found.get("name", "experiment")) if isinstance(found, dict) else "experiment"
