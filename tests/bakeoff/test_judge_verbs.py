"""compare, decide, import and export as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bakeoff.main import app
from results import BakeoffError


@pytest.fixture
def bakeoff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """Calls the command line in a workspace of its own; returns what it wrote to stdout."""
    monkeypatch.setenv("BAKEOFF_WORKSPACE", str(tmp_path / "workspace"))

    def call(*words: str) -> str:
        return CliRunner().invoke(app, list(words), catch_exceptions=False).stdout

    return call


def test_from_import_to_decision(bakeoff: object, tmp_path: Path) -> None:
    assert callable(bakeoff)
    for name, passed in (("good", 30), ("bad", 5)):
        row = {"completion": "x", "result": ""}
        rows = [{"task_id": f"HumanEval/{task}", "passed": task < passed, **row} for task in range(40)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
        assert "would be imported" in bakeoff("import", str(tmp_path / f"{name}.jsonl"), "--dry-run")
        assert "; imported" in bakeoff("import", str(tmp_path / f"{name}.jsonl"))
        assert "was there already" in bakeoff("import", str(tmp_path / f"{name}.jsonl"))
    assert "good is better than bad" in bakeoff("compare", "good", "bad")
    assert json.loads(bakeoff("compare", "good", "bad", "--json"))["quality"]["only_a"] == 25
    decision = json.loads(bakeoff("decide", "--json", "--freeze", "v1"))
    assert decision["chosen"] == decision["best"] and decision["candidates"][0]["model"] == "good"
    assert "is still the choice" in bakeoff("decide", "--recheck", "v1")
    assert "No model is known to meet the limits" in bakeoff("decide", "--max-ttft-p90", "2")
    assert ": 2 rows" in bakeoff("export", str(tmp_path / "scores.csv"))


def test_study_b_and_plain_counts(bakeoff: object) -> None:
    assert callable(bakeoff)
    assert "75/164 and 73/164 cannot be told apart" in bakeoff("compare", "75/164", "73/164")
    assert json.loads(bakeoff("decide", "--study", "B", "--json"))["best"] == "variant 3"
    with pytest.raises(BakeoffError, match="passed/tasks"):
        bakeoff("compare", "9/5", "1/5")
