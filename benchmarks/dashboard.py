"""First paint and widget-to-paint of the dashboard with 10 and with 1,000 runs of 10,000 steps, beside TensorBoard's.

One Chromium, one visitor, sides interleaved. First paint: from opening the address to the curves on the screen.
Widget to paint: from a key on the smoothing slider (TensorBoard: its smoothing box) to the redrawn chart.
Gate: both draw curves, and our chart shows the planted spike. Twenty curves are distinct, the others are copies.

    python benchmarks/dashboard.py --runs 1000
"""

from __future__ import annotations

import argparse
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dashboard import Processes
from dashboard.launch import free_port
from results import Point, Run, Workspace, this_machine

DISTINCT = 20
RESTED = """() => !document.querySelector('[data-testid="stSkeleton"]') && !!document.querySelector('h1')
    && document.querySelector('[data-testid="stApp"]')?.getAttribute('data-test-script-state') === 'notRunning'"""
DRAWN = f"""() => ({RESTED})() && !!document.querySelector('[data-testid="stPlotlyChart"] .main-svg')"""
THEIRS_DRAWN = "() => document.querySelectorAll('line-chart canvas, line-chart svg path').length > 0"
OTHER_PAGES = ("", "runs", "latency", "humaneval", "studies", "new_run")
CHANGED = f"old => document.querySelector('[data-testid=stSlider]').innerText !== old && ({DRAWN})()"


def curve(number: int, steps: int) -> np.ndarray[Any, Any]:
    """A falling, noisy loss with one spike."""
    noise = np.random.default_rng(number)
    values = 1.5 + 2 * np.exp(-np.arange(steps) / (steps / 5)) + noise.normal(0, 0.1, steps)
    values[int(noise.integers(1, steps - 1))] = 50.0
    return values


def fill(folder: Path, runs: int, steps: int) -> Workspace:
    """A store of many runs: the first twenty through the store, the others copied row by row in SQL."""
    workspace = Workspace(folder)
    with workspace.store() as store:
        for number in range(runs):
            store.runs.add(Run(f"run{number}", f"run{number}", "benchmark", "base", {"lora.rank": number % 4}, number))
            if number < DISTINCT:
                points = [Point("loss", at, float(value)) for at, value in enumerate(curve(number, steps))]
                store.curves.append(f"run{number}", points)
    with sqlite3.connect(folder / "results.db") as connection:
        connection.row_factory = sqlite3.Row
        for number in range(DISTINCT, runs):
            _copy(connection, f"run{number % DISTINCT}", f"run{number}")
        connection.execute("UPDATE runs SET status = 'finished'")
    return workspace


def _copy(connection: sqlite3.Connection, source: str, target: str) -> None:
    """One run's curve with all its segments and its level under another run."""
    for curve_row in connection.execute("SELECT * FROM curves WHERE run_id = ?", (source,)).fetchall():
        row = {key: curve_row[key] for key in tuple(curve_row.keys()) if key != "id"} | {"run_id": target}
        new = _insert(connection, "curves", row)
        for table in ("curve_segments", "curve_levels"):
            for part in connection.execute(f"SELECT * FROM {table} WHERE curve_id = ?", (curve_row["id"],)).fetchall():
                kept = {key: part[key] for key in tuple(part.keys()) if key != "id"}
                _insert(connection, table, kept | {"curve_id": new})


def _insert(connection: sqlite3.Connection, table: str, row: dict[str, Any]) -> int:
    marks = ", ".join("?" for _ in row)
    names = ", ".join(f'"{name}"' for name in row)
    done = connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(row.values()))
    return int(done.lastrowid or 0)


def fill_tensorboard(folder: Path, runs: int, steps: int) -> None:
    """One event file a run, as its SummaryWriter leaves it; twenty written, the others copied."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    for number in range(runs):
        path = folder / f"run{number}" / "events.out.tfevents.0"
        path.parent.mkdir(parents=True)
        if number >= DISTINCT:
            os.link(folder / f"run{number % DISTINCT}" / path.name, path)
            continue
        with path.open("wb") as file:
            writer = RecordWriter(file)
            writer.write(Event(wall_time=0.0, file_version="brain.Event:2").SerializeToString())
            for step, value in enumerate(curve(number, steps)):
                summary = Summary(value=[Summary.Value(tag="loss", simple_value=float(value))])
                writer.write(Event(wall_time=step, step=step, summary=summary).SerializeToString())


def our_page(browser: Any, address: str, moves: int) -> tuple[float, list[float]]:
    """(seconds to the first paint, seconds from each move of the smoothing slider to the redrawn chart)."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(120_000)
    start = time.perf_counter()
    page.goto(f"{address}/loss_curves")
    page.wait_for_function(DRAWN, polling=20)
    first, seconds = time.perf_counter() - start, []
    slider = page.get_by_test_id("stSlider").first
    page.get_by_role("slider").first.focus()
    for move in range(moves):
        old = slider.inner_text()
        start = time.perf_counter()
        page.keyboard.press("ArrowRight" if move % 2 else "ArrowLeft")
        page.wait_for_function(CHANGED, arg=old, polling=20)
        seconds.append(time.perf_counter() - start)
    page.close()
    return first, seconds


def painted(browser: Any, url: str, done: str = RESTED) -> float:
    """Seconds until a page, opened by a new visitor, is as the script `done` says: at rest, unless another is given."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(120_000)
    start = time.perf_counter()
    page.goto(url)
    page.wait_for_function(done, polling=20)
    seconds = time.perf_counter() - start
    page.close()
    return seconds


def main() -> None:
    """Fill, start, measure in turns, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--moves", type=int, default=10)
    parser.add_argument("--no-tensorboard", action="store_true")
    options = parser.parse_args()
    machine = this_machine()
    print(f"{machine.cpu}, {machine.cores} cores, {' '.join(machine.isa)}; load {os.getloadavg()[0]:.1f}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder, many = Path(name), f"{options.runs} runs"
        spaces = {
            "10 runs": fill(folder / "ten", 10, options.steps),
            many: fill(folder / "many", options.runs, options.steps),
        }
        pages = {key: Processes(space, free_port(), serve=False, headless=True) for key, space in spaces.items()}
        peer = None
        if not options.no_tensorboard:
            fill_tensorboard(folder / "events", options.runs, options.steps)
            port = free_port()
            command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder / "events")]
            command += ["--port", str(port), "--load_fast=true"]
            peer = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(30)
        try:
            measure(options, pages, f"http://127.0.0.1:{port}" if peer else "")
        finally:
            for each in pages.values():
                each.stop()
            if peer:
                peer.terminate()


def measure(options: argparse.Namespace, pages: dict[str, Processes], peer: str) -> None:
    """In turns, `rounds` times; prints medians and p90."""
    firsts: dict[str, list[float]] = {}
    moves: dict[str, list[float]] = {}
    for each in pages.values():
        each.wait_until_answering(180)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for _ in range(options.rounds):
            for key, each in pages.items():
                first, seconds = our_page(browser, each.address, options.moves)
                firsts.setdefault(key, []).append(first)
                moves.setdefault(key, []).extend(seconds)
                for name in OTHER_PAGES:
                    firsts.setdefault(f"{key}: {name or 'decide'}", []).append(
                        painted(browser, f"{each.address}/{name}")
                    )
            if peer:
                firsts.setdefault("TensorBoard", []).append(painted(browser, f"{peer}/#timeseries", THEIRS_DRAWN))
        browser.close()
    for key, seconds in firsts.items():
        line = (
            f"{key:20} first paint median {statistics.median(seconds):6.2f} s, {min(seconds):.2f} to {max(seconds):.2f}"
        )
        if key in moves:
            p50, p90 = np.percentile(moves[key], [50, 90])
            line += f"; widget to paint p50 {p50:.3f} s, p90 {p90:.3f} s"
        print(line, flush=True)


if __name__ == "__main__":
    main()
