"""A question set: questions with what is checked of their answers, and what of the file could not be read.

Not here: files (`evaluator.question_sets.files.reading`), verdicts (`evaluator.question_sets.checking.verdicts`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from engines import Message
from results import digest

Kind = Literal[
    "exact", "starts_with", "contains", "contains_any", "contains_all", "regex", "number", "choice", "json",
    "tool_call", "set_f1", "token_f1", "rouge_l", "code", "instructions",
]  # fmt: skip
"""What is looked at in an answer; each in one sentence: `CHECKS`."""

CHECKS: Mapping[Kind, str] = {
    "exact": "the answer is one of the right ones, but for case, white space, surrounding marks and a final stop",
    "starts_with": "the answer begins with one of the right ones",
    "contains": "the right answer stands in it",
    "contains_any": "one of several texts stands in it",
    "contains_all": "all of several texts stand in it",
    "regex": "a pattern is found in it",
    "number": "its last number, or the one that it calls its answer, is the right one within a tolerance",
    "choice": "it names the right one of the choices, by letter or text",
    "json": "it holds JSON, valid against a schema where there is one",
    "tool_call": "it calls the right tool with the right arguments",
    "set_f1": "F1 of its entries against the right ones, order aside; graded",
    "token_f1": "F1 of its words against the right answer's; graded",
    "rouge_l": "ROUGE-L against the right answer; graded",
    "code": "its program passes a test in the sandbox",
    "instructions": "it follows all of IFEval's instructions that the row lists",
}  # fmt: skip

GRADED: frozenset[Kind] = frozenset(("set_f1", "token_f1", "rouge_l"))
"""Checks that give a share from 0 to 1; with a threshold they pass or fail like the others."""

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""Names of an item's choices."""

KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Check:
    """What must hold of an answer."""

    kind: Kind
    wanted: Any
    """Texts for exact, starts_with, contains…; a pattern; a number; the place of the right choice, from 0; a schema or
    None; {"name", "arguments"}; entries; right answers for token_f1 and rouge_l; {"entry_point", "test"} for code;
    {"prompt", "instruction_id_list", "kwargs"} for instructions."""
    negated: bool = False
    """It must not hold."""
    tolerance: float = 0.0
    """How far off a number may be."""
    threshold: float | None = None
    """The share from which a graded check passes; None gives the share itself."""
    case: bool = False
    """Upper and lower case differ."""

    @property
    def graded(self) -> bool:
        """Whether it gives a share where others pass or fail."""
        return self.kind in GRADED and self.threshold is None

    @property
    def words(self) -> str:
        """The check as it is listed."""
        more = f" ± {self.tolerance:g}" if self.tolerance else ""
        more += f" ≥ {self.threshold:g}" if self.threshold is not None else ""
        more += ", case matters" if self.case else ""
        return f"{'not ' * self.negated}{self.kind}{more}"

    def as_json(self) -> dict[str, Any]:
        """What a digest is made of: what is not said is left out."""
        said = {"tolerance": self.tolerance, "threshold": self.threshold, "case": self.case, "negated": self.negated}
        return {"kind": self.kind, "wanted": self.wanted, **{key: value for key, value in said.items() if value}}


@dataclass(frozen=True)
class Item:
    """One question."""

    id: str
    messages: tuple[Message, ...]
    """The turns up to the answer that is asked for; of one question one user turn."""
    checks: tuple[Check, ...]
    """All must hold."""
    choices: tuple[str, ...] = ()
    """Answers to choose from."""
    listed: bool = False
    """The question lists them itself."""
    tags: tuple[str, ...] = ()
    group: str = ""
    """Items of one group are related, such as questions about one text."""
    where: str = ""
    """File and line."""

    @property
    def text(self) -> str:
        """All turns as one text."""
        return "\n\n".join(turn["content"] for turn in self.messages)

    @property
    def right(self) -> str:
        """A right answer in words; empty where its checks have none."""
        for check in self.checks:
            if check.kind == "choice":
                return str(self.choices[check.wanted])
            if check.kind == "number":
                return f"{check.wanted:.15g}"
            if isinstance(check.wanted, list) and not check.negated:
                return str(check.wanted[0])
        return ""

    @property
    def graded(self) -> bool:
        """Whether its answer gets a share where others pass or fail."""
        return any(check.graded for check in self.checks)


class BadQuestion(Exception):
    """An item that cannot be read; its text is the reason."""


@dataclass(frozen=True)
class BadItem:
    """One that cannot be read."""

    where: str
    """File and line."""
    reason: str


@dataclass(frozen=True)
class QuestionSet:
    """A test of one's own."""

    name: str
    """What its evaluations are stored under."""
    format: str
    """How the file was read, in words."""
    items: tuple[Item, ...]
    bad: tuple[BadItem, ...] = ()
    notes: tuple[str, ...] = ()
    """What a reader should know: columns that were not read, how checks were found."""
    stop: tuple[str, ...] = ()
    """Where an answer ends, as the file says."""
    max_tokens: int | None = None
    """New tokens of an answer at most, as the file says."""
    path: str = ""
    """The file; empty for held-out rows."""
    wishes: Mapping[str, Any] = field(default_factory=dict)
    """How a person wanted it to be read (`rows.Wishes`)."""
    published: Mapping[str, str] = field(default_factory=dict)
    """The `name`, `licence` and `source` of a set that others published, and the `sha256` of its file. Nobody here can
    mend its bad items, so they are left out without being asked for."""

    @property
    def digest(self) -> str:
        """SHA-256 (64 hex digits) of all that an answer's verdict follows from: ids, turns, choices, checks."""
        return digest([_told(one) for one in self.items])

    @property
    def checks(self) -> dict[str, int]:
        """Checks in words → items that have them."""
        counts = Counter(words for item in self.items for words in {check.words for check in item.checks})
        return dict(counts.most_common())

    def with_items(self, items: Sequence[Item]) -> QuestionSet:
        """The set with other items."""
        return replace(self, items=tuple(items))


def _told(item: Item) -> list[Any]:
    turns, checks = [dict(turn) for turn in item.messages], [check.as_json() for check in item.checks]
    return [item.id, turns, list(item.choices), item.listed, checks]


@dataclass
class Gathering:
    """Items as they are read, with what is said of the file meanwhile."""

    items: list[Item] = field(default_factory=list)
    bad: list[BadItem] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)
    """Note → how many items it is about; 0 for one about the file."""

    def note(self, text: str, item: bool = True) -> None:
        """Say something once, and of how many items."""
        self.notes[text] = self.notes.get(text, 0) + item

    def said(self) -> tuple[str, ...]:
        """The notes, each with the number of its items where that is not all of them."""
        total = len(self.items) + len(self.bad)
        return tuple(
            text if count in (0, total) else f"{text} ({count} of {total} items)" for text, count in self.notes.items()
        )
