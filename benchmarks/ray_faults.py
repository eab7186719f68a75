"""A sweep over a Ray cluster and a PostgreSQL store, of which a part breaks: does it end as the sweep on this machine?

`bakeoff run FILE --ray HEAD` on two bases with two ranks each (packing, accumulation, dropout), over a head and two
nodes of one core that `ray start` made. A random moment after the first checkpoint something breaks. Then either the
command goes on to its end, or it ends with one line; no process of it trains on; nothing is shown as running; and the
same command, given again, completes. In the end the store must equal that of the same command without Ray, bit for
bit: runs, curves, models, files by SHA-256, reports of data; a row too many or too few is a difference.

What breaks: a worker, a node, the head, the command itself (kill -9 each); PostgreSQL, at a random moment or when a
commit has reached it and is not answered; the network to it, which stalls or is cut; a worker's disk, which is full;
and nothing, but the command is given twice at once.

    python -m benchmarks.ray_faults --repeat 5 --seed 0
    python -m benchmarks.ray_faults --repeat 1 --only 'worker|commit'
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy as sa

from benchmarks.faults import Found, Run, preload
from benchmarks.faults_stores import Place, Postgres, state
from benchmarks.kill import training_experiment
from benchmarks.ray_nodes import Nodes, settings
from benchmarks.stalling_proxy import Proxy
from results import PLACE, StoreBusy
from trainer import miniature

LONGEST_SECONDS = 3.0
"""After the first checkpoint a fault waits no longer than this."""
STALL_SECONDS = (2.0, 25.0)
DOWN_SECONDS = (0.5, 6.0)
"""How long PostgreSQL is away."""
ORPHAN_SECONDS = 30.0
"""Ray's nodes notice after 60 seconds that their head is gone; what we train has to end before."""
MOST_RUNS = 4


@dataclass
class Ground:
    """What is broken."""

    file: Path
    place: Place
    nodes: Nodes
    server: Postgres
    proxy: Proxy
    draws: random.Random
    run: Run | None = None
    """The command, once it is given."""
    second: Run | None = None
    """The same command, given beside it."""

    def workers(self) -> list[int]:
        """The processes that train, by the store."""
        with self.place.store() as store:
            busy = [one.run.id for one in store.runs.list() if one.run.status == "running"]
            reports = [store.reports.get(one, PLACE) for one in busy]
        return sorted({int(report.payload["process"]) for report in reports if report})

    def start_command(self) -> Run:
        """Give the command."""
        return Run(self.file, self.place, ("--ray", self.nodes.address))


def main() -> int:
    """Break, look, go on, compare; print a line for each. Exit 1 if anything differs or is left."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--only", default="", help="Only the faults whose names match this pattern.")
    parser.add_argument("--json", action="store_true", help="Print a JSON line besides.")
    arguments = parser.parse_args()
    faults = [name for name in FAULTS if re.search(arguments.only, name)]
    if not faults:
        parser.error(f"--only {arguments.only!r}: faults are {', '.join(FAULTS)}")
    print(f"seed {arguments.seed}", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.environ |= {**settings(), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryDirectory(prefix="bakeoff-ray-faults-") as folder:
        chosen = [fault for _ in range(arguments.repeat) for fault in faults]
        found = list(campaign(Path(folder), chosen, random.Random(arguments.seed), arguments.steps))
    _table(found)
    if arguments.json:
        print(json.dumps([vars(one) for one in found]))
    return 1 if any(one.problems for one in found) else 0


def campaign(folder: Path, faults: list[str], draws: random.Random, steps: int) -> Iterator[Found]:
    """What each fault shows, one after the other, told as it comes."""
    os.environ["BAKEOFF_CACHE"] = str(folder / "cache")
    file = experiment(folder, steps)
    preload()
    server = Postgres()
    proxy = Proxy(server.socket)
    nodes = Nodes(2, folder / "nodes.log")
    try:
        whole = Place(folder / "whole", server.database(0))
        assert Run(file, whole).wait() == 0, "the sweep without Ray failed"
        expected = state(whole)
        url = sa.make_url("postgresql+psycopg://postgres@127.0.0.1/sweep").set(port=proxy.port)
        os.environ["BAKEOFF_DATABASE_URL"] = url.render_as_string(hide_password=False)
        nodes.start()
        for number, fault in enumerate(faults):
            server.anew("sweep")
            place = Place(folder / f"workspace-{number}", os.environ["BAKEOFF_DATABASE_URL"])
            one = Found(number, "train", fault)
            _break(one, Ground(file, place, nodes, server, proxy, draws), expected)
            print(f"{one.number:2} {fault:8} {one.stage:8} status {one.status:3}, {one.resumed} more "
                  f"{'; '.join(one.problems)}| {one.line}", flush=True)  # fmt: skip
            yield one
    finally:
        nodes.end()
        proxy.end()
        server.stop()


def experiment(folder: Path, steps: int) -> Path:
    """Two bases, two ranks each, as a file."""
    raw = training_experiment(folder)
    raw["bases"] = [str(miniature(name, folder / name)) for name in ("llama", "qwen2")]
    raw["training"] |= {"max_steps": steps, "save_steps": 5, "eval_steps": 20}
    file = folder / "sweep.yaml"
    file.write_text(json.dumps(raw))
    return file


def _break(one: Found, ground: Ground, expected: dict[str, Any]) -> None:
    run = ground.run = ground.start_command()
    one.reached = _heard_until(run, lambda: any(ground.place.folder.glob("runs/*/step-*")))
    _heard_until(run, _passed(ground.draws.uniform(0, LONGEST_SECONDS)))
    one.reached = one.reached and not run.over()
    if one.reached:
        one.reached = FAULTS[one.fault](ground)
    one.status = run.wait()
    ground.server.back()
    if ground.second is not None:
        one.problems += _ending(ground.second, ground.second.wait(), "the second: ")
    one.problems += _ending(run, one.status, "")
    said = [line for line in run.lines if line.strip()]
    one.line = said[-1][:200] if said else ""
    one.stage = "goes on" if one.status == 0 else "resumes"
    one.problems += _left_behind(ground.place)
    while one.resumed < MOST_RUNS and (one.status or not one.resumed):
        again = ground.start_command()
        status = again.wait()
        one.resumed += 1
        one.problems += _ending(again, status, "given again: ")
        said = [line for line in again.lines if line.strip()]
        if status == 0:
            break
    else:
        one.problems.append(f"not complete after {one.resumed} more commands: {said[-1][:300] if said else status}")
    found = state(ground.place)
    one.problems += [
        f"{key} differs: {_first(expected[key], found.get(key))}" for key in expected if found.get(key) != expected[key]
    ]
    one.problems += [f"{key} is too much" for key in found if key not in expected]


def _first(wanted: Any, found: Any) -> str:
    """Where two records part, and their lengths."""
    if isinstance(wanted, list) and isinstance(found, list):
        place = next((place for place, (one, two) in enumerate(zip(wanted, found, strict=False)) if one != two), "end")
        lengths = f"{len(wanted)} and {len(found)} long"
        return (
            f"{lengths}, from {place}: {wanted[place:][:1]} and {found[place:][:1]}"
            if isinstance(place, int)
            else lengths
        )
    return f"{str(wanted)[:200]} and {str(found)[:200]}"


def _heard_until(run: Run, holds: Callable[[], bool]) -> bool:
    """Read what a command says until something holds; False if it is over before."""
    while not run.over():
        run.hear(0.02)
        if holds():
            return True
    return False


def _passed(seconds: float) -> Callable[[], bool]:
    until = time.monotonic() + seconds
    return lambda: time.monotonic() >= until


def _ending(run: Run, status: int, whose: str) -> list[str]:
    """What is wrong with how a command ended."""
    said = [line for line in run.lines if line.strip()]
    last = said[-1][:300] if said else ""
    problems = []
    if b"Traceback" in run.said or b"HANGS" in run.said:
        problems.append(f"{whose}a traceback or a hang: {last}")
    if status == 2 and not last.startswith("bakeoff: "):
        problems.append(f"{whose}no line says why it ended: {last}")
    if status not in (0, 1, 2, -signal.SIGKILL):
        problems.append(f"{whose}it ended with {status}: {last}")
    return problems


def _left_behind(place: Place) -> list[str]:
    """Runs that somebody trains on after the command has ended, or that look like it."""
    until = time.monotonic() + ORPHAN_SECONDS
    shown = ["the store, which nobody can open,"]
    while True:
        with suppress(StoreBusy), place.store() as store:  # a server that was killed takes a while to come back
            runs = [row.run for row in store.runs.list()]
            busy = store.runs.at_work_elsewhere([run.id for run in runs])
            shown = [run.name for run in runs if run.id in busy or run.status == "running"]
        if not shown or time.monotonic() > until:
            return [f"{name} is trained on by nobody's order" for name in shown]
        time.sleep(0.2)


def _worker(ground: Ground) -> bool:
    return _signalled(ground.draws, ground.workers())


def _signalled(draws: random.Random, processes: list[int]) -> bool:
    with suppress(ProcessLookupError, IndexError):
        os.kill(draws.choice(processes), signal.SIGKILL)
        return True
    return False


def _node(ground: Ground) -> bool:
    ground.nodes.lose(ground.draws.choice(ground.nodes.nodes))
    ground.nodes.add()
    return True


def _head(ground: Ground) -> bool:
    assert ground.run is not None
    ground.nodes.lose_head()
    ground.run.wait()
    with suppress(AssertionError):  # what is left is found by whoever looks next
        assert not _left_behind(ground.place)
    ground.nodes.start()
    return True


def _command(ground: Ground) -> bool:
    assert ground.run is not None
    return _signalled(ground.draws, [ground.run.pid])


def _postgres(ground: Ground) -> bool:
    ground.server.down()
    _away(ground)
    return True


def _away(ground: Ground) -> None:
    """Let the command go on without PostgreSQL for a while."""
    assert ground.run is not None
    _heard_until(ground.run, _passed(ground.draws.uniform(*DOWN_SECONDS)))
    ground.server.back()


def _commit(ground: Ground) -> bool:
    assert ground.run is not None
    down: list[bool] = []

    def kill() -> None:
        ground.server.down()
        down.append(True)

    ground.proxy.at_commit(kill)
    _heard_until(ground.run, lambda: bool(down))
    if down:
        _away(ground)
    return bool(down)


def _stall(ground: Ground) -> bool:
    assert ground.run is not None
    ground.proxy.stall()
    _heard_until(ground.run, _passed(ground.draws.uniform(*STALL_SECONDS)))
    ground.proxy.flow()
    return True


def _cut(ground: Ground) -> bool:
    ground.proxy.cut()
    return True


def _disk(ground: Ground) -> bool:
    with suppress(psutil.Error, ProcessLookupError, IndexError):
        pid = ground.draws.choice(ground.workers())
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        return True
    return False


def _twice(ground: Ground) -> bool:
    ground.second = ground.start_command()
    return True


FAULTS: dict[str, Callable[[Ground], bool]] = {
    "worker": _worker,
    "node": _node,
    "head": _head,
    "command": _command,
    "postgres": _postgres,
    "commit": _commit,
    "stall": _stall,
    "cut": _cut,
    "disk": _disk,
    "twice": _twice,
}
"""What breaks; each tells whether it met something under way."""


def _table(found: list[Found]) -> None:
    """What was broken x what happened."""
    met = [one for one in found if one.reached]
    print(f"{len(met)} of {len(found)} met a sweep under way; problems: {sum(bool(one.problems) for one in found)}")
    for fault in dict.fromkeys(one.fault for one in found):
        ends = Counter(f"{one.stage}{' WITH PROBLEMS' if one.problems else ''}" for one in met if one.fault == fault)
        print(f"{fault:8} | {', '.join(f'{count} x {what}' for what, count in ends.most_common())}")


if __name__ == "__main__":
    sys.exit(main())
