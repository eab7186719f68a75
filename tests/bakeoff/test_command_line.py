"""The command line as a user meets it: a process, its output and its exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def bakeoff(*words: str, workspace: Path) -> subprocess.CompletedProcess[str]:
    """Run a verb in a workspace of its own."""
    command = [sys.executable, "-m", "bakeoff", *words]
    environment = {"BAKEOFF_WORKSPACE": str(workspace), "PATH": "/usr/bin:/bin", "HF_HUB_OFFLINE": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, cwd=REPOSITORY)


def test_help_imports_nothing_heavy() -> None:
    code = "import sys, bakeoff.main; print(sorted({'torch', 'streamlit', 'scipy', 'transformers'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_every_verb_has_help_with_its_purpose(tmp_path: Path) -> None:
    from typer.main import get_command

    from bakeoff.main import VERBS, app

    commands = get_command(app).commands  # type: ignore[attr-defined]
    assert set(commands) == {verb.rstrip("_") for verb in VERBS}
    assert all(command.help and command.help[0].isupper() for command in commands.values())


@pytest.mark.parametrize("verb", ["runs", "models", "scores"])
def test_lists_of_an_empty_workspace_are_empty_json(verb: str, tmp_path: Path) -> None:
    done = bakeoff(verb, "--json", workspace=tmp_path / "new")
    assert (done.returncode, json.loads(done.stdout)) == (0, [])


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("run", "no-such-file.yaml"), "no-such-file.yaml"),
        (("compare", "tortoise", "hare"), "tortoise"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(words: tuple[str, ...], named: str, tmp_path: Path) -> None:
    done = bakeoff(*words, workspace=tmp_path)
    assert done.returncode == 2
    assert named in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_a_mistyped_key_is_named_with_its_value(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text((REPOSITORY / "experiments" / "demo.yaml").read_text() + "\nlernrate: 0.1\n")
    done = bakeoff("run", str(mine), workspace=tmp_path)
    assert done.returncode == 2
    assert "lernrate" in done.stderr


def test_a_workspace_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    done = bakeoff("runs", workspace=blocked / "workspace")
    assert done.returncode == 2
    assert str(blocked) in done.stderr


def test_doctor_names_what_it_found(tmp_path: Path) -> None:
    done = bakeoff("doctor", "--json", workspace=tmp_path)
    findings = {finding["subject"]: finding for finding in json.loads(done.stdout)}
    assert findings["processor"]["ok"]
    assert all(finding["ok"] or finding["remedy"] for finding in findings.values())
