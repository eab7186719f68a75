"""A run from a dropped file to its result, as a person makes it in Chromium: looked at, planned, stopped, resumed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

import trainer
from dashboard.jobs import jobs
from results import Workspace
from tests.dashboard.chat.test_chat import until
from tests.dashboard.test_browser import serious_faults, settle, shoot, visit

pytestmark = pytest.mark.slow
STEPS = 300


def choose(page: Any, label: str, values: list[str]) -> None:
    """Replace what a field of several values holds."""
    box = page.get_by_role("combobox", name=label)
    box.click()
    box.press("Backspace")
    for value in values:
        box.fill(value)
        page.get_by_role("option").first.wait_for()
        box.press("Enter")
    box.press("Escape")
    settle(page)


def typed(page: Any, label: str, value: str) -> None:
    """Fill a field in."""
    page.get_by_label(label, exact=True).fill(value)
    page.keyboard.press("Enter")
    settle(page)


def write(page: Any, base: Path, rows: Path) -> None:
    """Fill the form in: a dropped file, a miniature, held-out loss alone."""
    page.locator("input[type=file]").first.set_input_files(rows)
    choose(page, "Bases", [str(base)])
    page.get_by_text(re.compile("60 rows read, 60 usable")).wait_for()
    typed(page, "Name", "mini run")
    page.get_by_text("cannot name folders and models").first.wait_for()
    assert page.get_by_role("button", name="Run", exact=True).is_disabled()
    typed(page, "Name", "mini")
    typed(page, "Steps", str(STEPS))
    choose(page, "Formats to measure", ["adapter"])
    # What suits short answers that hold no code; then held-out loss alone.
    page.get_by_text("Held-out loss, Latency, Held-out rows as questions").wait_for()
    page.get_by_text("Measure what suits the data").click()
    for measure in ("Latency", "Held-out rows as questions"):
        page.get_by_role("button", name=measure, exact=True).click()
        settle(page)


@contextmanager
def held_while_training(workspace: Workspace) -> Iterator[None]:
    """The newest job's processes stand still from its first step on, until they were asked to stop.

    So the browser may be as slow and the machine as fast as they like: the training does not end before the click.
    """
    (job, *_) = jobs.find(workspace, "run")
    until(lambda: f"/{STEPS}" in job.log())
    group = int((job.folder / "pid").read_text())
    os.killpg(group, signal.SIGSTOP)
    try:
        yield
        until(lambda: asked_to_stop(group))
    finally:
        os.killpg(group, signal.SIGCONT)


def asked_to_stop(process: int) -> bool:
    """Whether Ctrl-C waits for a process that stands still."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    pending = next(line.split()[1] for line in lines if line.startswith("ShdPnd:"))
    return bool(int(pending, 16) & 1 << (signal.SIGINT - 1))


def newest(page: Any, state: str, name: str = "run-mini") -> str:
    """Wait until the newest job of a name is in a state; its log."""
    job = page.get_by_test_id("stExpander").filter(has_text=name).first
    job.get_by_text(f": {state}").wait_for(timeout=300_000)  # a whole training, on a machine that may be busy
    return str(job.get_by_test_id("stCode").inner_text())


def test_a_run_from_the_form_to_its_end(empty_address: str, page: Any, workspace: Workspace, tmp_path: Path) -> None:
    base, rows = trainer.miniature("llama", tmp_path / "miniature"), tmp_path / "rows.jsonl"
    rows.write_text(
        "\n".join(json.dumps({"prompt": f"{n} and one?", "response": f"It is {n + 1}."}) for n in range(60))
    )
    visit(page, f"{empty_address}/new_run")
    write(page, base, rows)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    written = Path(download.value.path()).read_text(encoding="utf-8")
    assert trainer.load_experiment(Path(download.value.path())).name == "mini"
    assert yaml.safe_load(written)["bases"] == [str(base)]

    (source,) = yaml.safe_load(written)["data"]["sources"]
    assert Path(source["name"]).read_bytes() == rows.read_bytes()
    assert hashlib.sha256(rows.read_bytes()).hexdigest().startswith(Path(source["name"]).parent.name)
    assert [mark.startswith("It is") for mark in page.locator(".rendered mark").all_inner_texts()] == [True] * 3

    page.get_by_role("link", name="Loss curves").click()
    page.get_by_role("heading", name="Loss curves", level=1).wait_for()
    page.get_by_test_id("stSidebarNavItems").get_by_role("link", name="New run").click()
    page.get_by_role("heading", name="What is measured").wait_for()
    page.reload()
    page.get_by_role("heading", name="What is measured").wait_for()
    settle(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert Path(download.value.path()).read_text(encoding="utf-8") == written
    assert serious_faults(page) == {}
    shoot(page, "new_run")

    page.get_by_role("button", name="Plan", exact=True).click()
    page.get_by_text(re.compile("1 fine-tune: about .* of which training")).wait_for()
    assert f"{STEPS} steps" in page.get_by_test_id("stMain").inner_text()

    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_text("run-mini").first.wait_for()
    with held_while_training(workspace):
        page.get_by_text(f"/{STEPS}").first.wait_for()
        page.get_by_role("button", name="Stop", exact=True).click()
    assert "resumes where it stopped" in newest(page, "stopped")
    with workspace.store() as store:
        (before,) = store.runs.list()
        assert before.run.status != "finished"
        assert 0 < before.steps < STEPS

    page.get_by_role("button", name="Resume").first.click()
    newest(page, "running")
    page.get_by_test_id("stPlotlyChart").locator(".main-svg").first.wait_for()
    assert f"{STEPS}/{STEPS}" in newest(page, "finished")
    assert page.get_by_role("link", name="See result").first.is_visible()
    with workspace.store() as store:
        (after,) = store.runs.list()
        steps, _ = store.curves.read(after.run.id, "loss")
        assert after.run.status == "finished"
        assert after.run.id == before.run.id
        assert list(steps) == list(range(1, STEPS + 1))
        assert [one.benchmark for one in store.evaluations.list()] == ["heldout"] * 2
