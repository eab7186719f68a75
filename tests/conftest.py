"""What several rooms' tests share: an empty workspace, the word on what was not tested, one Chromium and one thread a
process.

Playwright allows one browser at a time.

Miniatures gain nothing by a second thread, and `pytest -n 2` has a process for each core already: threads that wait for
each other on a busy core spin. Processes that tests start take this over; tests of threads set their number themselves.
"""

from __future__ import annotations

import collections
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

if TYPE_CHECKING:
    from results import Store, Workspace

# A busy machine is no fault of what is tested: no example has a time limit, a test has its own (pyproject.toml).
hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("patient")
# `make check` draws fewer examples where a test names no number, `make test` all.
hypothesis.settings.register_profile("quick", hypothesis.settings.get_profile("patient"), max_examples=30)
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before anything imports torch

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put whole experiments first, then files with slow tests: a long file that comes last keeps one process waiting.

    `make test` tells xdist to keep this order of files; by itself it begins with those of the most tests.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: ("end_to_end" not in item.path.parts, item.path not in slow))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """End a run in which tests were skipped by saying how many, where and why: it is no full pass."""
    lines = not_tested(terminalreporter.stats.get("skipped", []))
    if lines:
        terminalreporter.section("NOT TESTED", sep="=", red=True)
    for line in lines:
        terminalreporter.write_line(line)


def not_tested(skipped: Iterable[pytest.TestReport]) -> list[str]:
    """One line a reason for skipped tests, the most tests first: how many, in which files, why."""
    files: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for report in skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        files[reason.removeprefix("Skipped: ")][report.nodeid.split("::")[0]] += 1
    most_first = sorted(files.items(), key=lambda one: -one[1].total())
    return [
        f"{count.total()} {'test' if count.total() == 1 else 'tests'} in {_listed(count)}: {reason}"
        for reason, count in most_first
    ]


def _listed(count: collections.Counter[str]) -> str:
    names = [name for name, _ in count.most_common()]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} other files" if len(names) > 3 else "")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace in which nothing was done yet."""
    from results import Workspace

    return Workspace(tmp_path / "workspace")


@pytest.fixture
def store(workspace: Workspace) -> Store:
    """The workspace's store."""
    return workspace.store()


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Miniature models lose time on every further thread."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


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
