"""Shared by the trainer's tests: no network, few threads, miniatures made once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`small("llama")`: the folder of a miniature, made at first use."""
    import torch

    from trainer import miniature

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("miniatures")
    return lambda architecture: miniature(architecture, folder / architecture)
