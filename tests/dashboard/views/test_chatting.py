"""Who sits in the panes before anybody has chosen."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import streamlit as st

from dashboard.views.chatting import seats
from results import Model, Workspace


@pytest.fixture
def made(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts models into a store, a minute apart, and gives their names."""
    monkeypatch.setenv("BAKEOFF_WORKSPACE", str(workspace.path))
    monkeypatch.delenv("BAKEOFF_DATABASE_URL", raising=False)
    st.cache_data.clear()

    def put(*models: Model) -> list[str]:
        with workspace.store() as store:
            for model in models:
                store.models.add(model)
            return [one.name for one in store.models.list()]

    return put


def model(name: str, form: str, base: str, minute: int = 0, **more: Any) -> Model:
    at = datetime(2026, 11, 30, 12, minute, tzinfo=UTC)
    return Model(f"id-{name}", name, form, base, f"identity of {name}", 1, name, created_at=at, **more)  # type: ignore[arg-type]


ADDED = {"added": {"source": "./x"}}


def test_the_newest_fine_tune_sits_beside_its_base(made: Any) -> None:
    names = made(
        model("other", "base", "other"),
        model("tiny", "base", "tiny"),
        model("old", "adapter", "tiny", 1, details=ADDED),
        model("new", "adapter", "tiny", 2, details=ADDED),
    )
    assert seats(names) == ["new", "tiny", "old", "other"]


def test_one_whose_base_is_not_served_sits_beside_the_fine_tune_before_it(made: Any) -> None:
    names = made(
        model("tiny", "base", "tiny"),
        model("bot", "adapter", "tiny", 1, details=ADDED),
        model("their-Q8_0", "gguf-q8_0", "their-Q8_0", 2, details=ADDED),
    )
    assert seats(names)[:2] == ["their-Q8_0", "bot"]


def test_without_a_fine_tune_the_order_stays(made: Any) -> None:
    assert seats(made(model("tiny", "base", "tiny"))) == ["tiny"]
    assert seats(["remote", "tiny"]) == ["remote", "tiny"]
