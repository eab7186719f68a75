"""How tasks of lm-eval are asked.

Not here: what a task itself says (its examples, its stops, its filters), which holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from engines import Sampling
from evaluator.asking.backends import Way
from evaluator.asking.prompts import Prompting
from evaluator.errors import ModelUnmeasurable
from evaluator.question_sets.lm_eval_tasks.documents import Documents, Manner
from evaluator.question_sets.lm_eval_tasks.installed import version
from results import short_repr


class HarnessSettings(BaseModel, frozen=True, extra="forbid"):
    """All of it but `slots` is stored with the evaluation."""

    tasks: int | tuple[str | int, ...] | None = None
    """How many documents, spread evenly over all tasks of the name, or which (ids or places); all by default."""
    prompting: Prompting | None = None
    """raw: lm-eval's default and ours; chat: through the model's chat template."""
    system: str = ""
    """System turn before each question, or text before it."""
    num_fewshot: int | None = Field(None, ge=0)
    """Examples before each question; unset: as the task says, else none."""
    max_tokens: int | None = Field(None, ge=1)
    """New tokens of an answer at most; unset: as the task says, else lm-eval's 256."""
    engine: Way | None = None
    """What GGUF models are asked through: llamacpp, which will answer, or huggingface, as for HumanEval."""
    slots: int | None = Field(None, ge=1)
    """Answers generated together, at most."""

    @property
    def manner(self) -> Manner:
        """What lm-eval is told."""
        return Manner(self.prompting == "chat", self.system, self.num_fewshot, self.tasks)


def harness_settings(given: HarnessSettings | Mapping[str, Any] | None) -> HarnessSettings:
    """The settings, checked. Raises: ModelUnmeasurable naming the key."""
    if isinstance(given, HarnessSettings):
        return given
    try:
        return HarnessSettings.model_validate(dict(given or {}))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ModelUnmeasurable(f"lm-eval's tasks: {place}: {first['msg']}, got {first['input']!r}") from error


def stored_settings(chosen: HarnessSettings, of: Documents, engine: str) -> dict[str, Any]:
    """What two evaluations must share to be one, as it is stored."""
    versions = of.tasks.versions
    shots = {name: task.get_config("num_fewshot") or 0 for name, task in of.tasks.tasks.items()}
    settings = chosen.model_dump(mode="json", exclude={"slots", "num_fewshot"})
    return {
        **settings,
        "prompting": chosen.prompting or "raw",
        "scored_by": f"lm-evaluation-harness {version()}",
        "task": of.tasks.benchmark.partition(":")[2],
        "version": _single(versions),
        "num_fewshot": _single(shots),
        "engine": engine,
        "set_sha256": of.digest,
        "k": [1],
    }


def _single(values: Mapping[str, Any]) -> Any:
    """The one value where all tasks share it, else each task's."""
    found = list(values.values())
    return found[0] if all(value == found[0] for value in found) else dict(values)


USUAL_TOKENS = 256
"""lm-eval's `max_gen_toks`."""

READ = frozenset(
    (
        "until",
        "do_sample",
        "temperature",
        "top_p",
        "max_gen_toks",
        "max_new_tokens",
        "max_tokens",
        "max_completion_tokens",
    )
)


def sampling_of(document: str, told: Mapping[str, Any], chosen: HarnessSettings, seed: int) -> Sampling:
    """How an answer is drawn, by a task's generation_kwargs. Raises: ModelUnmeasurable for what no engine here does."""
    from lm_eval.models.utils import normalize_gen_kwargs

    strange = [key for key, value in told.items() if key not in READ and value not in (None, False)]
    if strange:
        raise ModelUnmeasurable(
            f"{document}: generation_kwargs has {short_repr(strange[0])}, which engines here do not do; "
            f"{', '.join(sorted(READ))} are read"
        )
    known = normalize_gen_kwargs({key: value for key, value in told.items() if key in READ}, USUAL_TOKENS)
    stop = tuple(str(one) for one in known["until"] if one)
    warm = float(known.get("temperature") or 0.0) if known.get("do_sample") else 0.0
    most = chosen.max_tokens or int(known["max_gen_toks"])
    return Sampling(most, warm, float(known.get("top_p") or 1.0), seed, stop)
