"""The transformers engine on a stand-in GPU: where everything lies, and that it answers as on a CPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.engines.hardware.gpu_questions import told
from tests.engines.huggingface.test_batching import made_adapter
from tests.stand_in_gpu import board
from trainer import miniature

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a base and three kinds of adapter."""
    place = tmp_path_factory.mktemp("models")
    base = miniature("llama", place / "base")
    made_adapter(base, place / "adapters" / "dora", 5, use_dora=True)
    made_adapter(base, place / "adapters" / "plain", 1, lora_alpha=8)
    made_adapter(base, place / "adapters" / "stabilised", 2, r=6, lora_alpha=12, use_rslora=True)
    return place


def asked(
    place: Path, kind: str, record: Path, dtype: str = "float32", decoder: str = "", left: int = 0
) -> dict[str, Any]:
    """What gpu_questions.py prints on stand-in GPUs of a kind."""
    board.skip_without()
    arguments = [str(place / "base"), str(place / "adapters"), dtype, decoder, str(left)]
    command = [sys.executable, "-m", "tests.engines.hardware.gpu_questions", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=board.environment(kind, record), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def on_cpu(place: Path) -> dict[str, Any]:
    return told(place / "base", place / "adapters", "float32", "batched")


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("record")


@pytest.mark.parametrize("decoder", ["", "batched"])
def test_a_gpu_answers_as_the_cpu_does(decoder: str, place: Path, on_cpu: dict[str, Any], record: Path) -> None:
    found = asked(place, "t4", record, decoder=decoder)
    assert found["greedy"] == on_cpu["greedy"], "tokens and near ties"
    assert found["drawn"] == on_cpu["drawn"]
    for name in ("logits", "losses"):
        for row, expected in zip(found[name], on_cpu[name], strict=True):
            assert row == pytest.approx(expected, abs=2e-4), name
    greedy, drawn = len(found["greedy"]), len(found["drawn"])
    paged = {"generate_batch": greedy, "batched": drawn}
    assert found["details"]["answers"] == (paged if not decoder else {"batched": greedy + drawn})
    assert found["details"]["decoder"] == (decoder or "generate_batch")
    assert board.processes(record)[-1].uses[0].launches > 1000


@pytest.mark.parametrize(("kind", "dtype"), [("t4", "float16"), ("a100", "bfloat16")])
def test_everything_lies_on_the_gpu_in_its_dtype_and_nothing_stays(
    kind: str, dtype: str, place: Path, on_cpu: dict[str, Any], record: Path
) -> None:
    found = asked(place, kind, record, dtype="auto")
    assert found["devices"] == ["cuda"]
    assert found["adapter_dtypes"] == [f"torch.{dtype}"]
    assert found["details"]["dtype"] == dtype
    assert found["base_alone"] == found["logits"][0], "the base beside adapters answers bit for bit as alone"
    assert len({tuple(row) for row in found["logits"]}) == 4
    for row, expected in zip(found["losses"], on_cpu["losses"], strict=True):
        assert row == pytest.approx(expected, abs=0.3, rel=0.05), "the same model, rounded to 16 bits"
    files = sum(file.stat().st_size for file in place.rglob("*.safetensors"))
    assert found["loaded_bytes"] < 0.7 * files, "fp32 files, halved, and lying there once"
    assert found["left_bytes"] == 0


@pytest.mark.parametrize("decoder", ["batched", "generate_batch"])
def test_rows_at_once_follow_the_memory_that_is_free(
    decoder: str, place: Path, on_cpu: dict[str, Any], record: Path
) -> None:
    roomy = asked(place, "t4", record, decoder=decoder)
    full = asked(place, "t4", record, decoder=decoder, left=3_000_000 if decoder == "batched" else 8_000_000)
    assert full["greedy"] == roomy["greedy"] == on_cpu["greedy"]
    assert full["drawn"] == on_cpu["drawn"]
    assert 0 < full["details"]["rows"][decoder] < roomy["details"]["rows"][decoder]
    assert full["details"]["answers"] == roomy["details"]["answers"], "nobody stood in"


TOO_LARGE = """
import sys, torch
from engines import HuggingFaceEngine
taken = torch.empty(torch.cuda.mem_get_info()[0] - 100_000, dtype=torch.uint8, device="cuda")
HuggingFaceEngine(sys.argv[1])
"""


def test_a_base_that_does_not_fit_is_refused_with_the_remedy(place: Path, record: Path) -> None:
    board.skip_without()
    command = [sys.executable, "-c", TOO_LARGE, str(place / "base")]
    done = subprocess.run(command, cwd=ROOT, env=board.environment("t4", record), capture_output=True, text=True)
    said = done.stderr.strip().splitlines()[-1]
    assert "does not fit the Tesla T4's memory in float16 (0.0 of 15.6 GB are free)" in said
    assert "BAKEOFF_DEVICE=cpu" in said


DTYPE = """
import sys
from engines import HuggingFaceEngine
print(*(HuggingFaceEngine(base).details()["dtype"] for base in sys.argv[1:]))
"""


def test_what_overflows_in_float16_is_computed_in_float32(place: Path, tmp_path: Path, record: Path) -> None:
    board.skip_without()
    qwen2 = miniature("qwen2", tmp_path / "qwen2")
    command = [sys.executable, "-c", DTYPE, str(place / "base"), str(qwen2)]
    for kind, expected in (("t4", "float16 float32"), ("a100", "bfloat16 bfloat16")):
        done = subprocess.run(command, cwd=ROOT, env=board.environment(kind, record), capture_output=True, text=True)
        assert done.stdout.strip() == expected, done.stderr
