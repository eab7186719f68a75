"""How fast this machine reads memory: the ceiling of decoding, since every token reads all weights once."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np

from results import processors

BLOCK_BYTES = 128 << 20
"""A thread's share: larger than most caches, small enough for any machine that runs a model."""


@lru_cache(maxsize=1)
def memory_bandwidth() -> float:
    """Bytes per second that all cores read together: the best of three passes of summing. About half a second."""
    cores = processors()
    blocks = [np.ones(BLOCK_BYTES // 8) for _ in range(cores)]
    best = 0.0
    with ThreadPoolExecutor(cores) as pool:
        for _ in range(3):
            began = time.perf_counter()
            list(pool.map(np.sum, blocks))  # releases the GIL
            best = max(best, cores * BLOCK_BYTES / (time.perf_counter() - began))
    return best
