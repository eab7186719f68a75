"""Held-out rows as questions: a conversation's last answer is the right one, the turns before it ask for it.

Not here: which rows are held out; the caller brings them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from evaluator.question_sets.files.rows import Rows, Wishes
from evaluator.question_sets.items import QuestionSet


class Conversation(Protocol):
    """A held-out row; `trainer.validation_rows` gives such."""

    @property
    def messages(self) -> Sequence[Mapping[str, Any]]:
        """Turns with `role` and `content`."""
        ...


def questions_of_rows(conversations: Iterable[Conversation], name: str, check: Any = None) -> QuestionSet:
    """The question set of held-out rows. check: what `rules.rule_of` takes; None: by what the answers are."""
    rows = Rows(Wishes(check=check))
    for number, conversation in enumerate(conversations, 1):
        turns = [dict(turn) for turn in conversation.messages]
        if any(turn.get("reasoning_content") for turn in turns):
            rows.gathering.note("what right answers think is not compared, and earlier thoughts are not shown")
        while turns and turns[-1].get("role") != "assistant":
            turns.pop()  # what nobody answers asks for nothing
        rows.add(f"held-out row {number}", {"messages": turns}, number)
    found = rows.finished()
    return QuestionSet(name, "held-out rows", tuple(found.items), tuple(found.bad), found.said())
