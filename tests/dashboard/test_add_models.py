"""A model made elsewhere from the page to the chat, as a person does it in Chromium: checked, refused, added."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import trainer
from results import Workspace
from tests.bakeoff.test_elsewhere import adapter
from tests.dashboard.test_browser import settle, visit
from tests.dashboard.test_new_run import newest

pytestmark = pytest.mark.slow


def ask(page: Any, source: str, button: str) -> None:
    """Type a source and press a button."""
    page.get_by_label("Source", exact=True).fill(source)
    page.keyboard.press("Enter")
    settle(page)
    page.get_by_role("button", name=button, exact=True).click()


def test_a_fine_tune_is_checked_added_and_chatted_with(
    empty_address: str, page: Any, workspace: Workspace, tmp_path: Path
) -> None:
    folder = adapter(trainer.miniature("llama", tmp_path / "base"), tmp_path / "demo-rank8", 2)
    visit(page, f"{empty_address}/add_models")
    page.get_by_role("button", name="Add", exact=True, disabled=True).wait_for()  # drawn later than the heading

    ask(page, str(tmp_path / "nothing"), "Check")
    assert "There is nothing at" in newest(page, "failed", "check-nothing")

    ask(page, str(folder), "Check")
    checked = newest(page, "finished", "check-demo-rank8")
    assert "PEFT" in checked and "not added (dry run)" in checked
    with workspace.store() as store:
        assert store.models.list() == []

    ask(page, str(folder), "Add")
    assert "demo-rank8: added" in newest(page, "finished", "add-demo-rank8")
    with workspace.store() as store:
        assert store.models.find("demo-rank8").form == "adapter"
        assert [one.run.origin for one in store.runs.list()] == ["imported"]

    page.get_by_role("heading", name="Added").wait_for()
    page.get_by_role("button", name="Chat with demo-rank8 and ").click()
    page.get_by_role("heading", name="Chat", level=1).wait_for()
    settle(page)
    assert "model1=demo-rank8" in page.url
    assert page.get_by_role("combobox", name="Model 1").input_value() == "demo-rank8"
