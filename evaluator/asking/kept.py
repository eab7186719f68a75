"""Engines that stay open while their models are asked in several parts, as a race asks them block by block.

Where all models share one engine it is opened at the first part, for the questions of all parts, and closed at the end.
Engines of several groups are opened in turn at each part: memory that holds one of them need not hold them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from engines import Generated
from evaluator.asking.backends import Group, Way, groups
from evaluator.asking.prompts import Prompting
from evaluator.asking.questions import Asked, Question
from results import Model, Workspace

Grouped = Callable[[Sequence[Model]], Sequence[Group]]
"""The groups that some models are asked in."""


@contextmanager
def kept_open(
    models: Sequence[Model], workspace: Workspace, way: Way | None, questions: Callable[[Group], Sequence[Question]]
) -> Iterator[Grouped]:
    """While the block runs: the groups of any of the models. questions: all that a group will be asked."""
    found = groups(models, workspace, way)
    if len(found) > 1:
        yield lambda some: groups(some, workspace, way)
        return
    with ExitStack() as stack:
        whole = _Whole(found[0], questions, stack)
        yield lambda some: [_Part(whole, tuple(some))]


class _Whole:
    """The one group, opened when it is first asked."""

    def __init__(self, group: Group, questions: Callable[[Group], Sequence[Question]], stack: ExitStack) -> None:
        self.group, self._questions, self._stack = group, questions, stack
        self._asked: _Once | None = None

    def asked(self) -> Asked:
        if self._asked is None:
            self._asked = _Once(self._stack.enter_context(self.group.opened(self._questions(self.group))))
        return self._asked


class _Once:
    """An open group whose models take the self-test once."""

    def __init__(self, asked: Asked) -> None:
        self._asked, self._checked = asked, set[str]()

    def check(self, model: Model) -> None:
        if model.id not in self._checked:
            self._asked.check(model)
            self._checked.add(model.id)

    def prompt(self, question: Question) -> str:
        return self._asked.prompt(question)

    def answers(self, questions: Sequence[Question], slots: int | None) -> Iterator[tuple[int, Generated]]:
        return self._asked.answers(questions, slots)


class _Part:
    """Some members of the group."""

    def __init__(self, whole: _Whole, members: tuple[Model, ...]) -> None:
        self._whole, self._members = whole, members
        self.engine = whole.group.engine

    @property
    def members(self) -> tuple[Model, ...]:
        return self._members

    def prompting(self, wanted: Prompting | None) -> Mapping[str, Prompting]:
        modes = self._whole.group.prompting(wanted)
        return {model.id: modes[model.id] for model in self._members}

    def details(self) -> dict[str, Any]:
        return self._whole.group.details()

    @contextmanager
    def opened(self, questions: Sequence[Question]) -> Iterator[Asked]:
        del questions  # it is open for those of all parts
        yield self._whole.asked()
