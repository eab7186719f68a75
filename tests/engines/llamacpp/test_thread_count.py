"""The choice of threads is tried once for all files that are equally fast."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines import EngineError, LlamaCppEngine, Threading, calibrated


@pytest.mark.slow
def test_files_of_equal_tensors_are_tried_once(tiny: Path, tmp_path: Path) -> None:
    unopenable = tmp_path / "same-tensors.gguf"
    unopenable.write_bytes(tiny.read_bytes().replace(b"llama", b"nobod"))
    with pytest.raises(EngineError):
        LlamaCppEngine.open(unopenable, context=64, threading_choice=Threading(1))
    tried = calibrated(tiny)
    assert calibrated(unopenable) == tried  # without opening it
