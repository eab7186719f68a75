"""What a page was told survives a reload and a detour, on every page: each of its widgets is set, and compared.

Generic: a widget that a page gets tomorrow is pressed here too. Left out are forms with a button of their own, which
edit what the store says (`stForm`), and files to be chosen, which no browser gives back.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.dashboard import stores
from tests.dashboard.answers import AnswerServer
from tests.dashboard.conftest import opened
from tests.dashboard.test_browser import HEADINGS, PAGES, settle, visit

pytestmark = pytest.mark.slow
LISTED = ("", "decide", "scores", "latency", "loss_curves", "chat", "arena", "new_run")
"""Pages that the sidebar leads to."""
KINDS = {
    "stCheckbox": "e => e.querySelector('input').checked",
    "stSelectbox": "e => e.querySelector('input').value",
    "stMultiSelect": "e => [...e.querySelectorAll('[data-tag]')].map(one => one.innerText)",
    "stSlider": "e => [...e.querySelectorAll('[role=slider], input[type=range]')]"
    ".map(one => one.ariaValueNow ?? one.value)",
    "stNumberInput": "e => e.querySelector('input').value",
    "stTextInput": "e => e.querySelector('input').value",
    "stTextArea": "e => e.querySelector('textarea').value",
    "stButtonGroup": "e => [...e.querySelectorAll('button')].filter(b => b.ariaChecked === 'true' "
    "|| b.dataset.testid?.endsWith('Active')).map(b => b.innerText)",
    "stExpander": "e => e.querySelector('details').open",
}
"""How what each kind of widget holds is read."""
READ = """([kinds, within]) => {
    const seen = {}, found = []
    const root = document.querySelector(within)
    if (!root) return found
    const all = [...root.querySelectorAll(Object.keys(kinds).map(kind => `[data-testid=${kind}]`).join(','))]
    for (const element of all) {
        if (element.closest('[data-testid=stForm]') || element.closest('[data-testid=stSidebar]')) continue
        if (element.checkVisibility && !element.checkVisibility()) continue
        const kind = element.dataset.testid
        const label = (element.querySelector('label, summary [data-testid=stMarkdownContainer]')?.innerText
            || element.querySelector('[aria-label]')?.ariaLabel || '').split('\\n')[0].replace(/[0-9]+/g, '#')
        const disabled = !!element.querySelector('input:disabled, textarea:disabled, [aria-disabled=true]')
        const name = `${kind} ${label}`
        seen[name] = (seen[name] ?? 0) + 1
        const whole = `${name} ${seen[name]}`
        element.dataset.pressed = whole
        found.push([whole, kind, disabled, eval(kinds[kind])(element)])
    }
    return found
}"""
"""[name, kind, whether it is disabled, what it holds] of each widget; the name is left on the element."""
MAIN, POPOVER = "[data-testid=stMain]", "[data-testid=stPopoverBody]"


def widgets(page: Any, within: str = MAIN) -> dict[str, tuple[str, bool, Any]]:
    """Kind, whether disabled, and value of each widget by its name."""
    return {name: (kind, off, value) for name, kind, off, value in page.evaluate(READ, [KINDS, within])}


def held(page: Any) -> dict[str, Any]:
    """What all widgets of a page hold, those in popovers too."""
    found = {name: value for name, (_, _, value) in widgets(page).items()}
    for place in range(page.locator(f"{MAIN} [data-testid=stPopover]").count()):
        opened = popover(page, place)
        if opened:
            found |= {f"{opened}: {name}": value for name, (_, _, value) in widgets(page, POPOVER).items()}
            page.keyboard.press("Escape")
            page.locator(POPOVER).wait_for(state="detached")
    return found


def popover(page: Any, place: int) -> str:
    """Open one; its name, empty where it cannot be."""
    button = page.locator(f"{MAIN} [data-testid=stPopover]").nth(place).locator("button").first
    if button.is_disabled():
        return ""
    button.click()
    page.locator(POPOVER).wait_for()
    page.wait_for_timeout(300)  # it slides open
    return str(button.inner_text()).split("\n")[0]


def press(page: Any, name: str, kind: str, value: Any) -> None:
    """Have a widget hold something else."""
    element = page.locator(f'[data-pressed="{name}"]').first
    if kind == "stCheckbox":
        element.locator("label").first.click()
    elif kind == "stExpander":
        if not value:
            element.locator("summary").click()
    elif kind in ("stSelectbox", "stMultiSelect"):
        element.locator("input").click()
        options = page.get_by_role("option")
        page.wait_for_timeout(300)
        said = [options.nth(place).inner_text() for place in range(options.count())]
        others = [
            place for place, word in enumerate(said) if word != value and not word.startswith(("Select all", "No "))
        ]
        if others:
            options.nth(others[-1]).click()
        if kind == "stMultiSelect":
            page.keyboard.press("Escape")
    elif kind == "stSlider":
        thumb = element.get_by_role("slider").first
        thumb.focus()
        for key in ("ArrowLeft", "ArrowRight", "ArrowRight"):  # one back from its right end, one on from all others
            thumb.press(key)
    elif kind == "stNumberInput":
        element.locator("input").focus()
        element.locator("input").press("ArrowUp")
        element.locator("input").press("Tab")
    elif kind in ("stTextInput", "stTextArea"):
        field = element.locator("input, textarea").first
        field.fill(f"told {len(name)}")
        field.press("Tab")
    elif kind == "stButtonGroup":
        every = [*element.get_by_role("button").all(), *element.get_by_role("radio").all()]
        another = [one for one in every if one.inner_text() not in value]
        if another:
            another[-1].click()
    settle(page)


def press_all(page: Any, within: str, done: set[str]) -> None:
    """Set each widget once; also those that come with others."""
    for _ in range(60):
        left = [(name, *told) for name, told in widgets(page, within).items() if name not in done and not told[1]]
        if not left:
            return
        name, kind, _, value = left[0]
        done.add(name)
        press(page, name, kind, value)


@pytest.mark.parametrize("name", [one for one in PAGES if one != "humaneval"])
def test_a_reload_and_a_detour_restore_what_a_page_was_told(name: str, address: str, page: Any) -> None:
    visit(page, f"{address}/{name}")
    press_all(page, MAIN, set())
    for place in range(page.locator(f"{MAIN} [data-testid=stPopover]").count()):
        if popover(page, place):
            press_all(page, POPOVER, set())
            page.keyboard.press("Escape")
    settle(page)
    told = held(page)
    page.reload()
    page.locator("h1").first.wait_for()
    settle(page)
    assert held(page) == told, "a reload"
    if name in LISTED:
        heading = HEADINGS.get(name, name.replace("_", " ").capitalize())
        other = "Latency" if heading != "Latency" else "Scores"
        for to in (other, heading):
            page.get_by_test_id("stSidebar").get_by_role("link", name=to, exact=True).click()
            page.get_by_role("heading", name=to, level=1).wait_for()
            settle(page)
        assert held(page) == told, "a detour"


def test_what_is_typed_is_nobody_elses_and_a_broken_file_of_it_is_no_exception(
    tmp_path: Path, page: Any, browser: Any, server: AnswerServer
) -> None:
    workspace = stores.small(tmp_path / "workspace")
    for address in opened(workspace.path, server):
        visit(page, f"{address}/add_models")
        page.get_by_label("Source", exact=True).fill("./outputs/a secret of mine")
        page.get_by_label("Source", exact=True).press("Tab")
        settle(page)
        page.reload()
        page.get_by_label("Source", exact=True).wait_for()
        settle(page)
        assert page.get_by_label("Source", exact=True).input_value() == "./outputs/a secret of mine"
        other = browser.new_context().new_page()
        visit(other, f"{address}/add_models")
        assert other.get_by_label("Source", exact=True).input_value() == ""
        other.context.close()
        (kept,) = (workspace.path / "drafts").glob("*.json")
        kept.write_text('{"source": ["of", "another", "kind"], "added-base": {}, "added-copy": "yes"')
        for text in (kept.read_text(), kept.read_text() + "}"):
            kept.write_text(text)
            page.reload()
            page.get_by_label("Source", exact=True).wait_for()
            settle(page)
            assert page.get_by_label("Source", exact=True).input_value() == ""
            assert page.locator('[data-testid="stException"], [data-testid="stAlert"]').count() == 0
