"""What `serve` keeps on a GPU counts against the GPU's memory, and nothing else does."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from engines import EngineBusy, Sampling
from engines.hardware.gpu_memory import GpuMemory, gpu_memory
from engines.server.residency import BUDGET_SHARE, Residency
from results import Model, Workspace
from tests.stand_in_gpu import board

pytestmark = pytest.mark.slow


@pytest.fixture
def place(tiny: Path, miniature: Callable[[str], Path], tmp_path: Path) -> Workspace:
    """A store with two names of one size for llama.cpp and one model for transformers."""
    place = Workspace(tmp_path / "ws")
    twin = tmp_path / "twin.gguf"
    twin.write_bytes(tiny.read_bytes())
    with place.store() as store:
        store.models.add(Model("b", "base", "base", "tiny", "b" * 64, 1, str(tiny)))
        store.models.add(Model("t", "twin", "base", "twin", "c" * 64, 1, str(twin)))
        store.models.add(Model("f", "folder", "merged", "tiny", "f" * 64, 1_000_000, str(miniature("smollm"))))
    return place


def test_a_gpu_build_of_llamacpp_is_bounded_by_the_gpus_memory(place: Workspace) -> None:
    with place.store() as store:
        base, twin, folder = (store.models.find(name) for name in ("base", "twin", "folder"))
        roomy = Residency(store, place, slots=1, context=64, gpu=GpuMemory(llamacpp=4 << 30))
        with roomy.lease(base):
            assert roomy.used_bytes == 0
        need = roomy.gpu_used_bytes
        roomy.close()
        free = int(1.5 * need / BUDGET_SHARE)
        tight = Residency(store, place, slots=1, context=64, gpu=GpuMemory(llamacpp=free))
        with tight.lease(folder), tight.lease(base) as engine:
            assert engine is not None and engine.complete(["Hello"], Sampling(2))
            assert (tight.gpu_used_bytes, tight.used_bytes > 0) == (need, True), "torch computes on the CPU here"
        with tight.lease(twin):
            assert (tight.state(base), tight.state(folder)) == ("unloaded", "resident")
        tight.close()
        small = Residency(store, place, slots=1, context=64, gpu=GpuMemory(llamacpp=need // 2))
        with pytest.raises(EngineBusy, match="the GPU's memory budget"), small.lease(base):
            pass


def test_a_worker_on_a_gpu_counts_there(place: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board.skip_without()
    assert gpu_memory() == GpuMemory(), "without nvidia-smi nobody is asked"
    (tmp_path / "record").mkdir()
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    for name, value in board.environment("t4", tmp_path / "record").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with place.store() as store:
        residency = Residency(store, place)
        assert residency.gpu_budget_bytes == int(BUDGET_SHARE * 15_636_000_000)
        with residency.lease(store.models.find("folder")) as engine:
            assert engine is not None and engine.complete(["Hello"], Sampling(2))[0].tokens <= 2
            (loaded,) = residency._resident.values()
            assert 0 < loaded.host.memory_bytes() < 10_000_000, "of the GPU's memory, not the process's hundreds of MB"
            assert residency.gpu_used_bytes == loaded.host.expected_bytes and residency.used_bytes == 0
            with residency.lease(store.models.find("base")):
                assert residency.used_bytes > 0, "this llama.cpp is a CPU build"
        residency.close()
    assert any(process.uses[0].launches > 100 for process in board.processes(tmp_path / "record"))
