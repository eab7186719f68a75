"""Which items of a question set are measured, and where the set is found again.

Not here: reading files (`evaluator.question_sets.files.reading`).
"""

from __future__ import annotations

from evaluator.errors import BenchmarkUnreadable
from evaluator.question_sets.items import Item, QuestionSet
from evaluator.question_sets.settings import QuestionSettings
from evaluator.tasks.subsets import choose_tasks
from results import Report, Store

BAD_NAMED = 5
"""Bad items that a refusal names."""


def measured_items(questions: QuestionSet, chosen: QuestionSettings) -> tuple[list[Item], str]:
    """The items to measure, and what is said of them where not all are.

    Raises: BenchmarkUnreadable for bad items, unless they are to be skipped, and for a set without any item.
    """
    bad = questions.bad
    if bad and not chosen.skip_bad and not questions.published:
        named = "; ".join(f"{one.where}: {one.reason}" for one in bad[:BAD_NAMED])
        more = f"; and {len(bad) - BAD_NAMED} more" if len(bad) > BAD_NAMED else ""
        raise BenchmarkUnreadable(
            f"{len(bad)} of {len(bad) + len(questions.items)} items of {questions.name} cannot be read: {named}{more}. "
            "Mend them, or measure without them: --skip-bad (skip_bad: true)"
        )
    if not questions.items:
        raise BenchmarkUnreadable(f"{questions.name} has no item that can be read")
    items, label = choose_tasks(questions.items, chosen.tasks)
    label = label.replace("tasks", "items")
    if bad:
        label = f"{label or f'{len(items)} items'}, without {len(bad)} that cannot be read"
    return items, label


def remember(questions: QuestionSet, store: Store) -> None:
    """Keep where a set lies, so that it is found by its name."""
    payload = {"file": questions.path, "format": questions.format, "items": len(questions.items)}
    payload |= {"published": dict(questions.published)} if questions.published else {}
    if questions.path:
        store.reports.put(
            Report(
                questions.name,
                "question_set",
                {**payload, "sha256": questions.digest, "wishes": dict(questions.wishes)},
            )
        )
