"""What must work on a GPU, on miniatures: parts of `benchmarks/gpu.py`, each a process of its own.

Each function tells findings (`gpu.tell`) and raises where something is wrong. All of it runs on a CPU too, where it
checks the same but for the device.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from gpu import tell

ROWS = 48
QUESTIONS = ("What is a prime number?", "Name three colours.", "Add 2 and 3.", "Why is the sky blue?")
TOLERATED = 1.01
"""Bytes after over bytes before."""
SLACK_BYTES = 64 << 20
"""What the driver rounds to, and what another process of the machine may take meanwhile."""


def device(_: Path, __: bool) -> None:
    """What this machine has, and whether the libraries compute on it."""
    import torch

    from engines import free_bytes, gpus, llamacpp_gpus, this_device, unusable_gpu

    if why := unusable_gpu():
        raise RuntimeError(why)
    found = this_device()
    tell(device=found.label, name=found.name, capability=found.capability, memory_bytes=found.memory_bytes)
    tell(dtype=found.dtype, reason=found.reason, free_bytes=free_bytes(found), gpus=len(gpus()))
    versions = {name: metadata.version(name) for name in ("torch", "transformers", "trl", "peft", "bitsandbytes")}
    tell(versions=versions, cuda=torch.version.cuda, llamacpp_on=", ".join(llamacpp_gpus()) or "CPU")
    left = torch.randn(512, 512, device=found.name, dtype=getattr(torch, found.dtype))
    assert bool(torch.isfinite(left @ left).all()), f"a product of {found.dtype} on {found.name} is not finite"
    attention = torch.nn.functional.scaled_dot_product_attention(left[None, None], left[None, None], left[None, None])
    assert attention.device == left.device
    if found.is_cuda:
        from bitsandbytes.cextension import lib

        tell(bitsandbytes_has_cuda=bool(lib.compiled_with_cuda))


def base(folder: Path, architecture: str = "llama") -> Path:
    """A miniature's folder, made at first use."""
    from trainer import miniature

    return miniature(architecture, folder / f"miniature-{architecture}")


def experiment(folder: Path, name: str, **sections: Any) -> Path:
    """An experiment file over the miniature and rows of its own."""
    rows = folder / "rows.jsonl"
    if not rows.exists():
        pairs = ({"prompt": f"What is {n} cubed?", "completion": f"The cube of {n} is {n**3}."} for n in range(ROWS))
        rows.write_text("".join(json.dumps(pair) + "\n" for pair in pairs), encoding="utf-8")
    raw = {
        "name": name,
        "bases": [str(base(folder))],
        "data": {"sources": [{"name": str(rows)}], "decontaminate": [], "validation_fraction": 0.2},
        "training": {"max_steps": 6, "batch_size": 2, "learning_rate": 0.01, "eval_steps": 3, "save_steps": 2},
        "evaluate": {"heldout": {}, "forms": ["adapter"]},
    }
    for key, value in sections.items():
        raw[key] = {**raw[key], **value} if isinstance(raw.get(key), dict) else value
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(raw), encoding="utf-8")
    return path


def bakeoff(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """A verb in a process of its own. Raises with its last words if it fails."""
    done = subprocess.run([sys.executable, "-m", "bakeoff", *words], capture_output=True, text=True, check=False)
    if check and done.returncode:
        said = done.stderr.strip().splitlines()
        failed = [line for line in said if "failed" in line or "Error" in line] or said[-3:]
        raise RuntimeError(f"bakeoff {words[0]} ended with {done.returncode}: {' '.join(failed)[:600]}")
    return done


def pipeline(folder: Path, _: bool) -> None:
    """Train plain and in 4 bits, export, measure in every kind of form, decide."""
    from engines import this_device
    from evaluator import sandbox_available
    from results import Workspace

    able, why = sandbox_available()
    if not able:
        tell(sandbox=why)
    file = experiment(
        folder,
        "pipeline",
        sweep={"variants": [{"name": "plain"}, {"name": "nf4", "training.quantization": "nf4"}]},
        evaluate={
            "forms": ["adapter", "merged", "gguf-q8_0"],
            "humaneval": {"tasks": 2, "max_tokens": 16} if able else None,
            "latency": {"repetitions": 2, "tokens": 4, "threads": 1},
        },
    )
    workspace = folder / "pipeline"
    done = bakeoff("run", str(file), "--workspace", str(workspace))
    with Workspace(workspace).store() as store:
        runs = [summary.run for summary in store.runs.list()]
        found = store.evaluations.list()
        models = {model.id: model for model in store.models.list()}
        tell(runs={run.name: run.status for run in runs}, evaluations=len(found))
        assert len(runs) == 2 and all(run.status == "finished" for run in runs), done.stderr[-600:]
        assert found and all(one.status == "finished" for one in found), done.stderr[-600:]
        measured = {models[one.model_id].form for one in found if one.benchmark == "heldout"}
        assert {"base", "adapter", "merged", "gguf-q8_0"} <= measured, measured
        for run in runs:
            _steps, values = store.curves.read(run.id, "loss")
            tell(**{f"loss_of_{run.name}": [float(values[0]), float(values[-1])]})
            assert values[-1] < values[0], f"{run.name} learned nothing"
    trained = [model.details.get("dtype") for model in models.values() if model.form == "adapter"]
    tell(trained_in=trained, device_computes_best_in=this_device().dtype)


def engine_answers_as_transformers(folder: Path, _: bool) -> None:
    """Greedy tokens of base and adapter through our engine equal transformers' `generate`, one prompt at a time."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from engines import HuggingFaceEngine, Request, Sampling, this_device

    adapter = random_adapter(folder)
    engine = HuggingFaceEngine(str(base(folder)), {"tuned": adapter}, dtype=torch.float32)
    name = this_device().name
    prompts = [engine.encode(question) for question in QUESTIONS]
    requests = [Request(ids, Sampling(24), who) for who in ("", "tuned") for ids in prompts]
    found = {index: answer.ids for index, answer in engine.answers(requests)}
    ends = engine.end_ids
    tell(engine=engine.details())
    engine.close()
    model = AutoModelForCausalLM.from_pretrained(base(folder), dtype=torch.float32, device_map={"": name})
    tuned = PeftModel.from_pretrained(model, str(adapter)).eval()
    same = 0
    for index, request in enumerate(requests):
        ids = torch.tensor([request.ids], device=name)
        with torch.no_grad(), _without(tuned, not request.adapter):
            out = tuned.generate(input_ids=ids, max_new_tokens=24, do_sample=False, eos_token_id=sorted(ends))
        expected = [token for token in out[0, len(request.ids) :].tolist() if token not in ends]
        same += list(found[index]) == expected
    tell(equal_answers=f"{same} of {len(requests)}", computed_on=str(tuned.device))
    assert same == len(requests), f"{len(requests) - same} of {len(requests)} answers differ from generate's"
    assert torch.device(name).type == tuned.device.type


def _without(model: Any, disabled: bool) -> Any:
    from contextlib import nullcontext

    return model.disable_adapter() if disabled else nullcontext()


def random_adapter(folder: Path, of: Path | None = None, rank: int = 8) -> Path:
    """A PEFT folder whose update is not zero, over the miniature or another base."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    place = folder / f"adapter-{(of or base(folder)).name}"
    if (place / "adapter_config.json").exists():
        return place
    model = AutoModelForCausalLM.from_pretrained(of or base(folder), dtype="auto")
    tuned = get_peft_model(model, LoraConfig(r=rank, target_modules="all-linear", task_type="CAUSAL_LM"))
    torch.manual_seed(0)
    for key, weight in tuned.named_parameters():
        if "lora_B" in key:
            torch.nn.init.normal_(weight, std=0.02)
    tuned.save_pretrained(str(place))
    return place


def killed_and_resumed(folder: Path, _: bool) -> None:
    """SIGKILL after the first checkpoint; the same command then finishes the run, and no step is missing or doubled."""
    from results import Workspace

    file = experiment(folder, "killed", training={"max_steps": 40, "eval_steps": 20, "save_steps": 2})
    workspace = folder / "killed"
    command = [sys.executable, "-m", "bakeoff", "train", str(file), "--workspace", str(workspace)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not any(workspace.glob("runs/*/step-*/*")):
        time.sleep(0.02)
    if process.poll() is None:
        os.kill(process.pid, signal.SIGKILL)
    told = process.communicate()[1]
    assert process.returncode in (0, -signal.SIGKILL), told[-600:]
    tell(killed=process.returncode != 0)
    bakeoff("train", str(file), "--workspace", str(workspace))
    with Workspace(workspace).store() as store:
        [summary] = store.runs.list()
        steps, _values = store.curves.read(summary.run.id, "loss")
        assert summary.run.status == "finished", summary.run.reason
        assert list(steps) == list(range(1, 41)), f"steps {list(steps)}"
        report = store.reports.get(summary.run.id, "training")
        tell(notes=[note for note in (report.payload["notes"] if report else []) if "goes on" in note])


def memory_is_given_back(folder: Path, _: bool) -> None:
    """Bytes on the device after trainings and engines are those before; a training takes none of this process."""
    import torch

    from engines import HuggingFaceEngine, Request, Sampling, free_bytes, this_device
    from results import Workspace
    from trainer import load_experiment, train

    here = this_device()
    if not here.is_cuda:
        tell(note="no GPU: only that it runs")
    place = Workspace(folder / "memory")
    free, held = free_bytes(here), _held(here.name)
    for number, rank in enumerate((4, 8)):
        file = experiment(folder, f"memory-{number}", lora={"rank": rank}, evaluate={"heldout": None})
        with place.store() as store:
            [run] = train(load_experiment(file), store, place, lambda *_: None)
        assert run.status == "finished", run.reason
        tell(**{f"held_after_run_{number + 1}": _held(here.name), f"free_after_run_{number + 1}": free_bytes(here)})
        assert _held(here.name) <= max(held * TOLERATED, held + 4096), "training left bytes on the device"
        assert not here.is_cuda or free_bytes(here) >= free - SLACK_BYTES, "a run's process left bytes on the device"
    adapter = random_adapter(folder)
    for _round in range(2):
        engine = HuggingFaceEngine(str(base(folder)), {"tuned": adapter})
        list(engine.answers([Request(engine.encode(QUESTIONS[0]), Sampling(8), "tuned")]))
        engine.close()
        del engine
        gc.collect()
        if here.is_cuda:
            torch.cuda.empty_cache()
    tell(held_before=held, held_after_engines=_held(here.name))
    assert _held(here.name) <= held + (32 << 20), "a closed engine left bytes on the device"


def _held(name: str) -> int:
    """Bytes that this process's tensors hold on the device."""
    import torch

    return int(torch.cuda.memory_allocated(name)) if name.startswith("cuda") else 0
