"""Home in Chromium: the scoreboard opens, sorts and measures, the address keeps it, and old links lead on."""

from __future__ import annotations

import re
from typing import Any

import pytest

from dashboard.jobs import jobs
from results import Workspace
from tests.dashboard.answers import AnswerServer
from tests.dashboard.chat.test_chat import until
from tests.dashboard.conftest import opened
from tests.dashboard.stores import model, small
from tests.dashboard.test_browser import serious_faults, settle, visit

pytestmark = pytest.mark.slow


def names(page: Any) -> list[str]:
    """The fine-tunes as the table lists them; it is drawn by a script of its own, after the page."""
    page.locator(".board .name").first.wait_for()
    return list(page.locator(".board .name").all_inner_texts())


def test_a_row_opens_and_a_reload_keeps_what_is_open_and_how_it_is_sorted(address: str, page: Any) -> None:
    visit(page, address)
    by_standing = names(page)
    assert sorted(by_standing) == ["demo-rank16", "demo-rank16-q4_0", "demo-rank8", "tiny-base"]
    page.locator(".board .head", has_text="HumanEval").click()
    page.wait_for_url(re.compile("sort=-humaneval"))
    settle(page)
    page.locator(".board .name", has_text="demo-rank8").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("open="))
    page.get_by_role("heading", name="demo-rank8").wait_for()
    settle(page)
    before = names(page)
    assert page.evaluate("document.activeElement.textContent") == "demo-rank8"
    page.reload()
    page.get_by_role("heading", name="demo-rank8").wait_for()
    settle(page)
    assert names(page) == before
    assert page.locator('.board th[aria-sort="descending"]').inner_text().startswith("HumanEval")
    for part in ("Settings", "Curve", "Scores", "History", "Rename, tag, archive"):
        page.get_by_role("radio", name=part).or_(page.get_by_role("button", name=part)).first.click()
        settle(page)
        assert page.locator('[data-testid="stException"]').count() == 0, part


def test_the_baseline_of_a_link_is_that_of_the_gains(address: str, page: Any) -> None:
    visit(page, f"{address}/?baseline=demo-rank8&columns=humaneval")
    assert page.locator(".board tr", has=page.locator(".badge.base")).locator(".name").inner_text() == "demo-rank8"
    assert page.locator(".board thead th").count() == 3
    visit(page, f"{address}/?baseline=nobody")
    assert "The link names nobody, which is not here" in page.inner_text("body")


def test_a_decision_of_an_old_link_is_still_that_decision(address: str, page: Any) -> None:
    visit(page, f"{address}/?bytes=0.2&by=Held-out+bits+per+byte")
    page.get_by_role("heading", name="Decide", level=1).wait_for()
    assert "/decide" in page.url


def test_a_missing_figure_is_measured_at_a_click_and_by_no_address(
    workspace: Workspace, server: AnswerServer, page: Any
) -> None:
    with small(workspace.path).store() as store:
        store.models.add(model("new", "gguf-q4_0", None, 92_000_000))
    for address in opened(workspace.path, server):
        visit(page, f"{address}/?open=new&measure=new&board=measure")
        assert jobs.find(workspace, "measure") == []
        hidden = page.locator(".board").evaluate("board => board.scrollWidth - board.clientWidth")
        assert hidden <= 0, "votes are the last column, and seen on a laptop beside buttons that measure"
        button = page.locator(".measure").first
        assert button.get_attribute("aria-label").endswith(": new, HumanEval")
        button.click()
        until(lambda: len(jobs.find(workspace, "measure")) == 1)
        (job,) = jobs.find(workspace, "measure")
        assert job.command[3:] == [
            "evaluate", "--workspace", str(workspace.path), "--benchmark", "humaneval", "--max-tokens", "256", "--",
            "new",
        ]  # fmt: skip
        page.get_by_text(re.compile("new-by-humaneval")).first.wait_for()
        until(lambda: not jobs.find(workspace, "measure")[0].running)


def test_an_empty_store_offers_three_ways_to_begin(empty_address: str, page: Any) -> None:
    visit(page, empty_address)
    for name in ("Run the demo", "Import"):
        assert page.get_by_role("button", name=name).first.is_visible()
    for name in ("Add models", "New run"):
        assert page.locator("[data-testid=stMain]").get_by_role("link", name=name).is_visible()
    assert serious_faults(page) == {}
