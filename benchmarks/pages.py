"""Every page of the dashboard over a store of 10 runs and over one of 1,000 runs, 300 models and 3,000 items.

A new visitor each time, the two stores by turns. Of each visit: seconds until something is painted and until every
chart is drawn and the page rests, then CPU seconds of the dashboard and of the browser, processes and all: on a machine
that others use too these tell more than a clock. The first round fills caches and is not counted.

    python benchmarks/pages.py --stores /tmp/stores --rounds 3
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import Error, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dashboard_stores import fill
from peers import describe_machine

from dashboard import Processes
from dashboard.launch import free_port
from results import Workspace
from results.analysis.statistics import wilson_interval
from results.records import Outcome, Report, Score
from tests.dashboard import answers, stores
from tests.dashboard.drawn import RESTED, SETTLED

PAGES = (
    "home", "decide", "scores", "latency", "loss_curves", "runs", "chat", "arena", "prompt_sets", "new_run",
    "add_models", "studies",
)  # fmt: skip
PAINTED = f"() => [...document.querySelectorAll('.still img')].some(e => e.complete) || ({RESTED})()"
PATIENCE_SECONDS = 120
SETTLING_SECONDS = 2.0
"""A new window of Chromium loads pages of its own, and what the last page began ends."""
SIZES = {"few": (10, 10, 40), "many": (1000, 300, 3000)}
"""Runs, models, items of a test of one's own."""
STEPS = 2000


def filled(folder: Path, runs: int, models: int, items: int) -> Workspace:
    """A store of that size, or the one that was filled before: HumanEval, latency, votes and a test of one's own."""
    if (folder / "whole").exists():
        return Workspace(folder)
    workspace = fill(folder, runs, STEPS, 2 * min(models, runs))
    with workspace.store() as store:
        for number in range(len(store.models.list()), models):
            store.models.add(stores.model(f"model{number}", "gguf-q4_0", None, 90_000_000 + number))
        store.reports.put(Report("mine", "question_set", {"published": False, "items": items}))
        every = store.models.list()
        for number, model in enumerate(every):
            draw, share = random.Random(number), 0.4 + 0.4 * number / len(every)
            right = [draw.random() < share for _ in range(items)]
            begun = store.evaluations.begin(stores.evaluation(model, "mine", stores.LAPTOP, {"max_tokens": 64}))
            details = (
                {"prompt": f"Question {at}?", "answer": "Yes." if one else "No."} for at, one in enumerate(right)
            )
            outcomes = [
                Outcome(f"item-{at:04d}", verdict="passed" if one else "wrong", value=float(one), details=said)
                for at, (one, said) in enumerate(zip(right, details, strict=True))
            ]
            store.evaluations.add_outcomes(begun.id, outcomes)
            score = Score("accuracy", sum(right) / items, *wilson_interval(sum(right), items), items)
            store.evaluations.finish(begun.id, [score], {})
    (folder / "whole").touch()
    return workspace


def cpu_seconds(root: int) -> float:
    """Of a process and of all that it started and that still run, with those of theirs that ended."""
    total = 0.0
    with contextlib.suppress(psutil.Error):
        top = psutil.Process(root)
        for one in (top, *top.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                total += sum(one.cpu_times()[:4])
    return total


def visit(browser: Any, own: int, address: str, pages: int) -> tuple[float, float, float, float]:
    """Seconds until painted, until at rest; the dashboard's and the browser's CPU seconds. inf: beyond our patience.

    own, pages: process ids of what started the browser (itself not counted) and of Streamlit.
    """
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    time.sleep(SETTLING_SECONDS)
    before = cpu_seconds(pages), cpu_seconds(own) - cpu_seconds(pages) - own_seconds()
    start, painted, rested = time.perf_counter(), float("inf"), float("inf")
    with contextlib.suppress(Error):
        page.goto(address)
        page.wait_for_function(PAINTED, polling=50, timeout=PATIENCE_SECONDS * 1000)
        painted = time.perf_counter() - start
        page.wait_for_function(SETTLED, polling=50, timeout=PATIENCE_SECONDS * 1000)
        rested = time.perf_counter() - start
    after = cpu_seconds(pages), cpu_seconds(own) - cpu_seconds(pages) - own_seconds()
    page.context.close()
    return painted, rested, after[0] - before[0], after[1] - before[1]


def own_seconds() -> float:
    """CPU seconds of this process alone."""
    return sum(psutil.Process().cpu_times()[:2])


def main() -> None:
    """Fill, start, visit in turns, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--stores", type=Path, help="a folder in which the stores stay for the next time")
    parser.add_argument("--pages", nargs="*", default=PAGES)
    options = parser.parse_args()
    print(describe_machine(), flush=True)
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        server = stack.enter_context(answers.AnswerServer([f"model{number}" for number in range(4)]))
        os.environ["BAKEOFF_SERVE_URL"] = server.url
        sides = {}
        for key, size in SIZES.items():
            workspace = filled((options.stores or Path(name)) / key, *size)
            sides[key] = Processes(workspace, free_port(), serve=False, headless=True)
            stack.callback(sides[key].stop)
            sides[key].wait_until_answering(300)
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for number in range(options.rounds + 1):
            for page in options.pages:
                for key, side in sides.items():
                    found = visit(browser, os.getpid(), f"{side.address}/{page}", side.pages.pid)
                    measured.setdefault((page, key), []).append(found) if number else None
                if number:
                    print(line(page), flush=True)


measured: dict[tuple[str, str], list[tuple[float, float, float, float]]] = {}


def line(page: str) -> str:
    """The medians of a page so far, few and many, and how many times as much many are."""
    few, many = ([statistics.median(column) for column in zip(*measured[page, key], strict=True)] for key in SIZES)
    names = ("painted", "at rest", "dashboard's CPU", "browser's CPU")
    parts = [
        f"{name} {a:5.2f} {b:5.2f} ({b / max(a, 0.01):.1f} x)" for name, a, b in zip(names, few, many, strict=True)
    ]
    return f"{page:12} " + " | ".join(parts)


if __name__ == "__main__":
    main()
