"""First paint and widget-to-paint of the dashboard with 10 and with 1,000 runs of 10,000 steps, beside others' pages.

One Chromium, a new visitor each time, sides interleaved. First paint: from opening the address to the curves on the
screen, of which ours are a still picture at first; ready: until the chart answers the mouse. Widget to paint: from a
key on the smoothing slider to the redrawn chart; on the other pages, from a choice in the widget that one goes on with
(WIDGETS) to the page's last change. Gate: every side draws curves. Others, on some of the same runs:
TensorBoard on 40; MLflow (in a Python of its own: --mlflow) on 100, of which it draws 10; the same page without
fragments and levels (plain_page.py) on as many runs as --plain says; and, with --floor, a page of Streamlit that says
one word, and one with a chart of three points.

    python benchmarks/dashboard.py --runs 1000 --mlflow PEERS/bin/python --plain 100
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Error, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dashboard_stores import fill, fill_mlflow, fill_tensorboard
from peers import describe_machine

from dashboard import Processes
from dashboard.launch import free_port
from results import Workspace
from tests.dashboard import answers
from tests.dashboard.drawn import RESTED, rested_for

CURVES = """() => [...document.querySelectorAll('.still img')].some(e => e.complete && e.naturalWidth)
    || !!document.querySelector('[data-testid="stPlotlyChart"] .main-svg')"""
PAINTED = f"""() => ({CURVES})() || ({RESTED})()"""
DRAWN = f"""() => ({RESTED})() && !!document.querySelector('[data-testid="stPlotlyChart"] .main-svg')"""
WATCH = """() => { window.drawn = [0]; new MutationObserver(changes => {
    if (changes.some(change => (change.target.parentElement ?? change.target).closest?.('.js-plotly-plot')))
        window.drawn.push(performance.now())
}).observe(document.body, {childList: true, subtree: true, attributes: true}) }"""
QUIET = 300
"""Milliseconds without a change (in a chart, of a page) after which it is taken as redrawn, at its last change."""
REDRAWN = f"""pressed => window.drawn.at(-1) > pressed && performance.now() - window.drawn.at(-1) > {QUIET}
"""
TENSORBOARD_RUNS = 40
"""Of more runs TensorBoard shows none until somebody chooses them."""
TENSORBOARD_WATCH = """(() => { let curves = false; window.drawn = []
    const send = MessagePort.prototype.postMessage
    MessagePort.prototype.postMessage = function (message, ...more) {
        curves ||= message?.compactDataSeries?.flattenedSeries?.byteLength > 0
        return send.call(this, message, ...more)
    }
    const heard = Object.getOwnPropertyDescriptor(MessagePort.prototype, 'onmessage')
    Object.defineProperty(MessagePort.prototype, 'onmessage', {get: heard.get, set(listener) {
        heard.set.call(this, event => {
            if (event.data?.type === 0 && curves) window.drawn.push(performance.now())
            return listener.call(this, event)
        })
    }})
})()"""
"""Its chart is drawn by a worker, which tells the page of each redrawing; those with curves in them are noted."""
TENSORBOARD_DRAWN = "() => window.drawn.length > 0"
TENSORBOARD_SLIDER = "mat-slider[aria-labelledby=scalars-smoothing-label] input"
MLFLOW_SLIDER = "[role=slider]"
MLFLOW_DRAWN = "() => document.querySelectorAll('.main-svg .trace, .main-svg path.js-line').length > 0"
WIDGETS = {
    "decide": ("slider", "First token ≤ (p90), s"),
    "runs": ("combobox", "Open a run"),
    "latency": ("combobox", "Show"),
    "humaneval": ("combobox", "Model B"),
    "studies": ("combobox", "Study"),
    "new_run": ("spinbutton", "Steps"),
    "chat": ("radio", "3"),
    "arena": ("switch", "Adjust for answer length"),
    "prompt_sets": ("combobox", "Prompt"),
}
"""On each page besides Loss curves: the widget that one goes on with, by role and name."""
PAGE_WATCH = """() => { window.changed = performance.now()
    new MutationObserver(() => { window.changed = performance.now() }).observe(
        document.querySelector('[data-testid="stMainBlockContainer"]'),
        {childList: true, subtree: true, attributes: true, characterData: true})
    for (const kind of ['click', 'keydown'])
        addEventListener(kind, () => { window.pressed = performance.now() }, {capture: true})
}"""
MLFLOW_RUNS = 100
PATIENCE_SECONDS = 120.0
SETTLING_MS = 2000
"""A new window of Chromium loads pages of its own (its address bar is one) and would share the cores with ours."""


class Browser:
    """What every side is opened in."""

    def __init__(self, running: Any) -> None:
        self.running = running

    def opened(self, url: str, done: str, watch: str = "") -> tuple[Any, float]:
        """(page, seconds until it is as the script `done` says) for a new visitor. inf: not within our patience."""
        page = self.running.new_context(viewport={"width": 1280, "height": 900}).new_page()
        page.add_init_script(watch or "0")
        page.set_default_timeout(PATIENCE_SECONDS * 1000)
        page.wait_for_timeout(SETTLING_MS)
        start = time.perf_counter()
        try:
            page.goto(url)
            page.wait_for_function(done, polling=20)
        except Error:
            return page, float("inf")
        return page, time.perf_counter() - start

    def used(self, url: str, widget: tuple[str, str], moves: int) -> tuple[float, list[float]]:
        """Seconds to the first paint (a chart or its still picture, else the whole page), and from each choice in a
        widget, of which there is none on a page that has nothing to choose from, to the page's last change.
        """
        page, first = self.opened(url, PAINTED)
        seconds: list[float] = []
        if first < PATIENCE_SECONDS:
            page.wait_for_function(RESTED, polling=20)
            page.wait_for_timeout(SETTLING_MS)
            page.evaluate(PAGE_WATCH)
            role, name = widget
            found = page.get_by_role(role, name=name, exact=role == "combobox")
            for move in range(moves if found.count() else 0):
                try:
                    pressed = self._chosen(page, role, found.first, move)
                    page.wait_for_function(rested_for(QUIET), arg=pressed, polling=20, timeout=20_000)
                    seconds.append((page.evaluate("window.changed") - pressed) / 1000)
                except Error as error:
                    print(f"{url}: {role} {name}: {str(error).splitlines()[0]}", flush=True)
                    break
        page.context.close()
        return first, seconds

    def _chosen(self, page: Any, role: str, widget: Any, move: int) -> float:
        """The browser's clock at the key or click by which another value is chosen; there and back by turns."""
        forth = move % 2 == 0
        if role == "combobox":
            option = page.get_by_role("option").nth(2 if forth else 1)
            while not option.count():  # what is drawn meanwhile closes the list
                widget.click()
                page.wait_for_timeout(500)
            option.click()
        elif role == "spinbutton":
            widget.fill("200" if forth else "100")
            widget.press("Enter")
        elif role == "slider":
            widget.press("ArrowLeft" if forth else "ArrowRight")
        else:
            other = page.get_by_role(role, name="3" if forth else "2").first if role == "radio" else widget
            other.press("Space")
        pressed: float = page.evaluate("window.pressed")
        return pressed

    def moved(self, url: str, moves: int) -> tuple[float, float, list[float]]:
        """Seconds to the curves, to the chart at rest, and from each move of the smoothing slider to its redrawing."""
        page, first = self.opened(url, CURVES)
        seconds: list[float] = []
        ready = float("inf")
        if first < PATIENCE_SECONDS:
            start = time.perf_counter()
            page.wait_for_function(DRAWN, polling=20)
            ready = first + time.perf_counter() - start
            page.evaluate(WATCH)
            seconds = self._pressed(page, page.get_by_role("slider").first, moves)
        page.context.close()
        return first, ready, seconds

    def peer(self, url: str, done: str, slider: str, moves: int) -> tuple[float, list[float]]:
        """The same of another's page: seconds to its curves, and from each move of its smoothing slider."""
        page, first = self.opened(url, done, TENSORBOARD_WATCH if slider == TENSORBOARD_SLIDER else "")
        seconds: list[float] = []
        if slider and first < PATIENCE_SECONDS:
            page.wait_for_timeout(SETTLING_MS)
            if slider == MLFLOW_SLIDER:
                page.get_by_label("Configure charts").click()
                page.locator(slider).first.press("ArrowRight")  # it stands at 0, from where no key leads down
                page.wait_for_timeout(SETTLING_MS)
                page.evaluate(WATCH)
            seconds = self._pressed(page, page.locator(slider).first, moves)
        page.context.close()
        return first, seconds

    def _pressed(self, page: Any, slider: Any, moves: int) -> list[float]:
        """Seconds from each key on a slider to the chart's last change."""
        seconds = []
        slider.focus()
        for move in range(moves):
            pressed = page.evaluate("performance.now()")
            page.keyboard.press("ArrowRight" if move % 2 else "ArrowLeft")
            page.wait_for_function(REDRAWN, arg=pressed, polling=20)
            seconds.append((page.evaluate("window.drawn.at(-1)") - pressed) / 1000)
        return seconds


@contextlib.contextmanager
def serving(command: Sequence[str], port: int, **environment: str) -> Iterator[str]:
    """A peer's page for as long as it is needed; its address."""
    address = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | environment,
        start_new_session=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=5):
                break
            time.sleep(0.5)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def ours(workspace: Any) -> Iterator[str]:
    """The dashboard over a workspace; its address."""
    processes = Processes(workspace, free_port(), serve=False, headless=True)
    try:
        processes.wait_until_answering(180)
        yield processes.address
    finally:
        processes.stop()


def tensorboard(folder: Path) -> Any:
    """TensorBoard over the event files, given half a minute to read them."""
    port = free_port()
    words = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--load_fast=true"]
    return serving([*words, "--port", str(port)], port)


def mlflow(python: str, file: Path) -> Any:
    """MLflow's server over its SQLite file."""
    port = free_port()
    words = [str(Path(python).with_name("mlflow")), "server", "--backend-store-uri", f"sqlite:///{file}"]
    return serving([*words, "--port", str(port), "--workers", "1"], port, MLFLOW_DISABLE_TELEMETRY="true")


def other(name: str, folder: Path) -> Any:
    """A page beside this file, as `streamlit run` serves it."""
    port, page = free_port(), Path(__file__).with_name(name)
    words = [sys.executable, "-m", "streamlit", "run", str(page), "--server.headless", "true"]
    words += ["--server.maxMessageSize", "2000", "--browser.gatherUsageStats", "false"]
    return serving([*words, "--server.port", str(port)], port, BAKEOFF_WORKSPACE=str(folder))


def kept(folder: Path, runs: int, steps: int, evaluations: int) -> Workspace:
    """A filled store, or the one that was filled before."""
    place, whole = folder / f"{runs}-{steps}-{evaluations}", folder / f"{runs}-{steps}-{evaluations}.whole"
    if whole.exists():
        return Workspace(place)
    filled = fill(place, runs, steps, evaluations)
    whole.touch()
    return filled


def main() -> None:
    """Fill, start, measure in turns, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--moves", type=int, default=10)
    parser.add_argument("--mlflow", default="", help="a Python that has MLflow")
    parser.add_argument("--plain", type=int, default=0, help="runs for the page without fragments and levels")
    parser.add_argument("--floor", action="store_true", help="the least that Streamlit costs")
    parser.add_argument("--no-tensorboard", action="store_true")
    parser.add_argument("--stores", type=Path, help="a folder in which filled stores stay for the next time")
    parser.add_argument("--no-pages", action="store_true", help="the Loss curves page alone")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ended by `timeout`, it prints and clears up
    print(describe_machine(), flush=True)
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder, run = Path(name), stack.enter_context
        spaces = {"10 runs": kept(options.stores or folder, 10, options.steps, 8)}
        spaces[f"{options.runs} runs"] = kept(options.stores or folder, options.runs, options.steps, options.runs // 5)
        os.environ["BAKEOFF_SERVE_URL"] = run(answers.AnswerServer(["model0", "model1"])).url
        pages = {key: run(ours(space)) for key, space in spaces.items()}
        peers: dict[str, tuple[str, str, str]] = {}
        if not options.no_tensorboard:
            count = min(TENSORBOARD_RUNS, options.runs)
            fill_tensorboard(folder / "events", count, options.steps)
            place = f"{run(tensorboard(folder / 'events'))}/#timeseries"
            peers[f"TensorBoard, {count} runs"] = place, TENSORBOARD_DRAWN, TENSORBOARD_SLIDER
            time.sleep(15)
        if options.mlflow:
            file = fill_mlflow(folder / "mlflow", options.mlflow, min(MLFLOW_RUNS, options.runs), options.steps)
            charts = "#/experiments/1/runs?compareRunsMode=CHART"
            place = f"{run(mlflow(options.mlflow, file))}/{charts}"
            peers[f"MLflow, {MLFLOW_RUNS} runs"] = place, MLFLOW_DRAWN, MLFLOW_SLIDER
        if options.floor:
            floor = run(other("floor_page.py", folder))
            peers["a word"] = f"{floor}/?draws=text", RESTED, ""
            peers["three points"] = f"{floor}/?draws=chart", DRAWN, ""
        if options.plain:
            fill(folder / "plain", options.plain, options.steps, 0)
            pages[f"plain, {options.plain} runs"] = run(other("plain_page.py", folder / "plain"))
            if options.plain != options.runs:
                same = fill(folder / "same", options.plain, options.steps, 0)
                pages[f"{options.plain} runs"] = run(ours(same))
        measure(options, pages, peers, set() if options.no_pages else set(spaces))


def measure(
    options: argparse.Namespace, pages: dict[str, str], peers: dict[str, tuple[str, str, str]], walked: set[str]
) -> None:
    """In turns, `rounds` times; prints medians and p90. walked: the sides whose other pages are opened too."""
    firsts: dict[str, list[float]] = {}
    moves: dict[str, list[float]] = {}
    try:
        _rounds(options, pages, peers, walked, firsts, moves)
    except KeyboardInterrupt:
        print("interrupted: what there is so far", flush=True)
    for key, seconds in firsts.items():
        line = f"{key:24} first paint median {statistics.median(seconds):6.2f} s"
        line += f", {min(seconds):.2f} to {max(seconds):.2f}"
        if moves.get(key):
            p50, p90 = np.percentile(moves[key], [50, 90])
            line += f"; widget to paint p50 {p50:.3f} s, p90 {p90:.3f} s"
        print(line, flush=True)


def _rounds(
    options: argparse.Namespace,
    pages: dict[str, str],
    peers: dict[str, tuple[str, str, str]],
    walked: set[str],
    firsts: dict[str, list[float]],
    moves: dict[str, list[float]],
) -> None:
    """Fills `firsts` and `moves`."""
    with sync_playwright() as playwright:
        browser = Browser(playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"]))
        for _ in range(options.rounds):
            for key, address in pages.items():
                path = "" if key.startswith("plain") else "/loss_curves"
                moved = options.moves if path else min(options.moves, 4)
                first, ready, seconds = browser.moved(f"{address}{path}", moved)
                firsts.setdefault(key, []).append(first)
                firsts.setdefault(f"{key}: ready", []).append(ready)
                moves.setdefault(key, []).extend(seconds)
                for name, widget in WIDGETS.items() if key in walked else ():
                    place = f"{address}/{'' if name == 'decide' else name}"
                    first, seconds = browser.used(place, widget, options.moves)
                    firsts.setdefault(f"{key}: {name}", []).append(first)
                    moves.setdefault(f"{key}: {name}", []).extend(seconds)
            for key, (address, done, slider) in peers.items():
                first, seconds = browser.peer(address, done, slider, options.moves)
                firsts.setdefault(key, []).append(first)
                moves.setdefault(key, []).extend(seconds)
        browser.running.close()


if __name__ == "__main__":
    main()
