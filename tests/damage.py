"""Files as disks, networks and editors leave them: some bytes changed, cut, doubled or put in."""

from __future__ import annotations

import random
from collections.abc import Sequence


def damaged(
    content: bytes, draws: random.Random, pieces: Sequence[bytes], places: Sequence[int], lengths: Sequence[int]
) -> bytes:
    """The content with a few places damaged: how many is drawn from `places`, how far each from `lengths` in bytes.

    pieces: what is put in, or in the place of something.
    """
    made = bytearray(content)
    for _ in range(draws.choice(places)):
        place = draws.randrange(len(made) + 1)
        end = min(len(made), place + draws.choice(lengths))
        kind = draws.randrange(5)
        if kind == 0:
            made[place:end] = draws.randbytes(end - place)
        elif kind == 1:
            del made[place:end]
        elif kind == 2:
            made[place:place] = made[place:end]
        elif kind == 3:
            made[place:place] = draws.choice(pieces)
        else:
            made[place:end] = draws.choice(pieces)
    return bytes(made)
