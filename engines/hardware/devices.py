"""The device that this process computes on: one record, read by the trainer, the engines, the plan and `doctor`.

`auto` is the first GPU that torch can use, else an Apple GPU, else the CPU. `BAKEOFF_DEVICE=cpu` (or `cuda:1`) says
otherwise for everything that asks for `auto`; `CUDA_VISIBLE_DEVICES` hides GPUs as everywhere. Describing a GPU takes
none of its memory; `free_bytes` opens it.

Try: python -c "from engines import this_device; print(this_device())"
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import warnings
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from engines.errors import DeviceUnavailable
from results import needs

VARIABLE = "BAKEOFF_DEVICE"

BF16_FLAGS = ("amx_bf16", "avx512_bf16", "bf16")
"""CPU flags of fast bfloat16 products: Intel AMX, AVX-512 (Intel, AMD), Arm."""

BUILDS = ((580, "cu130"), (525, "cu126"))
"""(oldest driver, wheel index of torch), newest first: CUDA 13 needs driver 580, CUDA 12 by its minor-version
compatibility 525 (NVIDIA, CUDA compatibility guide, table 1)."""

OVERFLOWS = {
    "qwen2": "Qwen2 and Qwen2.5 have activations beyond fp16's largest number, which end in NaN",
    "gemma3_text": "Gemma 3 has activations beyond fp16's largest number, which end in NaN",
    "gemma3": "Gemma 3 has activations beyond fp16's largest number, which end in NaN",
}
"""Architectures (config.json's `model_type`) that fp16 is known not to hold, and why."""

CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Device:
    """Where models are computed, and in which dtype best."""

    name: str
    """What torch takes: cpu, cuda:0, mps."""
    label: str
    """What people call it: Tesla T4, or the CPU's model."""
    capability: tuple[int, int] | None
    """CUDA's compute capability; None elsewhere."""
    memory_bytes: int
    """The device's memory; on a CPU and an Apple GPU the machine's, or its container's limit."""
    dtype: str
    """What it computes best: bfloat16, float16 or float32."""
    reason: str
    """Why that dtype, in words."""

    @property
    def is_cuda(self) -> bool:
        """Whether it is an NVIDIA GPU."""
        return self.name.startswith("cuda")


def this_device(name: str = "auto") -> Device:
    """The device of that name: auto, cpu, cuda, cuda:N or mps.

    Raises: DeviceUnavailable when it is not there.
    """
    if name == "auto":
        name = os.environ.get(VARIABLE, "").strip() or "auto"
    return _described(_resolved(name))


def gpus() -> tuple[Device, ...]:
    """The NVIDIA GPUs that torch can use here, in its order; none where `BAKEOFF_DEVICE` names another device."""
    wanted = os.environ.get(VARIABLE, "").strip() or "auto"
    if not wanted.startswith(("auto", "cuda")):
        return ()
    names = [f"cuda:{number}" for number in range(_gpu_count())] if wanted in ("auto", "cuda") else [_resolved(wanted)]
    return tuple(_described(name) for name in names)


def free_bytes(device: Device) -> int:
    """Memory free now: of a GPU what its driver says, whoever takes the rest; elsewhere of the machine or container."""
    if device.is_cuda:
        import torch

        return int(torch.cuda.mem_get_info(device.name)[0])
    import psutil

    free = int(psutil.virtual_memory().available)
    limit, taken = _number(CGROUP / "memory.max"), _number(CGROUP / "memory.current")
    return min(free, max(0, limit - taken + _file_cache())) if limit is not None and taken is not None else free


def unusable_gpu() -> str:
    """Empty, or: a GPU is listed by nvidia-smi that torch cannot use, and what to do about it.

    Also empty where the CPU is asked for: by `BAKEOFF_DEVICE`, or by a `CUDA_VISIBLE_DEVICES` that hides every GPU.
    """
    wanted = os.environ.get(VARIABLE, "").strip() or "auto"
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "all").strip() in ("", "-1", "none", "NoDevFiles")
    if not wanted.startswith(("auto", "cuda")) or hidden or _gpu_count():
        return ""
    listed = _listed()
    if not listed:
        return ""
    import torch

    (label, driver), others = listed[0], len(listed) - 1
    named = f"{label}{f' and {others} more' if others else ''} (driver {driver})"
    built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
    return (
        f"nvidia-smi lists {named}, but torch {torch.__version__} ({built}) sees no GPU: {_remedy(driver)}. "
        f"To compute on the CPU on purpose, set {VARIABLE}=cpu"
    )


@cache
def cpu_flags() -> frozenset[str]:
    """Instruction sets of this CPU, as Linux names them; empty elsewhere."""
    return frozenset(
        word for key, value in _processor_fields() if key in ("flags", "features") for word in value.split()
    )


def _resolved(name: str) -> str:
    """The name without `auto`, and with the GPU's number. Raises: DeviceUnavailable."""
    if not find_spec("torch"):
        return _without_torch(name)
    import torch

    if name == "auto":
        return "cuda:0" if _gpu_count() else "mps" if torch.backends.mps.is_available() else "cpu"
    if name == "cpu" or (name == "mps" and torch.backends.mps.is_available()):
        return name
    kind, _, number = name.partition(":")
    if kind != "cuda" or not (number or "0").isdigit():
        raise DeviceUnavailable(f"device {name!r} is not known or not there; use auto, cpu, cuda:0 or mps")
    if not (count := _gpu_count()):
        raise DeviceUnavailable(f"device {name} is asked for, but torch sees no NVIDIA GPU; use auto or cpu")
    if int(number or 0) >= count:
        raise DeviceUnavailable(f"device {name} is asked for, but torch sees {count} GPUs: cuda:0 to cuda:{count - 1}")
    return f"cuda:{int(number or 0)}"


def _without_torch(name: str) -> str:
    """Where torch is not installed, a processor is all that can be computed on. Raises: DeviceUnavailable."""
    if name not in ("auto", "cpu"):
        raise DeviceUnavailable(f"device {name}: {needs('torch')}; or use auto or cpu")
    return "cpu"


@cache
def _described(name: str) -> Device:
    if name.startswith("cuda"):
        return _gpu(name)
    if name == "mps":
        return Device(name, "Apple GPU", None, _memory_bytes(), "bfloat16", "Apple GPUs multiply bf16")
    # On Arm `processor` is the model's name, on x86 the number of a core, which stands before the name.
    named = (value for key, value in _processor_fields() if key in ("model name", "processor"))
    label = next((value for value in named if value and not value.isdigit()), "")
    label = label or platform.processor() or platform.machine()
    if found := [flag for flag in BF16_FLAGS if flag in cpu_flags()]:
        return Device(name, label, None, _memory_bytes(), "bfloat16", f"the CPU has {found[0]}")
    reason = "the CPU has neither AMX nor AVX512-BF16, where bf16 would be slower"
    return Device(name, label, None, _memory_bytes(), "float32", reason)


def _gpu(name: str) -> Device:
    import torch

    found = torch.cuda.get_device_properties(name)
    major, minor = torch.cuda.get_device_capability(name)
    # `torch.cuda.is_bf16_supported()` counts emulation, which a T4 has and which is slower than fp32.
    bf16 = major >= 8
    reason = f"{found.name} (compute {major}.{minor}) has {'bf16 tensor cores' if bf16 else 'no bf16'}"
    return Device(name, found.name, (major, minor), int(found.total_memory), "bfloat16" if bf16 else "float16", reason)


def _gpu_count() -> int:
    if not find_spec("torch"):
        return 0
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the driver is too old is said by `unusable_gpu`, with a remedy
        return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _listed() -> list[tuple[str, str]]:
    """(name, driver version) of each GPU that nvidia-smi lists."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = [program, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=120, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    lines = (line.rpartition(",") for line in answer.stdout.splitlines())
    return [(name.strip(), driver.strip()) for name, _, driver in lines if name.strip()]


def _remedy(driver: str) -> str:
    """What to do, by the driver and by the CUDA that torch was built for."""
    import torch

    version = torch.__version__.partition("+")[0]
    major = int(driver.partition(".")[0]) if driver.partition(".")[0].isdigit() else 0
    build = next((build for oldest, build in BUILDS if major >= oldest), "")
    if not build:
        return f"update the driver to {BUILDS[-1][0]} or newer, which torch's oldest CUDA build needs"
    built = torch.version.cuda
    if built and int(built.partition(".")[0]) <= int(build[2:4]):
        return f"the driver is new enough, yet CUDA does not start ({_refusal()})"
    return f"pip install torch=={version} --index-url https://download.pytorch.org/whl/{build}"


def _refusal() -> str:
    """What CUDA says when it is started."""
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.cuda.init()  # type: ignore[no-untyped-call]
    except Exception as error:
        return " ".join(str(error).split())[:200]
    return "without a reason"


def _memory_bytes() -> int:
    """This machine's memory, or its container's limit where that is lower."""
    import psutil

    total = int(psutil.virtual_memory().total)
    limit = _number(CGROUP / "memory.max")
    return total if limit is None else min(total, limit)


def _file_cache() -> int:
    """Bytes that the container counts but gives back when they are wanted: files read and not in use."""
    try:
        lines = (CGROUP / "memory.stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))


def _number(path: Path) -> int | None:
    """A file's number; None where the file is missing or says something else, such as `max`."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


@cache
def _processor_fields() -> tuple[tuple[str, str], ...]:
    """Fields of /proc/cpuinfo, names in lower case; none where there is no such file."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ()
    parts = (line.partition(":") for line in text.splitlines())
    return tuple((key.strip().lower(), value.strip()) for key, _, value in parts)
