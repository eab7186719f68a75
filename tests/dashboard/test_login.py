"""A login by OpenID Connect, from a stranger's first look to the logout, in Chromium against a provider of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from results import Workspace
from tests.dashboard import stores
from tests.dashboard.answers import AnswerServer
from tests.dashboard.conftest import opened
from tests.dashboard.provider import CLIENT, SECRET, Provider
from tests.dashboard.test_browser import PAGES, settle

pytestmark = pytest.mark.slow
VERDICT = "Not enough data to choose"


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    """Signs Ada in, and nobody else."""
    with Provider() as running:
        yield running


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A small store of the module's own."""
    return stores.small(tmp_path_factory.mktemp("gated") / "workspace")


@pytest.fixture(scope="module")
def gated(workspace: Workspace, server: AnswerServer, provider: Provider) -> Iterator[str]:
    """The dashboard over that store, with `[auth]` configured."""
    settings = {
        "redirect_uri": "http://127.0.0.1:{port}/oauth2callback",
        "cookie_secret": "a test's, and no secret at all",
        "client_id": CLIENT,
        "client_secret": SECRET,
        "server_metadata_url": f"{provider.url}/.well-known/openid-configuration",
    }
    lines = "\n".join(f'{key} = "{value}"' for key, value in settings.items())
    (workspace.folder(".streamlit") / "secrets.toml").write_text(f"[auth]\n{lines}\n", encoding="utf-8")
    for address in opened(workspace.path, server):
        provider.redirect_uri = f"{address}/oauth2callback"
        yield address


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A new visitor's tab that keeps every byte the server sends to the page."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(180_000)
    made = context.new_page()
    made.received = b""

    def keep(frame: Any) -> None:
        made.received += frame if isinstance(frame, bytes) else frame.encode()

    made.on("websocket", lambda socket: socket.on("framereceived", keep))
    yield made
    context.close()


def stranger(page: Any, url: str) -> None:
    """Open a page and see that it is the login, and that nothing of the store was sent."""
    page.received = b""
    page.goto(url)
    page.get_by_role("button", name="Log in").wait_for()
    settle(page)
    assert len(page.received) > 500  # the frames are seen at all
    assert b"demo-rank" not in page.received
    assert b"tiny-base" not in page.received


def log_in(page: Any) -> None:
    """From the login page through the provider's."""
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("link", name="Sign in as Ada").click()


def test_a_stranger_sees_nothing_a_member_everything_and_after_the_logout_nothing_again(
    gated: str, page: Any, provider: Provider
) -> None:
    for name in PAGES:
        stranger(page, f"{gated}/{name}")
    log_in(page)
    page.get_by_text(VERDICT).first.wait_for()
    settle(page)
    assert b"demo-rank" in page.received
    assert re.search("ada.+team", page.get_by_test_id("stSidebar").inner_text())
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("button", name="Log in").wait_for()
    assert provider.logouts == 1
    stranger(page, f"{gated}/runs")
    assert not [cookie for cookie in page.context.cookies() if cookie["name"].startswith("_streamlit_user")]


def test_a_vote_carries_the_address_of_who_is_logged_in(gated: str, page: Any, workspace: Workspace) -> None:
    stranger(page, f"{gated}/arena")
    log_in(page)
    page.get_by_text(VERDICT).first.wait_for()
    page.get_by_role("link", name="Arena").click()
    page.get_by_role("heading", name="Arena").wait_for()
    settle(page)
    page.keyboard.press("n")
    page.get_by_role("button", name="Both bad").wait_for()
    page.keyboard.press("3")
    page.get_by_role("button", name="Next pair").wait_for()
    with workspace.store() as store:
        assert [vote.voter for vote in store.votes.list() if vote.voter] == ["ada@team.example"]


def test_a_token_that_the_provider_did_not_sign_lets_nobody_in(gated: str, page: Any, provider: Provider) -> None:
    stranger(page, gated)
    provider.forging = True
    try:
        log_in(page)
        page.get_by_role("button", name="Log in").wait_for()
        settle(page)
    finally:
        provider.forging = False
    assert b"demo-rank" not in page.received
    stranger(page, f"{gated}/loss_curves")


def test_a_cookie_of_ones_own_making_lets_nobody_in(gated: str, page: Any) -> None:
    made = {"name": "_streamlit_user", "value": "eyJpc19sb2dnZWRfaW4iOiB0cnVlfQ", "url": gated}
    page.context.add_cookies([made])
    stranger(page, gated)
