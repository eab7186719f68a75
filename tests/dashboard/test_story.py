"""The ten minutes with five models, two added and three trained, in Chromium: add, measure, see, decide, chat, vote."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import trainer
from dashboard.jobs import jobs
from results import Workspace
from tests.bakeoff.test_elsewhere import adapter
from tests.dashboard import stores
from tests.dashboard.answers import AnswerServer
from tests.dashboard.chat.test_chat import until
from tests.dashboard.conftest import opened
from tests.dashboard.test_add_models import ask as ask_for
from tests.dashboard.test_browser import settle, visit
from tests.dashboard.test_chat_page import ENDED, ask
from tests.dashboard.test_home import names
from tests.dashboard.test_own_prompts import keep_set

pytestmark = pytest.mark.slow
TRAINED, ADDED = ["demo-rank16", "demo-rank16-q4_0", "demo-rank8"], ["shop-a", "shop-b"]
ROWS = "question,answer\n" + "".join(f"What is {n} + {n}?,{2 * n}\n" for n in range(8))


def ended(workspace: Workspace, kind: str, count: int) -> None:
    """Wait until so many jobs of a kind have ended well."""
    until(lambda: [job.exit_status is None for job in jobs.find(workspace, kind)] == [False] * count)
    assert [job.exit_status for job in jobs.find(workspace, kind)] == [0] * count, jobs.find(workspace, kind)[0].log()


def added(address: str, page: Any, workspace: Workspace, folder: Path) -> None:
    """Two adapters of one base, made elsewhere, by the page."""
    base = trainer.miniature("llama", folder / "base")
    visit(page, f"{address}/add_models")
    for count, name in enumerate(ADDED, 1):
        ask_for(page, str(adapter(base, folder / name, 2 + count)), "Add")
        ended(workspace, "add", count)
        page.get_by_role("button", name=re.compile("^Chat with")).wait_for()
        settle(page)


def measured(address: str, page: Any, workspace: Workspace) -> None:
    """Both by a file of one's own, dropped once."""
    visit(page, f"{address}/prompt_sets")
    keep_set(page, "sums", ROWS, 8)
    models = page.get_by_role("combobox", name="Models")
    models.click()
    models.press("Backspace")
    models.press("Backspace")
    for name in ADDED:
        models.fill(name)
        page.get_by_role("option", name=name, exact=True).click()
    models.press("Escape")
    settle(page)
    page.get_by_role("button", name="Measure them by its right answers").click()
    ended(workspace, "measure", 1)


def test_five_models_from_the_first_to_the_frozen_decision(tmp_path: Path, page: Any) -> None:
    workspace = stores.small(tmp_path / "workspace")
    with AnswerServer([*TRAINED, "tiny-base", *ADDED]) as server:
        for address in opened(workspace.path, server):
            added(address, page, workspace, tmp_path)
            measured(address, page, workspace)

            visit(page, f"{address}/?about=*&columns=sums&columns=humaneval")
            assert set(names(page)) >= {*TRAINED, *ADDED}
            heads = page.locator(".board .head").all_inner_texts()
            assert any("sums" in one for one in heads) and any("HumanEval" in one for one in heads)

            visit(page, f"{address}/decide?about=*&by=sums")
            assert re.search("Ship|Tie|Not enough data", page.locator('[data-testid="stAlert"]').first.inner_text())
            visit(page, f"{address}/decide?by=heldout")
            assert "Ship demo-rank16" in page.locator('[data-testid="stAlert"]').first.inner_text()
            page.get_by_role("button", name="Freeze").first.click()
            page.get_by_label("Name to freeze it under").fill("spring")
            page.get_by_role("button", name="Freeze it").click()
            page.get_by_role("heading", name="Frozen decisions").wait_for()
            settle(page)

            visit(page, f"{address}/chat?panes=2&model1=shop-a&model2=demo-rank16")
            ask(page, "Can I return a swimsuit?")
            page.wait_for_function(ENDED, arg=2)
            page.get_by_role("button", name="2 is best").click()
            page.get_by_text("Your vote is saved").wait_for()

            visit(page, f"{address}/arena?prompts=sums")
            page.get_by_role("button", name="Begin").click()
            page.get_by_role("button", name="Left is better").click()
            page.get_by_text("Next pair").wait_for()
            settle(page)
            assert page.locator('[data-testid="stException"]').count() == 0
    with workspace.store() as store:
        assert [one.id.startswith("spring") for one in store.decisions.list()] == [True]
        fresh = [vote for vote in store.votes.list() if not vote.id.startswith("vote-")]
        assert sorted(vote.blind for vote in fresh) == [False, True]
        assert {vote.details.get("set") for vote in fresh} == {None, "sums"}
