"""Stores, an answering server, the pages in a process of their own, and the system's Chromium."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dashboard.launch import Processes, free_port
from results import Workspace
from tests.dashboard import stores
from tests.dashboard.answers import AnswerServer

SERVED = [
    "tiny-base",
    "demo-rank8",
    "demo-rank16",
    "slow-one",
    "slow-two",
    "silent-one",
    "dies-early",
    "falls-once",
    "falls-always",
    "refuses-all",
    "hostile-one",
    "monster-one",
]


@pytest.fixture(scope="session")
def workspaces(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One folder a kind of store, made once; no test writes to them."""
    root = tmp_path_factory.mktemp("stores")
    makers = {
        "empty": stores.empty,
        "small": stores.small,
        "half_written": stores.half_written,
        "large": lambda folder: stores.large(folder, runs=60, points=600, evaluations=40),
    }
    return {name: make(root / name).path for name, make in makers.items()}


@pytest.fixture
def small(tmp_path: Path) -> Workspace:
    """A small store of the test's own, to write to."""
    return stores.small(tmp_path / "workspace")


@pytest.fixture(scope="session")
def server() -> Iterator[AnswerServer]:
    """Answers prompts; see tests/dashboard/answers.py."""
    with AnswerServer(SERVED) as running:
        yield running


@pytest.fixture
def serving(server: AnswerServer, monkeypatch: pytest.MonkeyPatch) -> AnswerServer:
    """The server, and the environment that points the dashboard at it."""
    monkeypatch.setenv("BAKEOFF_SERVE_URL", server.url)
    return server


def opened(workspace: Path, server: AnswerServer) -> Iterator[str]:
    """The dashboard as `bakeoff dashboard` starts it, for as long as the caller needs it."""
    before = os.environ.get("BAKEOFF_SERVE_URL")
    os.environ["BAKEOFF_SERVE_URL"] = server.url
    processes = Processes(Workspace(workspace), free_port(), serve=False, headless=True)
    try:
        processes.wait_until_answering()
        yield processes.address
    finally:
        processes.stop()
        os.environ.pop("BAKEOFF_SERVE_URL") if before is None else os.environ.update(BAKEOFF_SERVE_URL=before)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, server: AnswerServer) -> Iterator[str]:
    """The dashboard over a small store of the module's own."""
    yield from opened(stores.small(tmp_path_factory.mktemp("shown") / "workspace").path, server)


@pytest.fixture
def empty_address(workspace: Workspace, server: AnswerServer) -> Iterator[str]:
    """The dashboard over a workspace in which nothing was done yet."""
    yield from opened(workspace.path, server)


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A new visitor's tab."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    context.set_default_timeout(180_000)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="module")
def hostile_address(tmp_path_factory: pytest.TempPathFactory, server: AnswerServer) -> Iterator[str]:
    """The dashboard over the half-written store with its hostile names and answers."""
    yield from opened(stores.half_written(tmp_path_factory.mktemp("hostile") / "workspace").path, server)


def content(store_folder: Path) -> str:
    """A digest of everything in a store, read through SQL: what viewing must not change."""
    import sqlite3

    found = hashlib.sha256()
    with sqlite3.connect(f"file:{store_folder / 'results.db'}?mode=ro", uri=True) as connection:
        for line in connection.iterdump():
            found.update(line.encode())
    return found.hexdigest()
