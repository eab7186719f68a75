"""The stand-in GPU's library: built by g++ for the torch that is installed, once, into a cache folder.

    .venv/bin/python tests/stand_in_gpu/library.py

Two processes may build at once: each writes a file of its own and renames it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCES = ("device.h", "device.cpp")


def missing() -> str:
    """Why the stand-in GPU cannot be built here; empty where it can."""
    if shutil.which("g++") is None:
        return "no g++ to build the stand-in GPU with: apt-get install g++"
    version = (_torch() / "version.py").read_text(encoding="utf-8")
    if "cuda: Optional[str] = None" not in version:
        return "the stand-in GPU takes the CPU build of torch; this one is built for CUDA"
    return ""


def _torch() -> Path:
    """The folder of torch, which is not imported: the library must be there before it."""
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        raise RuntimeError("torch is not installed")
    return Path(found.origin).parent


def library() -> Path:
    """The built library. Raises CalledProcessError, with g++'s words on stderr, when it does not compile."""
    torch = _torch()
    key = hashlib.sha256((torch / "version.py").read_bytes() + str(torch).encode())
    for name in SOURCES:
        key.update((HERE / name).read_bytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bakeoff"
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError:  # no home of one's own
        cache = Path(tempfile.gettempdir()) / f"bakeoff-{os.getuid()}"
        cache.mkdir(mode=0o700, exist_ok=True)
    built = cache / f"stand-in-gpu-{key.hexdigest()[:16]}.so"
    if not built.is_file():
        part = built.with_suffix(f".{os.getpid()}.part")
        subprocess.run(_command(torch, part), check=True)
        part.replace(built)
    return built


def _command(torch: Path, out: Path) -> list[str]:
    include, libraries = torch / "include", torch / "lib"
    return [
        *("g++", "-std=c++20", "-O1", "-w", "-shared", "-fPIC", str(HERE / "device.cpp"), "-o", str(out)),
        *(f"-I{include}", f"-I{include / 'torch' / 'csrc' / 'api' / 'include'}"),
        *(f"-L{libraries}", "-ltorch_cpu", "-lc10", f"-Wl,-rpath,{libraries}"),
    ]


if __name__ == "__main__":
    print(missing() or library())
