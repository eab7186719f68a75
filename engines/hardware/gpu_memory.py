"""GPU memory that the models of `serve` may lie in, asked of the libraries that use it, each in a process of its own.

The server opens no GPU itself: its context would take half a gigabyte that no model has. Where nvidia-smi is missing
nobody is asked.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

LLAMACPP = """
import xllamacpp
print(sum(one["memory_free"] for one in xllamacpp.get_device_info() if one["type"].name.endswith("_GPU")))
"""

TRANSFORMERS = """
from engines import free_bytes, this_device
print(free_bytes(this_device()) if this_device().is_cuda else 0)
"""


@dataclass(frozen=True)
class GpuMemory:
    """Bytes that are free now, by who would use them; 0 for a library that computes on the CPU."""

    llamacpp: int = 0
    """Free bytes on all GPUs that the installed xllamacpp was built for."""
    transformers: int = 0
    """Free bytes on the GPU that torch uses."""


def gpu_memory() -> GpuMemory:
    """What both libraries say; a few seconds where there is a GPU, nothing where there is none."""
    if shutil.which("nvidia-smi") is None:
        return GpuMemory()
    return GpuMemory(_asked(LLAMACPP), _asked(TRANSFORMERS))


def _asked(question: str) -> int:
    """The number that a process prints last; 0, with a warning in the log, if it cannot."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", question], capture_output=True, text=True, timeout=120, check=True,
            cwd=Path(__file__).resolve().parents[2],
        )  # fmt: skip
        return int(done.stdout.split()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        said = getattr(error, "stderr", "") or str(error)
        logging.getLogger(__name__).warning(
            "A GPU's free memory is not known, so models count against the machine's: %s", said.strip()[-200:]
        )
        return 0
