"""The main job, smaller: trained, interrupted, resumed, exported, measured, and looked at in Chromium."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashboard.launch import free_port
from results import Store, Workspace
from tests.dashboard.test_browser import settle

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = ("Decide", "Scores", "Latency", "Loss curves", "Chat", "Arena", "New run", "Home")
LED_ON = {
    "runs": "Runs",
    "prompt_sets": "Prompt sets",
    "studies": "Studies",
    "add_models": "Add models",
    "humaneval": "Scores",
}
"""Addresses of pages that are in no list, or were once, and their headings."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def start(*words: str, workspace: Path, **more: str) -> subprocess.Popen[str]:
    """A verb as a process of its own group, with nothing of the Hub reachable. more: environment variables."""
    environment = {**os.environ, "BAKEOFF_WORKSPACE": str(workspace), "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
    environment |= more
    command = [sys.executable, "-m", "bakeoff", *words]
    return subprocess.Popen(
        command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, cwd=REPOSITORY
    )


def listed(verb: str, workspace: Path) -> list[dict[str, Any]]:
    """What a list verb prints as JSON."""
    out, err = start(verb, "--json", workspace=workspace).communicate(timeout=900)
    assert out, err
    return list(json.loads(out))


def smaller(folder: Path) -> Path:
    """The demo's experiment file with fewer steps, rows and tasks; everything else as shipped."""
    demo = yaml.safe_load((REPOSITORY / "experiments" / "demo.yaml").read_text())
    demo["name"] = "small"
    demo["data"]["sources"][0]["limit"] = 80
    demo["data"]["validation_limit"] = 3
    demo["training"] |= {"max_steps": 6, "batch_size": 2, "max_length": 96, "eval_steps": 3, "save_steps": 2}
    demo["sweep"]["grid"]["lora.rank"] = [2, 4]
    demo["evaluate"]["humaneval"] |= {"tasks": 3, "max_tokens": 32}
    demo["evaluate"]["latency"] |= {"repetitions": 2, "tokens": 8, "threads": 1}  # finding the best number takes longer
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(demo))
    return path


def losses(store: Store) -> dict[str, list[tuple[int, float]]]:
    """Every run's loss curve as (step, nats per token)."""
    curves = {}
    for summary in store.runs.list():
        steps, values = store.curves.read(summary.run.id, "loss")
        curves[summary.run.id] = [(int(step), float(value)) for step, value in zip(steps, values, strict=True)]
    return curves


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which the job was interrupted while training and then gone on with to its end."""
    folder = tmp_path_factory.mktemp("demo")
    experiment, workspace = smaller(folder), folder / "workspace"
    running = start("run", str(experiment), workspace=workspace)
    store = Workspace.open(workspace).store()
    deadline = time.monotonic() + 900
    while not any(len(curve) >= 2 for curve in losses(store).values()):
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < deadline, "no loss reached the store in five minutes"
        time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=900)
    assert running.returncode == 130, err
    assert "resumes" in err
    assert "Traceback" not in err
    assert {summary.run.status for summary in store.runs.list()} <= {"stopped", "planned", "finished"}
    _, err = (again := start("run", str(experiment), workspace=workspace)).communicate(timeout=900)
    assert again.returncode == 0, err
    return workspace


def test_both_runs_finish_with_each_step_once(finished: Path) -> None:
    runs = listed("runs", finished)
    assert [run["status"] for run in runs] == ["finished", "finished"]
    assert all(run["steps"] == 6 and math.isfinite(run["best_validation_loss"]) for run in runs)
    for curve in losses(Workspace.open(finished).store()).values():
        assert [step for step, _ in curve] == [1, 2, 3, 4, 5, 6]
        assert len({value for _, value in curve}) == 6


def test_models_have_distinct_identities_and_sizes(finished: Path) -> None:
    models = listed("models", finished)
    assert {model["form"] for model in models} >= {"base", "adapter", "lora-gguf"}
    assert len({model["identity"] for model in models}) == len(models) >= 5
    assert all(model["bytes"] > 100_000 for model in models)


def test_every_model_is_measured_and_every_score_has_its_interval(finished: Path) -> None:
    scores = listed("scores", finished)
    passed = [score for score in scores if score["metric"] == "pass@1"]
    assert len(passed) == 3
    assert all(score["low"] <= score["value"] <= score["high"] and score["n"] == 3 for score in passed)
    assert all(score["subset"] for score in passed), "a part of HumanEval must be labelled"
    assert len([score for score in scores if score["metric"] == "bits_per_byte"]) >= 3
    assert len([score for score in scores if score["metric"] == "ttft_seconds_p50"]) >= 2
    assert len({score["machine"] for score in scores}) == 1


def test_answers_are_kept_with_their_verdicts(finished: Path) -> None:
    store = Workspace.open(finished).store()
    for evaluation in store.evaluations.list(benchmark="humaneval"):
        outcomes = store.evaluations.outcomes(evaluation.id)
        assert len(outcomes) == 3
        assert all(outcome.verdict not in (None, "error") and "answer" in outcome.details for outcome in outcomes)


def test_a_second_time_everything_is_reused(finished: Path) -> None:
    before = losses(Workspace.open(finished).store())
    _, err = (again := start("run", str(smaller(finished.parent)), workspace=finished)).communicate(timeout=900)
    assert again.returncode == 0, err
    assert "reused 2 finished runs" in err
    assert re.search(r"reused \d+ finished evaluations", err)
    assert losses(Workspace.open(finished).store()) == before


@pytest.fixture(scope="module")
def address(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The dashboard's address, and serve behind it, while the tests of this file run.

    Started as a newcomer does: it would open a browser, were there a display, and nobody has answered questions before.
    """
    port = free_port()
    newcomer = {"HOME": str(tmp_path_factory.mktemp("home")), "DISPLAY": "", "WAYLAND_DISPLAY": ""}
    running = start("dashboard", "--port", str(port), workspace=finished, **newcomer)
    deadline = time.monotonic() + 900
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        assert running.poll() is None, running.communicate()
        time.sleep(0.2)
    yield f"http://127.0.0.1:{port}"
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=900)


def test_every_page_opens_without_an_error(address: str, browser: Any, tmp_path: Path) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(180_000)
    page.goto(address)
    for title in PAGES:
        page.get_by_role("link", name=re.compile(title)).first.click()
        page.get_by_role("heading", name=title).first.wait_for(timeout=180_000)
        settle(page)
        assert page.locator('[data-testid="stException"]').count() == 0, title
        page.screenshot(path=str(tmp_path / f"{title}.png"))
    for name, title in LED_ON.items():
        page.goto(f"{address}/{name}")
        page.get_by_role("heading", name=title).first.wait_for(timeout=180_000)
        settle(page)
        assert page.locator('[data-testid="stException"]').count() == 0, title
    page.close()


def test_two_models_answer_side_by_side_with_their_timings(address: str, browser: Any) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(180_000)
    page.goto(f"{address}/chat")
    box = page.get_by_test_id("stChatInputTextArea")
    box.wait_for(timeout=180_000)
    box.fill("Say hello.")
    box.press("Enter")
    text = ""
    end = time.monotonic() + 900
    while text.count("tokens/s") < 2 and time.monotonic() < end:
        page.wait_for_timeout(1_000)
        text = page.inner_text("body")
    assert text.count("tokens/s") >= 2, text
    page.close()
