"""Rows that are nearly an earlier one: MinHash proposes, every proposal is compared exactly.

Some seventy bytes of memory a row, and more for those alone that some other row resembles.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from results.records import Progress, percent
from trainer.data.words import words
from trainer.sources.conversations import Conversation

SHINGLE_WORDS = 5

PERMUTATIONS = 128
"""MinHash permutations: a standard error of 0.09 at most (1/√128); candidates are then compared exactly."""

BLOCK_ROWS = 1024
SHINGLES_HELD = 500_000
"""Shingles kept of rows compared last; a hundred bytes each or so."""


def shingles(row: Conversation) -> frozenset[str]:
    """Word 5-grams over all turns but the system's; the whole text when it is shorter."""
    found = words(row.text)
    if len(found) <= SHINGLE_WORDS:
        return frozenset([" ".join(found)])
    return frozenset(" ".join(found[at : at + SHINGLE_WORDS]) for at in range(len(found) - SHINGLE_WORDS + 1))


def near_duplicates(rows: Sequence[Conversation], threshold: float, progress: Progress | None = None) -> dict[int, str]:
    """Place → reason, of rows whose shingles' Jaccard similarity to an earlier row that stays reaches the threshold.

    MinHash-LSH proposes (Broder 1997; datasketch); every proposal is compared exactly, so none is removed by estimate.
    """
    from datasketch import MinHashLSH

    # A looser index than the threshold, since a candidate that it misses is never compared.
    loose = MinHashLSH(threshold=max(0.5, threshold - 0.15), num_perm=PERMUTATIONS)
    bands = _bands(rows, loose.b, loose.r, progress)
    stays: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    compared = _Shingles(rows)
    found: dict[int, str] = {}
    shared = _shared(bands)
    for place in np.flatnonzero(shared.any(axis=0)).tolist():
        keys = [(band, int(bands[band, place])) for band in np.flatnonzero(shared[:, place]).tolist()]
        pieces = compared.of(place)
        for candidate in sorted({earlier for key in keys for earlier in stays[key]}):
            theirs = compared.of(candidate)
            similarity = len(pieces & theirs) / len(pieces | theirs)
            if similarity >= threshold:
                earlier = rows[candidate]
                found[place] = f"{percent(similarity)} like row {earlier.row} of {earlier.source}"
                break
        else:
            for key in keys:
                stays[key].append(place)
    return found


def _bands(rows: Sequence[Conversation], count: int, width: int, progress: Progress | None) -> NDArray[np.uint32]:
    """Hash each band of each row's sketch to 32 bits: [count, rows]. Rows that share a band are compared."""
    bands = np.empty((count, len(rows)), np.uint32)
    factors = np.random.default_rng(1).integers(1 << 63, size=width, dtype=np.uint64) * 2 + 1
    sketches = _sketches(rows)
    for start in range(0, len(rows), BLOCK_ROWS):
        block = np.stack(list(islice(sketches, BLOCK_ROWS)))[:, : count * width].astype(np.uint64)
        hashed = (block.reshape(len(block), count, width) * factors).sum(axis=2) >> np.uint64(32)
        bands[:, start : start + len(block)] = hashed.T
        if progress:
            progress("looking for near-duplicates", start + len(block), len(rows))
    return bands


def _sketches(rows: Sequence[Conversation]) -> Iterator[NDArray[np.uint32]]:
    from datasketch import MinHash

    permutations = MinHash(num_perm=PERMUTATIONS, seed=1, scheme="affine32").permutations
    for row in rows:
        sketch = MinHash(num_perm=PERMUTATIONS, seed=1, permutations=permutations, scheme="affine32")
        sketch.update_batch([piece.encode("utf-8", "surrogatepass") for piece in shingles(row)])
        yield sketch.hashvalues


def _shared(bands: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Whether another row has the same band: [bands, rows]."""
    shared = np.zeros(bands.shape, np.bool_)
    for band, one in zip(bands, shared, strict=True):
        order = np.argsort(band)
        same = band[order[1:]] == band[order[:-1]]
        one[order[1:][same]] = True
        one[order[:-1][same]] = True
    return shared


class _Shingles:
    """Shingles of rows by place; those asked for last are kept."""

    def __init__(self, rows: Sequence[Conversation]) -> None:
        self._rows = rows
        self._held: dict[int, frozenset[str]] = {}
        self._count = 0

    def of(self, place: int) -> frozenset[str]:
        if (found := self._held.get(place)) is None:
            if self._count > SHINGLES_HELD:
                self._held, self._count = {}, 0
            found = self._held[place] = shingles(self._rows[place])
            self._count += len(found)
        return found
