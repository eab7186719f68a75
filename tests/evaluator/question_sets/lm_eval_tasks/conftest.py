"""Rows of tasks lie in a cache of the test's own run, and nothing is fetched."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.evaluator.question_sets.lm_eval_tasks.written import written

pytest.importorskip("lm_eval", reason="lm-eval is not installed: pip install -r requirements-lm-eval.txt")


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    import datasets

    cache = tmp_path_factory.getbasetemp() / "datasets"
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with tasks and their rows."""
    (tmp_path / "tasks").mkdir()
    return written(tmp_path / "tasks")
