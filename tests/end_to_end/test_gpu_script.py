"""The script for ten minutes on a real GPU: nothing ends it early, and it runs to its end where there is no GPU."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.stand_in_gpu import board

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu.py"

BROKEN = """
import sys, time
from gpu import tell

def tells(folder, miniature, *words):
    print("{'a library': 'prints too'}")
    tell(miniature=miniature, words=list(words))

def raises(folder, miniature):
    tell(before=1)
    raise RuntimeError("the device fell off the bus,\\nand nobody knows why")

def hangs(folder, miniature):
    tell(before=2)
    time.sleep(600)

def dies(folder, miniature):
    sys.stdout.flush()
    import os, signal
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, beside parts that go wrong in every way."""
    (tmp_path / "gpu_broken.py").write_text(BROKEN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    spec = importlib.util.spec_from_file_location("gpu_script", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "gpu_script", module)
    spec.loader.exec_module(module)
    return module


def test_a_part_that_goes_wrong_is_reported_and_keeps_what_it_had_found(script: ModuleType, tmp_path: Path) -> None:
    def run(name: str, left: float = 60.0, most: float = 60.0) -> Any:
        return script.run(
            script.Part(f"broken.{name}", 5, most, ("x",) if name == "tells" else ()), tmp_path, left, False
        )

    fine, raised, hung, dead, late = run("tells"), run("raises"), run("hangs", most=1.0), run("dies"), run("tells", 2.0)
    assert (fine.outcome, fine.found) == ("ok", [{"miniature": False, "words": ["x"]}])
    assert (raised.outcome, raised.found[0]) == ("failed", {"before": 1})
    assert raised.error == "RuntimeError: the device fell off the bus, and nobody knows why"
    assert hung.outcome == "out of time"  # whatever it had come to by then
    assert (dead.outcome, dead.error) == ("failed", "exit status -9")
    assert (late.outcome, late.error) == ("skipped", "2 s are left, 5 are needed")
    table = script.table([fine, raised, hung, dead, late])
    assert all(f"| {one.outcome} |" in table for one in (fine, raised, hung, dead, late))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_part_ends_on_the_stand_in(tmp_path: Path) -> None:
    board.skip_without()
    environment = {**os.environ, **board.environment("t4", tmp_path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), "--miniature", "--minutes", "60", "--out", str(tmp_path / "out.json")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    assert (tmp_path / "out.json").exists(), done.stderr[-2000:]
    parts = {part["part"]: part for part in json.loads((tmp_path / "out.json").read_text())["parts"]}
    failed = {name: part for name, part in parts.items() if part["outcome"] != "ok"}
    assert not failed and done.returncode == 0, json.dumps(failed, indent=1)[:4000]
    found = {name: {key: value for one in part["found"] for key, value in one.items()} for name, part in parts.items()}
    assert found["device"]["device"] == "Tesla T4"
    for name, part in found.items():
        if name.startswith("train "):
            assert part["seconds_a_step"] > 0 and part["peak_bytes"] > 0, name
        if name.startswith("generate "):
            assert part["tokens_per_second_of_tuned"] > 0, name
    assert all(f"| {name} | ok |" in done.stdout for name in parts)
