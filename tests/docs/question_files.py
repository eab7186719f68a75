"""docs/reference/test_files.md: which files of questions are read, and how answers are checked, from the readers.

Write it anew: make docs
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from evaluator.question_sets.checking.rules import OTHER_NAMES, Rule
from evaluator.question_sets.files import harness, promptfoo, reading, rows
from evaluator.question_sets.files.published import PUBLISHED
from evaluator.question_sets.items import CHECKS, GRADED
from tests.docs.cells import cell

HEAD = """# Files of questions, and checks

What a file of questions may hold, and how answers are judged. How to use them: `docs/how_to/my_questions.md`. Written
from the code by `make docs`.

    bakeoff evaluate demo-rank8 --benchmark mine.csv --dry-run

says what of a file is read, which checks its items have, and what cannot be read and why.
"""
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "the question": rows.QUESTIONS,
    "the right answer, or a list of them": rows.ANSWERS,
    "what stands before the question": rows.CONTEXTS,
    "a system turn": ("system",),
    "turns in place of a question": ("messages", "conversations"),
    "choices: a list, ARC's `{text, label}`, or columns `A` `B` `C` …": rows.CHOICES,
    "how it is checked": ("check",),
    "a program's tests": rows.TESTS,
    "the item's name": rows.IDS,
    "tags": rows.TAGS,
    "which items are related": rows.GROUPS,
}
"""What a row may have → the columns that it is looked for in, the first one before the next."""


def page() -> str:
    """The whole document."""
    return "\n".join([HEAD, *_files(), *_columns(), *_checks(), *_others(), *_published()]) + "\n"


def _named(words: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"`{one}`" for one in words)


def _files() -> Iterator[str]:
    yield "## Files\n"
    yield (
        f"{_named(reading.ENDINGS)}, each with `.gz` behind it too; at most {reading.MOST_ITEMS:,} questions. "
        "CSV may be parted by commas, semicolons, tabs or bars. "
        f"A JSON object holds its rows under {_named(reading.WRAPPED)}.\n"
    )


def _columns() -> Iterator[str]:
    yield "## Columns\n"
    yield "Told by their names, case aside; a column that is not read is named. Others: `--question`, `--answer`.\n"
    yield "| what | columns |\n|---|---|"
    yield from (f"| {what} | {_named(names)} |" for what, names in COLUMNS.items())
    yield f"\nAn item that has {_named(rows.ENVIRONMENTS)} is a bad one: no model is given those here.\n"


def _checks() -> Iterator[str]:
    yield "## Checks\n"
    yield "`--check NAME`, or the column `check`: `number 0.01` has a tolerance, `token_f1 0.8` a threshold, and"
    yield "`not contains` is passed where `contains` is not.\n"
    yield "| check | passes where | also called |\n|---|---|---|"
    for kind, said in CHECKS.items():
        also = [name for name, of in OTHER_NAMES.items() if of == kind]
        yield f"| `{kind}` | {cell(said)} | {_named(also)} |"
    yield f"\nGraded from 0 to 1 unless there is a threshold: {_named(sorted(GRADED))}.\n"


def _rules(found: Mapping[str, Rule]) -> Iterator[str]:
    yield "| theirs | ours |\n|---|---|"
    for name, rule in found.items():
        yield f"| `{name}` | `{rule.kind}`{', case counts' if rule.case else ''} |"
    yield ""


def _others() -> Iterator[str]:
    yield "## promptfoo's assertions\n"
    yield "In its YAML and in `__expected` of its CSV, each with `not-` before it too. Any other makes its item a bad"
    yield "one, by name.\n"
    yield from _rules(promptfoo.ASSERTIONS)
    yield "## lm-eval's tasks over local files\n"
    yield f"Keys of its YAML that are read: {_named(sorted(harness.READ))}. Its metrics:\n"
    yield from _rules(harness.METRICS)


def _published() -> Iterator[str]:
    yield "## Published tests that are installed\n"
    yield "| name | what | source | licence |\n|---|---|---|---|"
    for name, one in PUBLISHED.items():
        yield f"| `{name}` | {one.title} | {cell(one.source)} | {one.licence} |"
