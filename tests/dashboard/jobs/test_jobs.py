"""Jobs in processes of their own: finished, failed, stopped, killed, resumed; and a prompt set as one."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from dashboard.chat.client import Sampling
from dashboard.jobs import batch, jobs
from results import Workspace
from tests.dashboard.answers import AnswerServer
from tests.dashboard.chat.test_chat import until

pytestmark = pytest.mark.slow


def job(workspace: Workspace, code: str) -> jobs.Job:
    """A Python one-liner as a job."""
    return jobs.create(jobs.folder(workspace, "run", "test"), [sys.executable, "-c", code])


def test_a_job_ends_with_its_status_and_its_log(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    good, bad = job(workspace, "print('done')"), job(workspace, "raise SystemExit(3)")
    good.start()
    bad.start()
    until(lambda: good.exit_status is not None and bad.exit_status is not None)
    assert (good.words(), bad.words()) == ("finished", "failed (3)")
    assert "done" in good.log()
    assert [found.name for found in jobs.find(workspace, "run")] == [bad.name, good.name]
    assert jobs.find(workspace, "prompts") == []


def test_a_job_is_of_one_kind_whatever_its_name_says(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    for kind, name in (("export", "demo-run-rank8 as Q4_0"), ("run", "add-export-demo"), ("demo", "demo")):
        jobs.create(jobs.folder(workspace, kind, name), ["true"])
    listed = {kind: [job.kind for job in jobs.find(workspace, kind)] for kind in ("export", "run", "demo", "add")}
    assert listed == {"export": ["export"], "run": ["run"], "demo": ["demo"], "add": []}


def test_a_job_is_stopped_and_resumed(tmp_path: Path) -> None:
    code = (
        "import time, pathlib; there = pathlib.Path(r'%s'); seen = there.exists(); there.touch(); "
        "print('at work', flush=True); "
        "seen or time.sleep(60)" % (tmp_path / "half-done")
    )
    made = job(Workspace(tmp_path), code)
    made.start()
    until(lambda: "at work" in made.log())
    assert made.running
    made.stop()
    until(lambda: not made.running)
    assert made.words() in ("stopped", "failed (1)")
    made.start()
    until(lambda: made.exit_status == 0)
    assert made.log().count("at work") == 2


def test_a_job_runs_from_the_moment_it_is_started_and_never_twice_at_once(tmp_path: Path) -> None:
    made = job(Workspace(tmp_path), "import time; print('begun', flush=True); time.sleep(60)")
    made.start()
    assert made.running and made.words() == "running"
    made.start()
    made.stop()
    until(lambda: not made.running)
    assert made.words() in ("stopped", "failed (1)")
    assert made.log().count("begun") <= 1


def test_a_command_that_outlives_its_keeper_is_seen_to_run(tmp_path: Path) -> None:
    made = job(Workspace(tmp_path), "import os, time; print(os.getpid(), flush=True); time.sleep(60)")
    made.start()
    until(lambda: "\n" in made.log())
    until((made.folder / "pid").exists)
    os.kill(int((made.folder / "pid").read_text()), signal.SIGKILL)
    until(lambda: jobs._children[-1].poll() is not None)
    assert made.running
    os.kill(int(made.log()), signal.SIGKILL)
    until(lambda: not made.running)
    assert made.words() == "was killed"


def test_a_job_that_has_not_begun_was_not_killed(tmp_path: Path) -> None:
    made = job(Workspace(tmp_path), "print('done')")
    assert made.words() == "not begun"
    (made.folder / "lock").touch()  # as `start` leaves it before it holds it
    assert made.words() == "not begun"
    made.start()
    seen = {made.words()}
    while seen.isdisjoint({"finished", "was killed"}):
        seen.add(made.words())
    assert seen <= {"running", "finished"}
    made.start()
    assert made.words() in ("running", "finished"), "started again"
    until(lambda: made.exit_status == 0)


def test_a_killed_job_is_seen_to_be_dead(tmp_path: Path) -> None:
    made = job(Workspace(tmp_path), "import time; print('up', flush=True); time.sleep(60)")
    made.start()
    until(lambda: "up" in made.log())
    os.killpg(int((made.folder / "pid").read_text()), signal.SIGKILL)
    until(lambda: not made.running)
    assert made.words() == "was killed"


def test_a_prompt_set_is_answered_by_every_model_and_goes_on_after_a_failure(
    small: Workspace, serving: AnswerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAKEOFF_WORKSPACE", str(small.path))
    place = jobs.folder(small, "prompts", "set")
    request = batch.Request("mine", ("One?", "Two?"), ("demo-rank8", "tiny-base"), Sampling(max_tokens=32))
    request.write(place / "request.json")
    assert batch.Request.read(place / "request.json") == request
    made = jobs.create(place, [sys.executable, "-m", "dashboard.jobs.batch", str(place / "request.json")])
    monkeypatch.setenv("BAKEOFF_SERVE_URL", "http://127.0.0.1:9")
    made.start()
    until(lambda: made.exit_status is not None)
    assert "No model server" in made.log() or "127.0.0.1:9" in made.log()
    monkeypatch.setenv("BAKEOFF_SERVE_URL", serving.url)
    made.start()
    until(lambda: made.exit_status == 0)
    found = small.store().evaluations.list(benchmark=batch.BENCHMARK)
    assert [one.status for one in found] == ["finished", "finished"]
    outcomes = small.store().evaluations.outcomes(found[0].id)
    assert [one.details["prompt"] for one in outcomes] == ["One?", "Two?"]
    assert "heard: One?" in str(outcomes[0].details["answer"])
