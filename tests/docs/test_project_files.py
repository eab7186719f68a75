"""What a stranger meets first: workflow, issue forms, citation and the checklist of a release say what is so."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.names import ROOT, absent

FORMS = sorted(path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_the_workflow_runs_what_a_developer_runs() -> None:
    jobs = read(ROOT / ".github" / "workflows" / "ci.yml")["jobs"]
    commands = " ".join(step.get("run", "") for job in jobs.values() for step in job["steps"])
    scripts = set(re.findall(r"\.ci/\w+", commands))
    assert ".ci/run" in scripts
    assert all(os.access(ROOT / script, os.X_OK) for script in scripts)
    assert "apparmor_restrict_unprivileged_userns=0" in commands, "Ubuntu keeps the sandbox's namespaces from users"
    oldest = PROJECT["requires-python"].removeprefix(">=")
    assert oldest in jobs["everything"]["strategy"]["matrix"]["python"]
    assert all("timeout-minutes" in job for job in jobs.values())


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_an_issue_form_is_one_that_can_be_filled_in(path: Path) -> None:
    form = read(path)
    assert form["name"] and form["description"]
    asked = [field for field in form["body"] if field["type"] != "markdown"]
    assert asked and all(field["type"] in ("input", "textarea", "dropdown", "checkboxes") for field in asked)
    assert len({field["id"] for field in asked}) == len(asked)
    assert all(field["attributes"]["label"] for field in asked)
    commands = re.findall(r"bakeoff [a-z-]+", path.read_text())
    assert [command for command in commands if absent(command) and "--" not in command] == []


@pytest.mark.parametrize("name", ["fault", "figure"])
def test_who_reports_is_asked_what_the_machine_is(name: str) -> None:
    assert "bakeoff doctor --json" in (ROOT / ".github" / "ISSUE_TEMPLATE" / f"{name}.yml").read_text()


def test_one_version_is_said_everywhere() -> None:
    cited = read(ROOT / "CITATION.cff")
    assert (cited["version"], cited["license"]) == (PROJECT["version"], PROJECT["license"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", PROJECT["version"])


@pytest.mark.parametrize("words", [[], ["1.2"], ["v1.2.3"]])
def test_a_release_without_a_version_is_one_line(words: list[str]) -> None:
    done = subprocess.run([ROOT / ".ci" / "release", *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "Which version? .ci/release 1.2.3 (semantic: breaking.feature.fix)\n"


def test_a_release_says_what_is_missing_before_anything_long_begins(tmp_path: Path) -> None:
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "release", tmp_path / ".ci" / "release")
    (tmp_path / "pyproject.toml").write_text('version = "1.2.3"\n')
    (tmp_path / "CHANGELOG.md").write_text("## 1.2.3 (2027-01-31)\n")
    (tmp_path / "CITATION.cff").write_text("version: 1.2.2\n")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.example"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "All"]):
        subprocess.run([*git, *words], cwd=tmp_path, check=True)
    (tmp_path / "note.txt").write_text("not committed")
    done = subprocess.run([".ci/release", "1.2.3"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "[ ] nothing is uncommitted",
        "[x] no tag v1.2.3 is there yet",
        "[x] pyproject.toml says 1.2.3",
        "[ ] CITATION.cff says 1.2.3",
        "[x] CHANGELOG.md has a heading 1.2.3 with its date",
    ]
    assert done.stderr == "2 to mend. Then again: .ci/release 1.2.3\n"
