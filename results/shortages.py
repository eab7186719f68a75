"""What a machine lacks: room on a disk, memory, files it may write or open, a library; whoever says so, and how.

Such an error is neither a bug nor a model's fault. It is told in one line, and what it interrupted is done again by the
same command once there is room.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator

_DISK = re.compile(r"No space left on device|Disk quota exceeded|disk is full|os error 28\b", re.I)
_MEMORY = re.compile(r"can't allocate memory|cannot allocate memory|bad_alloc|MemoryError|not enough memory: you", re.I)
"""How libraries say it that raise neither an OSError nor a MemoryError: safetensors, SQLite, torch on a CPU."""

_NUMBER = re.compile(r"os error (\d+)\b")
"""How Rust's libraries say an errno."""

_FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG, errno.EIO, errno.EMFILE, errno.ENFILE)

EXTRAS = {
    "train": (
        "torch", "transformers", "peft", "trl", "datasets", "bitsandbytes", "accelerate", "safetensors", "datasketch",
        "numba",
    ),
    "postgres": ("psycopg",),
    "s3": ("s3fs",),
    "ray": ("ray",),
    "ggml": ("ctransformers",),
    "login": ("authlib",),
}  # fmt: skip
"""Extra of the package → libraries that only it has, as requirements.txt lists them. `train` is all that trains, and
that answers, exports and measures by transformers."""

AGAIN = "the same command resumes where it stopped"


def disk_full(error: BaseException) -> bool:
    """Whether an error says, itself or by what caused it, that a disk has no room."""
    return any(
        (isinstance(one, OSError) and one.errno in _FULL) or _DISK.search(str(one)) is not None for one in _chain(error)
    )


def memory_out(error: BaseException) -> BaseException | None:
    """The link of an error's chain that says that the machine's memory ran out; None without one.

    A file that could not be read for want of memory is no bad file, whatever the one who read it says.
    """
    for one in _chain(error):
        if isinstance(one, MemoryError) or (isinstance(one, OSError) and one.errno == errno.ENOMEM):
            return one
        if _MEMORY.search(str(one)):
            return one
    return None


def shortage(error: BaseException) -> str:
    """What the machine lacked, with the remedy, in one sentence; "" for an error that says nothing of the kind."""
    if disk_full(error):
        return f"the disk is full{_place(error)}: make room; {AGAIN}"
    if (found := memory_out(error)) is not None:
        return _memory(found)
    for one in _chain(error):
        if isinstance(one, ModuleNotFoundError) and (needed := needs(one.name or "")):
            return needed
        if (number := _errno(one)) in _REFUSED:
            return f"{os.strerror(number)}{_place(one)}: mend that; {AGAIN}"
    return ""


def _errno(error: BaseException) -> int:
    """The system's number in an error, 0 without one."""
    said = _NUMBER.search(str(error))
    return (error.errno or 0) if isinstance(error, OSError) else int(said[1]) if said else 0


def needs(library: str) -> str:
    """What to install where a library is not there, in one sentence; "" for one that no extra has."""
    name = library.partition(".")[0]
    extra = next((extra for extra, libraries in EXTRAS.items() if name in libraries), "")
    if not extra:
        return ""
    return (
        f"this needs {name}, which is not installed: pip install 'bakeoff[{extra}]', then give the same command again"
    )


def _memory(error: BaseException) -> str:
    said = re.search(r"tried to allocate (\d+) bytes", str(error))
    wanted = f" ({int(said[1]) / 1e9:.1f} GB more were asked for)" if said else ""
    return f"memory ran out{wanted}: end other programs, or take a smaller base, batch or context; {AGAIN}"


def _place(error: BaseException) -> str:
    """The file of the error, where it names one."""
    names = [str(one.filename) for one in _chain(error) if isinstance(one, OSError) and one.filename]
    return f", writing {names[0]}" if names else ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error, and what it came of."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__
