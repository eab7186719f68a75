"""`bakeoff add` as it is typed: a checklist to read, JSON for programs, exit statuses."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from bakeoff.main import app
from engines import EngineError, FileRefused
from results import NotFound
from tests.engines.adding.zoo import Zoo
from trainer import miniature

Call = Callable[..., Result]


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Zoo:
    root = tmp_path_factory.mktemp("zoo")
    return Zoo(miniature("llama", root / "base"), root)


@pytest.fixture
def bakeoff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Calls the command line in a workspace of its own."""
    monkeypatch.setenv("BAKEOFF_WORKSPACE", str(tmp_path / "workspace"))
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


@pytest.mark.slow
def test_what_is_added_is_listed_and_one_refused_is_status_1(bakeoff: Call, zoo: Zoo) -> None:
    for above in ("monday", "tuesday"):
        zoo.adapter(f"{above}/bot")
    zoo.adapter("untrained", trained=False)
    sources = [zoo.root / "monday" / "bot", zoo.root / "tuesday" / "bot", zoo.root / "untrained"]
    said = bakeoff("add", *sources)
    assert said.exit_code == 1
    assert "monday-bot: added" in said.stdout and "tuesday-bot: added" in said.stdout
    assert "untrained: refused" in said.stdout and "✗ active" in said.stdout
    listed = json.loads(bakeoff("models", "--json").stdout)
    assert {one["name"] for one in listed} == {"base", "monday-bot", "tuesday-bot"}
    again = json.loads(bakeoff("add", sources[0], "--json").stdout)
    assert [one["state"] for one in again] == ["there already"]
    assert {"name", "state", "detail", "remedy"} == set(again[0]["checks"][0])


@pytest.mark.slow
def test_a_folder_above_several_says_what_it_found_and_a_dry_run_registers_nothing(bakeoff: Call, zoo: Zoo) -> None:
    for above in ("a", "b"):
        zoo.adapter(f"several/{above}")
    said = bakeoff("add", zoo.root / "several", "--dry-run")
    assert said.exit_code == 0 and said.stdout.count("not added (dry run)") == 2
    with pytest.raises(NotFound, match="there is no workspace"):
        bakeoff("models")
    said = bakeoff("add", zoo.root / "several")  # nobody is there to answer: what was found is said, and added
    assert "a: peft, " in said.stdout and len(json.loads(bakeoff("models", "--json").stdout)) == 3


def test_a_source_that_holds_no_model_is_one_line(bakeoff: Call, tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="holds no model"):  # which the program prints, with status 2
        bakeoff("add", tmp_path)


@pytest.mark.slow
def test_a_name_that_would_read_as_a_format_is_refused(bakeoff: Call, zoo: Zoo) -> None:
    zoo.adapter("named")
    with pytest.raises(EngineError, match="has an @"):
        bakeoff("add", zoo.root / "named", "--name", "bot@q4_0")
    assert json.loads(bakeoff("models", "--json").stdout) == []


@pytest.mark.slow
def test_on_a_terminal_a_taken_name_is_asked_for_and_elsewhere_refused(bakeoff: Call, zoo: Zoo, tmp_path: Path) -> None:
    first, second = zoo.adapter("first/bot", r=2).folder, zoo.adapter("second/bot", r=8).folder
    assert bakeoff("add", first).exit_code == 0
    refused = bakeoff("add", second)  # nobody is there to answer
    assert refused.exit_code == 1 and "✗ name" in refused.stdout and "--replace" in refused.stdout
    command = [sys.executable, "-m", "bakeoff", "add", str(second), "--workspace", str(tmp_path / "workspace")]
    for answer, status, archived in (("n", 1, []), ("y", 0, ["bot@"])):
        keyboard, terminal = pty.openpty()
        os.write(keyboard, f"{answer}\n".encode())  # typed ahead
        done = subprocess.run(command, stdin=terminal, capture_output=True, text=True, timeout=900, check=False)
        os.close(terminal)
        os.close(keyboard)
        assert done.returncode == status and f"added from {first}" in done.stdout, done.stdout + done.stderr
        listed = json.loads(bakeoff("models", "--json", "--archived").stdout)
        assert [one["name"][:4] for one in listed if one["archived"]] == archived
