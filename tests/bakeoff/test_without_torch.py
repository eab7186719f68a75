"""What the core does runs without any extra, GGUF files from adding to deciding; the rest says which extra has it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from engines import FolderSource, write_model
from results import EXTRAS
from trainer import miniature

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parents[2]

LIBRARIES = tuple(library for libraries in EXTRAS.values() for library in libraries)
ABSENT = f"""
import sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        return None if fullname.partition(".")[0] in {LIBRARIES!r} else super().find_spec(fullname, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Without
"""
"""What every Python process imports at its start: the libraries of all extras are found nowhere."""
LOGIN = """
from streamlit.testing.v1 import AppTest
page = AppTest.from_string("from dashboard.widgets import login; login.admitted()", default_timeout=900)
page.secrets["auth"] = {"redirect_uri": "http://127.0.0.1/oauth2callback"}
print(page.run().error[0].value)
"""

QUESTIONS = 'input,target,choices\nIs ice cold?,yes,"yes,no"\nIs fire cold?,no,"yes,no"\n'


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a GGUF file, a test of one's own and no torch."""
    folder = tmp_path_factory.mktemp("core")
    (folder / "sitecustomize.py").write_text(ABSENT)
    (folder / "mine.csv").write_text(QUESTIONS)
    write_model(folder / "theirs.gguf", FolderSource(miniature("llama", folder / "base")), "gguf-q8_0")
    return folder


def python(place: Path, *words: str) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(place), str(REPOSITORY))),
        "BAKEOFF_WORKSPACE": str(place / "workspace"),
        "HF_HUB_OFFLINE": "1",
    }
    return subprocess.Popen(
        [sys.executable, *words], env=environment, cwd=place, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def bakeoff(place: Path, *words: str, code: int = 0) -> tuple[str, str]:
    """What a verb prints and says; it must end with that code."""
    running = python(place, "-m", "bakeoff", *words)
    out, err = running.communicate(timeout=900)
    assert running.returncode == code, err
    return out, err


@pytest.fixture(scope="module")
def added(place: Path) -> Path:
    (one,) = json.loads(bakeoff(place, "add", "theirs.gguf", "--json")[0])
    assert one["state"] == "added"
    return place


def test_torch_is_found_nowhere_here(place: Path) -> None:
    _, said = (running := python(place, "-c", "import torch")).communicate(timeout=900)
    assert running.returncode == 1 and "No module named 'torch'" in said


@pytest.mark.parametrize("choices", ["answer", "likelihood"])
def test_a_gguf_is_asked_a_test_of_ones_own(choices: str, added: Path) -> None:
    words = ("evaluate", "theirs", "--benchmark", "mine.csv", "--choices", choices, "--json")
    scores = json.loads(bakeoff(added, *words)[0])
    assert {one["n"] for one in scores if one["metric"] == "pass@1"} == {2}


def test_a_gguf_is_timed_listed_and_decided_on(added: Path) -> None:
    few = ("--repetitions", "1", "--tokens", "4", "--natural-tokens", "4")
    assert any(one["metric"] == "ttft_seconds_p90" for one in json.loads(bakeoff(added, "latency", *few, "--json")[0]))
    for verb in ("scores", "decide", "doctor"):
        assert bakeoff(added, verb)[0]


def test_a_gguf_answers_over_http(added: Path) -> None:
    running = python(added, "-m", "bakeoff", "serve", "--port", "0")
    assert running.stderr is not None
    try:
        address = next(line.split()[-1] for line in running.stderr if "serving http" in line)
        asked = {"model": "theirs", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}
        answer = httpx.post(f"{address}/chat/completions", json=asked, timeout=900)
        assert answer.status_code == 200, answer.text
    finally:
        running.terminate()
        running.communicate(timeout=900)


def test_what_needs_torch_says_in_one_line_which_extra(added: Path) -> None:
    file = str(REPOSITORY / "experiments" / "demo.yaml")
    for words in (("plan", file), ("run", file), ("demo",), ("add", "base", "--name", "folder")):
        said = bakeoff(added, *words, code=2)[1]
        last = said.splitlines()[-1]
        assert last.startswith("bakeoff: ") and "pip install 'bakeoff[train]'" in last, said
        assert "Traceback" not in said


def test_a_file_from_before_gguf_says_in_one_line_which_extra(added: Path) -> None:
    (folder := added / "old").mkdir()
    (folder / "config.json").write_text('{"model_type": "gpt2"}')
    (folder / "old.bin").write_bytes(b"lmgg" + bytes(64))
    asking = (
        "from pathlib import Path; from engines.llamacpp.ggml_legacy import CTransformersEngine; "
        "CTransformersEngine(Path('old/old.bin'))"
    )
    said = python(added, "-c", asking).communicate(timeout=900)[1]
    assert "pip install 'bakeoff[ggml]'" in said.splitlines()[-1], said


def test_a_dashboard_with_a_login_says_in_one_line_which_extra(place: Path) -> None:
    said, err = python(place, "-c", LOGIN).communicate(timeout=900)
    assert "pip install 'bakeoff[login]'" in said, err
