"""How a question set is asked, and the questions as models read them.

    turns_of_chat(item, settings)    the turns for a model with a chat template
    continued(item, settings)        the text for one without

Not here: asking (`evaluator.question_sets.evaluate`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from engines import Message
from evaluator.asking.backends import Way
from evaluator.asking.prompts import Prompting, end_of_chat
from evaluator.errors import ModelUnmeasurable
from evaluator.question_sets.checking.rubric import JudgeSettings
from evaluator.question_sets.checking.verdicts import listed
from evaluator.question_sets.items import Item, QuestionSet

CHOOSE = "Answer with the letter of the right choice."
WRITE = "Answer with a whole Python function `{name}` in one Python code block."
MOST_TOKENS = 512
"""New tokens of an answer at most, where neither the settings nor the file say it."""


class QuestionSettings(BaseModel, frozen=True, extra="forbid"):
    """How a question set is asked. All of it but `slots`, `skip_bad` and `judge` is stored with the evaluation."""

    tasks: int | tuple[str | int, ...] | None = None
    """How many items, spread evenly over the set, or which (ids or places); all by default."""
    prompting: Prompting | None = None
    """How questions are put: unless told chat for a model with a chat template, raw without one."""
    system: str = ""
    """System turn before each question; empty for none of ours."""
    choices: Literal["answer", "likelihood"] = "answer"
    """Whether a model answers with one of an item's choices, or the one that it finds likeliest is its choice."""
    choose: str = CHOOSE
    """What is said below listed choices."""
    samples: int = Field(1, ge=1)
    """Answers to each item."""
    temperature: float = Field(0.0, ge=0, le=2)
    """0 is greedy."""
    top_p: float = Field(1.0, gt=0, le=1)
    """The likeliest tokens that together have this probability are drawn from."""
    seed: int = 0
    """The seed of sampling; each answer has one of its own that follows from it."""
    max_tokens: int | None = Field(None, ge=1)
    """New tokens of an answer at most; unset: as the file says, else 512."""
    stop: tuple[str, ...] | None = None
    """Texts before which an answer ends; unset: as the file says, else, without a chat template, a blank line."""
    engine: Way | None = None
    """What GGUF models are asked through: llamacpp, which will answer, or huggingface, as for HumanEval."""
    slots: int | None = Field(None, ge=1)
    """Answers generated together, at most."""
    skip_bad: bool = False
    """Measure without the items that cannot be read; else they end it."""
    judge: JudgeSettings | None = None
    """A model that judges the answers too, in evaluations of its own."""


def question_settings(given: QuestionSettings | Mapping[str, Any] | None, what: str = "tests") -> QuestionSettings:
    """The settings, checked. Raises: ModelUnmeasurable naming the key."""
    if isinstance(given, QuestionSettings):
        chosen = given
    else:
        try:
            chosen = QuestionSettings.model_validate(dict(given or {}))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise ModelUnmeasurable(f"evaluate.{what}.{place}: {first['msg']}, got {first['input']!r}") from error
    if chosen.samples > 1 and chosen.temperature == 0:
        raise ModelUnmeasurable(
            f"{chosen.samples} greedy samples are one answer {chosen.samples} times; set temperature"
        )
    if chosen.choices == "likelihood" and chosen.samples > 1:
        raise ModelUnmeasurable("choices by likelihood are weighed once, and nothing is drawn: leave samples out")
    if chosen.choices == "likelihood" and chosen.judge is not None:
        raise ModelUnmeasurable("choices by likelihood are no texts for a judge to read: leave choices or judge out")
    return chosen


def stored_settings(
    chosen: QuestionSettings, questions: QuestionSet, prompting: Prompting, engine: str
) -> dict[str, Any]:
    """What two evaluations must share to be one, as it is stored."""
    settings = chosen.model_dump(mode="json", exclude={"slots", "skip_bad", "judge"})
    settings |= {"prompting": prompting, "engine": engine, "set_sha256": questions.digest, "k": [1]}
    settings |= {"max_tokens": most_tokens(chosen, questions), "stop": list(stops(chosen, questions, prompting))}
    if chosen.choices == "likelihood":
        asked = ("samples", "temperature", "top_p", "seed", "max_tokens", "stop", "choose")
        settings = {key: value for key, value in settings.items() if key not in asked}
    return settings


def most_tokens(chosen: QuestionSettings, questions: QuestionSet) -> int:
    """New tokens of an answer at most."""
    return chosen.max_tokens or questions.max_tokens or MOST_TOKENS


def stops(chosen: QuestionSettings, questions: QuestionSet, prompting: Prompting) -> tuple[str, ...]:
    """Texts before which an answer ends."""
    if chosen.stop is not None:
        return chosen.stop
    written = any(check.kind in ("code", "json", "tool_call") for item in questions.items for check in item.checks)
    return questions.stop or (("\n\n",) if prompting == "raw" and not written else ())


def ending(item: Item, stops: Sequence[str], prompting: Prompting) -> Callable[[str], int | None] | None:
    """Where an answer is over: before the first stop that does not stand at its start, or behind a function's fence."""
    code = next((check for check in item.checks if check.kind == "code"), None)
    if code is not None and prompting == "chat" and not stops:
        return end_of_chat(code.wanted["entry_point"])
    if not stops:
        return None
    pattern = re.compile("|".join(map(re.escape, stops)))

    def end(text: str) -> int | None:
        found = pattern.search(text, len(text) - len(text.lstrip()))
        return found.start() if found else None

    return end


def turns_of_chat(item: Item, chosen: QuestionSettings) -> tuple[Message, ...]:
    """The turns of a question, with its choices listed below the last one."""
    turns: list[Message] = [{"role": "system", "content": chosen.system}] if chosen.system else []
    turns += item.messages
    if below := _below(item, chosen, last=chosen.choose):
        turns[-1] = {**turns[-1], "content": f"{turns[-1]['content'].rstrip()}\n\n{below}"}
    return tuple(turns)


def continued(item: Item, chosen: QuestionSettings) -> str:
    """The text that a model without a chat template goes on with: the turns with blank lines between, and after the
    last one too, unless it ends in a colon or in white space."""
    text = "\n\n".join(turn["content"] for turn in item.messages)
    if below := _below(item, chosen, last="Answer:"):
        text = f"{text.rstrip()}\n\n{below}"
    text = f"{chosen.system}\n\n{text}" if chosen.system else text
    return text if text.endswith((":", " ", "\n", "\t")) else f"{text}\n\n"


def _below(item: Item, chosen: QuestionSettings, last: str) -> str:
    """What is said below a question of ours: its choices, or that a function is asked for."""
    if chosen.choices == "likelihood":
        return ""
    if item.choices and any(check.kind == "choice" for check in item.checks):
        return last if item.listed else f"{listed(item.choices)}\n\n{last}"
    code = next((check for check in item.checks if check.kind == "code"), None)
    return WRITE.replace("{name}", code.wanted["entry_point"]) if code else ""


def shown(item: Item, chosen: QuestionSettings, prompting: Prompting = "chat") -> str:
    """The question as it is asked, for people: turns with their roles before them, or the text that is continued."""
    if prompting == "raw":
        return continued(item, chosen)
    return "\n\n".join(f"[{turn['role']}] {turn['content']}" for turn in turns_of_chat(item, chosen))


LIKE = {"p50": 0.5, "p90": 0.9}
"""Lengths of one's own prompts that are timed: the usual one, and one that nine of ten are no longer than."""


def prompts_like(questions: QuestionSet, chosen: QuestionSettings) -> dict[str, tuple[Message, ...]]:
    """Questions whose lengths stand for those of all, by name: the turns of each, as they are asked.

    Raises: ModelUnmeasurable for a set without an item.
    """
    if not questions.items:
        raise ModelUnmeasurable(f"{questions.name} has no item that can be read")
    by_length = sorted(questions.items, key=lambda item: sum(len(t["content"]) for t in turns_of_chat(item, chosen)))
    last = len(by_length) - 1
    found = {f"{questions.name} {name}": by_length[round(share * last)] for name, share in LIKE.items()}
    return {name: turns_of_chat(item, chosen) for name, item in found.items()}
