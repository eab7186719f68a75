"""Stores as people have them, written through the Store's own methods: empty, small, half-written, large.

`small` is what the demo leaves behind: a base and three fine-tunes, one of them in two forms, measured on one machine
(and once on another). `half_written` was cut off everywhere. `large` is a thousand runs.
"""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from results import Store, Workspace
from results.analysis.statistics import wilson_interval
from results.records import (
    Evaluation,
    Machine,
    Model,
    Outcome,
    Point,
    PublishedResult,
    Report,
    Run,
    Score,
    Vote,
    digest,
)

START = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
LAPTOP = Machine("a1b2c3d4e5f6", "Two-core test CPU", ("amx_bf16", "avx2"), 2, 8 * 2**30, "", "Linux x86_64")
SERVER = Machine("f6e5d4c3b2a1", "Sixteen-core test CPU", ("avx2",), 16, 64 * 2**30, "", "Linux x86_64")
TASKS = 40
SCRIPT = "<script>window.hacked=1</script><img src='http://127.0.0.1:9/x.png' onerror='window.hacked=1'>"
HOSTILE = (
    f"{SCRIPT}\n![x](http://127.0.0.1:9/pixel.png) [click](javascript:window.hacked=1) "
    "<b>bold</b> $\\frac{1}{2}$ :red[red] https://example.invalid\n"
    "```python\ndef f():\n    return '</code><script>window.hacked=1</script>'\n```\nAfter."
)
ANSWERS = {
    "passed": "```python\ndef solve(n):\n    return n + 1\n```",
    "wrong": "Here is the function:\n\n```python\ndef solve(n):\n    return n\n```\nIt adds nothing.",
    "syntax_error": "def solve(n)\n    return",
    "truncated": "To solve this, first consider",
}


def empty(folder: Path) -> Workspace:
    """A workspace in which nothing was done yet."""
    workspace = Workspace(folder)
    workspace.store().close()
    return workspace


def small(folder: Path) -> Workspace:
    """A base, three fine-tunes of it, HumanEval, held-out loss, latency, votes, one published study."""
    workspace = Workspace(folder)
    with workspace.store() as store:
        store.machines.add(LAPTOP)
        store.machines.add(SERVER)
        base = model("tiny-base", "base", None, bytes_=270_000_000)
        store.models.add(base)
        for at, (rank, seed) in enumerate(((8, 1), (16, 1), (16, 2))):
            write_run(
                store, run(f"demo-rank{rank}-seed{seed}", rank, seed, at), steps=60, spike=31 if at == 1 else None
            )
        tuned = [
            model("demo-rank8", "lora-gguf", store.runs.list()[0].run.id, 275_000_000),
            model("demo-rank16", "lora-gguf", store.runs.list()[1].run.id, 280_000_000),
            model("demo-rank16-q4_0", "gguf-q4_0", store.runs.list()[1].run.id, 92_000_000),
        ]
        for each in tuned:
            store.models.add(each)
        for each, share, speed in zip([base, *tuned], (0.15, 0.4, 0.45, 0.375), (80, 70, 66, 110), strict=True):
            write_humaneval(store, each, share)
            write_heldout(store, each, 1.2 - share)
            write_latency(store, each, speed, LAPTOP)
        write_latency(store, tuned[0], 300, SERVER)
        write_votes(store, [base, *tuned], 40)
        write_published(store)
    return workspace


def half_written(folder: Path) -> Workspace:
    """Everything cut off: runs in training, diverged, planned; evaluations running and failed; hostile names."""
    workspace = Workspace(folder)
    with workspace.store() as store:
        store.machines.add(LAPTOP)
        live = run("live", 8, 1, 0)
        write_run(store, live, steps=25, finish=None, started=datetime.now(UTC) - timedelta(minutes=2))
        broken = run("diverged", 16, 1, 1)
        write_run(store, broken, steps=20, finish="diverged", bad=(12, math.nan))
        store.runs.add(run("planned", 32, 1, 2))
        store.runs.add(run(SCRIPT, 64, 1, 3))
        store.runs.edit(store.runs.list()[-1].run.id, notes=HOSTILE, tags=("=cmd|' /C calc'!A0", "<b>"))
        half = model("half", "adapter", live.id, 1)
        odd = model("[click](javascript:alert(1)) <b>$x$</b>", "gguf-q4_0", None, 2)
        for each in (half, odd):
            store.models.add(each)
        begun = store.evaluations.begin(
            evaluation(half, "humaneval", LAPTOP, {"max_tokens": 64}, subset="40 of 164 tasks")
        )
        store.evaluations.add_outcomes(begun.id, [humaneval_outcome(0, "passed", HOSTILE)])
        write_humaneval(store, odd, 0.3, text=HOSTILE)
        aside = model("aside", "gguf-q8_0", None, 3)
        store.models.add(aside)
        waiting = store.evaluations.begin(evaluation(aside, "humaneval", LAPTOP, {"engine": "llamacpp"}))
        unscored = dataclasses.replace(humaneval_outcome(0, "wrong", HOSTILE), verdict=None, value=None)
        store.evaluations.add_outcomes(waiting.id, [unscored])
        store.evaluations.set_aside(waiting.id, "answers stored, not scored: no sandbox")
        failed = store.evaluations.begin(evaluation(half, "latency", LAPTOP, {"threads": 2}))
        store.evaluations.fail(failed.id, "the engine ended: killed by signal 9")
    return workspace


def large(folder: Path, runs: int = 1000, points: int = 10_000, evaluations: int = 200) -> Workspace:
    """Many runs with long curves, and evaluations of many models."""
    workspace = Workspace(folder)
    steps = np.arange(1, points + 1)
    noise = np.random.default_rng(0)
    with workspace.store() as store:
        store.machines.add(LAPTOP)
        store.models.add(model("tiny-base", "base", None, 270_000_000))
        for number in range(runs):
            made = run(f"sweep-{number:04d}", 2 ** (3 + number % 4), number // 4, number)
            losses = 2.5 * np.exp(-steps / points * 3) + 0.8 + noise.normal(0, 0.05, points)
            losses[int(noise.integers(points))] += 3
            store.runs.add(made)
            store.runs.start(made.id, LAPTOP.id, points)
            store.curves.append(made.id, [Point("loss", int(s), float(v)) for s, v in zip(steps, losses, strict=True)])
            store.curves.append(made.id, [Point("validation_loss", points, 0.8 + noise.random() / 10)])
            store.runs.finish(made.id, "finished", "")
            if number < evaluations // 2:
                each = model(f"sweep-{number:04d}", "lora-gguf", made.id, 270_000_000 + number * 1000)
                store.models.add(each)
                write_humaneval(store, each, 0.2 + 0.3 * noise.random())
                write_latency(store, each, 50 + number, LAPTOP)
    return workspace


def run(name: str, rank: int, seed: int, order: int) -> Run:
    """A planned run."""
    config = {"lora.rank": rank, "training": {"learning_rate": 2e-4, "max_steps": 60}, "data": {"sources": ["stdlib"]}}
    return Run(
        id=f"run-{digest([name, rank, seed, order])[:10]}",
        name=name,
        experiment="demo",
        base="tiny-base",
        config=config,
        seed=seed,
        total_steps=60,
        tags=("sweep",),
        started_at=START + timedelta(minutes=order),
    )


def losses(rng: random.Random, steps: int, rank: int) -> Iterator[tuple[int, float]]:
    """A falling, noisy curve."""
    for step in range(1, steps + 1):
        yield step, 1.0 + 2.0 * math.exp(-step / 15) + rng.gauss(0, 0.08) - rank / 400


def write_run(
    store: Store,
    made: Run,
    steps: int,
    finish: str | None = "finished",
    spike: int | None = None,
    bad: tuple[int, float] | None = None,
    started: datetime | None = None,
) -> None:
    """A run with its curves."""
    rng = random.Random(made.id)
    store.runs.add(replace(made, started_at=started) if started else made)
    store.runs.start(made.id, LAPTOP.id, 60)
    points = []
    for step, loss in losses(rng, steps, int(made.config["lora.rank"])):
        value = loss + (4.0 if step == spike else 0.0)
        value = bad[1] if bad and step >= bad[0] else value
        points += [
            Point("loss", step, value),
            Point("tokens_seen", step, step * 2048.0),
            Point("elapsed_seconds", step, step * 3.5),
            Point("epoch", step, step / 30),
        ]
        if step % 20 == 0:
            points.append(Point("validation_loss", step, loss + 0.1))
    store.curves.append(made.id, points)
    if finish:
        store.runs.finish(made.id, finish, "the loss became NaN at step 12" if finish == "diverged" else "")


def model(name: str, form: str, run_id: str | None, bytes_: int) -> Model:
    """A model record; nothing is on disk."""
    return Model(
        id=f"model-{digest([name])[:8]}",
        name=name,
        form=form,
        base="tiny-base",
        identity=digest([name, form]),
        bytes=bytes_,
        path=f"models/{digest([name])[:8]}.gguf",
        run_id=run_id,
        created_at=START,
    )


def evaluation(
    of: Model, benchmark: str, machine: Machine, settings: dict[str, object], subset: str = ""
) -> Evaluation:
    """An evaluation about to begin."""
    identity = digest([of.id, benchmark, machine.id, settings])[:16]
    return Evaluation(identity, of.id, benchmark, settings, machine.id, subset=subset)


def humaneval_outcome(number: int, verdict: str, answer: str) -> Outcome:
    """One task's answer and verdict."""
    return Outcome(
        item=f"HumanEval/{number}",
        verdict=verdict,
        value=float(verdict == "passed"),
        details={
            "prompt": f'def solve(n):\n    """Task {number}: return n + 1."""\n',
            "answer": answer,
            "code": "def solve(n):\n    return n + 1",
            "message": "" if verdict == "passed" else "AssertionError: solve(1) == 2",
        },
    )


def write_humaneval(store: Store, of: Model, share: float, text: str | None = None) -> None:
    """HumanEval on the first 40 tasks."""
    begun = store.evaluations.begin(
        evaluation(of, "humaneval", LAPTOP, {"max_tokens": 256, "mode": "raw"}, subset=f"{TASKS} of 164 tasks")
    )
    rng, verdicts = random.Random(of.name), []
    for _ in range(TASKS):
        verdicts.append(
            "passed" if rng.random() < share else rng.choice(["wrong", "wrong", "syntax_error", "truncated"])
        )
    passed = verdicts.count("passed")
    store.evaluations.add_outcomes(
        begun.id, [humaneval_outcome(n, verdict, text or ANSWERS[verdict]) for n, verdict in enumerate(verdicts)]
    )
    low, high = wilson_interval(passed, TASKS)
    store.evaluations.finish(begun.id, [Score("pass@1", passed / TASKS, low, high, TASKS)], {})


def write_heldout(store: Store, of: Model, bits: float) -> None:
    """Held-out loss over 30 rows."""
    rng = random.Random(of.name)
    begun = store.evaluations.begin(evaluation(of, "heldout", LAPTOP, {"max_length": 512}))
    rows = [
        Outcome(f"row-{n}", value=bits * 200 * math.log(2) * rng.uniform(0.9, 1.1), details={"bytes": 200})
        for n in range(30)
    ]
    store.evaluations.add_outcomes(begun.id, rows)
    store.evaluations.finish(begun.id, [Score("bits_per_byte", bits, bits - 0.05, bits + 0.05, 30)], {})


def write_latency(store: Store, of: Model, speed: float, machine: Machine) -> None:
    """Latency of 12 requests: four prompts, three times."""
    rng = random.Random(of.name)
    begun = store.evaluations.begin(evaluation(of, "latency", machine, {"threads": machine.cores, "max_tokens": 64}))
    rows, firsts, rates = [], [], []
    for repeat in range(3):
        for prompt in ("sky", "pythagoras", "life", "fibonacci"):
            first, rate = rng.uniform(0.2, 0.4) * 80 / speed, speed * rng.uniform(0.9, 1.1)
            firsts.append(first)
            rates.append(rate)
            details = {
                "prompt": prompt,
                "ttft_seconds": first,
                "tpot_seconds": 1 / rate,
                "total_seconds": first + 63 / rate,
                "tokens_per_second": rate,
                "tokens": 64,
            }
            rows.append(Outcome(prompt, sample=repeat, value=first + 63 / rate, details=details))
    store.evaluations.add_outcomes(begun.id, rows)
    firsts.sort()
    rates.sort()
    scores = [
        Score("ttft_seconds_p50", firsts[6], firsts[3], firsts[9], 12),
        Score("ttft_seconds_p90", firsts[10], firsts[8], firsts[11], 12),
        Score("tpot_seconds_p50", 1 / rates[6], 1 / rates[9], 1 / rates[3], 12),
        Score("tokens_per_second_p50", rates[6], rates[3], rates[9], 12),
        Score("peak_rss_bytes", of.bytes * 1.4, None, None, 1),
    ]
    store.evaluations.finish(begun.id, scores, {"load_average": 0.3})


def write_votes(store: Store, among: list[Model], count: int) -> None:
    """Votes in which later models tend to win."""
    rng = random.Random(3)
    for number in range(count):
        a, b = rng.sample(range(len(among)), 2)
        winner = rng.choices(["a", "b", "tie"], [1 + 2 * (a > b), 1 + 2 * (b > a), 0.6])[0]
        store.votes.add(
            Vote(
                f"vote-{number}", "Why is the sky blue?", among[a].id, among[b].id, "Because.", "Rayleigh.", winner,
                created_at=START,
            )
        )  # fmt: skip


def write_published(store: Store) -> None:
    """Two figures of a study."""
    store.published.add(
        [
            PublishedResult("Study B", "variant 3", "pass@1", value=0.457, n=164, source="a study's README"),
            PublishedResult("Study B", "variant 5", "pass@1", value=0.445, n=164, source="a study's README"),
            PublishedResult("Study D", "Llama 1B tuned", "seconds_per_answer", "Why is the sky blue?", 37, "s"),
        ]
    )
    store.reports.put(Report("demo", "data", {"rows": 4000}))
