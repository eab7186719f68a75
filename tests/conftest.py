"""What several rooms' tests share: one Chromium a process (Playwright allows one at a time), and one thread a process.

Miniatures gain nothing by a second thread, and `pytest -n 2` has a process for each core already: threads that wait for
each other on a busy core spin. Processes that tests start take this over; tests of threads set their number themselves.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest

# A busy machine is no fault of what is tested: no example has a time limit, a test has its own (pyproject.toml).
hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("patient")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before anything imports torch

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """The system's Chromium."""
    if CHROMIUM is None:
        pytest.skip("no Chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield running
        running.close()
