"""This Bakeoff as a wheel, and the pins of all that it needs, for an image that runs elsewhere what runs here.

The wheel is put together from the files that are imported here, installed or in a checkout, so it needs no compiler, no
network and no index that has it. The same files give the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from dashboard.errors import PageRefused

ROOMS = ("bakeoff", "dashboard", "engines", "evaluator", "experiments", "results", "trainer")
ABOUT = ("METADATA", "entry_points.txt", "licenses/LICENSE")
ROOT = Path(__file__).resolve().parents[2]
"""Where the rooms lie: a checkout, or site-packages."""
EARLIEST = (1980, 1, 1, 0, 0, 0)
"""The time of each file: a zip knows no earlier one."""
WHEEL = "Wheel-Version: 1.0\nGenerator: bakeoff publish\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def wheel() -> tuple[str, bytes]:
    """(file name, content) of a wheel of the Bakeoff that runs. Raises: PageRefused where that is not installed."""
    about = _bakeoff()
    info = f"bakeoff-{about.version}.dist-info"
    files = {path.relative_to(ROOT).as_posix(): path.read_bytes() for room in ROOMS for path in _files(ROOT / room)}
    files |= {f"{info}/{name}": text.encode() for name in ABOUT if (text := about.read_text(name))}
    files[f"{info}/WHEEL"] = WHEEL.encode()
    lines = [f"{name},sha256={_digest(content)},{len(content)}\n" for name, content in files.items()]
    files[f"{info}/RECORD"] = "".join([*lines, f"{info}/RECORD,,\n"]).encode()
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, EARLIEST)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, content)
    return f"bakeoff-{about.version}-py3-none-any.whl", made.getvalue()


def pins() -> str:
    """What the core needs, itself and through others, each in the version that is installed here; a line each."""
    found: dict[str, str] = {}
    asked = ["bakeoff"]
    while asked:
        name = _plain(asked.pop())
        if name in found:
            continue
        try:
            one = distribution(name)
        except PackageNotFoundError:  # for another system than this
            continue
        found[name] = one.version.partition("+")[0]
        asked += [_name(line) for line in one.requires or () if "extra ==" not in line]
    del found["bakeoff"]
    return "".join(f"{name}=={version}\n" for name, version in sorted(found.items()))


def _bakeoff() -> Distribution:
    try:
        return distribution("bakeoff")
    except PackageNotFoundError:
        raise PageRefused("A Space needs Bakeoff as a package: install it (make setup, or pip install .)") from None


def _files(room: Path) -> Iterator[Path]:
    """The files of a room, in order; what Python compiled is not among them."""
    return (path for path in sorted(room.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)


def _name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found is not None, "a requirement begins with a name"
    return found[0]


def _plain(name: str) -> str:
    """A distribution's name as all its spellings are compared. Source: PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
