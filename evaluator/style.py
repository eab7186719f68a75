"""Prompt sets, and what can be said of an answer's style without judging it: repetition and length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evaluator.errors import ModelUnmeasurable
from results import FileUnreadable, read_yaml
from results.analysis.statistics import mean_interval

PROMPTS = Path(__file__).resolve().parents[1] / "experiments" / "prompts"
"""The shipped prompt sets."""

NGRAM = 4
"""Words of the n-grams whose repetition is counted."""


def prompt_set(name: str) -> list[str]:
    """The prompts of a shipped set or of a YAML file. Raises ModelUnmeasurable."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else PROMPTS / f"{name}.yaml"
    try:
        content = read_yaml(path)
    except FileUnreadable as error:
        shipped = ", ".join(sorted(file.stem for file in PROMPTS.glob("*.yaml")))
        raise ModelUnmeasurable(f"Cannot read the prompt set {path}: {error.reason}. Shipped: {shipped}") from error
    prompts = content.get("prompts") if isinstance(content, Mapping) else None
    if not isinstance(prompts, list) or not prompts or not all(isinstance(prompt, str) for prompt in prompts):
        raise ModelUnmeasurable(f"{path} needs `prompts`: a list of at least one text")
    return prompts


def repetition(text: str) -> float:
    """Share of an answer's word 4-grams that stood in it before, in [0, 1]: 0 for a text that never repeats itself."""
    words = text.split()
    grams = [tuple(words[i : i + NGRAM]) for i in range(len(words) - NGRAM + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


@dataclass(frozen=True)
class Lengths:
    """How a model's answers compare in length with its base's to the same prompts."""

    ratio: float
    """Geometric mean of tokens over the base's tokens."""
    low: float | None
    high: float | None
    """95 % interval over prompts; None below five of them."""
    n: int


def length_ratio(own: Mapping[str, float], base: Mapping[str, float]) -> Lengths | None:
    """Tokens against the base's, prompt by prompt: a mean of logarithms, so that double and half weigh alike."""
    shared = [prompt for prompt in own if prompt in base]
    if len(shared) < 2:
        return None
    ratios = np.log([max(own[prompt], 1.0) / max(base[prompt], 1.0) for prompt in shared])
    mean = mean_interval(ratios)
    low, high = (float(np.exp(end)) if np.isfinite(end) else None for end in (mean.low, mean.high))
    return Lengths(float(np.exp(mean.value)), low, high, len(shared))
