"""What `bakeoff plan` says an experiment takes on this CPU, against what it took: memory, seconds a step, every stage.

Variants of SmolLM2-135M train together for a few steps, each setting in its own process. The plan knows the base's
shape, the file's settings, the speed of one large matrix product and of memory; nothing else of this machine. With
`--experiment` a whole one is run in a workspace of its own, and each stage's time is read off the store's records.

    python benchmarks/plan.py                                       # some three minutes on two quiet cores
    python benchmarks/plan.py --experiment experiments/demo.yaml    # four more
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
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import sweep

SETTINGS = ((1, 8, 4, 512), (1, 64, 16, 512), (5, 16, 4, 512), (5, 16, 4, 192))
"""Variants, rank, rows a step, longest row in tokens."""


def main() -> None:
    """Run every setting and print measured, planned and their ratio as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--experiment", type=Path, help="foretell and run this one instead")
    parser.add_argument("--worker", type=int, nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(measure(*arguments.worker, arguments.steps, arguments.data)))
        return
    if arguments.experiment:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps({**sweep._machine(), **whole(arguments.experiment, Path(folder))}, indent=1))
        return
    with tempfile.TemporaryDirectory() as folder:
        found = [_setting(setting, arguments.steps, Path(folder)) for setting in SETTINGS]
    print(json.dumps({**sweep._machine(), "settings": found}, indent=1))


def whole(experiment: Path, folder: Path) -> dict[str, Any]:
    """Stage by stage, seconds that the plan said, that the run took, and of processors, which others do not stretch."""
    bakeoff = [sys.executable, "-m", "bakeoff"]
    planned = subprocess.run(
        [*bakeoff, "plan", str(experiment), "--json", "--workspace", str(folder)], capture_output=True, check=True
    )
    place = json.loads(planned.stdout)["time"][0]
    said: dict[str, float] = {}
    for part in place["parts"]:
        said[part["stage"]] = said.get(part["stage"], 0.0) + part["seconds"]
    process = subprocess.Popen([*bakeoff, "run", str(experiment), "--workspace", str(folder)], stdout=sys.stderr)
    samples = [(datetime.now(UTC), 0.0)]
    while process.poll() is None:
        samples.append((datetime.now(UTC), max(samples[-1][1], _processor_seconds(process.pid))))
        time.sleep(0.3)
    rows, before = {}, samples[0]
    for stage, moment in [*stages(folder), ("rest", samples[-1][0])]:
        after = next((sample for sample in samples if sample[0] >= moment), samples[-1])
        rows[stage] = {
            "said": round(said.get(stage, 0.0), 1),
            "took": round((after[0] - before[0]).total_seconds(), 1),
            "processor_seconds": round(after[1] - before[1], 1),
        }
        before = after
    took = (samples[-1][0] - samples[0][0]).total_seconds()
    return {"experiment": experiment.name, "cores": len(os.sched_getaffinity(0)), "exit_status": process.returncode,
            "stages": rows, "said": place["seconds"], "took": took, "processor_seconds": samples[-1][1]}  # fmt: skip


def _processor_seconds(pid: int) -> float:
    """Of a process, all that it started, and all that of these has ended."""
    total = 0.0
    with suppress(psutil.Error):
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            with suppress(psutil.Error):
                total += sum(process.cpu_times()[:4])
    return total


def stages(folder: Path) -> list[tuple[str, datetime]]:
    """When each stage was over: runs, exported files and evaluations say so."""
    from results import Workspace

    with Workspace(folder).store() as store:
        over = {"training": [summary.run.finished_at for summary in store.runs.list()]}
        over["export"] = [model.created_at for model in store.models.list()]
        for one in store.evaluations.list():
            over.setdefault(one.benchmark, []).append(one.finished_at)
    moments = {stage: max(_utc(moment) for moment in found if moment) for stage, found in over.items()}
    return sorted(moments.items(), key=lambda pair: pair[1])


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _setting(setting: tuple[int, int, int, int], steps: int, folder: Path) -> dict[str, Any]:
    rows = folder / f"{'-'.join(map(str, setting))}.json"
    wanted = argparse.Namespace(max_length=setting[3], steps=steps * setting[2] // sweep.ROWS_A_STEP)
    rows.write_text(json.dumps(sweep._rows(wanted, folder)))
    command = [sys.executable, __file__, "--worker", *map(str, setting), "--data", str(rows), "--steps", str(steps)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{setting} failed:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(found, file=sys.stderr, flush=True)
    return found


def measure(runs: int, rank: int, batch: int, max_length: int, steps: int, data: Path) -> dict[str, Any]:
    """Train `runs` variants for `steps` steps; afterwards ask the plan's own functions about the same."""
    from engines.hardware.speeds import this_cpu
    from results import peak_rss_bytes
    from trainer.bases.loading import load_base
    from trainer.experiment.schema import Lora, Training
    from trainer.multi_lora import SharedBase
    from trainer.planning import estimates
    from trainer.planning.shapes import base_shape

    device = this_cpu("bfloat16")
    examples = sweep._examples(data, "train")
    together = SharedBase(load_base(sweep.BASE).model, examples, examples[:1])
    trainees = [sweep._trainee(together, rank, len(examples), batch) for _ in range(runs)]
    seconds, tokens = [], []
    for _ in range(steps):
        began = time.monotonic()
        tokens.append(sum(step.tokens for step in together.step(trainees)))
        seconds.append(time.monotonic() - began)
    peak = peak_rss_bytes()
    lora, training = Lora(rank=rank), Training(batch_size=batch, max_length=max_length)
    shape, answers = base_shape(sweep.BASE), statistics.mean(together.train.trained) * batch * runs
    longest = max(together.train.lengths)
    planned = estimates.memory(shape, training, lora, longest, runs, device)
    time_planned = estimates.seconds(shape, training, lora, 1, statistics.mean(tokens), answers, device)
    return {
        "variants": runs,
        "rank": rank,
        "rows_a_step": batch,
        "max_length": max_length,
        "peak_gb": round(peak / 1e9, 2),
        "planned_gb": round(planned.total / 1e9, 2),
        "parts_gb": {name: round(value / 1e9, 2) for name, value in vars(planned).items() if name != "checkpointing"},
        "seconds_a_step": round(statistics.median(seconds), 2),
        "planned_seconds": round(time_planned, 2),
    }


if __name__ == "__main__":
    main()
