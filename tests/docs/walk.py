"""Follow a document word by word: its bash blocks in order, in one folder, and what they print against its text.

    python -m tests.docs.walk docs/tutorial.md /tmp/walk      # prints each block's seconds and output

Not followed: what installs, and what runs until somebody ends it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.docs.blocks import Block, blocks
from tests.docs.names import ROOT

LEFT_OUT = re.compile(r"^(git clone|make |pip |uv |pipx |bakeoff (dashboard|serve))", re.MULTILINE)
NUMBER = r"[-+−≈]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?"
MEASURED = re.compile(rf"{NUMBER}(?= (?:ms|s|MB|GB|GiB|min|points|bits)\b)|[-+]?\d+\.\d+")
"""What another machine prints otherwise: fractions, and numbers with a unit of time, size or score."""


@dataclass(frozen=True)
class Step:
    """A block that was followed."""

    block: Block
    expected: Block | None
    """The document's next block, where that is text."""
    status: int
    printed: str
    """Standard output."""
    said: str
    """Standard error."""
    seconds: float


def walk(name: str, folder: Path) -> Iterator[Step]:
    """Follow a document in an empty folder, with no network, workspace or settings of this machine's user."""
    programs, where = folder / "programs", folder / "where"
    programs.mkdir(parents=True)
    (programs / "bakeoff").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m bakeoff "$@"\n')
    (programs / "bakeoff").chmod(0o755)
    where.write_text(str(folder))
    environment = {key: value for key, value in os.environ.items() if not key.startswith("BAKEOFF_")} | {
        "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "BAKEOFF_CACHE": str(folder / "cache"),
        "HF_HUB_OFFLINE": "1", "https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9",
        "no_proxy": "127.0.0.1,localhost", "COLUMNS": "240",
    }  # fmt: skip
    all_blocks = blocks(name)
    for block, after in zip(all_blocks, [*all_blocks[1:], None], strict=True):
        if block.kind != "bash" or LEFT_OUT.search(block.text):
            continue
        began = time.monotonic()
        done = subprocess.run(
            ["bash", "-euc", f"trap 'pwd > {where}' EXIT\n{block.text}"],
            cwd=where.read_text().strip(), env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        expected = after if after is not None and after.kind == "text" else None
        yield Step(block, expected, done.returncode, done.stdout, done.stderr, time.monotonic() - began)


def unlike(step: Step) -> list[str]:
    """The lines of the document that were not printed, in their order, but for what a machine measures.

    `…` in a line stands for anything, on a line of its own for any lines; white space and table rules do not count.
    """
    if step.expected is None:
        return []
    printed = iter([_plain(line) for line in step.printed.splitlines()])
    missing = []
    for line in step.expected.text.splitlines():
        pattern = _pattern(_plain(line))
        if line.strip() not in ("", "…") and not any(re.fullmatch(pattern, one) for one in printed):
            missing.append(line)
            printed = iter([_plain(line) for line in step.printed.splitlines()])
    return missing


def _plain(line: str) -> str:
    return " ".join(line.split())


def _pattern(line: str) -> str:
    parts = [re.escape(part) for part in MEASURED.split(line)]
    return NUMBER.join(parts).replace("…", ".*")


def main() -> None:
    """Follow the document named on the command line and print everything."""
    name, folder = sys.argv[1:]
    for step in walk(name, Path(folder)):
        print(f"$ {step.block.text}\n{step.printed}\n[{step.said[-300:]}]\n{step.block.place}: {step.seconds:.1f} s")
        print(f"exit status {step.status}; not printed: {unlike(step)}\n", flush=True)


if __name__ == "__main__":
    main()
