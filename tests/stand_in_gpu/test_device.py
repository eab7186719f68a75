"""The stand-in GPU is as strict as a real one in what it claims to show, and is not there where nobody asked for it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.stand_in_gpu import board

pytestmark = pytest.mark.slow


def asked(code: str, kind: str, record: Path, **more: str) -> str:
    """What a process with stand-in GPUs prints."""
    board.skip_without()
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=board.environment(kind, record, **more), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("record")


@pytest.fixture(scope="module")
def answers(record: Path) -> dict[str, Any]:
    return dict(json.loads(asked((board.HERE / "questions.py").read_text(), "t4", record)))


def test_it_is_found_without_being_opened(answers: dict[str, Any]) -> None:
    assert answers["before"] == [True, 1, False]
    assert answers["opened"]
    assert answers["name"] == ["Tesla T4", 7, 5]
    assert answers["bf16"] == [True, False], "a T4 has bf16 by emulation only"


def test_memory_is_counted_given_back_and_runs_out(answers: dict[str, Any]) -> None:
    assert answers["taken"] == 4_000_000
    assert answers["taken by a product, not by a view"] == 8_000_000
    assert (answers["left"], answers["peak"], answers["peak after its reset"]) == (0, 8_000_000, 0)
    assert answers["free and held"] == 0
    assert answers["too much"].startswith("OutOfMemoryError: CUDA out of memory.")
    assert answers["an out-of-memory error is torch's"] == "yes"


def test_devices_mix_only_where_a_gpu_lets_them(answers: dict[str, Any]) -> None:
    for what in ("mixed sum", "mixed product", "mixed embedding", "host values into device rows"):
        assert "Expected all tensors to be on the same device" in answers[what], what
    assert "indices should be either on cpu" in answers["host rows by device indices"]
    assert answers["device rows by host indices"] == answers["a host's number"] == ""
    assert "can't convert cuda:0 device type tensor to numpy" in answers["numpy"]
    assert "not implemented" in answers["product of integers"]
    assert "invalid device ordinal" in answers["no such GPU"]


def test_random_numbers_are_the_devices_own(answers: dict[str, Any]) -> None:
    assert answers["same seed, same numbers"] and answers["the host's are others"]
    assert answers["dropout leaves the host's alone"] and answers["a state brings dropout back"]
    assert "generator" in answers["host generator"] and answers["device generator on the host"]


def test_what_else_training_uses_is_there(answers: dict[str, Any]) -> None:
    assert answers["pinned"] == [False, True]
    assert answers["autocast"] == "torch.float16"
    assert answers["stream"]
    assert (answers["one product"], answers["one wait"]) == (1, 1)
    assert "Cannot re-initialize CUDA in forked subprocess" in answers["in a fork"]


def test_the_record_outlives_its_process(answers: dict[str, Any], record: Path) -> None:
    (process,) = board.processes(record)
    assert process.parent == os.getpid()
    assert process.gpus == (0,)
    assert process.uses[0].peak >= 8_000_000 and process.uses[0].launches > 10
    assert process.uses[0].synchronisations >= 1


def test_a_process_sees_the_gpus_that_it_may_and_its_memory_is_everyones(tmp_path: Path) -> None:
    holds = (
        "import os, signal, torch; kept = torch.ones(250_000_000, dtype=torch.uint8, device='cuda');"
        "print(torch.cuda.device_count(), flush=True); os.kill(os.getpid(), signal.SIGSTOP)"
    )
    board.skip_without()
    environment = board.environment("2xt4:1GB", tmp_path, CUDA_VISIBLE_DEVICES="1")
    with subprocess.Popen([sys.executable, "-c", holds], env=environment, text=True, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline().strip() == "1"
        free = "import torch; print([torch.cuda.mem_get_info(number)[0] for number in (0, 1)])"
        assert asked(free, "2xt4:1GB", tmp_path) == "[1000000000, 750000000]"
        other.send_signal(signal.SIGKILL)
    assert asked(free, "2xt4:1GB", tmp_path) == "[1000000000, 1000000000]", "a killed process holds nothing"
    assert [process.gpus for process in board.processes(tmp_path)] == [(1,), (), ()]
    assert board.peaks(tmp_path)[:2] == (0, 250_000_000)


def test_none_is_there_unless_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('the other one runs')\n")
    code = (
        "import importlib.util, sys; importlib.util.find_spec('torch'); print('torch' in sys.modules);"
        "import torch; print(torch.cuda.is_available(), torch.version.cuda)"
    )
    path = os.pathsep.join([str(board.HERE), str(tmp_path)])
    said = asked(code, "t4", tmp_path, PYTHONPATH=path, BAKEOFF_STAND_IN_GPU="")
    assert said.splitlines() == ["the other one runs", "False", "False None"]
    said = asked(code, "t4", tmp_path, PYTHONPATH=path)
    assert said.splitlines() == ["the other one runs", "False", "True 13.0"]
    assert asked("import torch; print(torch.cuda.device_count())", "t4", tmp_path, CUDA_VISIBLE_DEVICES="") == "0"
