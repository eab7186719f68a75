"""Whole experiments disturbed in every stage by every fault: does the same command end as if nothing had happened?

`bakeoff run` on two miniature variants is disturbed a random moment after a stage has begun; the same command goes on
and is disturbed in the next stage by another fault, until it has been through all of them: a chain. The faults change
places from chain to chain, so that each meets every stage. Each time: nothing is shown as running once its process is
gone, no process is left, and the ending is one line and no traceback. At the end of a chain the command runs until it
is complete, and the store must equal that of an undisturbed run, bit for bit.

Compared: runs, curves, models, files by SHA-256, evaluations, outcomes, scores. Left out: when something happened, and
what depends on it (moments, latencies, rates, memory); `details` of evaluations, notes of models and reports of
trainings, which tell how a call went (its batches, its limits, from which checkpoint it went on).

A full disk is RLIMIT_FSIZE 0 from that moment on. Closed pipes are followed by SIGTERM. PostgreSQL is killed, or the
database taken away under another name, until the run has ended.

    python -m benchmarks.faults --chains 8 --seed 0
    python -m benchmarks.faults --only postgres --json
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import select
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path

import psutil
import yaml

from benchmarks.faults_stores import Place, Postgres, state
from trainer import miniature

STAGES: dict[str, str] = {
    "prepare": "reading sources",
    "train": "training ",
    "checkpoint": "",
    "export": "exporting: 0/",
    "humaneval": "calibrating",
    "heldout": "held-out rows: 0",
    "latency": "latency: cold",
    "decide": "latency: {last}",
}
"""Stage → the words on stderr that say that it has begun; a checkpoint is seen by its folder."""

SIGNALS = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "hup": signal.SIGHUP, "int": signal.SIGINT}
ON_FILES = (*SIGNALS, "full disk", "closed pipes")
ON_POSTGRES = ("postgres down", "postgres dropped")
FAULTS = (*ON_FILES, *ON_POSTGRES)
"""Each kind of store has its chains; the signals meet SQLite alone."""

WAIT_SECONDS = 300.0
LONGEST_SECONDS = 0.5
"""A fault waits no longer than this, and less where a stage is over sooner."""
ORPHAN_SECONDS = 30.0


@dataclass
class Found:
    """What one disturbance showed, or the end of a chain."""

    number: int
    """The chain's."""
    stage: str
    fault: str
    status: int = 0
    """Exit status of the disturbed run, or minus the signal's number."""
    line: str = ""
    """The last line that it said."""
    reached: bool = True
    """Whether the fault met a run under way."""
    resumed: int = 0
    """How many more runs it took."""
    problems: list[str] = field(default_factory=list)


def main() -> int:
    """Disturb, resume, compare; print a line for each repetition. Exit 1 if anything differs or is left."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chains", type=int, default=len(FAULTS), help="Eight are every fault in every stage.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="Only where STAGE FAULT matches this pattern.")
    parser.add_argument("--json", action="store_true", help="Print a JSON line besides.")
    arguments = parser.parse_args()
    chains = [one for one in chained(arguments.chains, arguments.only) if one]
    if not chains:
        parser.error(f"--only {arguments.only!r}: stages are {', '.join(STAGES)}, faults {', '.join(FAULTS)}")
    print(f"seed {arguments.seed}", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the server of PostgreSQL ends with this process
    os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryDirectory(prefix="bakeoff-faults-") as folder:
        found = list(campaign(Path(folder), chains, random.Random(arguments.seed)))
    bad = [one for one in found if one.problems]
    met = sum(one.reached for one in found if one.fault)
    print(f"{met} faults met a run under way, in {len(chains)} chains; problems: {len(bad)}")
    if arguments.json:
        print(json.dumps([asdict(one) for one in found]))
    return 1 if bad else 0


def chained(count: int, only: str) -> list[list[tuple[str, str]]]:
    """Chains of (stage, fault): in six the faults of files, each in another stage every time, in two PostgreSQL's."""
    chains = []
    for number in range(count):
        kinds, turn = (ON_FILES, number) if number % len(FAULTS) < len(ON_FILES) else (ON_POSTGRES, number)
        chain = [(stage, kinds[(place + turn) % len(kinds)]) for place, stage in enumerate(STAGES)]
        chains.append([(stage, fault) for stage, fault in chain if re.search(only, f"{stage} {fault}")])
    return chains


def campaign(folder: Path, chains: list[list[tuple[str, str]]], draws: random.Random) -> Iterator[Found]:
    """What each (stage, fault) shows, one after the other, told as it comes, and what the ends of chains show."""
    os.environ["BAKEOFF_CACHE"] = str(folder / "cache")
    file = experiment(folder)
    preload()
    whole = Place(folder / "whole", "")
    spans = undisturbed(file, whole)
    print(f"undisturbed: {sum(spans.values()):.1f} s from the first stage on", flush=True)
    expected = state(whole)
    server = Postgres() if any(fault in ON_POSTGRES for chain in chains for _, fault in chain) else None
    try:
        for number, chain in enumerate(chains):
            url = server.database(number) if server and chain[0][1] in ON_POSTGRES else ""
            place = Place(folder / f"workspace-{number}", url)
            for stage, fault in chain:
                one = Found(number, stage, fault)
                disturb(one, file, place, server, draws.random() * min(LONGEST_SECONDS, 0.7 * spans[stage]))
                yield _told(one)
            end = Found(number, "end", "")
            resume(end, file, place)
            actual = state(place)
            end.problems += [f"{key} differs" for key in expected if actual.get(key) != expected[key]]
            end.problems += [f"{key} is too much" for key in actual if key not in expected]
            end.line = f"{len(expected)} records equal" if not end.problems else ""
            yield _told(end)
    finally:
        if server:
            server.stop()


def undisturbed(file: Path, place: Place) -> dict[str, float]:
    """Run to the end; for each stage the seconds until the next one begins, by which a fault waits on this machine."""
    run, began = Run(file, place), {}
    for stage in STAGES:
        assert begun(run, stage, place.folder), f"{stage} never began"
        began[stage] = time.monotonic()
    assert run.wait() == 0, "the undisturbed run failed"
    moments = pairwise([*began.values(), time.monotonic()])
    return {stage: after - before for stage, (before, after) in zip(STAGES, moments, strict=True)}


def _told(one: Found) -> Found:
    missed = "" if one.reached else "(not met) "
    print(f"{one.number} {one.stage:10} {one.fault:16} {one.status:4} {missed}{'; '.join(one.problems)}| {one.line}",
          flush=True)  # fmt: skip
    return one


def experiment(folder: Path) -> Path:
    """Two variants of a miniature on made-up rows, exported and measured by everything: about ten seconds."""
    rows = [{"prompt": f"Count to {n} please.", "completion": " ".join(map(str, range(n % 17 + 1)))} for n in range(40)]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    raw = {
        "name": "disturbed",
        "bases": [str(miniature("llama", folder / "base"))],
        "data": {
            "sources": [{"name": str(folder / "rows.jsonl")}], "decontaminate": [], "validation_fraction": 0.2,
            "quality": {"near_duplicates": None, "max_repetition": None},
        },
        "training": {"max_steps": 12, "learning_rate": 0.02, "batch_size": 2, "dtype": "float32", "eval_steps": 4,
                     "save_steps": 2},
        "lora": {"dropout": 0.1},
        "sweep": {"grid": {"lora.rank": [2, 4]}},
        "evaluate": {
            "humaneval": {"tasks": 2, "max_tokens": 8, "forms": ["adapter"]}, "heldout": {"forms": ["adapter"]},
            "latency": {"repetitions": 1, "tokens": 4, "threads": 1, "prompts": ["short"]},
            "forms": ["adapter", "lora-gguf"], "base": False,
        },
    }  # fmt: skip
    file = folder / "disturbed.yaml"
    file.write_text(yaml.safe_dump(raw))
    return file


def preload() -> None:
    """Import what a run imports, so that a forked one begins at once."""
    import peft  # noqa: F401
    import torch
    import transformers  # noqa: F401

    import bakeoff.main
    import evaluator
    import trainer

    torch.set_num_threads(1)
    assert callable(bakeoff.main.main) and callable(trainer.train) and callable(evaluator.evaluate_humaneval)


class Run:
    """`bakeoff run` in a forked process of a session of its own, its words read here."""

    def __init__(self, file: Path, place: Place, options: Sequence[str] = ()) -> None:
        """options: of the command, besides file and workspace."""
        self.said = b""
        self._ended: int | None = None
        self._reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            os.close(self._reading)
            for number in (1, 2):
                os.dup2(writing, number)
            self._begin(file, place, options)
        os.close(writing)

    @staticmethod
    def _begin(file: Path, place: Place, options: Sequence[str]) -> None:
        status = 70
        try:
            if place.url:
                os.environ["BAKEOFF_DATABASE_URL"] = place.url
            sys.argv = ["bakeoff", "run", str(file), "--workspace", str(place.folder), *options]
            sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
            from bakeoff.main import main

            main()
            status = 0
        except SystemExit as ending:
            status = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(status)

    def hear(self, seconds: float) -> None:
        """Read what it says for so long at most."""
        if self._reading >= 0 and select.select([self._reading], [], [], seconds)[0]:
            self.said += os.read(self._reading, 1 << 16)

    def deafen(self) -> None:
        """Close the pipe that it writes to."""
        os.close(self._reading)
        self._reading = -1

    def over(self) -> bool:
        """Whether it has ended."""
        if self._ended is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._ended = os.waitstatus_to_exitcode(status)
        return self._ended is not None

    def wait(self) -> int:
        """Its exit status, or minus the signal's number. One that hangs is killed: -9 and a word."""
        until = time.monotonic() + WAIT_SECONDS
        while not self.over():
            self.hear(0.02) if self._reading >= 0 else time.sleep(0.02)
            if time.monotonic() > until:
                self.said += b"\nHANGS\n"
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                self._ended = -9
        while self._reading >= 0 and select.select([self._reading], [], [], 0)[0]:
            more = os.read(self._reading, 1 << 16)
            self.said += more
            if not more:
                break
        if self._reading >= 0:
            self.deafen()
        assert self._ended is not None
        return self._ended

    @property
    def lines(self) -> list[str]:
        """What it said."""
        return self.said.decode("utf-8", "replace").splitlines()


def begun(run: Run, stage: str, folder: Path) -> bool:
    """Wait for a stage; False if the run is over before."""
    words = STAGES[stage]
    while not run.over():
        run.hear(0.005)
        if stage == "checkpoint" and any(folder.glob("runs/*/.writing-*")):
            return True
        text = run.said.decode("utf-8", "replace")
        if stage == "decide" and any(line.startswith("latency: ") and _complete(line) for line in text.splitlines()):
            return True
        if stage not in ("checkpoint", "decide") and words in text:
            return True
    return False


def _complete(line: str) -> bool:
    done, _, total = line.removeprefix("latency: ").partition("/")
    return done.isdigit() and done == total.split(",")[0]


def disturb(one: Found, file: Path, place: Place, server: Postgres | None, delay: float) -> None:
    """Run until the stage, let the fault happen `delay` seconds later, and look at how it ends."""
    run = Run(file, place)
    one.reached = begun(run, one.stage, place.folder)
    until = time.monotonic() + delay
    while time.monotonic() < until and not run.over():
        run.hear(0.005)
    one.reached = one.reached and not run.over()
    children = _children(run.pid)
    if one.reached:
        _happen(one.fault, run, server, place)
    one.status = run.wait()
    said = [line for line in run.lines if line.strip()]
    one.line = said[-1][:160] if said else ""
    if server and "postgres" in one.fault:
        server.back()
    _look(one, run, place, children)


def _happen(fault: str, run: Run, server: Postgres | None, place: Place) -> None:
    if fault in SIGNALS:
        os.kill(run.pid, SIGNALS[fault])
    elif fault == "full disk":
        resource.prlimit(run.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    elif fault == "closed pipes":
        run.deafen()
        time.sleep(0.2)
        os.kill(run.pid, signal.SIGTERM)
    elif server is not None:
        server.down() if fault == "postgres down" else server.drop(place.url)


def _look(one: Found, run: Run, place: Place, children: list[psutil.Process]) -> None:
    """Note tracebacks, endings without a word, processes that are left, and what is still shown as running."""
    if b"Traceback" in run.said or b"HANGS" in run.said:
        one.problems.append(f"a traceback or a hang: {run.lines[-1][:200]}")
    if one.status == 2 and not one.line.startswith("bakeoff: "):
        one.problems.append("no line says why it ended")
    if one.status not in (0, 1, 2, 130, -9):
        one.problems.append(f"it ended with {one.status}")
    _, left = psutil.wait_procs(children, timeout=ORPHAN_SECONDS)
    one.problems += [f"process {process.pid} is left: {' '.join(process.cmdline())[:80]}" for process in left]
    if place.url or (place.folder / "results.db").exists():
        with place.store() as store:
            running = [row.run.name for row in store.runs.list() if row.run.status == "running"]
            running += [each.benchmark for each in store.evaluations.list() if each.status == "running"]
            one.problems += [f"{name} is shown as running" for name in running]


def _children(pid: int) -> list[psutil.Process]:
    try:
        return list(psutil.Process(pid).children(recursive=True))
    except psutil.Error:
        return []


def resume(one: Found, file: Path, place: Place) -> None:
    """The same command, until it is complete."""
    for attempt in range(1, 4):
        run = Run(file, place)
        status = run.wait()
        if b"Traceback" in run.said:
            one.problems.append(f"a traceback while resuming: {run.lines[-1][:200]}")
        one.resumed = attempt
        if status == 0:
            return
    one.problems.append(f"not complete after {one.resumed} more runs: {run.lines[-1][:200] if run.lines else status}")


if __name__ == "__main__":
    sys.exit(main())
