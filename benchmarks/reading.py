"""Reading training rows: Bakeoff against `datasets.load_dataset("json")` and the same filters, each in its process.

Both read one file of JSON Lines, drop answers that are empty or repeat themselves, and exact duplicates. The peer gets
its filters in one pass over its table, its fastest way. CPU time is what the machine's other work cannot change: the
ratio is taken of it and of the clock. Memory is each process' peak, less what it had after its imports.

Gate: both keep the same rows, by number and digest, before any figure is printed.

    python benchmarks/reading.py --rows 1000000 --rounds 3
    python benchmarks/reading.py --rows 1000000 --whole      # ours also with near-duplicates, overlap, cache and split
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

from peers import describe_machine

DUPLICATES = 0.02
"""Share of the rows that repeat the one before."""


def write_rows(path: Path, count: int) -> None:
    """Invented rows of a prompt, an answer of some 40 words and an id; some 350 bytes each."""
    draws = random.Random(0)
    words = ["".join(draws.choices("abcdefghijklmnop", k=5)) for _ in range(20_000)]
    row: dict[str, Any] = {}
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            if not row or draws.random() > DUPLICATES:
                row = {
                    "prompt": " ".join(draws.choices(words, k=15)),
                    "completion": " ".join(draws.choices(words, k=40)),
                }
                if draws.random() < 0.01:
                    row["completion"] = "the same four words " * 12
            file.write(json.dumps({**row, "id": number}) + "\n")


def ours(path: Path) -> Iterable[tuple[str, str]]:
    """Questions and answers that Bakeoff keeps."""
    from trainer.data.quality import filtered
    from trainer.experiment.schema import Data, Quality
    from trainer.sources.reading import read_sources

    data = Data.model_validate({"sources": [{"name": str(path)}]})
    rows, _ = filtered(read_sources(data).rows, Quality(near_duplicates=None))
    return ((row.messages[0]["content"], row.messages[1]["content"]) for row in rows)


def whole(path: Path) -> Iterable[tuple[str, str]]:
    """The same after near-duplicates, overlap with HumanEval, the cache and the split: all that goes before tokens."""
    from results import Workspace
    from trainer.data.pipeline import read_conversations, split
    from trainer.experiment.schema import Data

    data = Data.model_validate({"sources": [{"name": str(path)}]})
    with tempfile.TemporaryDirectory() as folder:
        train, validation = split(read_conversations(data, Workspace(Path(folder))).rows, data)
    return ((row.messages[0]["content"], row.messages[1]["content"]) for row in chain(train, validation))


def theirs(path: Path) -> Iterable[tuple[str, str]]:
    """Questions and answers that the peer keeps."""
    import datasets

    from trainer.data.quality import MIN_WORDS_FOR_REPETITION, repetition
    from trainer.data.words import words

    seen: set[bytes] = set()

    def stays(prompt: str, answer: str) -> bool:
        if not answer or (len(words(answer)) >= MIN_WORDS_FOR_REPETITION and repetition(answer) > 0.5):
            return False
        key = hashlib.sha256(f"{prompt}\0{answer}".encode()).digest()
        if key in seen:
            return False
        seen.add(key)
        return True

    datasets.disable_progress_bars()
    cache = tempfile.mkdtemp()
    try:
        table = datasets.load_dataset("json", data_files=str(path), split="train", cache_dir=cache)
        kept = table.filter(stays, input_columns=["prompt", "completion"])
    finally:
        shutil.rmtree(cache)  # the table's files stay mapped
    return zip(kept["prompt"], kept["completion"], strict=True)


SIDES = {"theirs": theirs, "ours": ours, "whole": whole}


def measured(side: str, path: Path) -> dict[str, Any]:
    """Seconds, rows kept and bytes of memory of one side, in a process of its own."""
    command = [sys.executable, __file__, "--side", side, "--file", str(path)]
    here = Path(__file__).parents[1]
    run = subprocess.run(command, capture_output=True, text=True, cwd=here, env={**os.environ, "PYTHONPATH": str(here)})
    if run.returncode:
        sys.exit(run.stderr)
    found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return found


def alone(side: str, path: Path) -> None:
    """One side, in this process: prints its figures, and the number and a digest of its rows in any order."""
    import datasets

    import trainer.data.quality
    import trainer.sources.reading

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, cpu = time.perf_counter(), time.process_time()
    rows = SIDES[side](path)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert datasets and trainer.data.quality
    kept = digest = 0
    for row in rows:
        kept += 1
        digest += int.from_bytes(hashlib.sha256(repr(row).encode()).digest()[:8])
    print(json.dumps({"seconds": seconds, "cpu": cpu, "kept": [kept, digest], "bytes": grown}))


def main() -> None:
    """Write the rows, measure both sides in turns, print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--whole", action="store_true", help="measure all that goes before tokens, too")
    parser.add_argument("--side", choices=[*SIDES])
    parser.add_argument("--file", type=Path)
    arguments = parser.parse_args()
    if arguments.side:
        alone(arguments.side, arguments.file)
        return
    print(describe_machine())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        write_rows(path, arguments.rows)
        rounds = [(measured("theirs", path), measured("ours", path)) for _ in range(arguments.rounds)]
        everything = measured("whole", path) if arguments.whole else None
        size = path.stat().st_size
    for peer, own in rounds:
        assert peer["kept"] == own["kept"], f"kept {own['kept']} and {peer['kept']} rows"
    print(f"{arguments.rows:,} rows, {size / 1e6:,.0f} MB, the same {rounds[0][0]['kept'][0]:,} kept by both")
    least = [{what: min(pair[side][what] for pair in rounds) for what in ("seconds", "cpu")} for side in (0, 1)]
    for name, side in (("datasets", 0), ("bakeoff", 1)):
        memory = max(pair[side]["bytes"] for pair in rounds)
        seconds, cpu = least[side]["seconds"], least[side]["cpu"]
        print(f"{name:<9} {seconds:6.1f} s by the clock, {cpu:6.1f} s of CPU, {memory / 1e6:7,.0f} MB of memory")
    for what, called in (("seconds", "by the clock"), ("cpu", "of CPU")):
        pairs = ", ".join(f"{own[what] / peer[what]:.2f}" for peer, own in rounds)
        ratio = least[1][what] / least[0][what]
        print(f"bakeoff / datasets: {ratio:.2f} {called}, least of each; by rounds {pairs} (wanted: 1.5 at most)")
    if everything:
        print(f"whole     {everything['seconds']:6.1f} s by the clock, {everything['cpu']:6.1f} s of CPU, ", end="")
        print(f"{everything['bytes'] / 1e6:7,.0f} MB of memory")


if __name__ == "__main__":
    main()
