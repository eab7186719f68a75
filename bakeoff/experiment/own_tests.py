"""The tests that an experiment file names under `evaluate.tests`: files of questions, published tests, held-out rows.

evaluate: {tests: [mine.csv, boolq, "lm-eval:gsm8k", {from: validation, check: exact}]}

Not here: what a task of lm-eval is (`bakeoff.experiment.lm_eval_tests`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from bakeoff.experiment.lm_eval_tests import TaskTest, read_task
from results import BakeoffError, Evaluation, Form, Progress, Report, Store, Workspace

if TYPE_CHECKING:
    from evaluator import QuestionSet
    from trainer import Evaluate, Experiment

OWN_KEYS = ("file", "from", "name", "check", "question", "answer", "forms")
"""Keys of a test that say what it is; all others say how it is asked (`evaluator.QuestionSettings`)."""


@dataclass(frozen=True)
class OwnTest:
    """One test, ready to be measured."""

    questions: QuestionSet
    settings: Mapping[str, Any]
    """How it is asked."""
    forms: tuple[Form, ...]
    """Formats that are measured by it."""

    @property
    def name(self) -> str:
        """What its evaluations are stored under."""
        return self.questions.name

    @property
    def answers(self) -> int:
        """Answers that a model gives."""
        tasks, total = self.settings.get("tasks"), len(self.questions.items)
        count = min(tasks, total) if isinstance(tasks, int) else len(tasks) if tasks else total
        return count * int(self.settings.get("samples") or 1)

    @property
    def characters(self) -> float:
        """A question's length on average."""
        return sum(len(item.text) for item in self.questions.items) / max(1, len(self.questions.items))

    @property
    def foretold(self) -> Mapping[str, Any]:
        """The settings that its time depends on, as `evaluator.questions_of` knows them."""
        return self.settings

    @property
    def texts(self) -> Mapping[str, str]:
        """Item → question and right answer."""
        return {item.id: f"{item.text}\n{item.right}" for item in self.questions.items}

    def whole(self, common: Mapping[str, Any]) -> Callable[..., list[Evaluation]]:
        """What measures models by it. common: store, workspace and progress."""
        import evaluator

        return partial(evaluator.evaluate_questions, questions=self.questions, settings=self.settings, **common)

    def race(self, store: Store) -> Callable[[], Any]:
        """What makes it a race."""
        import evaluator

        return partial(evaluator.question_test, self.questions, store, self.settings)

    def told(self, until_decided: bool) -> str:
        """What `bakeoff plan` says of it; of a race it is the most that it can come to."""
        checks = ", ".join(f"{words} of {count}" for words, count in self.questions.checks.items())
        answers = f"{self.answers} answers a model" if self.answers != 1 else "1 answer a model"
        answers = f"at most {answers}" if until_decided else answers
        judge = self.settings.get("judge")
        judged = f"; each judged by {judge['model']} too, whose time is not foretold" if judge else ""
        return f"{self.questions.name}: {answers}, {self.questions.format}; checks: {checks or 'none'}{judged}"


def check_tests(wanted: Evaluate, rows: bool) -> None:
    """Refuse what could only be found out after training: files or tasks that are none, settings, a name twice.

    rows: whether there are any to hold out. Raises: BakeoffError.
    """
    names: set[str] = set()
    for test in wanted.tests:
        if "from" in test:
            if not rows:
                raise BakeoffError("evaluate.tests: from validation needs rows, and the file names none (data.sources)")
            _settings(test)
            name = _name_of_rows(test)
        elif _is_task(test):
            name = read_task(test, wanted.forms).name
        else:
            name = _read_file(test, _settings(test)).name
        if name in names:
            raise BakeoffError(f"evaluate.tests: two tests are called {name!r}: give one another `name`")
        names.add(name)


def check_judges(experiment: Experiment, store: Store) -> None:
    """Refuse a judge that nobody knows before anything is trained; a base is known in time. Raises: NotFound."""
    import evaluator

    for test in experiment.evaluate.tests:
        judge = evaluator.question_settings(_settings(test)).judge if "judge" in test else None
        if judge is not None and not judge.remote and judge.model not in experiment.bases:
            store.models.find(judge.model)


def own_tests(
    experiment: Experiment, workspace: Workspace, progress: Progress | None = None, files_alone: bool = False
) -> list[OwnTest | TaskTest]:
    """The tests, read. files_alone: without held-out rows, which may have to be prepared first.

    Raises: BakeoffError for what cannot be read.
    """
    import evaluator
    import trainer

    wanted, found = experiment.evaluate, list[OwnTest | TaskTest]()
    for test in wanted.tests:
        if _is_task(test):
            found.append(read_task(test, wanted.forms))
            continue
        settings = _settings(test)
        if "from" not in test:
            questions = _read_file(test, settings)
        elif files_alone:
            continue
        else:
            if progress is not None:
                progress("reading held-out rows", 0, 1)
            rows = trainer.validation_rows(experiment, workspace)
            questions = evaluator.questions_of_rows(rows, _name_of_rows(test), test.get("check"))
            evaluator.measured_items(questions, evaluator.question_settings(settings))
        found.append(OwnTest(questions, settings, tuple(test.get("forms") or wanted.forms)))
    return found


def latency_settings(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of `evaluate.latency`; where it has `like`, with prompts of the lengths that this test has.

    Raises: BakeoffError for what cannot be read.
    """
    import evaluator

    settings = {key: value for key, value in wanted.items() if key not in ("forms", "like")}
    if "like" in wanted:
        if not isinstance(wanted["like"], str):
            raise BakeoffError(f"evaluate.latency.like is the path of a file of questions, not {wanted['like']!r:.120}")
        questions = evaluator.named_questions(wanted["like"], evaluator.Wishes())
        own = evaluator.prompts_like(questions, evaluator.question_settings(None))
        settings |= {"own": own, "prompts": [*settings.get("prompts", ()), *own]}
    return settings


def latency_words(wanted: Mapping[str, Any] | None) -> list[str]:
    """What `bakeoff plan` says of prompts of one's own that are timed; nothing without `like`."""
    if wanted is None or "like" not in wanted:
        return []
    import evaluator

    chosen = evaluator.LatencySettings.model_validate(latency_settings(wanted))
    sizes = [
        f"{name} ({sum(len(turn['content']) for turn in chosen.own[name])} characters)"
        for name in chosen.prompts
        if name in chosen.own
    ]
    each = f"{len(chosen.prompts)} prompts, at most {chosen.repetitions} times each"
    return [f"latency: {each}; like your own: {', '.join(sizes)}"]


def _is_task(test: Mapping[str, Any]) -> bool:
    import evaluator

    return evaluator.is_lm_eval(str(test.get("file", "")))


def _settings(test: Mapping[str, Any]) -> dict[str, Any]:
    """How a test is asked, checked. Raises: BakeoffError."""
    import evaluator

    settings = {key: value for key, value in test.items() if key not in OWN_KEYS}
    evaluator.question_settings(settings)
    evaluator.check_rule(test.get("check"))
    return settings


def _read_file(test: Mapping[str, Any], settings: Mapping[str, Any]) -> QuestionSet:
    import evaluator

    wishes = evaluator.Wishes(
        str(test.get("question") or ""), str(test.get("answer") or ""), test.get("check"), bool(settings.get("judge"))
    )
    questions = evaluator.named_questions(str(test["file"]), wishes, str(test.get("name") or ""))
    chosen = evaluator.question_settings(settings)
    items, _ = evaluator.measured_items(questions, chosen)
    if chosen.judge is not None:
        chosen.judge.check_items(items, questions.name)
    return questions


def _name_of_rows(test: Mapping[str, Any]) -> str:
    """What a test on held-out rows is called: validation, and how it is checked."""
    check = test.get("check")
    kind = check.get("kind") if isinstance(check, Mapping) else check
    words = "-".join(str(kind).split()) if kind else ""
    return str(test.get("name") or ("validation-" + words if words else "validation"))


def compare_with_training(
    test: OwnTest | TaskTest,
    experiment: Experiment,
    store: Store,
    workspace: Workspace,
    progress: Progress | None = None,
) -> str:
    """Find the test's items in each run's training rows, and report it as contamination; a sentence, empty for none.

    Items that a run was trained on are told in its scores (pass@1_clean) and count for nobody in a decision.
    """
    import trainer

    if not experiment.data.sources:
        return ""
    texts, name, entries = test.texts, test.name, dict[str, dict[str, Any]]()
    for variant in trainer.variants(experiment):
        data = variant.experiment.data
        key = data.model_dump_json()
        if key not in entries:
            entries[key] = trainer.training_overlap(data, workspace, name, texts, progress)
        report = store.reports.get(variant.id, "contamination")
        known = [] if report is None else [report.payload, *(report.payload.get("others") or ())]
        others = [
            {part: value for part, value in one.items() if part != "others"}
            for one in known
            if one.get("benchmark") not in (None, name)
        ]
        first, *rest = [*others, entries[key]]
        store.reports.put(Report(variant.id, "contamination", {**first, "others": rest}))
    most = max((len(entry["items"]) for entry in entries.values()), default=0)
    return f"{name}: {most} of {len(texts)} items are in the training rows, and count for nobody" if most else ""
