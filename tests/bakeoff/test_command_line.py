"""The command line as a user meets it: a process, its output and its exit code."""

from __future__ import annotations

import importlib.metadata
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from results import Evaluation, Model, Score, Workspace, this_machine
from tests.stand_in_gpu import board

REPOSITORY = Path(__file__).resolve().parents[2]


def bakeoff(
    *words: str, workspace: Path, programs: str = "/usr/bin:/bin", more: Mapping[str, str] = MappingProxyType({})
) -> subprocess.CompletedProcess[str]:
    """Run a verb in a workspace of its own. programs: where the system's are looked for; more: variables beside it."""
    command = [sys.executable, "-m", "bakeoff", *words]
    environment = {"BAKEOFF_WORKSPACE": str(workspace), "PATH": programs, "HF_HUB_OFFLINE": "1", **more}
    return subprocess.run(command, capture_output=True, text=True, timeout=900, env=environment, cwd=REPOSITORY)


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_terminal_that_lacks_a_letter_gets_it_spelt_out(encoding: str, tmp_path: Path) -> None:
    with Workspace(tmp_path).store() as store:
        store.models.add(Model("m-1", "café 中", "base", "café 中", "e" * 64, 1, "."))
    command = [sys.executable, "-m", "bakeoff", "models", "--workspace", str(tmp_path)]
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "COLUMNS": "200"}
    done = subprocess.run(command, capture_output=True, env=environment, cwd=REPOSITORY, check=False)
    assert done.returncode == 0, done.stderr
    spelt = "café 中".encode(encoding, "backslashreplace")
    assert spelt in done.stdout


def test_the_version_is_the_installed_packages(tmp_path: Path) -> None:
    done = bakeoff("--version", workspace=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"bakeoff {importlib.metadata.version('bakeoff')}\n"), done.stderr


@pytest.mark.slow
def test_control_c_ends_a_command_that_was_started_with_it_ignored(tmp_path: Path) -> None:
    """As shells start background jobs."""
    serving = [sys.executable, "-m", "bakeoff", "serve", "--port", "0", "--workspace", str(tmp_path)]
    command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *serving]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY)
    assert running.stderr is not None
    assert any("serving http" in line for line in running.stderr)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=900)
    assert running.returncode == 130 and "Traceback" not in said


DROPPING = """
import signal, time, weakref
from bakeoff.main import listen_to_signals
listen_to_signals()
class Thing: pass
thing = Thing()
reference = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIG{0}))
del thing  # what is raised in the callback is dropped
while True:
    time.sleep(0.1)
"""


@pytest.mark.parametrize("name", ["INT", "TERM"])
def test_an_interrupt_that_python_drops_ends_the_command_all_the_same(name: str) -> None:
    command = [sys.executable, "-c", DROPPING.format(name)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, timeout=900, check=False)
    assert done.returncode == -signal.SIGINT and "KeyboardInterrupt" in done.stderr


def test_help_imports_nothing_heavy() -> None:
    code = "import sys, bakeoff.main; print(sorted({'torch', 'streamlit', 'scipy', 'transformers'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=900, check=True)
    assert done.stdout.strip() == "[]"


def test_every_verb_has_help_with_its_purpose(tmp_path: Path) -> None:
    from typer.main import get_command

    from bakeoff.main import VERBS, app

    commands = get_command(app).commands  # type: ignore[attr-defined]
    assert set(commands) == {verb.rstrip("_") for _, verbs in VERBS.values() for verb in verbs}
    assert all(command.help and command.help[0].isupper() for command in commands.values())


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["runs", "models", "scores"])
def test_lists_of_an_empty_workspace_are_empty_json(verb: str, tmp_path: Path) -> None:
    Workspace(tmp_path).store().close()
    done = bakeoff(verb, "--json", workspace=tmp_path)
    assert (done.returncode, json.loads(done.stdout)) == (0, [])


def test_scores_of_a_test_that_nobody_measured_are_refused_with_those_that_there_are(tmp_path: Path) -> None:
    with Workspace(tmp_path).store() as store:
        one = store.models.add(Model("one", "one", "remote", "", "a" * 64, 0, "http://127.0.0.1/v1"))
        store.machines.add(machine := this_machine())
        evaluation = store.evaluations.begin(Evaluation("e", one.id, "sums", {}, machine.id))
        store.evaluations.finish(evaluation.id, [Score("pass@1", 0.5, 0.1, 0.9, 4)], {})
    done = bakeoff("scores", "--benchmark", "foo", workspace=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "bakeoff: no scores by 'foo'; there are some by sums\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("run", "no-such-file.yaml"), "no-such-file.yaml"),
        (("compare", "tortoise", "hare"), "tortoise"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(words: tuple[str, ...], named: str, tmp_path: Path) -> None:
    Workspace(tmp_path).store().close()
    done = bakeoff(*words, workspace=tmp_path)
    assert done.returncode == 2
    assert named in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_mistyped_key_is_named_with_its_value(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text((REPOSITORY / "experiments" / "demo.yaml").read_text() + "\nlernrate: 0.1\n")
    done = bakeoff("run", str(mine), workspace=tmp_path)
    assert done.returncode == 2
    assert "lernrate" in done.stderr


def test_a_workspace_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    done = bakeoff("latency", workspace=blocked / "workspace")
    assert done.returncode == 2
    assert str(blocked) in done.stderr


@pytest.mark.slow
def test_doctor_names_what_it_found(tmp_path: Path) -> None:
    done = bakeoff("doctor", "--json", workspace=tmp_path)
    findings = {finding["subject"]: finding for finding in json.loads(done.stdout)}
    assert findings["processor"]["ok"]
    assert all(finding["ok"] or finding["remedy"] for finding in findings.values())


@pytest.fixture
def listed_gpu(tmp_path: Path) -> str:
    """A PATH with an nvidia-smi that lists a T4, which this machine's torch does not see."""
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU that torch uses")
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'Tesla T4, 535.104.05'\n")
    program.chmod(0o755)
    return f"{program.parent}:/usr/bin:/bin"


@pytest.mark.slow
def test_doctor_says_that_torch_cannot_use_a_gpu_and_what_to_install(listed_gpu: str, tmp_path: Path) -> None:
    done = bakeoff("doctor", "--json", workspace=tmp_path, programs=listed_gpu)
    found = {finding["subject"]: finding for finding in json.loads(done.stdout)}["GPU"]
    assert done.returncode == 1
    assert not found["ok"] and "Tesla T4 (driver 535.104.05)" in found["found"]
    assert "https://download.pytorch.org/whl/cu126" in found["remedy"]


def small_experiment(folder: Path) -> str:
    """An experiment file over a miniature, two runs of it."""
    from trainer import miniature

    miniature("llama", folder / "base")
    rows = "".join(json.dumps({"prompt": f"What is {n}?", "completion": f"It is {n}."}) + "\n" for n in range(30))
    (folder / "rows.jsonl").write_text(rows)
    file = folder / "mine.yaml"
    file.write_text(
        "name: mine\nbases: [./base]\ndata: {sources: [{name: rows.jsonl}]}\n"
        "sweep: {grid: {lora.rank: [4, 8]}}\nevaluate: {forms: [adapter, gguf-q8_0]}\n"
    )
    return str(file)


@pytest.mark.slow
def test_plan_calls_a_gpu_that_torch_cannot_use_a_problem(listed_gpu: str, tmp_path: Path) -> None:
    done = bakeoff("plan", small_experiment(tmp_path), "--json", workspace=tmp_path / "w", programs=listed_gpu)
    planned = json.loads(done.stdout)
    assert done.returncode == 1
    assert "Tesla T4 (driver 535.104.05)" in planned["problems"][0] and "pip install torch" in planned["problems"][0]
    assert planned["time"][0]["device"] == "this CPU"
    assert {part["stage"] for part in planned["time"][0]["parts"]} == {"training", "export", "heldout"}
    assert planned["time"][0]["seconds"] == pytest.approx(sum(part["seconds"] for part in planned["time"][0]["parts"]))


@pytest.mark.slow
def test_doctor_and_plan_name_the_gpus_that_torch_uses(tmp_path: Path) -> None:
    board.skip_without()
    gpus = board.environment("2xt4", tmp_path)
    more = {key: gpus[key] for key in ("PYTHONPATH", "BAKEOFF_STAND_IN_GPU", "BAKEOFF_STAND_IN_GPU_RECORD", "HOME")}
    done = bakeoff("doctor", "--json", workspace=tmp_path / "w", more=more)
    assert done.stdout, done.stderr
    found = {finding["subject"]: finding for finding in json.loads(done.stdout)}
    assert found["GPU"]["ok"] and "2 x Tesla T4, 15.6 GB; trains and answers in float16" in found["GPU"]["found"]
    assert "GGUF files are asked there" in found["llama.cpp (xllamacpp)"]["found"]
    assert "--index-url https://xorbitsai.github.io/xllamacpp/whl/" in found["llama.cpp (xllamacpp)"]["remedy"]
    done = bakeoff("plan", small_experiment(tmp_path), "--json", workspace=tmp_path / "w", more=more)
    planned = json.loads(done.stdout)
    assert done.returncode == 0, planned["problems"]
    needs = {need["device"]: need for need in planned["groups"][0]["needs"]}
    assert list(needs) == ["this CPU", "this machine's 2 Tesla T4", "RTX 4090 24 GB", "A100 80 GB"]
    own = needs["this machine's 2 Tesla T4"]
    assert (own["at_once"], own["dtype"], own["device_bytes"]) == (2, "float16", 15_636_000_000)
    assert any("llama.cpp, whose build here is for processors" in warning for warning in planned["warnings"])
    times = {whole["device"]: whole for whole in planned["time"]}
    assert times["this machine's 2 Tesla T4"]["llamacpp"] == "this CPU"
