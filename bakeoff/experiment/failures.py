"""What an experiment could not do while the rest of it went on: one export refused, one measurement failed.

Not among them: what ends everything (`ends_everything`): a full disk, a store out of reach, Ctrl-C.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from results import BakeoffError, Evaluation, Model, StoreError, disk_full, memory_out, shortage


@dataclass(frozen=True)
class Failure:
    """One thing that was not done. The same call tries it again."""

    model: str
    """Name of the model that was to be exported or measured."""
    what: str
    """The form or the measurement."""
    reason: str
    trace: str = field(default="", repr=False)
    """The traceback, if the error is no BakeoffError and so a bug."""

    @classmethod
    def of(cls, model: Model, what: str, error: Exception) -> Failure:
        """The failure that an error is. Raises: the error itself where it ends everything."""
        if ends_everything(error):
            raise error
        lacking = shortage(error)
        if isinstance(error, BakeoffError) and not memory_out(error):
            return cls(model.name, what, " ".join(str(error).split()))
        if lacking:
            return cls(model.name, what, lacking)
        reason = " ".join(f"{type(error).__name__}: {error}".split()).strip(": ")
        return cls(model.name, what, reason, "".join(traceback.format_exception(error)))


def ends_everything(error: BaseException) -> bool:
    """Whether nothing that comes after could succeed either: a full disk, or a store that cannot be written."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, StoreError):
            return True
        link = link.__cause__ or link.__context__
    return disk_full(error)


def each_measured(
    models: Sequence[Model], what: str, measure: Callable[[Sequence[Model]], Sequence[Evaluation]]
) -> Iterator[Evaluation | Failure]:
    """Measure all models at once; where that fails, in halves, until a failure is one model's own.

    What was measured before a failure is in the store, where measuring again finds it. Raises: what ends everything.
    """
    if not models:
        return
    try:
        yield from measure(models)
        return
    except Exception as error:
        failure = Failure.of(models[0], what, error)
    if len(models) == 1:
        yield failure
        return
    middle = len(models) // 2
    yield from each_measured(models[:middle], what, measure)
    yield from each_measured(models[middle:], what, measure)


def told(failures: Sequence[Failure]) -> list[str]:
    """A line for each reason, with everything that it kept from being done."""
    by_reason: dict[str, list[Failure]] = {}
    for failure in failures:
        by_reason.setdefault(failure.reason, []).append(failure)
    return [
        f"{', '.join(f'{one.what} of {one.model}' for one in alike)}: {reason}" for reason, alike in by_reason.items()
    ]
