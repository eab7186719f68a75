"""What comparing and deciding need of an evaluation's outcomes, without their texts: a few bytes for each.

An ended evaluation keeps it in one row beside its outcomes, and the items, which are mostly those of a hundred other
evaluations too, once for all: of 300 models with 3,000 items that is a hundredth of what the outcomes take.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from results.errors import StoreError
from results.records import Verdict, digest

CODES: tuple[Verdict, ...] = (
    "passed", "wrong", "no_answer", "syntax_error", "no_code", "timed_out", "truncated", "memory", "forbidden", "error",
)  # fmt: skip
"""Verdicts by the number that stands for them in stored rows: new ones go behind."""
NO_VERDICT = 255
PASSED, ERROR = CODES.index("passed"), CODES.index("error")
_NUMBERS: Mapping[str | None, int] = {verdict: code for code, verdict in enumerate(CODES)} | {None: NO_VERDICT}
_WORDS: tuple[Verdict | None, ...] = (*CODES, *([None] * (256 - len(CODES))))

Told = tuple[str, str | None, float | None, Mapping[str, Any]]
"""Item, verdict, value and details of an outcome."""


@dataclass(frozen=True)
class ItemList:
    """The items of an evaluation's outcomes, shared by all that were asked the same."""

    id: str
    """Digest of the rest."""
    items: tuple[str, ...]
    """One for each outcome, in the order they came."""
    groups: Mapping[str, str]
    """Item → the label of its group of related items, of those that have one."""


@dataclass(frozen=True, eq=False)
class Tally:
    """An evaluation's outcomes, in the order they came."""

    listed: ItemList
    codes: NDArray[np.uint8]
    """(outcomes,) places in CODES, NO_VERDICT for none."""
    values: NDArray[np.float64] | None = None
    """(outcomes,) each one's number: nats of held-out rows, else its value; NaN for none. None: all have verdicts."""
    sizes: NDArray[np.float64] | None = None
    """(outcomes,) bytes of held-out rows, 0 where none are said."""

    @property
    def items(self) -> tuple[str, ...]:
        """One for each outcome."""
        return self.listed.items

    @property
    def groups(self) -> Mapping[str, str]:
        """Item → the label of its group, of those that have one."""
        return self.listed.groups

    @cached_property
    def verdicts(self) -> list[Verdict | None]:
        """One for each outcome."""
        return list(map(_WORDS.__getitem__, self.codes.tobytes()))

    def row(self) -> dict[str, Any]:
        """The columns that keep it, the items' own row apart."""
        values, sizes = (None if one is None else one.astype("<f8").tobytes() for one in (self.values, self.sizes))
        return {"items_id": self.listed.id, "codes": self.codes.tobytes(), "numbers": values, "sizes": sizes}


def tally_of(outcomes: Iterable[Told]) -> Tally:
    """That of some outcomes, in their order. Raises: StoreError for a verdict that is none."""
    items, codes, values, sizes, groups = list[str](), bytearray(), list[float](), list[float](), dict[str, str]()
    for item, verdict, value, details in outcomes:
        code = _NUMBERS.get(verdict)
        if code is None:
            raise StoreError(f"an outcome of {item!r} has the verdict {verdict!r}, which this Bakeoff does not know")
        items.append(item)
        codes.append(code)
        number = None if verdict is not None or value is None else details.get("nats", value)
        values.append(np.nan if number is None else float(number))
        sizes.append(float(details.get("bytes") or 0) if verdict is None else 0.0)
        if group := details.get("group"):
            groups[item] = str(group)
    every, listed = np.frombuffer(bytes(codes), np.uint8), ItemList(digest([items, groups])[:32], tuple(items), groups)
    if not (every == NO_VERDICT).any():
        return Tally(listed, every)
    return Tally(listed, every, np.array(values), np.array(sizes))


def tally_from(listed: ItemList, row: Mapping[Any, Any]) -> Tally:
    """The tally that `Tally.row` was made of."""
    values, sizes = (None if row[name] is None else np.frombuffer(row[name], "<f8") for name in ("numbers", "sizes"))
    return Tally(listed, np.frombuffer(row["codes"], np.uint8), values, sizes)


def group_count(items: Iterable[str], groups: Mapping[str, str]) -> int:
    """How many groups the items are in, one without a label being its own; 0 where no two are related."""
    every = set(items)
    count = len({(item in groups, groups.get(item, item)) for item in every})
    return count if count < len(every) else 0
