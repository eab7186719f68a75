"""How long measurements will take, by measurement and form, before any model is there. Within a factor of two.

Counted as the measurements work: models that share a file load it once, answers are given in as many slots as the
settings allow, GGUF files are asked through llama.cpp, held-out rows are read through transformers.

Not here: what devices reach (`engines.estimates`), training (`trainer.estimates`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engines import (
    Place,
    Sizes,
    answering_seconds,
    engine_of,
    export_seconds,
    loading_seconds,
    reading_seconds,
    step_seconds,
)
from evaluator.benchmarks import load_benchmark
from evaluator.humaneval import HumanEvalSettings
from evaluator.latency import PROMPTS, LatencySettings
from evaluator.latency_prompts import NATURAL
from evaluator.stopping import StoppingSettings
from evaluator.style import prompt_set
from evaluator.subsets import choose_tasks
from results import Form

SLOTS = 64
"""Rows that transformers answers together unless told (`engines.huggingface`)."""

PROMPT_TOKENS = 220
"""Of a HumanEval task with its instruction and chat template: 150 to 300."""

ANSWER_TOKENS = 110
"""Of an answer to HumanEval that ends with its function, on average; a model that rambles reaches the limit."""

STOPPING_TOKENS = 220
"""Of an answer to the stopping prompts, on average, unless the limit is lower."""

SCORED_A_SECOND = 40
"""Answers that two sandboxes run in a second."""

SANDBOX_SECONDS = 4.0
"""Entering the sandboxes and calibrating their limits by the canonical solutions."""

TEMPLATE_TOKENS = 25
"""That a chat template adds to a prompt."""

CHARACTERS_A_TOKEN = 4.5

CALIBRATED_OPENINGS, CALIBRATED_TOKENS = 9, 400
"""Processes and tokens until llama.cpp's number of threads is found (`engines.threads`)."""


@dataclass(frozen=True)
class Batch:
    """Models of one base in one form."""

    form: Form
    models: int
    sizes: Sizes
    shared: bool
    """One file in memory serves them all: a base and what stands beside it."""

    @property
    def files(self) -> int:
        """Loaded one after the other."""
        return 1 if self.shared else self.models


@dataclass(frozen=True)
class Where:
    """Where each engine computes."""

    torch: Place
    llamacpp: Place
    cpu: Place

    def of(self, form: Form) -> Place:
        """The place of the engine that answers for a form."""
        return self.llamacpp if engine_of(form) == "llamacpp" else self.torch


def export_of(batch: Batch, where: Where) -> float:
    """Seconds until all models of a batch are written in their form; nothing for what training leaves."""
    if batch.form in ("adapter", "base"):
        return 0.0
    return batch.models * export_seconds(batch.sizes, batch.form, where.cpu)


def humaneval_of(batch: Batch, settings: Mapping[str, Any], where: Where) -> float:
    """Seconds to answer and score a batch's tasks. Raises: as `evaluate_humaneval` for wrong settings."""
    chosen = HumanEvalSettings.model_validate(dict(settings))
    tasks, _ = choose_tasks(load_benchmark(chosen.benchmark), chosen.tasks)
    answers = len(tasks) * chosen.samples * (batch.models if batch.shared else 1)
    each = _asked(batch, answers, PROMPT_TOKENS, min(chosen.max_tokens, ANSWER_TOKENS), chosen.slots or SLOTS, where)
    return batch.files * (each + answers / SCORED_A_SECOND)


def stopping_of(batch: Batch, settings: Mapping[str, Any], where: Where) -> float:
    """Seconds to answer the stopping prompts. Raises: as `evaluate_stopping` for wrong settings."""
    chosen = StoppingSettings.model_validate(dict(settings))
    answers = len(prompt_set(chosen.prompts)) * (batch.models if batch.shared else 1)
    tokens = min(chosen.max_tokens, STOPPING_TOKENS)
    return batch.files * _asked(batch, answers, 2 * TEMPLATE_TOKENS, tokens, chosen.slots, where)


def _asked(batch: Batch, answers: int, prompt: float, tokens: float, slots: int, where: Where) -> float:
    """One file loaded, its prompts read, its answers given."""
    place = where.of(batch.form)
    loading = loading_seconds(batch.sizes, batch.form, place, engine_of(batch.form))
    reading = reading_seconds(batch.sizes, answers * prompt, place, answers)
    return loading + reading + answering_seconds(batch.sizes, answers, tokens, batch.form, place, slots)


def heldout_of(batch: Batch, tokens: float, where: Where) -> float:
    """Seconds to read held-out rows of so many tokens in all, by every model of a batch."""
    loading = loading_seconds(batch.sizes, batch.form, where.torch, "huggingface")
    return batch.files * loading + batch.models * reading_seconds(batch.sizes, tokens, where.torch)


def latency_of(batch: Batch, settings: Mapping[str, Any], where: Where) -> float:
    """Seconds until a batch's GGUF files are timed: threads found, cold starts, rounds. 0 for other forms."""
    chosen = LatencySettings.model_validate(dict(settings))
    if engine_of(batch.form) != "llamacpp":
        return 0.0
    place, sizes = where.llamacpp, batch.sizes
    opening = loading_seconds(sizes, batch.form, place, "llamacpp")
    step = step_seconds(sizes, chosen.concurrency, batch.form, place, "llamacpp")
    finding = 0.0 if chosen.threads else CALIBRATED_OPENINGS * opening + CALIBRATED_TOKENS * step
    rounds = 0.0
    for name in chosen.prompts:
        prompt = chosen.concurrency * (len(PROMPTS[name]) / CHARACTERS_A_TOKEN + TEMPLATE_TOKENS)
        answer = min(chosen.natural_tokens, STOPPING_TOKENS) if name in NATURAL else chosen.tokens
        rounds += reading_seconds(sizes, prompt, place, chosen.concurrency) + answer * step
    timed = batch.models * rounds
    timed = max(2 * timed, min(chosen.repetitions * timed, chosen.seconds))
    return batch.files * (finding + opening) + batch.models * (opening + rounds) + timed
