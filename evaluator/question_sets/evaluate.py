"""Question sets as tests: how a question is put, what a reply becomes, and when it is complete.

Not here: asking and storing, which all tests share (`evaluator.asking.measurement`), files (`reading`), checks
(`verdicts`), choices by likelihood (`likelihood`), checking stored replies again (`rescoring`).
Try: bakeoff evaluate demo-rank8 --benchmark mine.csv --dry-run
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from engines import Generated, Sampling
from evaluator import recording
from evaluator.asking.measurement import Asking, Judge, measure_by
from evaluator.asking.prompts import Prompting
from evaluator.asking.questions import Question
from evaluator.loading.bases import SPOKEN_TO, out_of_reach
from evaluator.question_sets.concluding import conclude, outcome_of, sandboxed, waits
from evaluator.question_sets.items import Item, QuestionSet
from evaluator.question_sets.judging.evaluate import judge_replies, judging_of, replies_of, told_apart
from evaluator.question_sets.likelihood import Weighed
from evaluator.question_sets.measured import measured_items, remember
from evaluator.question_sets.settings import (
    QuestionSettings,
    continued,
    ending,
    most_tokens,
    question_settings,
    stops,
    stored_settings,
    turns_of_chat,
)
from evaluator.sandbox.bubblewrap import sandbox_available
from results import Evaluation, Model, Outcome, Progress, Store, Workspace


def evaluate_questions(
    models: Sequence[Model],
    questions: QuestionSet,
    store: Store,
    workspace: Workspace,
    settings: QuestionSettings | Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    anew: bool = False,
) -> list[Evaluation]:
    """Measure each model by a question set; what is stored already, on whatever machine, is not asked again.

    Where programs are to be run and there is no sandbox the replies are stored and the evaluations are `unscored`; the
    same call completes them where there is one. With `judge` those of the same replies as a model judges them follow,
    under a name of their own (`evaluator.question_sets.judging`).
    Raises: BenchmarkUnreadable for a set with bad items, unless `skip_bad`; ModelUnmeasurable, IdentityFailed,
    FileRefused, EngineError (what was answered before an engine failed is stored, and the same call goes on after it).
    """
    test = question_test(questions, store, settings)
    if test.chosen.judge is not None:
        judging = judging_of(test.chosen, questions, test.items, store)
        found = measure_by(test, models, store, workspace, progress, anew)
        return told_apart(found, judge_replies(replies_of(found), judging, store, workspace, progress))
    if test.chosen.choices == "likelihood":
        if spoken := next((model for model in models if model.form in SPOKEN_TO), None):
            raise out_of_reach(spoken)
        weighed = Weighed(questions, test.items, test.subset, test.chosen)
        return measure_by(weighed, models, store, workspace, progress, anew)
    return measure_by(test, models, store, workspace, progress, anew)


def question_test(
    questions: QuestionSet, store: Store, settings: QuestionSettings | Mapping[str, Any] | None = None
) -> Questions:
    """A question set as a test, and where it lies remembered. Raises: BenchmarkUnreadable, ModelUnmeasurable."""
    chosen = question_settings(settings)
    items, label = measured_items(questions, chosen)
    remember(questions, store)
    return Questions(questions, tuple(items), label, chosen)


@dataclass(frozen=True)
class Questions:
    """A question set as a test."""

    set: QuestionSet
    items: tuple[Item, ...]
    """Those that are asked."""
    subset: str
    chosen: QuestionSettings

    @property
    def benchmark(self) -> str:
        return self.set.name

    @property
    def runs_programs(self) -> bool:
        """Whether verdicts need a sandbox."""
        return any(check.kind == "code" for item in self.items for check in item.checks)

    @property
    def in_one_pass(self) -> bool:
        """Whether all its answers are read at once: choices that are weighed, and what a model judges."""
        return self.chosen.choices == "likelihood" or self.chosen.judge is not None

    @property
    def asking(self) -> Asking:
        chosen = self.chosen
        return Asking(chosen.samples, chosen.seed, chosen.prompting, chosen.engine, chosen.slots)

    def settings(self, prompting: Prompting, engine: str) -> dict[str, Any]:
        return stored_settings(self.chosen, self.set, prompting, engine)

    def question(self, model: Model, prompting: Prompting, item: Item, seed: int) -> Question:
        chosen = self.chosen
        sampling = Sampling(most_tokens(chosen, self.set), chosen.temperature, chosen.top_p, seed)
        end = ending(item, stops(chosen, self.set, prompting), prompting)
        turns = turns_of_chat(item, chosen) if prompting == "chat" else ()
        return Question(model, continued(item, chosen), turns, sampling, end, item.id)

    def outcome(self, item: Item, sample: int, generated: Generated, prompt: str, prompting: Prompting) -> Outcome:
        del prompting  # checks look at what is said, however it was asked for
        return outcome_of(item, sample, generated, prompt)

    @contextmanager
    def judging(self) -> Iterator[Judge]:
        """What runs the programs that are asked for."""
        with sandboxed(self.items) as run_programs:
            yield run_programs or list

    def completed(self, evaluation: Evaluation, store: Store, details: Mapping[str, Any]) -> Evaluation:
        """The evaluation with its scores; set aside where programs wait for a sandbox."""
        waiting = [outcome for outcome in store.evaluations.outcomes(evaluation.id) if waits(outcome)]
        if waiting and self.runs_programs:
            available, why = sandbox_available()
            if not available:
                reason = f"replies stored, not scored: {why} Score them where there is a sandbox, by the same command"
                return store.evaluations.set_aside(evaluation.id, reason, {**details, "unscored": why})
            with self.judging() as judge:
                recording.add(store, evaluation.id, judge(waiting))
        return conclude(evaluation.id, replace(self.set, items=self.items), store, details)
