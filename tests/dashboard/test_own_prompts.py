"""One set of one's own prompts in Chromium: dropped, kept, asked, voted on; nothing of it lost by a reload."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from results import Workspace
from tests.dashboard import stores
from tests.dashboard.answers import AnswerServer
from tests.dashboard.conftest import opened
from tests.dashboard.test_browser import settle, visit

pytestmark = pytest.mark.slow
ROWS = "question,answer\n" + "".join(f"What is {n} + {n}?,{2 * n}\n" for n in range(12))


def keep_set(page: Any, name: str, rows: str, count: int) -> None:
    """Name a set on Prompt sets, drop a CSV of questions with right answers, and keep it."""
    page.get_by_label("Name of the set").fill(name)
    page.get_by_label("Name of the set").press("Tab")
    settle(page)
    page.locator("input[type=file]").set_input_files(
        {"name": f"{name}.csv", "mimeType": "text/csv", "buffer": rows.encode()}
    )
    page.get_by_text(f"{count} prompts read, with right answers").wait_for()
    page.reload()
    page.get_by_text(f"{name}.csv, dropped before, is still here").wait_for()
    page.get_by_text(f"{count} prompts read, with right answers").wait_for()
    settle(page)
    page.get_by_role("button", name="Keep this set").click()
    page.get_by_text(f"Its {count} prompts").wait_for()
    page.reload()
    page.get_by_text(f"Its {count} prompts").wait_for()
    settle(page)
    assert page.get_by_text("dropped before").count() == 0, "it is a set now"


def test_one_file_feeds_prompt_sets_and_arena_and_nothing_of_it_is_lost(
    tmp_path: Path, page: Any, server: AnswerServer
) -> None:
    workspace = stores.small(tmp_path / "workspace")
    for address in opened(workspace.path, server):
        visit(page, f"{address}/prompt_sets")
        page.get_by_label("Name of the set").fill("Typed")
        page.get_by_label("Or type or paste them").fill("One?\nTwo?")
        page.get_by_role("button", name="Keep this set").click()  # the first click, with the field still in hand
        page.get_by_role("button", name="Delete this set").wait_for()
        settle(page)
        assert page.get_by_role("combobox", name="Set", exact=True).input_value() == "Typed (2)"
        page.get_by_text("New set").click()
        keep_set(page, "Sums", ROWS, 12)
        assert page.get_by_role("combobox", name="Set", exact=True).input_value() == "Sums (12)"
        assert page.get_by_role("button", name="Measure them by its right answers").is_enabled()
        page.get_by_role("button", name=re.compile(r"^Ask 2 models 12 prompts")).click()
        page.get_by_text("See the answers").wait_for()
        settle(page)
        assert "heard: What is 11 + 11?" in page.inner_text("[data-testid=stMain]") or page.locator("canvas").count()

        page.get_by_role("link", name="Vote on it in the Arena").click()
        page.get_by_role("heading", name="Arena").wait_for()
        settle(page)
        assert page.get_by_role("combobox", name="Prompts", exact=True).input_value() == "Sums (12)"
        page.keyboard.press("n")
        page.get_by_role("button", name="Both bad").wait_for()
        settle(page)
        asked = re.search(r"What is \d+ \+ \d+\?", page.inner_text("[data-testid=stMain]"))
        shown = page.inner_text("[data-testid=stMain]").split("Ranking")[0]
        assert asked and "tokens" not in shown, "length and speed come after the vote"
        page.reload()
        page.get_by_role("button", name="Both bad").wait_for()
        settle(page)
        assert asked[0] in page.inner_text("[data-testid=stMain]"), "the pair is the same"
        page.keyboard.press("1")
        page.get_by_role("button", name="Next pair").wait_for()
        page.wait_for_function("document.body.innerText.split('Ranking')[0].includes('tokens/s')")
        settle(page)
        assert page.locator('[data-testid="stException"]').count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    with Workspace(workspace.path).store() as store:
        cast = [vote for vote in store.votes.list() if vote.details.get("set")]
    assert [(vote.prompt, vote.details["set"], vote.blind) for vote in cast] == [(asked[0], "Sums", True)]
