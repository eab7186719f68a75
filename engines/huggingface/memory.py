"""Memory that nothing uses any more goes back to the system, for the engine that is loaded next.

Training lets glibc keep what it frees (`trainer.bases.devices.keep_freed_memory`), for the next pass takes it again.
When a base is closed nobody does, and gigabytes would lie beside the process that answers.
"""

from __future__ import annotations

import ctypes
import gc


def give_back() -> bool:
    """Collect garbage and return freed memory. Whether the C library can: not on macOS or musl."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim is not None and bool(trim(0))
