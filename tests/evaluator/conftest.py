"""What measurements are tried on: miniature weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainer import miniature


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A miniature base that was never trained."""
    return miniature("smollm2", tmp_path_factory.mktemp("weights") / "base")
