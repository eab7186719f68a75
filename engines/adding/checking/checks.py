"""The checklist of a model that is added: a line for each thing that goes wrong with models made elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["ok", "note", "failed"]
"""note: the model is added, and the person should know this of it. failed: it is not; the remedy says what to do."""


@dataclass(frozen=True)
class Check:
    """One line of the checklist."""

    name: str
    """layout, base, shapes, tokenizer, scale, form, template, end-of-turn, active, name, …"""
    state: State
    detail: str
    """What was found, with its values."""
    remedy: str = ""
    """What to do; for what failed always."""

    def as_json(self) -> dict[str, Any]:
        """The line as the store keeps it."""
        return asdict(self)


OTHER_TEMPLATE = "Give the template that it was trained with: --template FILE"


class Checklist:
    """Lines in the order in which they were checked."""

    def __init__(self) -> None:
        self.checks: list[Check] = []

    def ok(self, name: str, detail: str) -> None:
        """Add a line about what is as it should be."""
        self.checks.append(Check(name, "ok", detail))

    def note(self, name: str, detail: str, remedy: str = "") -> None:
        """Add a line about what the person should know."""
        self.checks.append(Check(name, "note", detail, remedy))

    def fail(self, name: str, detail: str, remedy: str) -> None:
        """Add a line about what keeps the model out."""
        self.checks.append(Check(name, "failed", detail, remedy))

    def refused(self, name: str, error: Exception) -> None:
        """Add a line about an error that keeps the model out; its last sentence or clause is the remedy."""
        text = " ".join(str(error).split())
        mark = next((mark for mark in (". ", "; ", ": ") if mark in text), "")
        detail, _, remedy = text.rpartition(mark) if mark else (text, "", "")
        self.checks.append(Check(name, "failed", f"{detail}." if mark else detail, remedy[:1].upper() + remedy[1:]))

    def turn(self, rest: str, ends: bool) -> None:
        """Add a line about what the template has after an answer, and whether it ends generation."""
        said = repr(rest.strip().partition("\n")[0][:24])
        if ends:
            self.ok("end-of-turn", f"an answer is followed by {said}, which ends generation")
        else:
            what = f"Its template follows an answer by {said}, which does not end generation."
            self.fail("end-of-turn", what, OTHER_TEMPLATE)

    @property
    def failed(self) -> bool:
        """Whether a line keeps the model out."""
        return any(check.state == "failed" for check in self.checks)

    @property
    def refusal(self) -> str:
        """What failed and what to do about it, in one line; "" where nothing did."""
        return " ".join(f"{check.name}: {check.detail} {check.remedy}" for check in failures(self.checks))


def failures(checks: Sequence[Check]) -> list[Check]:
    """The lines that keep a model out."""
    return [check for check in checks if check.state == "failed"]
