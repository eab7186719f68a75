"""What `bakeoff evaluate --benchmark mine.csv` says of a file of questions before anything is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from evaluator import QuestionSet, QuestionSettings, Wishes
    from results import Evaluation, Model, Store

PROMPTS_SHOWN = 3
BAD_SHOWN = 20


def wishes_of(question: str, answer: str, check: str | None) -> Wishes | None:
    """How a file is to be read; None where nothing is said, so that what was said before holds."""
    import evaluator

    return evaluator.Wishes(question, answer, check) if question or answer or check else None


def fewshot_of(examples: int | None) -> dict[str, int]:
    """The setting that says how many examples stand before a question of lm-eval's, where it is said."""
    return {} if examples is None else {"num_fewshot": examples}


def judge_of(model: str, rubric: str, labels: str) -> dict[str, Any]:
    """The setting `judge`, where one is named. Raises: BakeoffError for a rubric or labels of nobody."""
    from results.errors import BakeoffError

    if model:
        return {"judge": {"model": model, "rubric": rubric, "labels": labels}}
    if rubric or labels:
        raise BakeoffError("--rubric and --labels are for a judging model: name it with --judge")
    return {}


def asked_for(
    benchmark: str, wishes: Wishes | None, store: Store, own_options: bool, judged: bool = False
) -> QuestionSet | None:
    """The question set that a benchmark is; None for any other, for which the options of question sets are refused.

    Raises: ModelUnmeasurable, BenchmarkUnreadable.
    """
    import evaluator

    questions = evaluator.question_set(benchmark, wishes, store, judged)
    if questions is None and (wishes is not None or own_options):
        raise evaluator.ModelUnmeasurable(
            f"{benchmark} is no file of your own questions: --check, --question, --answer, --choices, --dry-run, "
            "--skip-bad and --judge are for those"
        )
    return questions


def rescored(
    models: Sequence[Model], questions: QuestionSet, store: Store, skip_bad: bool, as_json: bool
) -> list[Evaluation]:
    """Check the stored replies again; says what changed, item by item, to people here, else in the details."""
    import dataclasses

    import evaluator
    from bakeoff.listing import output, printable

    found = evaluator.rescore_questions(models, questions, store, skip_bad)
    names = {model.id: model.name for model in models}
    for one in () if as_json else found:
        changes = [
            f"  {change.item}{f' sample {change.sample}' if change.sample else ''}: {change.was} → {change.now}: "
            f"{' '.join(change.answer.split())[:ANSWER_SHOWN]}"
            for change in one.changes[:CHANGES_SHOWN]
        ]
        if len(one.changes) > CHANGES_SHOWN:
            changes.append(f"  and {len(one.changes) - CHANGES_SHOWN} more: --json lists all")
        for line in (f"{names[one.evaluation.model_id]}: {one.sentence}", *changes):
            output().print(printable(line), markup=False, highlight=False, soft_wrap=True)
    return [
        dataclasses.replace(
            one.evaluation,
            details={**one.evaluation.details, "changes": [dataclasses.asdict(change) for change in one.changes]},
        )
        for one in found
    ]


CHANGES_SHOWN = 20
"""Changed verdicts that are printed."""

ANSWER_SHOWN = 80
"""Characters of an answer beside its changed verdict."""


def show_questions(questions: QuestionSet, settings: Mapping[str, Any], models: Sequence[Model], as_json: bool) -> None:
    """Print the format, the items, their checks, what cannot be read, and three questions as they will be asked."""
    show(description(questions, settings, models), lines, as_json)


def show(found: dict[str, Any], as_lines: Callable[[dict[str, Any]], Iterable[str]], as_json: bool) -> None:
    """Print what a dry run found: as JSON, or as lines in which nothing acts on a terminal."""
    import json

    from bakeoff.listing import spelt_out

    if as_json:
        print(json.dumps(found, indent=1))
        return
    for line in as_lines(found):
        print(spelt_out(line, kept="\n"))


def description(questions: QuestionSet, settings: Mapping[str, Any], models: Sequence[Model]) -> dict[str, Any]:
    """The same as data. Raises: ModelUnmeasurable for wrong settings."""
    import evaluator

    chosen = evaluator.question_settings(settings)
    spread = [questions.items[len(questions.items) * place // PROMPTS_SHOWN] for place in range(PROMPTS_SHOWN)]
    spread = list({item.id: item for item in spread}.values()) if questions.items else []
    ways: tuple[Literal["chat", "raw"], ...] = (chosen.prompting,) if chosen.prompting else ("chat", "raw")
    return {
        "name": questions.name,
        "file": questions.path,
        "format": questions.format,
        "items": len(questions.items),
        "measured": min(len(questions.items), chosen.tasks) if isinstance(chosen.tasks, int) else len(questions.items),
        "checks": questions.checks,
        "choices": chosen.choices,
        "notes": list(questions.notes),
        "bad": [{"where": bad.where, "reason": bad.reason} for bad in questions.bad],
        "published": dict(questions.published),
        "models": [model.name for model in models],
        "prompts": [
            {
                "item": item.id,
                "where": item.where,
                "asked": {way: evaluator.shown(item, chosen, way) for way in ways},
                "checks": [{"check": check.words, "wanted": check.wanted} for check in item.checks],
            }
            for item in spread
        ],
        **({"judge": _judge(questions, chosen)} if chosen.judge else {}),
    }


PLACE_OF_ANSWER = "(here stands a model's answer)"
"""What a dry run shows where a judge will read an answer."""


def _judge(questions: QuestionSet, chosen: QuestionSettings) -> dict[str, Any]:
    """Who judges, and the first question as it will be put to the judge. Raises: ModelUnmeasurable without a rubric."""
    import evaluator

    by = chosen.judge
    assert by is not None
    by.check_items(questions.items, questions.name)
    prompt = ""
    if questions.items:
        first = questions.items[0]
        prompt = evaluator.judge_prompt(first, evaluator.shown(first, chosen), PLACE_OF_ANSWER, by.text, by.grades)
    return {"model": by.model, "labels": by.labels, "prompt": prompt}


def lines(found: Mapping[str, Any]) -> list[str]:
    """The description for people."""
    checks = ", ".join(f"{words} of {count}" for words, count in found["checks"].items()) or "none"
    told = [f"{found['name']}: {found['items']} items out of {found['file']}", f"format: {found['format']}"]
    told += [f"checks: {checks}", *(f"note: {note}" for note in found["notes"])]
    for bad in found["bad"][:BAD_SHOWN]:
        told.append(f"not read: {bad['where']}: {bad['reason']}")
    if len(found["bad"]) > BAD_SHOWN:
        told.append(f"not read: {len(found['bad']) - BAD_SHOWN} more; all of them: --json")
    for one in found["prompts"]:
        for way, text in one["asked"].items():
            told.append(f"\n--- item {one['item']}, {_WAYS[way]} ({one['where']})\n{text}")
        told += [f"    right: {check['wanted']!r} by {check['check']}"[:500] for check in one["checks"]]
    if "judge" in found:
        told.append(f"\n--- what {found['judge']['model']} will be asked about each answer\n{found['judge']['prompt']}")
    models = ", ".join(found["models"]) or "no model: name some"
    told.append(f"\nNothing was asked. To be asked {found['measured']} items: {models}")
    if found["bad"] and found["published"]:
        told.append(f"{len(found['bad'])} items cannot be read, as they were published: they are left out")
    elif found["bad"]:
        told.append(f"{len(found['bad'])} items cannot be read: mend them, or measure without them: --skip-bad")
    return told


_WAYS = {"chat": "for a model with a chat template", "raw": "for one without, which goes on with the text"}
