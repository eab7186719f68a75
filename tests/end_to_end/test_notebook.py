"""The notebook for a GPU that is taken away: its cells, a kill in the middle of training, and its cells again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from results import Store, Workspace
from tests.docs import notebook
from tests.docs.names import ROOT
from trainer import miniature

NOTEBOOK = ROOT / "docs" / "colab.ipynb"


def losses(store: Store) -> list[int]:
    """The steps of the only run that have a loss, in order."""
    found = store.runs.list()
    return [int(step) for step in store.curves.read(found[0].run.id, "loss")[0]] if found else []


def killed_in_training(command: str, workspace: Path) -> None:
    """Start a command and kill it, children and all, once a loss behind the first checkpoint is in the store."""
    running = subprocess.Popen(["bash", "-c", f"exec {command}"], start_new_session=True)
    store, deadline = Workspace.open(workspace).store(), time.monotonic() + 900
    while not any(step > 5 for step in losses(store)):
        assert running.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline, "no loss behind the first checkpoint"
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()


@pytest.mark.slow
def test_cut_off_and_run_again_the_notebook_ends_with_one_whole_curve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs, home = tmp_path / "programs", tmp_path / "drive"
    programs.mkdir()
    (programs / "bakeoff").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m bakeoff "$@"\n')
    (programs / "bakeoff").chmod(0o755)
    for name, value in {
        "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1",
        "BAKEOFF_NOTEBOOK_HOME": str(home), "BAKEOFF_NOTEBOOK_BASE": str(miniature("llama", tmp_path / "base")),
        "BAKEOFF_WORKSPACE": str(home / "workspace"),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    cells = notebook.cells(NOTEBOOK)
    training = next(number for number, code in enumerate(cells) if code.startswith("!bakeoff run"))

    names: dict[str, Any] = {}
    for code in cells[:training]:
        notebook.run(code, names, notebook.finished)
    notebook.run(cells[training], names, lambda command: killed_in_training(command, home / "workspace"))
    names = {}
    for code in cells:
        notebook.run(code, names, notebook.finished)

    store = Workspace.open(home / "workspace").store()
    (summary,) = store.runs.list()
    assert (summary.run.status, losses(store)) == ("finished", list(range(1, 25)))
    assert len(store.evaluations.list(benchmark="validation-exact")) == 2, "the fine-tune and its base"
    assert (home / "results-of-colab.db").exists()


def test_a_command_of_a_cell_has_the_variables_and_comes_at_its_place() -> None:
    said: list[Any] = []
    names: dict[str, Any] = {"said": said}
    notebook.run("a = 1\n%pip install nothing\n!echo {a} of b\nsaid.append(a + 1)\n", names, said.append)
    assert said == ["echo 1 of b", 2]
