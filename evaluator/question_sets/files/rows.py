"""Rows with a question and an answer, under the names that people and tools give them.

    question, answer …      any table, JSON Lines or Parquet; `context` goes before the question
    input, target, choices  inspect
    input, ideal            OpenAI Evals
    messages                turns; the last assistant's is the right answer where no column has one

A column that is not read is named. Not here: files (`reading`), promptfoo (`promptfoo`), lm-eval (`harness`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engines import Message
from evaluator.question_sets.checking.numerals import number_in, plain_number
from evaluator.question_sets.checking.programs import sound
from evaluator.question_sets.checking.rules import Rule, checked, rule_of
from evaluator.question_sets.files.turns import json_cell, turns_of
from evaluator.question_sets.items import LETTERS, BadItem, BadQuestion, Gathering, Item
from results import short_repr

QUESTIONS = (
    "question", "prompt", "instruction", "input", "query", "problem", "text", "sentence", "task", "user", "goal",
)  # fmt: skip
ANSWERS = (
    "answer", "target", "ideal", "expected", "label", "expected_output", "output", "completion", "response", "gold",
    "reference", "references", "final_answer", "answers", "answerkey", "correct_answer", "solution",
)  # fmt: skip
CONTEXTS = ("context", "passage", "document", "background")
IDS = ("id", "task_id", "question_id", "qid", "uid", "idx", "key")
TAGS = ("tags", "tag", "category", "subject", "topic")
GROUPS = ("group", "group_id", "passage_id")
CHOICES = ("choices", "options")
TESTS = ("test_list", "test", "tests")
ENVIRONMENTS = ("sandbox", "files", "setup", "tools", "image", "images", "audio", "video")
"""Columns without which a question is another one, and which no model is given here."""

REASONED = re.compile(r"\n#### *([^\n]+)\s*\Z")
"""GSM8K's answers: reasoning, then the number."""


@dataclass(frozen=True)
class Wishes:
    """How a person wants a file to be read, where its columns do not say it."""

    question: str = ""
    """The question's column, or a template over columns: "{context}\\n\\n{q}"."""
    answer: str = ""
    """The right answer's column."""
    check: Any = None
    """What `rules.rule_of` takes; None: the row's own, else by what the answers are."""
    judged: bool = False
    """A model judges the answers, so a row without a right answer is a question too."""


@dataclass
class Raw:
    """A row, before it is known how the file's answers are checked."""

    id: str
    messages: tuple[Message, ...]
    answer: Any
    choices: tuple[str, ...]
    rule: Rule | None
    more: Mapping[str, Any]
    tags: tuple[str, ...]
    group: str
    where: str


@dataclass
class Rows:
    """The rows of one file as they come; `finished` makes items of them."""

    wishes: Wishes
    gathering: Gathering = field(default_factory=Gathering)
    _raw: list[Raw] = field(default_factory=list)
    _shapes: dict[str, int] = field(default_factory=dict)

    def add(self, where: str, row: Any, number: int) -> None:
        """Take one row; what cannot be read is kept with its reason."""
        try:
            if not isinstance(row, Mapping):
                raise BadQuestion(f"is no object but {short_repr(row)}")
            self._raw.append(self._read(where, {str(key): value for key, value in row.items()}, number))
        except BadQuestion as error:
            self.gathering.bad.append(BadItem(where, str(error)))

    def _read(self, where: str, row: dict[str, Any], number: int) -> Raw:
        columns = _Columns(row)
        for name in ENVIRONMENTS:
            if columns.lower.get(name) in row and row[columns.lower[name]]:
                raise BadQuestion(f"has {name}, which no model is given here")
        choices, labels = _choices(columns, self.gathering)
        code = bool(columns.first(TESTS)) and not columns.first(ANSWERS[:4])
        messages = _messages(columns, self.wishes)
        answer, rule = self._answer(columns, messages, code)
        if str(answer) in labels:
            answer = choices[labels.index(str(answer))]
        if messages and messages[-1]["role"] == "assistant":
            messages = messages[:-1]
        if not messages or messages[-1]["role"] not in ("user", "tool") or not messages[-1]["content"].strip():
            raise BadQuestion("has no question to be answered")
        shape = columns.shape()
        self._shapes[shape] = self._shapes.get(shape, 0) + 1
        identity = columns.take(IDS)
        group = columns.take(GROUPS)
        tags = columns.take(TAGS)
        more = {"entry_point": columns.take(("entry_point",)) if code else None}
        for column in columns.unread():
            self.gathering.note(f"column {column[:60]!r} is not read")
        return Raw(
            str(number) if identity in (None, "") else str(identity)[:200],
            tuple(messages), answer, choices, rule, more, _tags(tags), "" if group is None else str(group)[:200], where,
        )  # fmt: skip

    def _answer(self, columns: _Columns, messages: Sequence[Message], code: bool) -> tuple[Any, Rule | None]:
        said = columns.take(("check",)) or self.wishes.check
        rule = rule_of(said) if said else None
        if code and (rule is None or rule.kind == "code"):
            return columns.take(TESTS), rule or rule_of("code")
        if (rule is None or rule.kind == "instructions") and columns.first(("instruction_id_list",)):
            told = {name: json_cell(columns.take((name,))) for name in ("instruction_id_list", "kwargs")}
            return {"prompt": messages[-1]["content"] if messages else "", **told}, rule or Rule("instructions")
        if self.wishes.answer:
            if self.wishes.answer not in columns.row:
                raise BadQuestion(f"has no column {self.wishes.answer!r}: {_named(columns.row)}")
            return columns.get(self.wishes.answer), rule
        name = columns.first(ANSWERS)
        if name is not None:
            return columns.get(name), rule
        if messages and messages[-1]["role"] == "assistant":
            return messages[-1]["content"], rule
        if rule is not None and rule.kind == "json":
            return columns.take(("schema", "json_schema")), rule
        if self.wishes.judged:
            return None, rule
        raise BadQuestion(f"has no right answer: no column {', '.join(ANSWERS[:5])} … among {_named(columns.row)}")

    def format(self) -> str:
        """What the rows are, in words."""
        return max(self._shapes, key=lambda shape: self._shapes[shape]) if self._shapes else "rows"

    def finished(self) -> Gathering:
        """The items, with their checks; ids that stand twice and answers that do not fit are bad ones."""
        seen: set[str] = set()
        for raw in self._raw:
            try:
                if raw.id in seen:
                    raise BadQuestion(f"has the id {raw.id!r}, which another has before it")
                seen.add(raw.id)
                self.gathering.items.append(self._item(raw))
            except BadQuestion as error:
                self.gathering.bad.append(BadItem(raw.where, str(error)))
        return self.gathering

    def _usual(self, raw: Raw) -> Rule:
        """How an answer is checked that nobody says it of: a choice where there are some, a number where it is one."""
        answer = raw.answer
        if raw.choices:
            return Rule("choice")
        if isinstance(answer, str) and (said := REASONED.search(answer)) and number_in(said[1]) is not None:
            self.gathering.note("right answers that end in #### and a number are checked by number")
            return Rule("number")
        if plain_number(answer) is not None:
            self.gathering.note("right answers that are numbers are checked by number")
            return Rule("number")
        self.gathering.note("nothing says how answers are checked: by exact")
        return Rule("exact")

    def _item(self, raw: Raw) -> Item:
        if raw.answer in (None, "") and self.wishes.judged:
            self.gathering.note("a judge's alone are questions without a right answer")
            return Item(raw.id, raw.messages, (), raw.choices, False, raw.tags, raw.group, raw.where)
        rule = raw.rule or self._usual(raw)
        answer = raw.answer
        if rule.kind == "number" and isinstance(answer, str) and (said := REASONED.search(answer)):
            answer = said[1]
        if rule.kind in ("json", "tool_call", "exact", "contains_any", "contains_all", "set_f1", "token_f1", "rouge_l"):
            answer = self._unpacked(answer)
        if rule.kind == "choice" and plain_number(answer) is not None and str(answer) not in raw.choices:
            self.gathering.note("answers that are numbers are places of choices, counted from 0")
        if isinstance(answer, bool) and rule.kind == "exact":
            self.gathering.note("right answers that are true or false count as yes or no too")
        item = Item(
            raw.id, raw.messages, (checked(rule, answer, raw.choices, raw.more),), raw.choices, False, raw.tags,
            raw.group, raw.where,
        )  # fmt: skip
        if said_of_test := sound(item):
            raise BadQuestion(said_of_test)
        return item

    def _unpacked(self, answer: Any) -> Any:
        """A list or object that stands as JSON in a cell of a table."""
        value = json_cell(answer)
        if value is not answer:
            self.gathering.note("right answers that are JSON lists or objects are read as such")
        return value


class _Columns:
    """A row's columns, and which of them were read."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        self.row = row
        self.lower = {name.strip().lower().replace(" ", "_").replace("-", "_"): name for name in row}
        self._read: set[str] = set()

    def first(self, names: Sequence[str]) -> str | None:
        """The first of these names that the row has something under."""
        for name in names:
            column = self.lower.get(name)
            if column is not None and self.row[column] is not None and self.row[column] != "":
                return column
        return None

    def get(self, column: str) -> Any:
        self._read.add(column)
        return self.row[column]

    def take(self, names: Sequence[str]) -> Any:
        """What stands under the first of these names; None without any."""
        column = self.first(names)
        return None if column is None else self.get(column)

    def unread(self) -> list[str]:
        return [name for name in self.row if name not in self._read and self.row[name] not in (None, "", [], {})]

    def shape(self) -> str:
        """Whose rows these are, in words."""
        names = self.lower.keys()
        if {"input", "ideal"} <= names:
            return "OpenAI Evals"
        if {"input", "target"} <= names:
            return "inspect's samples"
        if {"prompt", "instruction_id_list"} <= names:
            return "IFEval's rows"
        if "messages" in names or "conversations" in names:
            return "conversations"
        return "columns " + ", ".join([name for name in self.row if name in self._read][:6])


def _messages(columns: _Columns, wishes: Wishes) -> list[Message]:
    """The turns of a row. Raises: BadQuestion."""
    system = columns.take(("system", "system_prompt"))
    turns: list[Message] = [{"role": "system", "content": str(system)}] if system else []
    if wishes.question:
        return [*turns, {"role": "user", "content": _filled(wishes.question, columns)}]
    if name := columns.first(("messages", "conversations")):
        return [*turns, *turns_of(columns.get(name))]
    name = columns.first(QUESTIONS)
    if name is None:
        raise BadQuestion(
            f"has no question: no column {', '.join(QUESTIONS[:4])} … among {_named(columns.row)}; "
            "name it: --question COLUMN"
        )
    value = json_cell(columns.get(name))
    if isinstance(value, list):
        return [*turns, *turns_of(value)]
    text = str(columns.row[name])
    if name.lower() == "instruction" and (further := columns.take(("input",))):
        text = f"{text}\n\n{further}"
    context = columns.take(CONTEXTS)
    if context is not None:
        text = f"{context if isinstance(context, str) else _joined(context)}\n\n{text}"
    return [*turns, {"role": "user", "content": text}]


def _joined(value: Any) -> str:
    """Texts inside of lists and objects, a paragraph each."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return "\n\n".join(_joined(one) for one in value)
    return str(value)


def _filled(template: str, columns: _Columns) -> str:
    """A template over columns in braces, or one column's text. Raises: BadQuestion for one that is not there."""
    if "{" not in template:
        template = "{" + template + "}"

    def value(match: re.Match[str]) -> str:
        if match[1] not in columns.row:
            raise BadQuestion(f"has no column {match[1]!r}: {_named(columns.row)}")
        return _joined(columns.get(match[1]))

    return re.sub(r"\{([^{}]+)\}", value, template)


def _named(row: Mapping[str, Any]) -> str:
    return short_repr(", ".join(map(str, row)))


def _choices(columns: _Columns, gathering: Gathering) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The choices of a row and what the row calls them: a list, `{text, label}` as in ARC, columns A, B, C …, or a text
    with marks between."""
    name, labels = columns.first(CHOICES), tuple[str, ...]()
    if name is None:
        lettered = [columns.lower.get(letter.lower()) for letter in LETTERS]
        lettered = [*lettered[: lettered.index(None)]] if None in lettered else lettered
        if len(lettered) < 2:
            numbered = [columns.lower.get(f"{word}{n}") for word in ("choice_", "option_", "choice", "option")
                        for n in (*"abcdefgh", *range(1, 9))]  # fmt: skip
            lettered = [column for column in numbered if column is not None]
        found = [columns.get(column) for column in lettered if column is not None] if len(lettered) > 1 else []
        found = [one for one in found if one not in (None, "")]
    else:
        value = json_cell(columns.get(name))
        if isinstance(value, Mapping) and isinstance(value.get("text"), list | tuple):
            named = value.get("label")
            labels = tuple(map(str, named)) if isinstance(named, list | tuple) else ()
            value = list(value["text"])
        if isinstance(value, Mapping):
            labels, value = tuple(map(str, value)), list(value.values())
        if isinstance(value, str):
            mark = next((mark for mark in ("\n", "|", ";", ",") if mark in value), None)
            gathering.note("choices are parted by " + {"\n": "lines", None: "nothing"}.get(mark, f"{mark}"))
            value = [part.strip() for part in value.split(mark) if part.strip()] if mark else [value]
        found = list(value) if isinstance(value, list | tuple) else [value]
    if not found:
        return (), ()
    texts = tuple(str(one.get("text", one)) if isinstance(one, Mapping) else str(one) for one in found)
    if not 2 <= len(texts) <= len(LETTERS):
        raise BadQuestion(f"has {len(texts)} choices: 2 to {len(LETTERS)} can be told apart by letters")
    if len(set(texts)) < len(texts):
        raise BadQuestion("has a choice twice")
    return texts, labels if len(labels) == len(texts) else ()


def _tags(value: Any) -> tuple[str, ...]:
    value = json_cell(value)
    if value is None:
        return ()
    found = value if isinstance(value, list | tuple) else re.split(r"[,;|]", str(value))
    return tuple(dict.fromkeys(str(one).strip()[:80] for one in found if str(one).strip()))
