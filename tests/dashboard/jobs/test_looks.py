"""A question to a command is asked once, and its answer is found again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dashboard.jobs import looks
from dashboard.views.new_run.experiment import Draft, looked_at
from results import Workspace
from tests.dashboard.chat.test_chat import until

pytestmark = pytest.mark.slow


def test_the_same_question_is_answered_once_and_a_refusal_names_its_reason(
    workspace: Workspace, tmp_path: Path
) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("\n".join(json.dumps({"prompt": f"{n}?", "response": f"{n}."}) for n in range(4)) + "\nno row\n")
    text = looked_at(Draft(bases=(str(tmp_path / "no-base"),), sources=(str(rows),)))
    look = looks.look(workspace, "data", text, "--rows", "2")
    assert not look.asked and look.answer is None
    look.ask()
    until(lambda: not look.running)
    (report,) = looks.look(workspace, "data", text, "--rows", "2").answer
    assert (report["read"], report["usable"], len(report["rows"])) == (5, 4, 2)
    assert "no-base" in report["said"][0], "why rows are shown as they are read"
    other = looks.look(workspace, "data", text, "--rows", "2", about={"rows": "written anew"})
    assert not other.asked

    rows.unlink()
    other.ask()
    until(lambda: not other.running)
    assert other.answer is None and "rows.jsonl" in other.refusal
