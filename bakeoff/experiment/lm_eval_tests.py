"""Tasks of lm-eval that an experiment file names among its tests: `evaluate: {tests: ["lm-eval:gsm8k"]}`.

Not here: tests of one's own (`bakeoff.experiment.own_tests`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from results import BakeoffError, Evaluation, Form, Store

if TYPE_CHECKING:
    from evaluator import Documents, HarnessSettings

NOT_TOLD = ("name", "check", "question", "answer")
"""Keys of tests of one's own that a task of lm-eval says itself."""


@dataclass(frozen=True)
class NoRace:
    """A test that is measured whole, also where others are races."""

    benchmark: str
    in_one_pass: bool = True
    runs_programs: bool = False


@dataclass(frozen=True)
class TaskTest:
    """A task or group of lm-eval, ready to be measured."""

    of: Documents
    settings: Mapping[str, Any]
    """How it is asked (`evaluator.HarnessSettings`)."""
    forms: tuple[Form, ...]
    """Formats that are measured by it."""

    @property
    def name(self) -> str:
        """What its evaluations are stored under."""
        return self.of.tasks.benchmark

    @property
    def answers(self) -> int:
        """Answers that a model gives, or items whose continuations are weighed."""
        return sum(1 if self._weighed else document.repeats for document in self.of.chosen)

    @property
    def characters(self) -> float:
        """A prompt's length on average, few-shot examples included."""
        prompts = [str(document.requests[0].args[0]) for document in self.of.chosen]
        return sum(map(len, prompts)) / max(1, len(prompts))

    @property
    def foretold(self) -> Mapping[str, Any]:
        """The settings that its time depends on, as `evaluator.questions_of` knows them."""
        return {**self.settings, "choices": "likelihood" if self._weighed else "answer"}

    @property
    def texts(self) -> Mapping[str, str]:
        """Item → question and right answer, without few-shot examples."""
        import evaluator

        return evaluator.document_texts(self.of)

    def told(self, until_decided: bool) -> str:
        """What `bakeoff plan` says of it; tasks are measured whole, also where others are races."""
        del until_decided
        answers = f"{self.answers} answer{'' if self.answers == 1 else 's'} a model"
        if self._weighed:
            answers = f"the likelihoods of {self.answers} items a model"
        prompts = f"{self.settings.get('prompting') or 'raw'} prompts"
        return f"{self.name}: {answers}, asked and judged by lm-eval's task, {prompts}"

    def whole(self, common: Mapping[str, Any]) -> Callable[..., list[Evaluation]]:
        """What measures models by it. common: store, workspace and progress."""
        import evaluator

        return partial(evaluator.evaluate_tasks, tasks=self.of.tasks, settings=self.settings, **common)

    def race(self, store: Store) -> Callable[[], NoRace]:
        """What says that it is no race: lm-eval judges all documents together."""
        del store
        return partial(NoRace, self.name)

    @property
    def _weighed(self) -> bool:
        return self.of.tasks.kind != "generate_until"


def task_settings(test: Mapping[str, Any]) -> HarnessSettings:
    """How a task is asked, checked. Raises: BakeoffError for what a task says itself, and as `harness_settings`."""
    import evaluator

    if said := [key for key in NOT_TOLD if key in test]:
        raise BakeoffError(
            f"evaluate.tests: {test['file']} says itself what it is called and how it is checked: leave out {said[0]}"
        )
    return evaluator.harness_settings({key: value for key, value in test.items() if key not in ("file", "forms")})


def read_task(test: Mapping[str, Any], forms: tuple[Form, ...]) -> TaskTest:
    """The task with its documents. forms: those of the experiment.

    Raises: BakeoffError where lm-eval is not installed, has no such task or no rows of it, or a setting is none.
    """
    import evaluator

    settings = task_settings(test)
    of = evaluator.asked_documents(evaluator.named_tasks(str(test["file"])), settings)
    return TaskTest(of, settings.model_dump(exclude_unset=True), tuple(test.get("forms") or forms))
