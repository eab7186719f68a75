"""A part of a benchmark: fixed, spread evenly, and labelled wherever its score is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from evaluator.errors import ModelUnmeasurable


class Named(Protocol):
    """A task or an item: what has an id."""

    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=Named)


def choose_tasks(tasks: Sequence[T], wanted: int | Sequence[str | int] | None) -> tuple[list[T], str]:
    """The tasks to measure and the label of the subset; empty for the whole benchmark.

    A number takes that many, spread evenly and always the same ones.
    Raises: ModelUnmeasurable for a number below 1 or a task that is not there.
    """
    total = len(tasks)
    if wanted is None or (isinstance(wanted, int) and wanted >= total):
        return list(tasks), ""
    if isinstance(wanted, int):
        if wanted < 1:
            raise ModelUnmeasurable(f"{wanted} tasks cannot be measured; give a number from 1 to {total}")
        chosen = [tasks[(2 * place + 1) * total // (2 * wanted)] for place in range(wanted)]
    else:
        by_name: dict[str | int, T] = {task.id: task for task in tasks} | dict(enumerate(tasks))
        strange = [name for name in wanted if name not in by_name]
        if strange:
            raise ModelUnmeasurable(f"No task {strange[0]!r} in the benchmark: {total} tasks, {tasks[0].id} first")
        chosen = [by_name[name] for name in dict.fromkeys(wanted)]
    return chosen, f"{len(chosen)} of {total} tasks"
