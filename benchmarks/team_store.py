"""A team's PostgreSQL store: 32 writers and 32 readers at once, each a process, on one of 300 models and 1,000 runs.

The store is filled as SQLite and taken along by `store move`, timed. Writers do at their real pace what trainers
(points of eight metrics every 0.9 s, as `CurveWriter` delivers them), evaluators (an answer every half second), voters
and registrars do; readers ask what the pages ask, one question every three seconds. Each question is asked by one
reader alone first, and alone again at the end. Then every record that a writer was told is stored is counted.

    python benchmarks/team_store.py --stores /tmp/stores --seconds 300
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy is imported
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import sqlalchemy as sa
from faults_stores import Postgres
from ingestion import METRICS
from pages import SIZES, filled
from peers import describe_machine

from results import Evaluation, Machine, Model, Outcome, Point, Reading, Report, Run, Score, Store, Vote

ROLES = {"trainer": 16, "evaluator": 12, "voter": 2, "registrar": 2}
"""Of every 32 writers."""
FLUSH_SECONDS, ANSWER_SECONDS, THINKING_SECONDS = 0.9, 0.5, 3.0
ITEMS = 40
ANSWER = "def solve(values):\n    return sorted(values)\n" * 40
QUERIES: Mapping[str, Callable[[Store], object]] = {
    "runs": lambda store: store.runs.list(),
    "models": lambda store: store.models.list(),
    "scores": lambda store: store.evaluations.scores(),
    "evaluations": lambda store: store.evaluations.list(),
    "latency": lambda store: store.evaluations.list(benchmark="latency"),
    "tallies of 300": lambda store: Reading(store).tallies(
        [one.id for one in store.evaluations.list(benchmark="mine")]
    ),
    "answers of one": lambda store: store.evaluations.outcomes(store.evaluations.list(benchmark="humaneval")[0].id),
    "20 curves": lambda store: store.curves.overview([f"run{number}" for number in range(20)], "loss", 256),
    "live curves": lambda store: store.curves.overview([f"live{number}-0" for number in range(16)], "loss", 256),
    "votes": lambda store: store.votes.list(),
    "reports": lambda store: store.reports.list(kind="contamination"),
    "decisions": lambda store: store.decisions.list(),
}
"""What the pages ask of the store (`dashboard/views/data.py`), by name."""

Timed = list[tuple[str, float]]


@contextmanager
def clocked(timed: Timed, kind: str) -> Iterator[None]:
    """Add the block's seconds."""
    begun = time.perf_counter()
    yield
    timed.append((kind, time.perf_counter() - begun))


def train(store: Store, number: int, until: float, timed: Timed) -> Counter[str]:
    """Runs of some forty seconds, one after the other: points, a report of each checkpoint, start and end."""
    stored: Counter[str] = Counter()
    while time.monotonic() < until:
        run, step = f"live{number}-{stored['runs']}", 0
        with clocked(timed, "run begins"):
            store.runs.add(Run(run, run, "team", "base", {"lora": {"rank": 8}}, number))
            store.runs.start(run, None, 2000)
        stored["runs"] += 1
        while step < 45 * 40 and time.monotonic() < until:
            points = [Point(name, at, at * 0.5) for at in range(step, step + 40) for name in METRICS]
            with clocked(timed, "points"):
                store.curves.append(run, points)
            step += 40
            stored["points"] += len(points)
            if step % 400 == 0:
                with clocked(timed, "report"):
                    store.reports.put(Report(run, "training", {"step": step}))
            time.sleep(FLUSH_SECONDS * random.uniform(0.8, 1.2))
        with clocked(timed, "run ends"):
            store.runs.finish(run, "finished")
    return stored


def evaluate(store: Store, number: int, until: float, timed: Timed) -> Counter[str]:
    """Evaluations of forty answers, one after the other."""
    stored: Counter[str] = Counter()
    known = store.models.list()
    model = known[number % len(known)].id
    while time.monotonic() < until:
        name = f"live-evaluation{number}-{stored['evaluations']}"
        with clocked(timed, "evaluation begins"):
            store.evaluations.begin(Evaluation(name, model, "humaneval", {"n": 1, "name": name}, "laptop"))
        stored["evaluations"] += 1
        for item in range(ITEMS):
            outcome = Outcome(f"HumanEval/{item}", 0, "passed", None, {"answer": ANSWER, "code": ANSWER})
            with clocked(timed, "answer"):
                store.evaluations.add_outcomes(name, [outcome])
            stored["outcomes"] += 1
            time.sleep(ANSWER_SECONDS * random.uniform(0.8, 1.2))
            if time.monotonic() > until:
                break
        with clocked(timed, "evaluation ends"):
            store.evaluations.finish(name, [Score("pass@1", 1.0, 0.9, 1.0, ITEMS)], {"load": 1.0})
    return stored


def vote(store: Store, number: int, until: float, timed: Timed) -> Counter[str]:
    """A vote every second."""
    stored: Counter[str] = Counter()
    while time.monotonic() < until:
        each = Vote(f"live{number}-{stored['votes']}", "Why?", "model0", "model1", ANSWER, ANSWER, "a")
        with clocked(timed, "vote"):
            store.votes.add(each)
        stored["votes"] += 1
        time.sleep(random.uniform(0.5, 1.5))
    return stored


def register(store: Store, number: int, until: float, timed: Timed) -> Counter[str]:
    """A machine and a model every two seconds."""
    stored: Counter[str] = Counter()
    while time.monotonic() < until:
        name = f"live{number}-{stored['models']}"
        with clocked(timed, "machine"):
            store.machines.add(Machine(name, "a CPU", (), 2, 8, "", "Linux"))
        with clocked(timed, "model"):
            store.models.add(Model(name, name, "lora-gguf", "base", f"identity of {name}", 1, f"models/{name}"))
        stored["models"] += 1
        time.sleep(random.uniform(1, 3))
    return stored


def read(store: Store, number: int, until: float, timed: Timed) -> Counter[str]:
    """One of the pages' questions every three seconds, from another one on for each reader."""
    names = list(QUERIES)
    asked: Counter[str] = Counter()
    time.sleep(random.uniform(0, THINKING_SECONDS))
    while time.monotonic() < until:
        name = names[(number + asked["questions"]) % len(names)]
        with clocked(timed, name):
            QUERIES[name](store)
        asked["questions"] += 1
        time.sleep(THINKING_SECONDS * random.uniform(0.8, 1.2))
    return asked


WORK = {"trainer": train, "evaluator": evaluate, "voter": vote, "registrar": register, "reader": read}


def child(url: str, role: str, number: int, until: float, results: Any) -> None:
    """One process of a team: its work, then what it stored and how long each call took."""
    random.seed(f"{role}{number}")
    timed: Timed = []
    try:
        with Store(url, spool=Path(tempfile.mkdtemp())) as store:
            store.info()  # connected: what follows is timed
            stored = WORK[role](store, number, until, timed)
    except Exception as error:
        results.put((role, Counter(), timed, f"{type(error).__name__}: {error}"))
        return
    results.put((role, stored, timed, ""))


def together(url: str, writers: int, readers: int, seconds: float) -> tuple[Counter[str], Timed, Timed, list[str]]:
    """(what writers were told is stored, their calls, readers' questions, failures) of all at once."""
    fork = multiprocessing.get_context("fork")
    results, until = fork.Queue(), time.monotonic() + seconds
    team = [(role, number) for role, share in ROLES.items() for number in range(max(1, share * writers // 32))]
    team = (team[:writers] if writers else []) + [("reader", number) for number in range(readers)]
    processes = [fork.Process(target=child, args=(url, *one, until, results)) for one in team]
    for process in processes:
        process.start()
    watched = watch(url, until) if writers else []
    stored, writes, reads, failures = Counter[str](), list[tuple[str, float]](), list[tuple[str, float]](), list[str]()
    for _ in processes:
        role, counted, timed, failure = results.get()
        (reads if role == "reader" else writes).extend(timed)
        if role != "reader":
            stored += counted
        failures += [f"{role}: {failure}"] if failure else []
    for process in processes:
        process.join()
    if watched:
        print("\n".join(watched))
    return stored, writes, reads, failures


def watch(url: str, until: float) -> list[str]:
    """What the server's sessions did, looked at every half second."""
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT")
    query = sa.text(
        "SELECT state, coalesce(wait_event_type, 'on the CPU'), coalesce(wait_event, ''), "
        "extract(epoch FROM clock_timestamp() - xact_start) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    seen: Counter[str] = Counter()
    looks, most, oldest = 0, 0, 0.0
    with engine.connect() as connection:
        while time.monotonic() < until:
            rows = connection.execute(query).all()
            looks, most = looks + 1, max(most, len(rows))
            for state, kind, event, age in rows:
                oldest = max(oldest, float(age or 0))
                if state != "idle":
                    seen[f"{state}, {kind} {event}".strip()] += 1
            time.sleep(0.5)
    engine.dispose()
    lines = [
        f"sessions at most {most}, the oldest transaction {oldest * 1000:.0f} ms; sessions that did not idle, a look:"
    ]
    return lines + [f"  {count / looks:6.2f} {what}" for what, count in seen.most_common(8)]


def counted(url: str) -> Counter[str]:
    """What is stored of the team's."""
    found: Counter[str] = Counter()
    with Store(url) as store:
        for row in store.runs.list():
            if row.run.id.startswith("live"):
                found["runs"] += 1
                for metric in store.curves.metrics(row.run.id):
                    steps, values = store.curves.read(row.run.id, metric)
                    assert np.array_equal(steps, np.arange(len(steps))) and np.array_equal(values, steps * 0.5)
                    found["points"] += len(steps)
        for one in store.evaluations.list():
            if one.id.startswith("live"):
                found["evaluations"] += 1
                found["outcomes"] += len(store.evaluations.outcomes(one.id))
        found["votes"] = sum(one.id.startswith("live") for one in store.votes.list())
        found["models"] = sum(one.id.startswith("live") for one in store.models.list())
    return found


def told(timed: Timed) -> dict[str, list[float]]:
    """Milliseconds by kind, ascending."""
    found: dict[str, list[float]] = {}
    for kind, seconds in timed:
        found.setdefault(kind, []).append(seconds * 1000)
    return {kind: sorted(values) for kind, values in found.items()}


def at(values: list[float], share: float) -> float:
    """A quantile of ascending values."""
    return values[min(len(values) - 1, int(share * len(values)))]


def alone(url: str, rounds: int) -> dict[str, list[float]]:
    """Each question `rounds` times by one reader, milliseconds; the first answer of each is not counted."""
    timed: Timed = []
    with Store(url) as store:
        for number in range(rounds + 1):
            for name, ask in QUERIES.items():
                with clocked(timed if number else [], name):
                    ask(store)
    return told(timed)


def main() -> int:
    """Fill, move, work, count, print. Exit 1 where a record is lost or doubled, or a process failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stores", type=Path, default=Path(tempfile.gettempdir(), "bakeoff-stores"))
    parser.add_argument("--size", choices=list(SIZES), default="many")
    parser.add_argument("--writers", type=int, default=32)
    parser.add_argument("--readers", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=300)
    arguments = parser.parse_args()
    server = Postgres()
    url = server.database(0)
    folder = arguments.stores / arguments.size
    print(describe_machine())
    with filled(folder, *SIZES[arguments.size]).store() as store, Store(url) as target:
        moved = store.move_into(target)
        size = (store.info()["bytes"] or 0) / 1e6
        print(f"moved {sum(moved.rows.values()):,} rows, {size:.0f} MB, in {moved.seconds:.1f} s")
    before = alone(url, 5)
    stored, writes, reads, failures = together(url, arguments.writers, arguments.readers, arguments.seconds)
    print(f"load after: {', '.join(f'{one:.1f}' for one in os.getloadavg())}")
    after = alone(url, 5)
    there = counted(url)
    print("\n".join(failures) or "no process failed")
    print(f"told stored {dict(stored)}\nfound       {dict(there)}")
    every = sorted(milliseconds for values in told(writes).values() for milliseconds in values)
    for kind, values in {**told(writes), "every write": every}.items():
        print(f"{kind:18} n {len(values):6} p50 {at(values, 0.5):7.1f} ms  p99 {at(values, 0.99):7.1f} ms")
    for kind, values in told(reads).items():
        one = [statistics.median(each[kind]) for each in (before, after)]
        print(
            f"{kind:18} n {len(values):6} p50 {at(values, 0.5):7.1f} ms, alone {one[0]:.1f} before, {one[1]:.1f} "
            f"after: {at(values, 0.5) / statistics.mean(one):.1f} x"
        )
    server.stop()
    return 1 if failures or stored != there else 0


if __name__ == "__main__":
    sys.exit(main())
