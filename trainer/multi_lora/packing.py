"""What one forward and backward pass holds: whole rows of several runs, laid end to end.

Rows of a chat data set begin alike: with the template's system prompt, often with an instruction. Under causal
attention what a run computes for such a beginning is the same in every row, and so is the sum of its gradients whether
it is computed once or in each. So the rows of a run in a pass share what they begin with, up to a trained token.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

import torch
from torch import Tensor

from trainer.data.token_rows import Rows
from trainer.multi_lora.segments import Segment

LEAST_SHARED = 8
"""Tokens of a common beginning below which another segment costs more than it saves."""


@dataclass
class Pass:
    """Rows of one pass: (number of the run, row), runs in order, and their tokens before any are shared."""

    units: list[tuple[int, int]]
    tokens: int


@dataclass(frozen=True)
class PackedPass:
    """A pass's tokens as the model sees them. Answer tokens stand in the order of the units."""

    ids: Tensor
    labels: Tensor
    """The next token at each position, or -100."""
    positions: Tensor
    segments: list[Segment]
    spans: list[tuple[int, int, int]]
    """Number of the run, its first token, one past its last."""


def passes(rows: Sequence[Sequence[int]], lengths: Sequence[int], most: int) -> Iterator[Pass]:
    """Units in order, in passes of at most `most` tokens; a longer row has a pass of its own.

    A run that fits into one pass is not cut by the end of another: its rows can then share what they begin with.
    """
    batch = Pass([], 0)
    for number, of_run in enumerate(rows):
        whole = sum(lengths[row] for row in of_run)
        for place, row in enumerate(of_run):
            needed = whole if place == 0 and whole <= most else lengths[row]
            if batch.units and batch.tokens + needed > most:
                yield batch
                batch = Pass([], 0)
            batch.units.append((number, row))
            batch.tokens += lengths[row]
    if batch.units:
        yield batch


def split_across_cores(rows: Sequence[Sequence[int]], lengths: Sequence[int], count: int) -> list[list[list[int]]]:
    """Each run's rows split into one to `count` parts of about as many tokens, to be computed at the same time.

    Runs stay whole where they fit; of one that does not, the longest rows that fit stay and the next part has the rest.
    """
    room = sum(lengths[row] for of_run in rows for row in of_run) / count
    parts: list[list[list[int]]] = [[[] for _ in rows] for _ in range(count)]
    part, free = 0, room
    for number, of_run in enumerate(rows):
        left = sorted(of_run, key=lambda row: -lengths[row])
        while left:
            held = []
            for row in left:
                if part == count - 1 or lengths[row] <= free or not any(parts[part]):
                    parts[part][number].append(row)
                    free -= lengths[row]
                else:
                    held.append(row)
            if held:
                part, free = part + 1, room
            left = held
    return [one for one in parts if any(one)] or parts[:1]


def pack(rows: Rows, batch: Pass, sharing: Collection[int]) -> PackedPass:
    """Lay the rows of a pass end to end; the runs whose numbers are in `sharing` compute a common beginning once."""
    pieces: list[tuple[int, int, int]] = []
    segments: list[Segment] = []
    spans = []
    end = 0
    for number, units in groupby(batch.units, itemgetter(0)):
        members, began, prefix = [row for _, row in units], end, (0, 0)
        shared = rows.common_start(members) if number in sharing else 0
        if shared >= LEAST_SHARED:
            pieces.append((members[0], 0, shared))
            prefix, end = (end, end + shared), end + shared
            segments.append(Segment(*prefix))
        for row in members:
            first = prefix[1] - prefix[0]
            pieces.append((row, first, rows.lengths[row]))
            segments.append(Segment(end, end + rows.lengths[row] - first, prefix))
            end = segments[-1].stop
        spans.append((number, began, end))
    return PackedPass(
        torch.cat([rows.ids[row][first:last] for row, first, last in pieces]),
        torch.cat([rows.labels[row][first:last] for row, first, last in pieces]),
        torch.cat([torch.arange(first, last) for _, first, last in pieces]),
        segments,
        spans,
    )
