"""What measurements are tried on: miniature weights, and an empty workspace with its store."""

from __future__ import annotations

from pathlib import Path

import pytest

from results import Store, Workspace
from trainer import miniature


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A miniature base that was never trained."""
    return miniature("smollm2", tmp_path_factory.mktemp("weights") / "base")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """An empty workspace."""
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def store(workspace: Workspace) -> Store:
    """Its store."""
    return workspace.store()
