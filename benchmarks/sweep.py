"""A five-variant rank sweep (4 to 64) of SmolLM2-135M on a CPU: ours against TRL, each in its own process, interleaved.

Every worker trains the same rows in the same order at the same learning rate, for `--steps` steps, and measures the
loss over the same held-out rows afterwards. The gate: each variant's loss within ±0.02 nats of TRL's. The time of a
whole sweep is extrapolated, and says so: start-up + `--sweep-steps` × the median step.

    python benchmarks/sweep.py                       # about seven minutes on two quiet cores
    python benchmarks/sweep.py --only ours           # our worker alone, with its profile
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

RANKS = (4, 8, 16, 32, 64)
BASE = "smollm2-135m-instruct"
ROWS_A_STEP = 4
RATE = 5e-4
CLOCK = time.process_time if "--cpu" in sys.argv else time.monotonic
"""With `--cpu`, CPU seconds of the worker instead of wall time: on a shared machine, what it would take alone with one
thread."""
BEGAN = CLOCK()


def main() -> None:
    """Run the workers one after another and print the comparison; `--json FILE` keeps it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--sweep-steps", type=int, default=100)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--max-length", type=int, default=512)
    parser.add_argument("--ranks-of-peers", type=int, nargs="*", default=[4, 64])
    parser.add_argument("--only", choices=["ours", *TRL_OPTIONS])
    parser.add_argument(
        "--counts", type=int, nargs="*", default=[1, 2, 4, 8], help="Numbers of variants for the curve."
    )
    parser.add_argument("--cpu", action="store_true", help="Count CPU seconds, with one thread: for shared machines.")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--worker", nargs=2, metavar=("NAME", "RANK"), help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help="Tokenised rows, made when missing.")
    arguments = parser.parse_args()
    if arguments.cpu:
        arguments.threads = 1
    if arguments.worker:
        print(json.dumps(WORKERS[arguments.worker[0]](int(arguments.worker[1]), arguments)))
        return
    with tempfile.TemporaryDirectory() as folder:
        result = compare(arguments, Path(folder))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1))
    print(json.dumps(result, indent=1))


def compare(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Ours first and last, the peers' ranks in between, so that a drift of the machine is seen."""
    data = arguments.data or folder / "rows.json"
    if not data.exists():
        data.write_text(json.dumps(_rows(arguments, folder)))
    order = [("ours", 0)]
    order += [(name, rank) for rank in arguments.ranks_of_peers for name in ("trl-tuned", "trl-default")]
    order += [("ours-short", 0), ("trl-fp32", arguments.ranks_of_peers[0])]
    if arguments.only:
        order = [(arguments.only, rank) for rank in ([0] if arguments.only == "ours" else arguments.ranks_of_peers)]
    found = []
    for name, rank in order:
        command = [sys.executable, __file__, "--worker", name, str(rank), "--data", str(data)]
        for option in ("steps", "threads", "max_length"):
            command += [f"--{option.replace('_', '-')}", str(getattr(arguments, option))]
        command += ["--counts", *map(str, arguments.counts), *(["--cpu"] if arguments.cpu else [])]
        began = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{name} {rank} failed:\n{done.stderr[-3000:]}")
        found.append({**json.loads(done.stdout.splitlines()[-1]), "wall_seconds": time.monotonic() - began})
        print(f"{name} {rank}: {found[-1]}", file=sys.stderr, flush=True)
    return {"workers": found, "sweep_steps": arguments.sweep_steps, **_machine(), **_verdict(found, arguments)}


def _verdict(found: list[dict[str, Any]], arguments: argparse.Namespace) -> dict[str, Any]:
    """Ratios for the whole sweep and the gate."""
    by_name: dict[str, list[dict[str, Any]]] = {}
    for worker in found:
        by_name.setdefault(worker["name"].removesuffix("-short"), []).append(worker)
    if not {"ours", *TRL_OPTIONS} <= set(by_name):
        return {}
    steps = arguments.sweep_steps
    ours = statistics.mean(w["startup_seconds"] + steps * w["step_seconds"] for w in by_name["ours"])
    verdict: dict[str, Any] = {"ours_sweep_seconds": round(ours)}
    for peer in TRL_OPTIONS:
        each = [w["startup_seconds"] + steps * w["step_seconds"] for w in by_name[peer]]
        memory = statistics.mean(w["peak_rss_bytes"] for w in by_name[peer])
        gaps = [
            abs(w["validation_loss"] - o["validation_loss"][str(w["rank"])])
            for w in by_name[peer]
            for o in by_name["ours"]
        ]
        verdict[peer] = {
            "sweep_seconds_extrapolated": round(len(RANKS) * statistics.mean(each)),
            "times_ours": round(len(RANKS) * statistics.mean(each) / ours, 2),
            "our_memory_share_of_five": round(by_name["ours"][-1]["peak_rss_bytes"] / (len(RANKS) * memory), 3),
            "largest_loss_gap_nats": round(max(gaps), 4),
            "gate": "holds" if max(gaps) <= 0.02 else "FAILS: the ratio is void",
        }
    return verdict


def _rows(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Tokenised rows of python-stdlib, prepared once for all workers: no peer pays for it, and neither do we."""
    from results import Workspace
    from trainer.bases.loading import base_tokenizer
    from trainer.data.pipeline import prepare
    from trainer.experiment.schema import Data

    data = Data.model_validate({"sources": [{"name": "python-stdlib"}], "validation_limit": 12, "decontaminate": []})
    prepared = prepare(data, base_tokenizer(BASE), arguments.max_length, Workspace(folder))
    needed = ROWS_A_STEP * (arguments.steps + 1)
    return {
        "train": [[e.input_ids, e.labels, e.answer_bytes] for e in prepared.train[:needed]],
        "validation": [[e.input_ids, e.labels, e.answer_bytes] for e in prepared.validation],
    }


def _examples(path: Path, part: str) -> list[Any]:
    from trainer.data.examples import Example

    rows = json.loads(path.read_text())[part]
    return [Example(ids, labels, size, row) for row, (ids, labels, size) in enumerate(rows)]


class _InOrder:
    """The rows as they come, so that every worker trains on the same ones at the same step."""

    def __init__(self, count: int, batch: int) -> None:
        self._count, self._batch = count, batch

    def rows(self, step: int) -> list[int]:
        return [(step * self._batch + row) % self._count for row in range(self._batch)]


def _ours(_: int, arguments: argparse.Namespace, curve: bool = True) -> dict[str, Any]:
    import torch

    torch.set_num_threads(arguments.threads)
    from results import peak_rss_bytes
    from trainer.bases.devices import settled_objects
    from trainer.bases.loading import load_base
    from trainer.multi_lora import SharedBase

    base = load_base(BASE)
    train = _examples(arguments.data, "train")
    together = SharedBase(base.model, train, _examples(arguments.data, "validation"))
    trainees = [_trainee(together, rank, len(train)) for rank in RANKS]
    seconds, tokens = [], []
    with settled_objects():  # as `trainer.multi_lora.loop` does
        startup = CLOCK() - BEGAN
        for _step in range(arguments.steps):
            began = CLOCK()
            tokens.append(sum(step.tokens for step in together.step(trainees)))
            seconds.append(CLOCK() - began)
    peak = peak_rss_bytes()
    losses = {str(t.lora.rank): loss for t, (loss, _) in zip(trainees, together.validate(trainees), strict=True)}
    result = {
        "name": "ours" if curve else "ours-short",
        "startup_seconds": startup,
        "step_seconds": statistics.median(seconds),
        "tokens_per_second": sum(tokens) / sum(seconds),
        "all_step_seconds": seconds,
        "peak_rss_bytes": peak,
        "validation_loss": losses,
    }
    if curve:
        result["matmul_only_share"] = _matmul_seconds(together, trainees) / statistics.median(seconds)
        result["seconds_a_step_by_variants"] = {
            str(count): _timed(_stepper(together, count, len(train))) for count in arguments.counts
        }
    return result


def _stepper(together: Any, count: int, rows: int) -> Callable[[], Any]:
    trainees = [_trainee(together, RANKS[number % len(RANKS)], rows) for number in range(count)]
    return lambda: together.step(trainees)


def _timed(call: Callable[[], Any]) -> float:
    """The faster of two calls, in seconds."""
    seconds = []
    for _ in range(2):
        began = CLOCK()
        call()
        seconds.append(CLOCK() - began)
    return min(seconds)


def _trainee(together: Any, rank: int, rows: int, batch: int = ROWS_A_STEP) -> Any:
    from trainer.experiment.reading import experiment_of
    from trainer.experiment.schema import Lora, Training
    from trainer.multi_lora import Trainee

    lora = Lora(rank=rank, alpha_ratio=2)
    training = Training(learning_rate=RATE, schedule="constant", warmup=0, batch_size=batch)
    raw = {"name": "sweep", "bases": [BASE], "data": {"sources": [{"name": "python-stdlib"}]}}
    raw |= {"lora": lora.model_dump(), "training": training.model_dump()}
    adapter = together.adapter(experiment_of(raw, "sweep.py"))
    return Trainee(f"rank{rank}", f"rank{rank}", BASE, lora, training, adapter, _InOrder(rows, batch), 10**6)  # type: ignore[arg-type]


def _matmul_seconds(together: Any, trainees: list[Any]) -> float:
    """The frozen products of one step of all trainees and nothing else: forward, and backward to the inputs."""
    import torch

    rows = trainees[0].order.rows(0)
    tokens = sum(together.train.lengths[row] for row in rows) * len(trainees)
    trained = sum(together.train.trained[row] for row in rows) * len(trainees)
    head = together.model.get_output_embeddings().weight
    layers = [module for module in together.model.modules() if isinstance(module, torch.nn.Linear)]
    weights = [layer.weight for layer in layers if layer.weight is not head]
    inputs = {w.shape: torch.randn(min(tokens, 2048), w.shape[1], dtype=w.dtype) for w in weights}
    some = torch.randn(256, head.shape[1], dtype=head.dtype)

    def products() -> None:
        for _ in range(max(1, round(tokens / min(tokens, 2048)))):
            for weight in weights:
                out = inputs[weight.shape] @ weight.t()
                out @ weight
        for _ in range(-(-trained // 256)):
            (some @ head.t()) @ head

    return _timed(products)


TRL_OPTIONS: dict[str, dict[str, Any]] = {
    "trl-default": {},
    "trl-fp32": {"bf16": False},
    "trl-tuned": {"gradient_checkpointing": False, "padding_free": True, "bf16": False},
}
"""TRL's defaults are bf16 autocast over an fp32 model since it departed from transformers' fp32; `trl-fp32` is what
they were. The tuned one has the whole model in bf16."""


def _trl_config(name: str, steps: int) -> Any:
    """TRL's settings for one of its rows: the same steps over the same rows as ours."""
    from trl import SFTConfig

    return SFTConfig(
        output_dir=tempfile.mkdtemp(),
        max_steps=steps,
        per_device_train_batch_size=ROWS_A_STEP,
        learning_rate=RATE,
        lr_scheduler_type="constant",
        train_sampling_strategy="sequential",
        dataset_kwargs={"skip_prepare_dataset": True},
        max_length=None,
        use_cpu=True,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        **TRL_OPTIONS[name],
    )


def _trl(name: str) -> Callable[[int, argparse.Namespace], dict[str, Any]]:
    def worker(rank: int, arguments: argparse.Namespace) -> dict[str, Any]:
        import torch

        torch.set_num_threads(arguments.threads)
        from datasets import Dataset
        from peft import LoraConfig
        from transformers import AutoModelForCausalLM, TrainerCallback
        from trl import SFTTrainer

        from engines import unpacked
        from results import peak_rss_bytes
        from trainer.bases.loading import base_path, base_tokenizer

        dtype = "bfloat16" if name == "trl-tuned" else "float32"
        model = AutoModelForCausalLM.from_pretrained(unpacked(base_path(BASE), dtype), dtype=getattr(torch, dtype))
        rows = [{"input_ids": e.input_ids, "labels": e.labels} for e in _examples(arguments.data, "train")]
        marks: list[float] = []

        class Clock(TrainerCallback):  # type: ignore[misc]
            def on_train_begin(self, *_: Any, **__: Any) -> None:
                marks.append(CLOCK())

            on_step_end = on_train_begin

        trainer = SFTTrainer(
            model=model,
            args=_trl_config(name, arguments.steps),
            train_dataset=Dataset.from_list(rows),
            processing_class=base_tokenizer(BASE),
            peft_config=LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM"),
            callbacks=[Clock()],
        )
        trainer.train()
        peak = peak_rss_bytes()
        seconds = [after - before for before, after in pairwise(marks)]
        tokens = sum(len(row["input_ids"]) for row in rows[: ROWS_A_STEP * arguments.steps])
        return {
            "name": name,
            "rank": rank,
            "startup_seconds": marks[0] - BEGAN,
            "step_seconds": statistics.median(seconds),
            "tokens_per_second": tokens / sum(seconds),
            "all_step_seconds": seconds,
            "peak_rss_bytes": peak,
            "validation_loss": _plain_loss(trainer.model, _examples(arguments.data, "validation")),
        }

    return worker


def _plain_loss(model: Any, examples: list[Any]) -> float:
    """Nats per answer token, one row at a time with transformers' own forward: the gate's measure for the peers."""
    import torch

    model.eval()
    nats, count = 0.0, 0
    with torch.no_grad():
        for example in examples:
            labels = torch.tensor(example.labels[1:])
            trained = labels != -100
            logits = model(input_ids=torch.tensor([example.input_ids])).logits[0, :-1][trained].float()
            nats += float(torch.nn.functional.cross_entropy(logits, labels[trained], reduction="sum"))
            count += int(trained.sum())
    return nats / count


def _machine() -> dict[str, Any]:
    from results import this_machine

    machine = this_machine()
    return {
        "clock": CLOCK.__name__,
        "cpu": machine.cpu,
        "isa": list(machine.isa),
        "cores": machine.cores,
        "load": os.getloadavg(),
    }


WORKERS: dict[str, Callable[[int, argparse.Namespace], dict[str, Any]]] = {
    "ours": _ours,
    "ours-short": lambda rank, arguments: _ours(rank, arguments, curve=False),
    **{name: _trl(name) for name in TRL_OPTIONS},
}

if __name__ == "__main__":
    main()
