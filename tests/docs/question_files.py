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
FORMATS = r"""## Formats

What is recognised, by its columns and not by its name.

**A table, JSON Lines or Parquet.** A question and a right answer, under any of the names below. Other names:
`--question COLUMN --answer COLUMN`, or a template, `--question '{context} {q}'`.

**IFEval.** JSON Lines with `prompt`, `instruction_id_list` and `kwargs`, checked by `instructions`: all are
followed, strictly (lm-eval's copy of Google's checks; the extra `lm-eval`). `--benchmark lm-eval:ifeval` has the
loose reading too.

**Conversations.** `messages` (or `conversations`) with `role` and `content`: all turns are shown, the last
assistant's is the right answer where no column has one. Pictures and tool calls in turns are refused by name.
Several turns are one item; the model gives the last answer only.

**inspect.** `input` (a text or turns), `target` (a text, a list, or a choice's letter), `choices`, `id`. Items that
need a sandbox, files or a setup are refused by name. `metadata` is not read.

**OpenAI Evals.** JSON Lines with `input` (turns) and `ideal` (a text or a list). Which eval class they were for
does not stand in the file: name the check, `--check starts_with` for Match, `--check contains` for Includes.

**promptfoo, YAML and CSV.** Every prompt with every test is an item; lists of variables make an item for each
value. Read are the assertions `equals`, `contains`, `icontains`, `contains-any`, `contains-all`, `starts-with`,
`regex`, `is-json`, `contains-json`, each with `not-`, and `__expected` of a CSV. Assertions that run code, ask a
model or time an answer make their item a bad one, by name. Providers are not read: your models are asked.

**lm-eval, a task's YAML over local files.** `doc_to_text`, `doc_to_target`, `doc_to_choice` as columns or
templates, `generation_kwargs.until`, the first metric that is known (`exact_match`, `acc`, `f1`). `!function`,
few-shot examples, data sets of the Hub and keys that may change what is measured are refused by name. Templates are
evaluated without Python, in bounded steps.
"""
VERDICTS = """By default a row with choices is checked by `choice`, a right answer that is a number by `number`, any
other by `exact`.

`<think>…</think>` is no part of an answer. A reply in which a check finds nothing to look at (no text, number,
JSON, choice, or several choices) is `no_answer`: not right, and counted apart (`no_answer_share`). One that was cut
off at max tokens is `truncated`. What an engine could not answer is an error of ours and in no score. Where wrong
answers by `exact` hold the right one among other words, their number is said. Scores are `pass@1`, or `mean_share`
where any item is graded.
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
    return "\n".join([HEAD, *_files(), FORMATS, *_columns(), *_checks(), *_others(), *_published()]) + "\n"


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
    yield f"\n{VERDICTS}"
    yield f"Graded from 0 to 1 unless there is a threshold: {_named(sorted(GRADED))}.\n"


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
