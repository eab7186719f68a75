"""What the package needs, from requirements.txt: one list with one pin each, whoever installs by it.

A heading that ends in "the extra `x`" starts what only that extra has; everything else is the core, which adds, asks,
times, compares and serves GGUF files and endpoints, and has the dashboard. Everything else is in pyproject.toml.
"""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).resolve().parent
EXTRA = re.compile(r"#.*the extra `([a-z0-9-]+)`")


def by_extra(file: Path) -> dict[str, list[str]]:
    """The requirements of a file by the extra of the heading above them; "" is the core."""
    found: dict[str, list[str]] = {"": []}
    extra = ""
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            extra = named[1] if (named := EXTRA.match(line)) else ""
            found.setdefault(extra, [])
        elif line.strip():
            found[extra].append(line.strip())
    return found


needed = by_extra(HERE / "requirements.txt")
core = needed.pop("")
lm_eval = [one for some in by_extra(HERE / "requirements-lm-eval.txt").values() for one in some]
extras = {**needed, "lm-eval": [*needed["train"], *lm_eval]}
setup(
    install_requires=core, extras_require={**extras, "all": sorted({one for some in extras.values() for one in some})}
)
