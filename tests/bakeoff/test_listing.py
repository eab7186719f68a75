"""The verbs that list and keep the store, as a person or a program calls them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bakeoff.listing import cell
from bakeoff.main import app
from results import BakeoffError, Evaluation, Model, Point, Run, Score, Workspace

RUNNER = CliRunner()


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace with a diverged run, a model and two scores."""
    with Workspace(tmp_path).store() as store:
        store.runs.add(Run("r1", "rank8 [bold]\x1b[31m", "demo", "SmolLM2", {}, 0, tags=("a",)))
        store.runs.start("r1", None, 30)
        store.curves.append("r1", [Point("loss", 10, math.nan), Point("validation_loss", 5, 1.5)])
        store.runs.finish("r1", "diverged", "the loss became NaN at step 10")
        store.runs.add(Run("r2", "shelved", "demo", "SmolLM2", {}, 0, archived=True))
        store.models.add(Model("m1", "demo", "gguf-q8_0", "SmolLM2", "ab" * 32, 12_345_678, "models/demo", "r1"))
        store.evaluations.begin(Evaluation("e1", "m1", "humaneval", {"n": 1}, "machine", subset="40 of 164 tasks"))
        store.evaluations.finish("e1", [Score("pass@1", 0.25, 0.1, 0.4, 40), Score("odd", math.inf, None, None, 1)])
    return tmp_path


def output(*arguments: str) -> str:
    result = RUNNER.invoke(app, list(arguments), env={"BAKEOFF_DATABASE_URL": None, "COLUMNS": "200"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def rows(*arguments: str) -> list[dict[str, Any]]:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    found: list[dict[str, Any]] = json.loads(output(*arguments, "--json"), parse_constant=refuse)
    return found


def test_runs_as_json_and_as_a_table(workspace: Path) -> None:
    (row,) = rows("runs", "--workspace", str(workspace))
    wanted = {"id": "r1", "base": "SmolLM2", "status": "diverged", "steps": 10, "last_loss": "NaN"}
    assert row.items() >= (wanted | {"best_validation_loss": 1.5, "best_step": 5, "tags": ["a"]}).items()
    assert [each["id"] for each in rows("runs", "--archived", "--workspace", str(workspace))] == ["r1", "r2"]
    table = output("runs", "--workspace", str(workspace))
    assert "rank8 [bold]\\x1b[31m" in table
    assert "\x1b[31m" not in table
    assert "became NaN at step 10" in table
    assert "shelved" not in table


def test_models_and_scores_as_json_and_as_tables(workspace: Path) -> None:
    (model,) = rows("models", "--workspace", str(workspace))
    expected = {"id": "m1", "name": "demo", "form": "gguf-q8_0", "base": "SmolLM2", "run": "r1"}
    assert model.items() >= (expected | {"bytes": 12_345_678, "identity": "ab" * 32}).items()
    assert "12,345,678" in output("models", "--workspace", str(workspace))
    first, second = rows("scores", "--workspace", str(workspace))
    score = {"model": "demo", "benchmark": "humaneval", "metric": "pass@1", "value": 0.25, "low": 0.1, "high": 0.4}
    traced = {"n": 40, "machine": "machine", "subset": "40 of 164 tasks", "origin": "measured", "settings": {"n": 1}}
    assert first.items() >= (score | traced | {"evaluation": "e1"}).items()
    assert (second["value"], second["low"]) == ("Infinity", None)
    assert "40 of 164 tasks" in output("scores", "--model", "demo", "--workspace", str(workspace))
    assert rows("scores", "--benchmark", "latency", "--workspace", str(workspace)) == []


def test_a_model_is_not_compared_with_itself(workspace: Path) -> None:
    with pytest.raises(BakeoffError, match="demo and m1 are one model: name two that differ"):
        output("compare", "demo", "m1", "--workspace", str(workspace))


def test_large_numbers_are_written_out() -> None:
    assert [cell(value) for value in (298_100_000.0, -12_345.6, 0.00012, 1234.5, 1e18)] == [
        "298,100,000", "-12,346", "0.00012", "1234", "1e+18",
    ]  # fmt: skip


@pytest.mark.parametrize("verb", ["runs", "models", "scores"])
def test_an_empty_workspace_says_what_to_do(tmp_path: Path, verb: str) -> None:
    Workspace(tmp_path).store().close()
    assert "bakeoff" in output(verb, "--workspace", str(tmp_path))
    assert rows(verb, "--workspace", str(tmp_path)) == []


def test_a_store_is_exported_and_merged_by_command(workspace: Path, tmp_path: Path) -> None:
    here, copy, there = ("--workspace", str(workspace)), tmp_path / "copy.db", ("--workspace", str(tmp_path / "there"))
    assert "2 runs" in output("store", "export", str(copy), *here)
    with pytest.raises(BakeoffError, match=r"copy\.db exists"):
        output("store", "export", str(copy), *here)
    merged = json.loads(output("store", "merge", str(copy), "--json", *there))
    assert (merged["taken"]["runs"], merged["taken"]["evaluations"], merged["differences"]) == (2, 1, [])
    assert "runs: 0 taken in, 2 were here" in output("store", "merge", str(copy), *there)
    assert rows("scores", *there) == rows("scores", *here)
    info = json.loads(output("store", "info", "--json", *there))
    assert info["rows"]["runs"] == 2
    assert "schema" in output("store", "info", *there)
    assert "schema" in output("store", "upgrade", *there)


def test_a_model_is_uploaded_and_downloaded_by_command(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAKEOFF_ARTIFACTS", str(tmp_path / "shared"))
    here = ("--workspace", str(workspace))
    with pytest.raises(BakeoffError, match="models/demo"):
        output("store", "download", "demo", *here)
    (workspace / "models" / "demo").mkdir(parents=True)
    (workspace / "models" / "demo" / "adapter_config.json").write_text("{}")
    assert output("store", "upload", *here) == "demo: uploaded\n"
    assert output("store", "upload", "demo", *here) == "demo: was there\n"
    assert output("store", "download", "demo", *here) == "demo: is here\n"
    (workspace / "models" / "demo").rename(workspace / "gone")
    output("store", "download", "demo", *here)
    assert (workspace / "models" / "demo" / "adapter_config.json").read_text() == "{}"
