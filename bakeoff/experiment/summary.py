"""What a finished experiment says on the terminal: one table of its models, then the decision in a paragraph."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from bakeoff import listing
from bakeoff.experiment.failures import told
from bakeoff.experiment.pipeline import Outcome
from results import Question, ScoreRow, Store, contenders, decide

COLUMNS: tuple[tuple[str, str, str, float], ...] = (
    ("HumanEval pass@1", "humaneval", "pass@1", 100.0),
    ("bits per byte", "heldout", "bits_per_byte", 1.0),
    ("first token, p50 ms", "latency", "ttft_seconds_p50", 1000.0),
    ("tokens/s, p50", "latency", "tokens_per_second_p50", 1.0),
)
"""Heading, benchmark, metric and the factor into the heading's unit."""


KNOWN = ("humaneval", "heldout", "latency", "stopping")


def _metric(rows: Sequence[ScoreRow], benchmark: str) -> str:
    """What a test of one's own is scored by: the first of its scores."""
    return next((row.metric for row in rows if row.benchmark == benchmark), "pass@1")


def show(outcome: Outcome, store: Store) -> None:
    """Print the experiment's models with their scores and 95 % intervals, and which of them to ship."""
    measured, models = {one.id for one in outcome.evaluations}, {one.id for one in outcome.models}
    rows = [row for row in store.evaluations.scores() if row.evaluation_id in measured]
    own_tests = list(dict.fromkeys(one.benchmark for one in outcome.evaluations if one.benchmark not in KNOWN))
    shown = [*COLUMNS, *((name, name, _metric(rows, name), 100.0) for name in own_tests)]
    table = Table("model", "format", "MB", *(heading for heading, *_ in shown), box=None, header_style="bold")
    contending = [one for one in contenders(store) if one.id in models]
    known = {one.id for one in contending}
    for model in (one for one in outcome.models if one.id in known):
        own = [row for row in rows if row.model_id == model.id]
        cells = (_cell(own, benchmark, metric, factor) for _, benchmark, metric, factor in shown)
        table.add_row(model.name, model.form, f"{model.bytes / 1e6:.0f}", *cells)
    console = listing.output()
    console.print(table)
    for subset in sorted({row.subset for row in rows if row.subset}):
        console.print(f"Measured on a subset: {subset}. All of it: --full", style="dim")
    console.print(decide(store, Question(experiment=outcome.experiment)).paragraph)
    for line in outcome.told:
        console.print(listing.spelt_out(line), markup=False, highlight=False)
    _show_missing(outcome)


def _show_missing(outcome: Outcome) -> None:
    """What was not done, with its reason: an experiment is not complete for being over."""
    for run in outcome.unfinished:
        print(f"Not trained: {run.name} is {run.status}: {run.reason or 'no reason recorded'}")
    for line in told(outcome.failures):
        print(f"Not done: {line}")
    if outcome.unscored:
        names = ", ".join(evaluation.model_id for evaluation in outcome.unscored)
        print(f"Answered and not scored: {names}. {outcome.unscored[0].details.get('unscored', '')}".rstrip())
        print("Where there is a sandbox, score all that wait: bakeoff evaluate --rescore")
    if not outcome.complete:
        print("The same command tries what is missing again.")


def show_rehearsal(outcome: Outcome, seconds: float, workspace: Path, file: Path) -> None:
    """Print what was gone through, without scores: they would mean nothing."""
    counts = Counter(evaluation.benchmark for evaluation in outcome.evaluations)
    measured = ", ".join(f"{name} of {count}" for name, count in counts.items()) or "nothing measured"
    finished = len(outcome.runs) - len(outcome.unfinished)
    print(
        f"Rehearsed in {seconds:.0f} s: {finished} of {len(outcome.runs)} runs trained, {len(outcome.models)} models; "
        f"{measured}."
    )
    _show_missing(outcome)
    if outcome.complete:
        print(f"Look at it: bakeoff dashboard --workspace {workspace}\nNow run it: bakeoff run {file}")


def say(line: str) -> None:
    """One line about what is done or reused, on stderr."""
    print(f"bakeoff: {line}", file=sys.stderr, flush=True)


def _cell(rows: Sequence[ScoreRow], benchmark: str, metric: str, factor: float) -> str:
    for row in reversed(rows):  # the newest
        if row.benchmark == benchmark and row.metric == metric:
            interval = ""
            if row.low is not None and row.high is not None:
                interval = f" [{row.low * factor:.3g}–{row.high * factor:.3g}]"
            return f"{row.value * factor:.3g}{interval}"
    return "–"
