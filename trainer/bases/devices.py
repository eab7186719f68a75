"""What this machine trains best with: device and dtype, with the reason in words."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Literal

from engines import OVERFLOWS, DeviceUnavailable, this_device
from trainer.errors import BaseUnavailable

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""The numbers of these settings in glibc's mallopt(3)."""


@dataclass(frozen=True)
class Choice:
    """Device, dtype and quantization, and why."""

    device: str
    dtype: str
    quantization: Literal["none", "nf4"]
    notes: tuple[str, ...]


def choose(dtype: str = "auto", device: str = "auto", quantization: str = "none", architecture: str = "") -> Choice:
    """Resolve `auto`. bf16 where the hardware multiplies it (CPU with AMX or AVX512-BF16, Ampere and newer), fp16 on
    older GPUs (T4) but for the architectures that overflow in it, fp32 elsewhere.

    Raises: BaseUnavailable when the device is not there or cannot do the dtype.
    """
    try:
        found = this_device(device)
    except DeviceUnavailable as error:
        raise BaseUnavailable(str(error)) from error
    device, best, reason = found.name, found.dtype, found.reason
    if best == "float16" and architecture in OVERFLOWS:
        best, reason = "float32", f"{reason}, and {OVERFLOWS[architecture]}"
    if dtype == "auto":
        note = f"{best} on {device}: {reason}"
    elif dtype == "float16" and device == "cpu":
        raise BaseUnavailable("training.dtype float16 does not train on a CPU: use auto, bfloat16 or float32")
    elif dtype == best:
        note = f"{dtype} on {device}, as the file asks: {reason}"
    else:
        note = f"{dtype} on {device}, as the file asks; auto would choose {best}: {reason}"
    notes: tuple[str, ...] = (note,)
    if quantization == "nf4":
        notes += (f"the frozen base is kept in 4 bits (nf4), computed in {best if dtype == 'auto' else dtype}",)
    return Choice(device, best if dtype == "auto" else dtype, "nf4" if quantization == "nf4" else "none", notes)


@cache
def keep_freed_memory(most: int = 1 << 30) -> bool:
    """Let glibc hand a freed block of up to `most` bytes out again instead of returning it to the system.

    A training pass frees what the next one takes, and every fresh page costs a fault: with the defaults (blocks over
    32 MB always returned) the vocabulary's 50 MB tables took twice as long. Returns whether it took effect: not on
    macOS or musl, nor where the allocator was replaced.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    settings = ((M_MMAP_THRESHOLD, most), (M_TRIM_THRESHOLD, 2**31 - 1))
    return mallopt is not None and all(mallopt(name, value) for name, value in settings)


@contextmanager
def settled_objects() -> Iterator[None]:
    """Leave what exists now out of garbage collections meanwhile.

    Python looks through all of half a million objects (torch, transformers, the model) every few steps, for 0.4 s in
    which no thread computes.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
