"""A stand-in for NVIDIA GPUs in host memory: what `torch.cuda` is told by the library that `device.cpp` becomes.

What it shows: which device every tensor is on and what mixing them raises, bytes now and at the peak, memory that runs
out (`torch.cuda.OutOfMemoryError`), launches and waits of the host, random streams that are the device's own, pinned
memory, a T4 that has bf16 by emulation only, GPUs hidden by CUDA_VISIBLE_DEVICES, a fork that must not use the device.

What it cannot show: speed, asynchrony (every stream has always finished), which kernel CUDA would choose and the memory
that kernels, contexts and fragments take beside their results, CUDA's rounding, and operations that torch has for CPUs
alone. Passing here is needed and not enough: `benchmarks/gpu.py` is for a real one.

A process gets it through `sitecustomize.py` beside this file, which calls `load` before torch is imported, `install`
after it, and `hide` and `show` around bitsandbytes, whose CUDA library could not be loaded.
"""

from __future__ import annotations

import ctypes
import json
import os
from types import SimpleNamespace
from typing import Any

KINDS: dict[str, tuple[int, str, tuple[int, int], int]] = {
    "t4": (1, "Tesla T4", (7, 5), 15_636_000_000),
    "4090": (1, "NVIDIA GeForce RTX 4090", (8, 9), 25_250_000_000),
    "a100": (1, "NVIDIA A100-SXM4-80GB", (8, 0), 85_000_000_000),
    "2xt4": (2, "Tesla T4", (7, 5), 15_636_000_000),
    "2xa100": (2, "NVIDIA A100-SXM4-80GB", (8, 0), 85_000_000_000),
}
"""What `BAKEOFF_STAND_IN_GPU` may name: how many, their name, compute capability, bytes of each."""

SIZES = {"MB": 10**6, "GB": 10**9}

_library: ctypes.CDLL
_hidden = False


def asked() -> tuple[int, str, tuple[int, int], int]:
    """The kind that the variable names. Raises ValueError for one that there is not."""
    word, _, size = os.environ["BAKEOFF_STAND_IN_GPU"].partition(":")
    if word not in KINDS or (size and not (size[:-2].isdigit() and size[-2:] in SIZES)):
        raise ValueError(
            f"BAKEOFF_STAND_IN_GPU={word}:{size} is none of {', '.join(KINDS)}, or with a size, like t4:2GB"
        )
    count, name, capability, memory = KINDS[word]
    return count, name, capability, int(size[:-2]) * SIZES[size[-2:]] if size else memory


def load() -> None:
    """Load the library, building it at first use: before torch, which asks for its CUDA hooks once."""
    global _library
    import stand_in_gpu_library

    _library = ctypes.CDLL(str(stand_in_gpu_library.library()))
    _library.stand_in_counts.restype = ctypes.c_char_p
    for name in ("bytes", "peak", "held"):
        getattr(_library, f"stand_in_{name}").restype = ctypes.c_long
    _library.stand_in_install.argtypes = [ctypes.c_int, ctypes.c_long]
    count, _, _, memory = asked()
    _library.stand_in_install(count, memory)


def hide() -> None:
    """Let it look as if there were no GPU: before bitsandbytes is imported, whose other kernels then serve."""
    import torch

    global _hidden
    _hidden, torch.version.cuda = True, None


def show() -> None:
    """The GPU is there again."""
    import torch

    global _hidden
    _hidden, torch.version.cuda = False, "13.0"


def counts() -> dict[str, dict[str, int]]:
    """What this process launched and waited for so far, by operation: {"launches": …, "synchronisations": …}."""
    return dict(json.loads(_library.stand_in_counts()))


def install() -> None:
    """Answer in the place of torch's CUDA bindings, so that `torch.cuda` itself stays as it is."""
    import torch

    _, _, _, memory = asked()
    cuda, native = torch.cuda, torch._C
    for key, answer in _bindings(torch).items():
        setattr(native, key, answer)
    cuda._exchange_device = native._cuda_exchangeDevice
    cuda._maybe_exchange_device = native._cuda_maybeExchangeDevice
    cuda._cudart = SimpleNamespace(
        cudaMemGetInfo=lambda number: (memory - _library.stand_in_held(number), memory),
        cudaError=SimpleNamespace(success=0),
    )
    torch.version.cuda = "13.0"
    _generators(torch)
    _streams(torch)
    _storages(torch)


def _bindings(torch: Any) -> dict[str, Any]:
    """What torch's own CUDA code calls, by name."""

    def start() -> None:
        if not _library.stand_in_visible():
            raise RuntimeError("No CUDA GPUs are available")
        _library.stand_in_open()
        generators = (torch._C._stand_in_generator(number) for number in range(_library.stand_in_visible()))
        torch.cuda.default_generators = tuple(generators)
        torch.cuda._get_device_properties = _properties

    def exchange(number: int) -> int:
        before = int(_library.stand_in_current())
        if number >= 0:
            _library.stand_in_choose(number)
        return before

    return {
        "_cuda_init": start,
        "_cuda_isInBadFork": _forked(torch.cuda),
        "_cuda_getDeviceCount": lambda: 0 if _hidden else int(_library.stand_in_visible()),
        "_cuda_getDevice": lambda: int(_library.stand_in_current()),
        "_cuda_setDevice": lambda number: exchange(number) and None,
        "_cuda_exchangeDevice": exchange,
        "_cuda_maybeExchangeDevice": exchange,
        "_cuda_synchronize": lambda: None,
        "_cuda_emptyCache": lambda: None,
        "_cuda_ipc_collect": lambda: None,
        "_cuda_getArchFlags": lambda: "sm_75 sm_80 sm_86 sm_89 sm_90",
        "_cuda_memoryStats": _statistics,
        "_cuda_resetPeakMemoryStats": lambda number: _library.stand_in_reset_peak(number),
        "_cuda_resetAccumulatedMemoryStats": lambda number: None,
        "_cuda_getAllocatorBackend": lambda: "native",
        "_cuda_getCurrentRawStream": lambda number: 0,
        "_cuda_canDeviceAccessPeer": lambda one, other: True,
    }


def _properties(number: int) -> SimpleNamespace:
    """A GPU as `torch.cuda.get_device_properties` describes it; its uuid tells which physical one it is."""
    _, name, capability, memory = asked()
    return SimpleNamespace(
        name=name,
        major=capability[0],
        minor=capability[1],
        total_memory=memory,
        multi_processor_count=40,
        gcnArchName="",
        uuid=f"stand-in-{_library.stand_in_physical(number)}",
        warp_size=32,
        max_threads_per_multi_processor=1024,
        regs_per_multiprocessor=65536,
        is_integrated=False,
        L2_cache_size=4 << 20,
    )


def _statistics(number: int) -> dict[str, Any]:
    """`torch.cuda.memory_stats`, nested: bytes now and at the peak. Nothing is cached, so reserved is allocated."""
    now, peak = _library.stand_in_bytes(number), _library.stand_in_peak(number)
    held = {"all": {"current": now, "peak": peak, "allocated": peak, "freed": peak - now}}
    known = ("allocated_bytes", "reserved_bytes", "active_bytes", "requested_bytes")
    return dict.fromkeys(known, held) | {"num_ooms": 0, "num_alloc_retries": 0}


def _forked(cuda: Any) -> Any:
    """Whether this is a forked child of a process that had opened the device."""
    children: list[bool] = []
    os.register_at_fork(after_in_child=lambda: children.append(True) if cuda._initialized else None)
    return lambda: bool(children)


def _generators(torch: Any) -> None:
    """The devices' own random streams, which `torch.cuda.manual_seed` and its kind reach."""

    def own(number: int) -> Any:
        _library.stand_in_hand_out_own(1)
        try:
            return torch.Generator(f"cuda:{number}")
        finally:
            _library.stand_in_hand_out_own(0)

    torch._C._stand_in_generator = own


def _streams(torch: Any) -> None:
    """Streams and events of a device that has finished whatever it was asked."""

    class Event:
        def __init__(self, *_: Any, **__: Any) -> None:
            pass

        def record(self, *_: Any) -> None:
            pass

        def wait(self, *_: Any) -> None:
            pass

        def synchronize(self) -> None:
            pass

        def query(self) -> bool:
            return True

        def elapsed_time(self, _: Event) -> float:
            return 1.0

    class Stream:
        cuda_stream = stream_id = 0
        device_type = 1

        def __init__(self, device: Any = None, *_: Any, **__: Any) -> None:
            number = torch.cuda._utils._get_device_index(device, optional=True)
            self.device, self.device_index = torch.device("cuda", number), number

        def __enter__(self) -> Stream:
            return self

        def __exit__(self, *_: Any) -> None:
            pass

        def synchronize(self) -> None:
            pass

        def query(self) -> bool:
            return True

        def wait_stream(self, _: Stream) -> None:
            pass

        def wait_event(self, _: Event) -> None:
            pass

        def record_event(self, event: Event | None = None) -> Event:
            return event or Event()

    cuda = torch.cuda
    cuda.Event, cuda.Stream = Event, Stream
    cuda.current_stream = cuda.default_stream = lambda device=None: Stream(device)
    cuda.stream = lambda stream: stream or Stream()
    cuda.set_stream = lambda stream: None
    cuda.is_current_stream_capturing = lambda: False
    torch.Tensor.record_stream = lambda self, stream: None


def _storages(torch: Any) -> None:
    """Storages that go between host and device, as loading a checkpoint moves them."""

    def to(self: Any, *, device: Any, non_blocking: bool = False) -> Any:
        device = torch.device(device)
        if device.type == self.device.type and device.index in (None, self.device.index):
            return self
        return torch.empty(0, dtype=torch.uint8, device=self.device).set_(self).to(device).untyped_storage()

    torch.UntypedStorage.to = to
    torch.UntypedStorage.cpu = lambda self: to(self, device="cpu")
    torch.UntypedStorage.cuda = lambda self, device=None, non_blocking=False: to(self, device=device or "cuda")
