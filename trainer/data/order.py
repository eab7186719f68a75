"""Which rows each optimizer step trains on: a pure function of the step, so a resumed run can never see a row twice.

order = RowOrder([len(row) for row in rows], sequences=4, packed_length=None, seed=0)
order.rows(17)      # indices of the rows of the 18th step
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from math import ceil, floor

import numpy as np


class RowOrder:
    """Epochs of shuffled rows cut into steps. The last step of an epoch takes what is left."""

    def __init__(self, lengths: Sequence[int], sequences: int, packed_length: int | None, seed: int) -> None:
        """lengths: tokens of each row. sequences: a step's rows; with `packed_length`, its sequences of so many tokens.

        A packed sequence takes the shuffled rows one after another while they fit.
        """
        self._lengths = lengths
        self._sequences = sequences
        self._packed_length = packed_length
        self._seed = seed
        self._epochs: dict[int, list[list[int]]] = {}
        self._ends: list[int] = []

    def rows(self, step: int) -> list[int]:
        """Row indices of a step, counted from 0."""
        epoch, inside = self._place(step)
        return self._steps(epoch)[inside]

    def epoch(self, steps: int) -> float:
        """Epochs done after so many steps."""
        if not steps:
            return 0.0
        epoch, inside = self._place(steps - 1)
        return epoch + (inside + 1) / len(self._steps(epoch))

    def steps_of(self, epochs: float) -> int:
        """Steps that so many epochs take, the last one rounded up; at least 1."""
        whole = floor(epochs)
        for epoch in range(whole):
            self._end(epoch)
        done = self._ends[whole - 1] if whole else 0
        rest = epochs - whole
        return max(1, done + (ceil(rest * len(self._steps(whole))) if rest else 0))

    def _place(self, step: int) -> tuple[int, int]:
        while not self._ends or self._ends[-1] <= step:
            self._end(len(self._ends))
        epoch = bisect_right(self._ends, step)
        return epoch, step - (self._ends[epoch - 1] if epoch else 0)

    def _end(self, epoch: int) -> None:
        """Know where the epoch ends."""
        if epoch == len(self._ends):
            self._ends.append((self._ends[-1] if self._ends else 0) + len(self._steps(epoch)))

    def _steps(self, epoch: int) -> list[list[int]]:
        if epoch not in self._epochs:
            self._epochs = {number: steps for number, steps in self._epochs.items() if number >= epoch - 1}
            shuffled = np.random.default_rng([self._seed, epoch]).permutation(len(self._lengths)).tolist()
            sequences = [[row] for row in shuffled] if self._packed_length is None else self._packed(shuffled)
            self._epochs[epoch] = [
                [row for sequence in sequences[start : start + self._sequences] for row in sequence]
                for start in range(0, len(sequences), self._sequences)
            ]
        return self._epochs[epoch]

    def _packed(self, shuffled: Sequence[int]) -> list[list[int]]:
        sequences: list[list[int]] = []
        room = 0
        for row in shuffled:
            if not sequences or self._lengths[row] > room:
                sequences.append([])
                room = self._packed_length or 0
            sequences[-1].append(row)
            room -= self._lengths[row]
        return sequences
