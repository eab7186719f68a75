"""The device record: what this machine computes on, and a GPU that torch cannot use is said instead of passed over."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from engines import DeviceUnavailable, free_bytes, gpus, this_device, unusable_gpu
from results import this_machine

no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU that torch uses")


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on PATH with an nvidia-smi that lists two T4s of an old driver."""
    monkeypatch.delenv("BAKEOFF_DEVICE", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return listing(tmp_path, "Tesla T4, 535.104.05\nTesla T4, 535.104.05")


def listing(folder: Path, lines: str) -> Path:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{lines}\nEND\n")
    program.chmod(0o755)
    return folder


def test_the_cpu_is_described_with_its_memory() -> None:
    device = this_device("cpu")
    assert (device.name, device.capability) == ("cpu", None)
    assert device.dtype in ("bfloat16", "float32") and device.reason.startswith("the CPU has")
    assert device.label == this_machine().cpu
    assert 0 < free_bytes(device) <= device.memory_bytes
    assert this_device("cpu") is device


@pytest.mark.parametrize("name", ["cuda:7", "gpu", "cuda:x"])
def test_a_device_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(DeviceUnavailable, match=f"{name}.*use auto|{name}.*torch sees"):
        this_device(name)


def test_the_environment_decides_what_auto_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAKEOFF_DEVICE", "cpu")
    assert this_device() is this_device("cpu")
    assert gpus() == ()
    monkeypatch.setenv("BAKEOFF_DEVICE", "tpu")
    with pytest.raises(DeviceUnavailable, match="'tpu'"):
        this_device()


@no_gpu
def test_a_listed_gpu_that_torch_cannot_use_is_said_with_the_build_to_install(nvidia_smi: Path) -> None:
    said = unusable_gpu()
    version = torch.__version__.partition("+")[0]
    assert "Tesla T4 and 1 more (driver 535.104.05)" in said
    assert f"torch {torch.__version__}" in said
    assert f"pip install torch=={version} --index-url https://download.pytorch.org/whl/cu126" in said
    assert "BAKEOFF_DEVICE=cpu" in said


@no_gpu
@pytest.mark.parametrize(("driver", "remedy"), [("580.65.06", "whl/cu130"), ("470.82.01", "update the driver to 525")])
def test_the_remedy_goes_by_the_driver(nvidia_smi: Path, driver: str, remedy: str) -> None:
    listing(nvidia_smi, f"NVIDIA GeForce RTX 4090, {driver}")
    assert remedy in unusable_gpu()


@no_gpu
@pytest.mark.parametrize(("name", "value"), [("BAKEOFF_DEVICE", "cpu"), ("CUDA_VISIBLE_DEVICES", "")])
def test_whoever_asks_for_the_cpu_gets_it_without_a_word(
    nvidia_smi: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert unusable_gpu() == ""


@no_gpu
def test_no_gpu_listed_is_no_problem(nvidia_smi: Path) -> None:
    listing(nvidia_smi, "")
    assert unusable_gpu() == ""
    (nvidia_smi / "nvidia-smi").write_text("#!/bin/sh\nexit 9\n")
    assert unusable_gpu() == ""
