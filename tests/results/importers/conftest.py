"""A store for what importers deliver."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from results import Store


@pytest.fixture
def store(tmp_path: Path, migrated_sqlite: Path) -> Iterator[Store]:
    """One database is enough here: importers write through the store's own methods. Its folder tells no name."""
    place = tmp_path / "store"
    place.mkdir()
    (place / "results.db").write_bytes(migrated_sqlite.read_bytes())
    with Store(f"sqlite:///{place / 'results.db'}") as opened:
        yield opened
