"""Tokenised examples on their way to another process of this machine: a file without a name, gone with its last user.

file = keep(data.train, data.validation, workspace.folder("cache"))
train, validation = take(file.fileno())        # in a process that inherited the descriptor
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from trainer.data.examples import Example


def keep(train: Sequence[Example], validation: Sequence[Example], folder: Path) -> IO[bytes]:
    """Write both parts into an unnamed file on the disk of `folder`: 8 bytes a token."""
    file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 the caller closes it
    for part in (train, validation):
        for array in _arrays(part):
            np.save(file, array, allow_pickle=False)
    file.flush()
    return file


def take(descriptor: int) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Read training and validation examples from an inherited descriptor. Several processes may do so at a time."""
    with Path(f"/dev/fd/{descriptor}").open("rb") as file:  # opened anew: with a position of its own
        parts = [_examples(*(np.load(file, allow_pickle=False) for _ in range(5))) for _ in range(2)]
    return parts[0], parts[1]


def _arrays(part: Sequence[Example]) -> tuple[NDArray[np.int64] | NDArray[np.int32], ...]:
    """Flatten a part: ids, labels, where each row ends, answer bytes, and the rows that the examples are made of."""
    lengths = [len(example.input_ids) for example in part]
    return (
        np.fromiter(chain.from_iterable(example.input_ids for example in part), np.int32, sum(lengths)),
        np.fromiter(chain.from_iterable(example.labels for example in part), np.int32, sum(lengths)),
        np.cumsum(lengths, dtype=np.int64),
        np.array([example.answer_bytes for example in part], dtype=np.int64),
        np.array([example.row for example in part], dtype=np.int64),
    )


def _examples(
    ids: NDArray[np.int32],
    labels: NDArray[np.int32],
    ends: NDArray[np.int64],
    answer_bytes: NDArray[np.int64],
    rows: NDArray[np.int64],
) -> tuple[Example, ...]:
    stops = ends.tolist()
    return tuple(
        Example(ids[start:stop].tolist(), labels[start:stop].tolist(), size, row)
        for start, stop, size, row in zip([0, *stops], stops, answer_bytes.tolist(), rows.tolist(), strict=False)
    )
