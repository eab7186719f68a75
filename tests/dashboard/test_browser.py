"""The ten minutes of a person who has to choose, in Chromium; and what the pages must not do there.

The screenshots in docs/screenshots/ are made here: `BAKEOFF_SCREENSHOTS=1 pytest tests/dashboard/test_browser.py`.
"""

from __future__ import annotations

import json
import os
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.dashboard.answers import AnswerServer
from tests.dashboard.chat.test_chat import until
from tests.dashboard.drawn import SETTLED

pytestmark = pytest.mark.slow
PAGES = [
    "",
    "decide",
    "runs",
    "loss_curves",
    "latency",
    "scores",
    "humaneval",
    "studies",
    "chat",
    "arena",
    "prompt_sets",
    "add_models",
    "new_run",
]
HEADINGS = {"": "Home", "humaneval": "Scores"}
SHOTS = Path(__file__).resolve().parents[2] / "docs" / "screenshots"
FIRST_PICTURE = """(() => { const look = () => {
    const picture = document.querySelector('.still img')
    if (picture?.complete && picture.naturalWidth) window.pictured = performance.now()
    else requestAnimationFrame(look)
}; requestAnimationFrame(look) })()"""
"""Notes the browser's time at the first frame with a picture on it."""
PLOTLY = "performance.getEntriesByType('resource').filter(e => e.name.includes('/PlotlyChart')).map(e => e.startTime)"
INK = "getComputedStyle(document.querySelector('[data-testid=stApp]')).color"
COLOURS = """[...document.querySelectorAll('.js-plotly-plot')].flatMap(chart => [
    ...[...chart.querySelectorAll('.main-svg')].map(svg => getComputedStyle(svg).backgroundColor),
    ...[...chart.querySelectorAll('.bglayer .bg')].map(rect => getComputedStyle(rect).fill),
    ...[...chart.querySelectorAll('.xtick text, .ytick text')].map(text => getComputedStyle(text).fill)])"""


def visit(page: Any, url: str) -> None:
    """Open a page and wait until all of it is drawn."""
    page.goto(url)
    page.locator("h1").first.wait_for(timeout=180_000)
    settle(page)


def settle(page: Any) -> None:
    """Wait until the script has ended and every chart is drawn."""
    page.wait_for_timeout(300)
    page.wait_for_function(SETTLED, timeout=180_000)


@pytest.fixture(scope="module")
def context(browser: Any) -> Iterator[Any]:
    """One visitor's browser, so that Streamlit's own files are fetched once."""
    made = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    made.set_default_timeout(180_000)
    yield made
    made.close()


@pytest.fixture
def page(context: Any) -> Iterator[Any]:
    """A tab of 1280 × 900 that keeps every request and every script error."""
    opened = context.new_page()
    opened.requested, opened.broken = [], []
    opened.on("request", lambda request: opened.requested.append(request.url))
    opened.on("pageerror", lambda error: opened.broken.append(str(error)))
    yield opened
    opened.close()


def elsewhere(page: Any, address: str) -> list[str]:
    """Requests to anybody but the dashboard."""
    return [
        url for url in page.requested if not url.startswith((address, address.replace("http", "ws"), "data:", "blob:"))
    ]


def shoot(page: Any, name: str) -> None:
    """A screenshot for the documentation, where it is asked for."""
    if os.environ.get("BAKEOFF_SCREENSHOTS"):
        page.screenshot(path=str(SHOTS / f"{name}.png"))


def serious_faults(page: Any) -> dict[str, list[str]]:
    """What axe finds serious or critical, by its rule: the elements."""
    from axe_playwright_python.sync_playwright import Axe

    return {
        one["id"]: [node["html"][:160] for node in one["nodes"][:3]]
        for one in Axe().run(page).response["violations"]
        if one["impact"] in ("serious", "critical")
    }


@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_drawn_wide_and_narrow_light_and_dark(name: str, address: str, page: Any) -> None:
    visit(page, f"{address}/{name}")
    heading = HEADINGS.get(name, name.replace("_", " ").capitalize())
    assert page.get_by_role("heading", name=heading, level=1).is_visible()
    assert page.locator('[data-testid="stException"]').count() == 0
    assert page.broken == []
    assert elsewhere(page, address) == []
    if name not in ("humaneval", "new_run"):  # the one leads on to Scores, the other is shot with a file in it
        shoot(page, name or "home")

    assert serious_faults(page) == {}

    page.set_viewport_size({"width": 400, "height": 900})
    page.emulate_media(color_scheme="dark")
    page.wait_for_timeout(500)
    settle(page)
    page.wait_for_function("document.documentElement.scrollWidth <= 400")
    charts = "[...document.querySelectorAll('[data-testid=stPlotlyChart]')].map(e => e.getBoundingClientRect().right)"
    page.wait_for_function(f"{charts}.every(right => right <= 401)")
    # The charts follow the system into the dark: no ground of their own, words in the page's colour.
    page.wait_for_function(f"{COLOURS}.every(colour => colour === 'rgba(0, 0, 0, 0)' || colour === {INK})")
    # Numbers in coloured cells stay dark: the cells are as bright in the dark as in the light.
    cells = page.evaluate("[...document.querySelectorAll('.heatmap-label text')].map(e => getComputedStyle(e).fill)")
    assert set(cells) == ({"rgb(17, 17, 17)"} if name in ("scores", "humaneval") else set())
    assert serious_faults(page) == {}
    if name != "humaneval":
        shoot(page, f"{name or 'home'}-narrow-dark")


def test_the_ten_minutes(address: str, page: Any) -> None:
    """A question in, the verdict out; curves; a comparison; the chat; a vote; a link to send."""
    visit(page, f"{address}/decide")
    assert "Not enough data" in page.locator('[data-testid="stAlert"]').first.inner_text()
    visit(page, f"{address}/?by=Held-out+bits+per+byte")
    assert "by=heldout" in page.url
    assert "Ship demo-rank16" in page.locator('[data-testid="stAlert"]').first.inner_text()
    page.get_by_role("button", name="Record").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="HTML").click()
    record = Path(download.value.path()).read_text()
    for said in ("Asked about", "Written 20", "SHA-256", "/decide?by=heldout", "<svg", ">demo-rank16</text>"):
        assert said in record, said
    assert not re.search(r"<script|<img|src=|@import|url\(", record)
    page.keyboard.press("Escape")

    page.get_by_role("link", name="Scores").click()
    page.get_by_role("heading", name="Every item").wait_for()
    settle(page)
    assert re.search(r"p = 0?\.\d+", page.inner_text("body"))
    page.get_by_text(re.compile("^Different \\(")).click()
    page.wait_for_url(re.compile("show=different"))
    settle(page)

    page.get_by_role("link", name="Chat").click()
    box = page.get_by_placeholder("Ask all panes")
    box.wait_for()
    box.fill("Why is the sky blue?")
    box.press("Enter")
    page.wait_for_function("(document.body.innerText.match(/tokens\\/s/g) || []).length >= 2")
    text = page.inner_text("body")
    assert "tiny-base heard: Why is the sky blue?" in text
    assert "demo-rank8 heard: Why is the sky blue?" in text
    page.get_by_role("button", name="2 is best").click()
    page.get_by_text("your vote is saved").wait_for()
    settle(page)
    shoot(page, "chat")
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
    exported = json.loads(Path(download.value.path()).read_text())
    assert [answer["model"] for answer in exported["turns"][0]["answers"]] == ["demo-rank8", "tiny-base"]


def test_a_link_shows_the_same_view_to_a_colleague(address: str, page: Any, context: Any) -> None:
    visit(page, f"{address}/loss_curves?smoothing=0.9&log=true&group=lora.rank")
    assert "0.90" in page.get_by_test_id("stSlider").first.inner_text()
    chart = page.locator('[data-testid="stPlotlyChart"]').first.inner_text()
    assert "lora.rank = 16 (2)" in chart
    page.get_by_label("X axis").click()
    page.get_by_role("option", name="Tokens").click()
    page.wait_for_url(re.compile("axis=Tokens"))
    page.locator('[data-testid="stPlotlyChart"]').first.get_by_text("Tokens").first.wait_for()
    settle(page)
    chart = page.locator('[data-testid="stPlotlyChart"]').first.inner_text()
    colleague = context.new_page()
    visit(colleague, page.url)
    assert "axis=Tokens" in colleague.url
    assert colleague.locator('[data-testid="stPlotlyChart"]').first.inner_text() == chart
    colleague.close()


@pytest.mark.parametrize(("name", "word"), [("loss_curves", "demo-rank8-seed1"), ("decide", "demo-rank16-q4_0")])
def test_a_chart_is_seen_before_plotly_is_loaded(name: str, word: str, address: str, browser: Any) -> None:
    opened = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    opened.set_default_timeout(180_000)
    held: list[Any] = []
    opened.route("**/PlotlyChart*.js", lambda route: held.append(route))
    opened.goto(f"{address}/{name}")
    opened.wait_for_function("document.querySelector('.still img')?.naturalWidth > 0", timeout=180_000)
    still = opened.locator(".still")
    place = still.bounding_box()
    assert still.is_visible()
    assert word in still.inner_text()
    for _ in range(6000):  # until the script is asked for, which does not come
        if held:
            break
        opened.wait_for_timeout(100)
    assert still.is_visible()
    held[0].continue_()
    opened.locator('[data-testid="stPlotlyChart"] .main-svg').first.wait_for(timeout=180_000)
    settle(opened)
    assert not still.is_visible()
    chart = opened.locator('[data-testid="stPlotlyChart"]').bounding_box()
    assert abs(chart["x"] - place["x"]) <= 2 and abs(chart["width"] - place["width"]) <= 4
    opened.context.close()


@pytest.mark.parametrize("name", ["decide", "loss_curves", "scores"])
def test_plotly_is_asked_for_only_when_a_picture_has_been_painted(name: str, address: str, browser: Any) -> None:
    opened = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    opened.set_default_timeout(180_000)
    opened.add_init_script(FIRST_PICTURE)
    visit(opened, f"{address}/{name}")
    opened.wait_for_selector('[data-testid="stPlotlyChart"] .main-svg')
    pictured, asked = opened.evaluate(f"[window.pictured, {PLOTLY}]")
    assert len(asked) == 1
    assert pictured < asked[0]
    opened.context.close()


def test_a_blind_vote_by_keyboard(address: str, page: Any) -> None:
    visit(page, f"{address}/arena")
    page.keyboard.press("n")
    page.get_by_role("button", name="Both bad").wait_for(timeout=180_000)
    settle(page)
    shown = page.inner_text("body").split("Ranking")[0]
    assert "Left" in shown
    assert "tokens/s" not in shown  # the pace would tell who it is
    page.keyboard.press("1")
    page.get_by_role("button", name="Next pair").wait_for(timeout=180_000)
    page.wait_for_function("document.body.innerText.split('Ranking')[0].includes('tokens/s')")


def test_two_users_do_not_see_each_others_chat(address: str, browser: Any) -> None:
    pages = [browser.new_context().new_page() for _ in range(2)]
    for number, one in enumerate(pages):
        one.set_default_timeout(180_000)
        visit(one, f"{address}/chat")
        one.get_by_placeholder("Ask all panes").fill(f"secret of user {number}")
        one.get_by_placeholder("Ask all panes").press("Enter")
    for number, one in enumerate(pages):
        one.wait_for_function("(document.body.innerText.match(/tokens\\/s/g) || []).length >= 2")
        text = one.inner_text("body")
        assert f"secret of user {number}" in text
        assert f"secret of user {1 - number}" not in text
        one.context.close()


def test_one_panes_failure_stays_in_its_pane(address: str, page: Any) -> None:
    visit(page, f"{address}/chat?panes=3&model1=dies-early&model2=refuses-all&model3=demo-rank8")
    page.get_by_placeholder("Ask all panes").fill("Why?")
    page.get_by_placeholder("Ask all panes").press("Enter")
    page.wait_for_function("document.body.innerText.includes('· finished')")
    for words in ("does not fit into memory", "The answer broke off", "demo-rank8 heard: Why?"):
        page.wait_for_function("words => document.body.innerText.includes(words)", arg=words)


def test_a_closed_tab_stops_its_generation(address: str, context: Any, server: AnswerServer) -> None:
    page = context.new_page()
    visit(page, f"{address}/chat?panes=1&model1=silent-one")
    page.get_by_placeholder("Ask all panes").fill("Why?")
    page.get_by_placeholder("Ask all panes").press("Enter")
    page.get_by_role("button", name="Stop").first.wait_for()
    before = server.cancelled
    page.close()
    until(lambda: server.cancelled > before)


def test_model_text_runs_nothing_and_fetches_nothing(hostile_address: str, page: Any) -> None:
    seen = ""
    for name in [
        "",
        "decide",
        "runs",
        "scores?item=HumanEval/0",
        "chat?panes=1&model1=hostile-one",
        "loss_curves",
        "prompt_sets",
    ]:
        page.goto(f"{hostile_address}/{name}")
        page.locator("h1").first.wait_for()
        # Not until the script rests: a run in training keeps some of these pages refreshing.
        page.wait_for_timeout(1500)
        page.wait_for_function("() => !document.querySelector('[data-testid=stSkeleton]')")
        if name.startswith("chat"):
            page.get_by_placeholder("Ask all panes").fill("Go on")
            page.get_by_placeholder("Ask all panes").press("Enter")
            page.wait_for_function("document.body.innerText.includes('· finished')")
        assert page.evaluate("window.hacked") is None
        assert page.locator('a[href^="javascript"]').count() == 0
        assert page.locator("img[src*='127.0.0.1:9']").count() == 0
        assert page.locator('a[href*="example.invalid"]').count() == 0
        assert page.locator(".katex").count() == 0
        seen += page.inner_text("body")
    assert "<script>window.hacked=1</script>" in seen
    assert elsewhere(page, hostile_address) == []


def test_a_monstrous_answer_fetches_nothing_and_leaves_the_page_usable(address: str, page: Any) -> None:
    visit(page, f"{address}/chat?panes=1&model1=monster-one")
    for number in range(2):
        page.get_by_placeholder("Ask all panes").fill(f"Go on {number}")
        page.get_by_placeholder("Ask all panes").press("Enter")
        page.wait_for_function("document.body.innerText.includes('· stopped')")  # it says more than is kept
        settle(page)
    assert page.evaluate("window.hacked") is None and page.broken == [] and elsewhere(page, address) == []
    assert (
        page.locator("iframe, .katex, math, svg[onload], img[src*='127.0.0.1:9'], a[href*='127.0.0.1:9']").count() == 0
    )
    assert page.locator('[data-testid="stException"]').count() == 0
    seen = page.inner_text("body")
    assert "graph TD" in seen and "xlink:href" in seen and "more characters are not shown" in seen
    assert page.locator('[data-testid="stCode"]').count() < 200
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_another_host_and_another_origin_are_refused(address: str) -> None:
    import http.client

    host = address.removeprefix("http://")
    answers = {}
    for name, headers in {
        "ours": {"Host": host, "Origin": address},
        "host": {"Host": "evil.example", "Origin": "http://evil.example"},
        "origin": {"Host": host, "Origin": "http://evil.example"},
        "port": {"Host": host, "Origin": "http://127.0.0.1:3000"},
        "authority": {"Host": f"{host}.evil.example", "Origin": f"http://{host}.evil.example"},
    }.items():
        connection = http.client.HTTPConnection(host, timeout=900)
        upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
        connection.request(
            "GET", "/_stcore/stream", headers={**headers, **upgrade, "Sec-WebSocket-Key": "x3JJHMbDL1EzLkh9GBhXDw=="}
        )
        answers[name] = connection.getresponse().status
        connection.close()
    assert answers["ours"] == 101
    assert answers["host"] in (400, 403)
    assert answers["origin"] in (400, 403)
    assert answers["port"] in (400, 403)
    assert answers["authority"] in (400, 403)
    assert urllib.request.urlopen(f"{address}/_stcore/health", timeout=900).status == 200
