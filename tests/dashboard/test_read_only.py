"""Every button of every page, over a workspace that takes nothing: one line says so, and no page is an exception."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from results import Workspace
from tests.dashboard.answers import AnswerServer
from tests.dashboard.test_pages import NAMES, PAGES, quiet

__all__ = ["quiet"]
SCRIPT = """
import runpy
from dashboard.widgets import page
from results.errors import BakeoffError
try:
    runpy.run_path({path!r})
except (BakeoffError, OSError) as error:
    page.failed(error)
"""
"""A page as `dashboard/app.py` runs it, without the navigation."""


def closed(workspace: Workspace) -> Path:
    """The workspace with a store that refuses each write, and files where folders would be made: for root too."""
    with sqlite3.connect(workspace.path / "results.db") as store:
        tables = [name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in (name for name in tables if not name.startswith("sqlite_")):
            for what in ("INSERT", "UPDATE", "DELETE"):
                store.execute(
                    f"CREATE TRIGGER closed_{table}_{what} BEFORE {what} ON {table} "
                    "BEGIN SELECT RAISE(ABORT, 'read only'); END"
                )
    for name in ("jobs", "conversations", "drafts", "prompt_sets"):
        (workspace.path / name).write_text("in the way")
    return workspace.path


def shown(name: str) -> AppTest:
    return AppTest.from_string(SCRIPT.format(path=str(PAGES / f"{name}.py")), default_timeout=300).run()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_no_button_makes_a_page_an_exception(
    name: str, small: Workspace, serving: AnswerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAKEOFF_WORKSPACE", str(closed(small)))
    page = shown(name)
    assert not page.exception, [error.message for error in page.exception]
    for number in range(len(page.button)):
        pressed = shown(name)
        if number < len(pressed.button) and not pressed.button[number].disabled:
            label = pressed.button[number].label
            pressed.button[number].click().run()
            # Another page is led to by the navigation, which is not here.
            broken = [one.message for one in pressed.exception if "Could not find page" not in one.message]
            assert broken == [], (label, broken)
