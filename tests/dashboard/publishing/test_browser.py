"""A published page in Chromium with the network cut: from a file and from a plain web server, wide and narrow."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bakeoff.main import app
from tests.dashboard import stores
from tests.dashboard.publishing.ten import ten
from tests.dashboard.test_browser import serious_faults

pytestmark = pytest.mark.slow


class Quiet(SimpleHTTPRequestHandler):
    """Files of a folder, and no word of it."""

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@contextmanager
def hosted(folder: Path, handler: type[Quiet] = Quiet) -> Iterator[str]:
    """A web server over a folder: unless told a plain one, as `python -m http.server` is."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()


def published(root: Path, workspace: Path, *words: str) -> Path:
    folder = root / "page"
    told = CliRunner().invoke(app, ["publish", "--workspace", str(workspace), "--output", str(folder), *words])
    assert told.exit_code == 0, told.output
    return folder


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("large")
    return published(root, ten(root / "workspace").path, "--author", "Ada")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("small")
    return published(root, stores.small(root / "workspace").path)


@pytest.fixture
def tab(browser: Any) -> Iterator[Any]:
    """A tab that keeps what was asked for and what the browser complains of."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(60_000)
    opened = context.new_page()
    opened.asked, opened.complaints = [], []
    opened.on("request", lambda request: opened.asked.append(request.url))
    opened.on("console", lambda said: opened.complaints.append(said.text))
    opened.on("pageerror", lambda error: opened.complaints.append(str(error)))
    yield opened
    context.close()


def test_ten_models_by_164_tasks_take_less_than_two_megabytes_and_fit_a_phone(large: Path, tab: Any) -> None:
    assert sum(path.stat().st_size for path in large.iterdir()) < 2_000_000
    tab.set_viewport_size({"width": 400, "height": 900})
    tab.goto((large / "index.html").as_uri())
    tab.get_by_text("All 164 items as a table").click()
    assert tab.locator("table.strips tr").count() == 11 and tab.locator("table.items tr").count() == 165
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400
    assert tab.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_it_opens_from_a_file_with_the_network_cut(small: Path, tab: Any, width: int, scheme: str) -> None:
    tab.context.set_offline(True)
    tab.set_viewport_size({"width": width, "height": 900})
    tab.emulate_media(color_scheme=scheme)
    tab.goto((small / "index.html").as_uri())
    assert tab.get_by_role("heading", level=1).is_visible()
    assert tab.locator("figure svg:visible").count() == 2, "the trade-off and the curves, each drawn for this width"
    tab.get_by_text("All 40 items as a table").click()
    tab.get_by_text("scores of these models").click()
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert [url for url in tab.asked if not url.startswith(("file:", "data:"))] == []
    assert tab.complaints == []
    assert serious_faults(tab) == {}


def test_it_opens_from_a_plain_web_server_and_asks_nobody_else(large: Path, tab: Any) -> None:
    with hosted(large) as address:
        tab.goto(address)
        assert tab.locator("#left-text").inner_text()
        assert {url for url in tab.asked if not url.startswith("data:")} == {address}
        with tab.expect_download() as download:
            tab.get_by_role("link", name="decision-").click()
        assert '"kind"' in Path(download.value.path()).read_text()
    assert tab.complaints == []


def test_answers_are_read_side_by_side_by_keyboard(large: Path, tab: Any) -> None:
    tab.goto((large / "index.html").as_uri())
    verdicts = [tab.locator(f"#{side}-verdict").inner_text() for side in ("left", "right")]
    assert verdicts[0] != verdicts[1], "it begins where the two differ"
    assert tab.locator("#left-text del, #right-text ins").count() > 0
    first = tab.locator("#item").input_value()
    tab.keyboard.press("j")
    assert tab.locator("#item").input_value() != first
    tab.keyboard.press("k")
    assert tab.locator("#item").input_value() == first
    tab.get_by_role("combobox", name="Right").select_option(label="tiny-base")
    assert tab.locator("#right-name").inner_text() == "tiny-base"
    tab.get_by_label("Differences").uncheck()
    assert tab.locator("#left-text del, #right-text ins").count() == 0
    reached = set()
    for _ in range(60):
        tab.keyboard.press("Tab")
        reached.add(tab.evaluate("document.activeElement.getAttribute('aria-label') || document.activeElement.id"))
    assert {"item", "left", "Candidates", "Items by model", "Answer on the left"} <= reached, reached


def test_hostile_names_and_answers_run_nothing_and_fetch_nothing(tmp_path: Path, tab: Any) -> None:
    folder = published(tmp_path, stores.half_written(tmp_path / "workspace").path)
    with hosted(folder) as address:
        tab.goto(address)
        shown = tab.locator("#left-text").inner_text()
        assert "<script>window.hacked=1</script>" in shown and "![x](http://127.0.0.1:9/pixel.png)" in shown
        assert tab.evaluate("window.hacked") is None
        assert {url for url in tab.asked if not url.startswith("data:")} == {address}
    assert tab.complaints == []


def test_a_script_that_slipped_in_would_not_run(large: Path, tmp_path: Path, tab: Any) -> None:
    html = (large / "index.html").read_text().replace("</main>", f"{stores.SCRIPT}</main>")
    (tmp_path / "index.html").write_text(html)
    tab.goto((tmp_path / "index.html").as_uri())
    assert tab.evaluate("window.hacked") is None
    assert any("Content Security Policy" in one for one in tab.complaints)
