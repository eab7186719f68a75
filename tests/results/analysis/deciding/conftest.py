"""A store with models of known quality, for the tests of what is decided."""

from __future__ import annotations

import pytest

from results import Store
from tests.results.shelves import add_humaneval, add_latency, add_model, passes


@pytest.fixture
def shelf(store: Store) -> Store:
    """A small good model, a large one that is a little better, a bad one, and an unmeasured one."""
    for name, share, size, ttft, tpot in (
        ("small", 0.45, 100_000_000, 0.3, 0.02),
        ("large", 0.48, 400_000_000, 1.0, 0.08),
        ("bad", 0.20, 90_000_000, 0.3, 0.02),
    ):
        model = add_model(store, name, size)
        add_humaneval(store, model, passes(share, seed=len(name)))
        add_latency(store, model, ttft, tpot)
    add_model(store, "unmeasured", 50_000_000)
    return store
