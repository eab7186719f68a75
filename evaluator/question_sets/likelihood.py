"""Choices by log-likelihood: the choice that a model finds likeliest behind the question is its answer.

Each format through the engine that answers for it, GGUF files through llama.cpp. No text is generated, so none is cut
and none is misread. Beside the likeliest choice (pass@1) the likeliest by byte is kept (pass@1_by_bytes), which does
not prefer short choices.

Source: Gao et al., lm-evaluation-harness, docs/task_guide.md, `multiple_choice`: acc and acc_norm; where prompt and
choice are cut into tokens: `engines.interface.boundary`.
Not here: choices that are answered in text (`evaluator.question_sets.evaluate`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from engines import Generated, Sampling
from evaluator.asking.measurement import Asking, Judge
from evaluator.asking.prompts import Prompting
from evaluator.asking.questions import Question
from evaluator.errors import ModelUnmeasurable
from evaluator.question_sets.concluding import conclude, wanted_words
from evaluator.question_sets.items import LETTERS, Item, QuestionSet
from evaluator.question_sets.settings import QuestionSettings, continued, stored_settings, turns_of_chat
from results import Evaluation, Model, Outcome, Store


@dataclass(frozen=True)
class Weighed:
    """A question set whose choices are weighed, as a test.

    Raises: ModelUnmeasurable for items without choices.
    """

    set: QuestionSet
    items: tuple[Item, ...]
    """Those that are asked."""
    subset: str
    chosen: QuestionSettings

    def __post_init__(self) -> None:
        for item in self.items:
            if len(item.checks) != 1 or item.checks[0].kind != "choice" or item.checks[0].negated:
                raise ModelUnmeasurable(
                    f"{item.where or item.id}: choices by likelihood need items with choices, "
                    "one of them right; leave --choices out"
                )

    @property
    def benchmark(self) -> str:
        return self.set.name

    @property
    def asking(self) -> Asking:
        chosen = self.chosen
        return Asking(prompting=chosen.prompting, engine=chosen.engine, slots=chosen.slots)

    def settings(self, prompting: Prompting, engine: str) -> dict[str, Any]:
        return stored_settings(self.chosen, self.set, prompting, engine)

    def question(self, model: Model, prompting: Prompting, item: Item, seed: int) -> Question:
        del seed  # nothing is drawn
        text, turns, gap = continued(item, self.chosen), turns_of_chat(item, self.chosen), ""
        if prompting == "raw":
            turns, gap = (), "" if text[-1:].isspace() else " "
        longest = max(len(choice.encode()) for choice in item.choices) + 1  # no tokenizer has more tokens than bytes
        return Question(
            model, text, turns, Sampling(longest), None, item.id, tuple(gap + choice for choice in item.choices)
        )

    def outcome(self, item: Item, sample: int, generated: Generated, prompt: str, prompting: Prompting) -> Outcome:
        """The likeliest choice; an error of ours where the engine could not weigh them."""
        del prompting
        if generated.finish_reason == "error":
            said = {"prompt": prompt, "message": generated.text, "finish_reason": "error"}
            return Outcome(item.id, sample, "error", details=said)
        return chosen_of(item, prompt, [one.nats for one in generated.weighed])

    @contextmanager
    def judging(self) -> Iterator[Judge]:
        """Nothing is left to be judged."""
        yield list

    def completed(self, evaluation: Evaluation, store: Store, details: Mapping[str, Any]) -> Evaluation:
        return conclude(evaluation.id, replace(self.set, items=self.items), store, details)


def chosen_of(item: Item, prompt: str, nats: Sequence[float]) -> Outcome:
    wanted = item.checks[0].wanted
    rounded = [round(one, 6) for one in nats]
    details: dict[str, Any] = {"prompt": prompt, "nats_of_choices": rounded, "choices": list(item.choices)}
    if not all(map(math.isfinite, nats)):
        return Outcome(item.id, 0, "error", details={**details, "message": "a choice has no finite likelihood"})
    place = min(range(len(nats)), key=lambda one: (nats[one], one))
    by_bytes = [loss / max(1, len(choice.encode())) for loss, choice in zip(nats, item.choices, strict=True)]
    normed = min(range(len(nats)), key=lambda one: (by_bytes[one], one))
    told = {
        "answer": item.choices[place], "found": LETTERS[place], "wanted": wanted_words(item), "message": "",
        "checks": ["choice by likelihood"], "passed_by_bytes": normed == wanted,
    }  # fmt: skip
    more = {**({"tags": list(item.tags)} if item.tags else {}), **({"group": item.group} if item.group else {})}
    return Outcome(item.id, 0, "passed" if place == wanted else "wrong", details={**details, **told, **more})
