"""What a judging model is told to look at, and how its verdict is read: the judge, the rubric, people's labels.

    evaluate: {tests: [{file: mine.csv, judge: {model: qwen3:8b, rubric: "Polite, and names the refund period."}}]}

Not here: asking (`evaluator.question_sets.judging.evaluate`), the prompt (`evaluator.question_sets.judging.prompts`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, field_validator

from engines import EngineError, endpoint_record
from evaluator.errors import BenchmarkUnreadable, ModelUnmeasurable
from evaluator.question_sets.items import Item
from results import FileUnreadable, Model, Store, digest, is_there, read_text

VERSION = 1
"""The version of the prompt and of how a verdict is read: verdicts of two versions are two measurements."""

BY_REFERENCE = "The answer is correct if it says what the right answer says, in whatever words, and nothing against it."
"""The rubric where none is given and every question has a right answer."""

TEXTS = (".txt", ".md")
"""Endings by which a rubric is the path of a text."""


class JudgeSettings(BaseModel, frozen=True, extra="forbid"):
    """A judging model, and what it judges by."""

    model: str
    """A model of the store by its name, or one at an OpenAI-compatible endpoint: http://host/v1#model, its key in
    OPENAI_API_KEY."""
    rubric: str = ""
    """What makes an answer a correct one: a text, or the path of a .txt or .md file. Empty: `BY_REFERENCE`."""
    grades: tuple[int, int] | None = None
    """The lowest and the highest grade; None: an answer is correct or incorrect."""
    labels: str = ""
    """A file of people's labels on answers: columns item, model and label."""
    max_tokens: int = Field(512, ge=16)
    """New tokens of a verdict with its reason, at most."""

    @field_validator("grades")
    @classmethod
    def _rising(cls, grades: tuple[int, int] | None) -> tuple[int, int] | None:
        if grades is not None and not 0 <= grades[0] < grades[1] <= 100:
            raise ValueError("two whole numbers from 0 to 100, the lowest grade first")
        return grades

    @property
    def text(self) -> str:
        """The rubric's text. Raises: BenchmarkUnreadable for a file that is not there."""
        path = Path(self.rubric).expanduser()
        if not self.rubric.endswith(TEXTS) or "\n" in self.rubric:
            return self.rubric.strip() or BY_REFERENCE
        if not is_there(path):
            raise BenchmarkUnreadable(f"The rubric {path} is not there: name a .txt or .md file, or write the text")
        try:
            return read_text(path).strip() or BY_REFERENCE
        except FileUnreadable as error:
            raise BenchmarkUnreadable(f"Cannot read the rubric {path}: {error.reason}") from error

    @property
    def remote(self) -> bool:
        """Whether the judge is named by an endpoint's address."""
        return self.model.startswith(("http://", "https://"))

    def judge(self, store: Store) -> Model:
        """The judging model, registered where it is an endpoint's. Raises: NotFound, ModelUnmeasurable."""
        if not self.remote:
            return store.models.find(self.model)
        url, _, name = self.model.partition("#")
        if not name:
            raise ModelUnmeasurable(f"Which model at {url} judges? Name it behind a #: {url}#MODEL")
        try:
            return store.models.add(endpoint_record(url, name))
        except EngineError as refused:
            raise ModelUnmeasurable(str(refused)) from refused

    def stored(self, judge: Model) -> dict[str, Any]:
        """What two judgements must share to be one measurement."""
        return {
            "name": judge.name, "identity": judge.identity, "rubric_sha256": digest(self.text), "version": VERSION,
            "grades": list(self.grades) if self.grades else None, "max_tokens": self.max_tokens,
        }  # fmt: skip

    def check_items(self, items: Sequence[Item], name: str) -> None:
        """Refuse to judge by nothing. Raises: ModelUnmeasurable."""
        bare = [item.id for item in items if not item.right]
        if bare and not self.rubric:
            raise ModelUnmeasurable(
                f"{len(bare)} questions of {name} have no right answer (the first: {bare[0]}), so a judge needs a "
                "rubric that says what makes an answer correct: --rubric TEXT (judge: {rubric: …})"
            )


def kinship(judge: Model, model: Model) -> str:
    """How a judge is related to the model that it judges, in a sentence's words; empty for a stranger."""
    if judge.identity == model.identity:
        return f"{judge.name} judges its own answers"
    if judge.base and judge.base == model.base and judge.form != "remote":
        kin = "a fine-tune of itself" if judge.form == "base" else "a model of its own base"
        return f"{judge.name} judges {kin}, and judges favour what they would say themselves"
    return ""
