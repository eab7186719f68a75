"""How long measurements will take, by measurement and form, before any model is there. Within a factor of two.

Counted as the measurements work: models that share a file load it once, answers are given in as many slots as the
settings allow, GGUF files are asked through llama.cpp, held-out rows are read through transformers.

Not here: what devices reach (`engines.hardware.estimates`), training (`trainer.planning.estimates`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engines import (
    EngineName,
    Place,
    Sizes,
    engine_of,
    export_seconds,
    loading_seconds,
    reading_seconds,
    step_seconds,
)
from evaluator.asking.llamacpp_backend import SLOTS as SERVED_SLOTS
from evaluator.asking.llamacpp_backend import SLOTS_ON_A_GPU
from evaluator.humaneval.evaluate import HumanEvalSettings
from evaluator.latency.evaluate import PROMPTS, LatencySettings
from evaluator.latency.prompts import GRID
from evaluator.style import prompt_set
from evaluator.tasks.benchmarks import load_benchmark
from evaluator.tasks.subsets import choose_tasks
from evaluator.text.stopping import StoppingSettings
from results import Form

SLOTS: dict[tuple[EngineName, str], int] = {
    ("huggingface", "cpu"): 64, ("huggingface", "gpu"): 128,
    ("llamacpp", "cpu"): SERVED_SLOTS, ("llamacpp", "gpu"): SLOTS_ON_A_GPU,
}  # fmt: skip
"""Answers given together unless told; on a GPU transformers takes as many as its memory holds, which differs."""

PROMPT_TOKENS = 220
"""Tokens of a HumanEval task with its instruction and chat template: 150 to 300."""

ANSWER_TOKENS = 110
"""Tokens of an answer to HumanEval that ends with its function, on average; a model that rambles uses all."""

QUESTION_TOKENS = 80
"""Tokens of an answer to a question of one's own, on average, unless the limit is lower."""

CHOICES = 4
"""Choices of a question that has some, of a token or two each: its prompt is read once for all."""

STOPPING_TOKENS = 220
"""Tokens of an answer to the stopping prompts, on average, unless the limit is lower."""

LORA_SLOWER = 1.25
"""llama.cpp's step with a LoRA-GGUF over one without: 169 against 134 tokens a second for SmolLM2 at rank 8."""

SCORED_A_SECOND = 40
"""Answers that two sandboxes run in a second."""

SANDBOX_SECONDS = 4.0
"""Entering the sandboxes and calibrating their limits by the canonical solutions."""

TEMPLATE_TOKENS = 25
"""That a chat template adds to a prompt."""

CHARACTERS_A_TOKEN = 4.5

CALIBRATED_OPENINGS, CALIBRATED_TOKENS = 9, 300
"""Processes and tokens until llama.cpp's number of threads is found (`engines.llamacpp.thread_count`)."""
FOUND_SECONDS = 25.0
"""The same of a large model: no further round begins after 20 s. Once for files of equal tensors, as a batch's are."""


@dataclass(frozen=True)
class Batch:
    """Models of one base in one form."""

    form: Form
    models: int
    sizes: Sizes
    shared: bool
    """One file in memory serves them all: a base and what stands beside it."""
    beside: Form = "gguf-q8_0"
    """The form of the file that a LoRA-GGUF stands beside."""
    base_written: bool = False
    """That file is exported for them, once."""

    @property
    def files(self) -> int:
        """Loaded one after the other."""
        return 1 if self.shared else self.models

    @property
    def read(self) -> Form:
        """The form of the weights that an answer reads."""
        return self.beside if self.form == "lora-gguf" else self.form


@dataclass(frozen=True)
class Where:
    """Where each engine computes."""

    torch: Place
    llamacpp: Place
    cpu: Place

    def of(self, engine: EngineName) -> Place:
        """The engine's place."""
        return self.llamacpp if engine == "llamacpp" else self.torch


def export_of(batch: Batch, where: Where) -> float:
    """Seconds until all models of a batch are written in their form; nothing for what is there already."""
    if batch.form in ("adapter", "base", "gguf-other"):
        return 0.0
    written = batch.models * export_seconds(batch.sizes, batch.form, where.cpu)
    return written + (export_seconds(batch.sizes, batch.beside, where.cpu) if batch.base_written else 0.0)


def humaneval_of(batch: Batch, settings: Mapping[str, Any], where: Where) -> float:
    """Seconds to answer and score a batch's tasks. Raises: as `evaluate_humaneval` for wrong settings."""
    chosen = HumanEvalSettings.model_validate(dict(settings))
    tasks, _ = choose_tasks(load_benchmark(chosen.benchmark), chosen.tasks)
    each, tokens = len(tasks) * chosen.samples, min(chosen.max_tokens, ANSWER_TOKENS)
    asked = _asked(batch, (each, PROMPT_TOKENS, tokens), chosen.slots, chosen.engine, where)
    return asked + batch.models * each / SCORED_A_SECOND


def stopping_of(batch: Batch, settings: Mapping[str, Any], where: Where) -> float:
    """Seconds to answer the stopping prompts. Raises: as `evaluate_stopping` for wrong settings."""
    chosen = StoppingSettings.model_validate(dict(settings))
    tokens = min(chosen.max_tokens, STOPPING_TOKENS)
    return _asked(batch, (len(prompt_set(chosen.prompts)), 2 * TEMPLATE_TOKENS, tokens), chosen.slots, None, where)


def questions_of(batch: Batch, count: int, characters: float, settings: Mapping[str, Any], where: Where) -> float:
    """Seconds to answer `count` questions of a test of one's own, of so many characters on average."""
    prompt = TEMPLATE_TOKENS + characters / CHARACTERS_A_TOKEN
    if settings.get("choices") == "likelihood":
        return _asked(batch, (count, prompt, CHOICES), settings.get("slots"), settings.get("engine"), where)
    tokens = min(int(settings.get("max_tokens") or QUESTION_TOKENS), QUESTION_TOKENS)
    return _asked(batch, (count, prompt, tokens), settings.get("slots"), settings.get("engine"), where)


def _asked(
    batch: Batch, each: tuple[int, float, float], slots: int | None, way: EngineName | None, where: Where
) -> float:
    """Files loaded, prompts read, answers given. `each`: a model's questions, tokens of a prompt and of an answer.

    transformers answers all adapters of a base in one batch; llama.cpp one adapter's questions after another's.
    """
    questions, prompt, tokens = each
    engine = way if way and engine_of(batch.form) == "llamacpp" else engine_of(batch.form)
    place, sizes, form = where.of(engine), batch.sizes, batch.read
    together = batch.models if batch.shared and engine == "huggingface" else 1
    rows = min(questions * together, slots or SLOTS[engine, place.kind])
    answers = questions * batch.models
    seconds = batch.files * loading_seconds(sizes, form, place, engine)
    seconds += reading_seconds(sizes, answers * prompt, place, answers, form if engine == "llamacpp" else "base")
    slower = LORA_SLOWER if batch.form == "lora-gguf" and engine == "llamacpp" else 1.0
    return seconds + slower * answers * tokens / rows * step_seconds(sizes, rows, form, place, engine)


def heldout_of(batch: Batch, tokens: float, where: Where) -> float:
    """Seconds to read held-out rows of so many tokens in all, by every model of a batch."""
    loading = loading_seconds(batch.sizes, batch.read, where.torch, "huggingface")
    return batch.files * loading + batch.models * reading_seconds(batch.sizes, tokens, where.torch, tokens)


def latency_of(batch: Batch, settings: Mapping[str, Any], where: Where) -> float:
    """Seconds until a batch's GGUF files are timed: threads found, cold starts, rounds. 0 for other forms."""
    chosen = LatencySettings.model_validate(dict(settings))
    if engine_of(batch.form) != "llamacpp":
        return 0.0
    place, sizes = where.llamacpp, batch.sizes
    opening = loading_seconds(sizes, batch.read, place, "llamacpp")
    step = step_seconds(sizes, chosen.concurrency, batch.read, place, "llamacpp")
    step *= LORA_SLOWER if batch.form == "lora-gguf" else 1.0
    finding = 0.0 if chosen.threads else min(CALIBRATED_OPENINGS * opening + CALIBRATED_TOKENS * step, FOUND_SECONDS)
    rounds = 0.0
    for name in chosen.prompts:
        size = sum(len(turn["content"]) for turn in chosen.own[name]) if name in chosen.own else len(PROMPTS[name])
        prompt = chosen.concurrency * (size / CHARACTERS_A_TOKEN + TEMPLATE_TOKENS)
        answer = chosen.tokens if name in GRID else min(chosen.natural_tokens, STOPPING_TOKENS)
        rounds += reading_seconds(sizes, prompt, place, chosen.concurrency, batch.read) + answer * step
    timed = batch.models * rounds
    timed = max(2 * timed, min(chosen.repetitions * timed, chosen.seconds))
    return finding + batch.files * opening + batch.models * (opening + rounds) + timed
