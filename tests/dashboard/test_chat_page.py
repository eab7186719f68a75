"""Chat in Chromium: nothing that was said is lost by a reload, by leaving, or by a store that takes no votes."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.dashboard import stores
from tests.dashboard.answers import AnswerServer
from tests.dashboard.conftest import opened
from tests.dashboard.test_browser import settle, visit

pytestmark = pytest.mark.slow
ENDED = "count => (document.body.innerText.match(/· finished/g) || []).length >= count"


def ask(page: Any, prompt: str) -> None:
    """Put a prompt to every pane."""
    page.get_by_placeholder("Ask all panes").fill(prompt)
    page.get_by_placeholder("Ask all panes").press("Enter")


def test_a_reload_in_mid_answer_loses_nothing_and_a_conversation_is_found_again(address: str, page: Any) -> None:
    visit(page, f"{address}/chat?panes=2&model1=slow-one&model2=demo-rank8")
    ask(page, "Why is **this** so?")
    page.wait_for_function("document.body.innerText.includes('word3')")
    page.reload()
    page.wait_for_function(ENDED, arg=2)
    settle(page)
    text = page.inner_text("body")
    assert "slow-one heard: Why is this so?" in text and "word39" in text
    assert page.get_by_role("combobox", name="Model 1").input_value() == "slow-one"
    assert "model1=slow-one" in page.url and "model2=demo-rank8" in page.url, "whatever is the default"

    page.get_by_role("button", name="New conversation").click()
    page.get_by_text("Explain the Pythagorean theorem.").wait_for()
    assert "chat=" not in page.url
    page.get_by_role("button", name="Why is **this** so?").click()
    page.wait_for_function(ENDED, arg=2)
    page.wait_for_function("location.search.includes('chat=')", timeout=15_000)
    assert page.get_by_role("combobox", name="Model 1").input_value() == "slow-one"

    page.get_by_role("button", name="Conversation", exact=True).click()
    page.get_by_label("Name", exact=True).fill("Reasons")
    page.get_by_label("Name", exact=True).press("Enter")
    page.get_by_role("button", name="Reasons").wait_for()
    page.set_viewport_size({"width": 400, "height": 900})
    page.wait_for_function("document.documentElement.scrollWidth <= 400")


def test_a_new_turn_is_scrolled_to(address: str, page: Any) -> None:
    visit(page, f"{address}/chat?panes=2&model1=slow-one&model2=demo-rank8")
    for number in (1, 2, 3):
        ask(page, f"Question {number}?")
        page.wait_for_function(
            "number => { const turn = document.querySelector(`.st-key-asked-${number - 1}`)?.getBoundingClientRect();"
            " return turn && turn.top >= -5 && turn.top < 300 && document.body.innerText.includes('word5') }"
            if number > 1 else "() => document.body.innerText.includes('word5')", arg=number,
        )  # fmt: skip
        page.wait_for_function(ENDED, arg=2 * number)
        settle(page)


def test_the_address_names_who_sits_in_the_panes_also_where_nobody_chose(address: str, page: Any) -> None:
    visit(page, f"{address}/chat")
    page.wait_for_function("location.search.includes('model1=') && location.search.includes('model2=')")
    seated = [page.get_by_role("combobox", name=f"Model {number}").input_value() for number in (1, 2)]
    assert all(seated) and all(f"model{number}={name}" in page.url for number, name in enumerate(seated, 1))


def test_another_browser_is_told_nothing_of_it_by_the_address(address: str, page: Any, browser: Any) -> None:
    visit(page, f"{address}/chat?panes=1&model1=demo-rank8")
    ask(page, "a secret of mine")
    page.wait_for_function(ENDED, arg=1)
    settle(page)
    other = browser.new_context().new_page()
    other.set_default_timeout(180_000)
    visit(other, page.url)
    other.get_by_text("another visitor's").wait_for()
    assert "a secret of mine" not in other.inner_text("body")
    other.context.close()


def test_six_panes_are_rows_of_three_and_a_vote_waits_for_whole_answers(address: str, page: Any) -> None:
    names = ["demo-rank8", "demo-rank16", "tiny-base", "dies-early", "slow-two", "demo-rank8"]
    chosen = "&".join(f"model{number}={name}" for number, name in enumerate(names, 1))
    visit(page, f"{address}/chat?panes=6&{chosen}")
    ask(page, "Why?")
    page.wait_for_function(ENDED, arg=5)
    page.get_by_text("let every pane answer to its end").wait_for()
    heads = page.locator("[class*='st-key-head-']")
    boxes = [heads.nth(number).bounding_box() for number in range(6)]
    assert len({round(box["y"]) for box in boxes}) == 2 and min(box["width"] for box in boxes) > 200
    assert page.get_by_role("button", name="Tie").count() == 0


def test_a_vote_that_cannot_be_kept_is_one_line_and_the_conversation_stays(
    tmp_path: Path, page: Any, server: AnswerServer
) -> None:
    workspace = stores.small(tmp_path / "workspace")
    with sqlite3.connect(workspace.path / "results.db") as store:  # as a store that may only be read, for root too
        store.execute("CREATE TRIGGER closed BEFORE INSERT ON votes BEGIN SELECT RAISE(ABORT, 'read only'); END")
    for address in opened(workspace.path, server):
        visit(page, f"{address}/chat?panes=2&model1=demo-rank8&model2=demo-rank16")
        ask(page, "Why?")
        page.wait_for_function(ENDED, arg=2)
        page.get_by_role("button", name="Tie").click()
        page.get_by_text("That was not kept").wait_for()
        settle(page)
        assert page.locator('[data-testid="stException"]').count() == 0
        assert "demo-rank8 heard: Why?" in page.inner_text("body")
        page.get_by_role("button", name="Tie").wait_for()
