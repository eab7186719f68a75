"""What devices compute and read in a second: this CPU, this machine's GPUs, and cards that people have or rent.

For plans only: nothing is chosen by these figures. A CPU's are tried for a second, a card's are its data sheet's peaks;
how much of a peak training or answering reaches is said where it is used (`trainer.planning.estimates`,
`engines.hardware.estimates`).

Try: python -c "from engines import places; print(*places('float32'), sep='\\n')"
"""

from __future__ import annotations

import importlib.util
import statistics
import time
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import numpy as np

from engines.hardware.bandwidth import memory_bandwidth
from engines.hardware.devices import Device, gpus, this_device

GIB = 1024**3


@dataclass(frozen=True)
class Place:
    """Where models might be trained or asked."""

    name: str
    kind: Literal["cpu", "gpu"]
    memory_bytes: float
    dtype: str
    """What `dtype: auto` chooses there."""
    flops: float
    """Floating-point operations a second of a large matrix product in `dtype`."""
    bytes_per_second: float
    """Bytes that its memory gives in a second, read in order."""
    cores: int = 1
    """A CPU's cores, as many as torch uses."""
    count: int = 1
    """Devices like it, each of which may train a run of its own."""
    triton: bool = True
    """Whether TRL's loss has its compiled kernels there; without them it holds fp32 copies."""
    note: str = ""
    """What its figures rest on, where that is not plain."""


@dataclass(frozen=True)
class Card:
    """A GPU's data sheet. Memory is what torch finds free for use, not the box's number."""

    label: str
    """Part of the name that the driver gives it."""
    memory_bytes: float
    flops: float
    """Dense, of 16-bit matrix products with fp32 sums."""
    bytes_per_second: float
    dtype: str = "bfloat16"


CARDS = (
    Card("A100-SXM4-40GB", 39.4 * GIB, 312e12, 1555e9),
    Card("A100", 79 * GIB, 312e12, 2039e9),
    Card("H200", 140 * GIB, 989e12, 4800e9),
    Card("H100 PCIe", 79 * GIB, 756e12, 2000e9),
    Card("H100", 79 * GIB, 989e12, 3350e9),
    Card("L40S", 44.5 * GIB, 362e12, 864e9),
    Card("L4", 22.2 * GIB, 121e12, 300e9),
    Card("A10G", 22.2 * GIB, 70e12, 600e9),
    Card("A10", 22.2 * GIB, 125e12, 600e9),
    Card("RTX A6000", 47.5 * GIB, 155e12, 768e9),
    Card("RTX 4090", 23.5 * GIB, 165e12, 1008e9),
    Card("RTX 4080", 15.6 * GIB, 97e12, 717e9),
    Card("RTX 3090", 23.5 * GIB, 71e12, 936e9),
    Card("RTX 3060", 11.6 * GIB, 25e12, 360e9),
    Card("T4", 14.6 * GIB, 65e12, 320e9, "float16"),
    Card("V100", 15.8 * GIB, 125e12, 900e9, "float16"),
    Card("P100", 15.9 * GIB, 19e12, 732e9, "float16"),
)
"""Peaks: NVIDIA's data sheets. The first whose label stands in a device's name serves."""


def card(label: str) -> Card | None:
    """The data sheet of a device by the name that its driver gives; None for one that is not listed."""
    name = " ".join(label.replace("-", " ").split())
    return next((found for found in CARDS if f" {found.label.replace('-', ' ')} " in f" {name} "), None)


def _of_card(label: str, name: str) -> Place:
    found = card(label)
    assert found is not None
    return Place(name, "gpu", found.memory_bytes, found.dtype, found.flops, found.bytes_per_second)


T4 = _of_card("T4", "T4 16 GB")
RTX_4090 = _of_card("RTX 4090", "RTX 4090 24 GB")
A100 = _of_card("A100", "A100 80 GB")
LISTED = (T4, RTX_4090, A100)
"""The cards that every plan names: a free notebook's, a person's own, a rented one."""


def places(cpu_dtype: str) -> tuple[Place, ...]:
    """This machine's CPU, its GPUs (alike ones as one place), then those of `LISTED` that it has not."""
    own = this_gpus()
    had = {card(place.name) for place in own}
    return (this_cpu(cpu_dtype), *own, *(place for place in LISTED if card(place.name.rpartition(" ")[0]) not in had))


def this_cpu(dtype: str) -> Place:
    """This machine's CPU, with what a short trial found: as it is alone, whatever else runs at the moment."""
    import torch

    memory = float(this_device("cpu").memory_bytes)
    cores = torch.get_num_threads()
    return Place("this CPU", "cpu", memory, dtype, _matmul_flops(dtype), memory_bandwidth(), cores, triton=False)


def this_gpus() -> tuple[Place, ...]:
    """This machine's GPUs that torch can use, one place a kind."""
    return of_devices(gpus())


def of_devices(found: tuple[Device, ...]) -> tuple[Place, ...]:
    """Places of GPUs: alike ones are one place with a count."""
    kinds = Counter((one.label, one.memory_bytes, one.dtype, one.capability) for one in found)
    triton = importlib.util.find_spec("triton") is not None
    made = []
    for (label, memory, dtype, capability), count in kinds.items():
        sheet, note = card(label), ""
        if sheet is None:
            sheet = card("RTX 3090" if capability and capability >= (8, 0) else "T4")
            assert sheet is not None
            note = f"{label} is in no table here: its speed is taken for a {sheet.label}'s"
        name = f"this machine's {label}" if count == 1 else f"this machine's {count} {label}"
        made.append(
            Place(
                name, "gpu", float(memory), dtype, sheet.flops, sheet.bytes_per_second,
                count=count, triton=triton, note=note,
            )
        )  # fmt: skip
    return tuple(made)


def alone(place: Place) -> Place:
    """One of the place's devices."""
    return replace(place, count=1)


@cache
def _matmul_flops(dtype: str) -> float:
    """Operations a second of one core in a 512³ matrix product, in processor time: other work does not lower it.

    The faster quarter of many counts, since a core shares its clock and caches with others that may be busy.
    """
    import torch

    size, threads = 512, torch.get_num_threads()
    left = torch.ones(size, size, dtype=getattr(torch, dtype))
    taken = []
    torch.set_num_threads(1)  # waiting for a second thread would count
    try:
        for _ in range(40):
            began = time.thread_time()
            torch.mm(left, left)
            taken.append(time.thread_time() - began)
    finally:
        torch.set_num_threads(threads)
    return float(2 * size**3 / statistics.quantiles(taken)[0])


@cache
def _bandwidth() -> float:
    """Bytes of memory read a second by all cores; at least what one core reads in processor time."""
    block = np.ones(2**24)
    taken = []
    for _ in range(3):
        began = time.thread_time()
        np.sum(block)
        taken.append(time.thread_time() - began)
    return max(memory_bandwidth(), block.nbytes / min(taken))
