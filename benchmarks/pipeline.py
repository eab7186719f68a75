"""An experiment over a base of Llama-3.2-1B's shape from its file to its scores: seconds and memory, stage by stage.

Random weights, two LoRA variants of three steps, Q8_0 and Q4_0 files of both and of the base, HumanEval on four tasks
of 64 tokens, held-out loss on eight rows, latency. Memory is the largest sum of proportional set sizes of all
processes, sampled twice a second: pages that several of them map count once. Only the stages and the figures are
Bakeoff's; the weights mean nothing, and rows of the vocabulary that no token has are zero, so that answers are text.

    python benchmarks/pipeline.py --folder FOLDER                  # some five minutes on two quiet cores, 12 GB of disk
    python benchmarks/pipeline.py --folder FOLDER --code CHECKOUT  # the same base by another commit's code
    python benchmarks/pipeline.py --folder FOLDER --miniature      # the script itself, in half a minute
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HERE))
SHAPE = {
    "vocab_size": 128256, "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
    "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64, "max_position_embeddings": 131072,
}  # fmt: skip
MINIATURE = {
    "vocab_size": 768, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 2048,
}  # fmt: skip
EXPERIMENT = """
name: one
bases: [{base}]
data:
  sources: [{{name: python-stdlib, limit: 60}}]
  validation_limit: 8
training: {{max_steps: 3, batch_size: 1, gradient_accumulation: 2, max_length: 192, eval_steps: 3, save_steps: 3}}
sweep: {{grid: {{lora.rank: [8, 16]}}}}
evaluate:
  humaneval: {{tasks: 4, max_tokens: 64}}
  heldout: {{}}
  latency: {{}}
  forms: [{forms}]
"""
STAGES = {
    "loading": "training", "training": "training", "exporting": "exports", "calibrating": "humaneval",
    "HumanEval": "humaneval", "held-out": "heldout", "latency": "latency",
}  # fmt: skip
"""How a line of progress begins → its stage. A stage lasts until the next one's first line."""


def main() -> None:
    """Make the base where it is missing, run the experiment in a fresh workspace, print what it took as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="For the base, the workspace and the cache.")
    parser.add_argument("--code", type=Path, default=HERE, help="The checkout whose code runs; default: this one.")
    parser.add_argument("--forms", default="gguf-q8_0, gguf-q4_0")
    parser.add_argument("--miniature", action="store_true")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    base = folder / ("miniature" if arguments.miniature else "base")
    if not (base / "config.json").is_file():
        make_base(base, MINIATURE if arguments.miniature else SHAPE)
    file = folder / "one.yaml"
    file.write_text(EXPERIMENT.format(base=base, forms=arguments.forms))
    print(json.dumps(measured(file, folder / "workspace", arguments.code.resolve()), indent=1))


def make_base(folder: Path, shape: dict[str, int]) -> None:
    """Write a Llama of random bfloat16 weights with SmolLM2's tokenizer; a small vocabulary's: with a miniature's.

    A miniature's tokenizer makes three tokens of what a real one makes one of, and every stage reads them all.
    """
    import torch
    import transformers

    from trainer import base_tokenizer
    from trainer.bases.miniature_tokenizers import miniature_tokenizer

    small = shape["vocab_size"] < 10_000
    tokenizer = miniature_tokenizer("llama") if small else base_tokenizer("smollm2-135m-instruct")
    ends = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad")}
    config = transformers.LlamaConfig(**shape, **ends, rope_theta=500000.0, tie_word_embeddings=True)
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    with torch.no_grad():
        rows = model.get_input_embeddings().weight
        rows[len(tokenizer) :] = 0
        rows[tokenizer.all_special_ids] *= 0.01  # seldom answered; of a zero first token no gradient is finite
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def measured(file: Path, workspace: Path, code: Path, of: Mapping[str, str] = STAGES) -> dict[str, Any]:
    """Run the experiment by the code in a folder; seconds, peak memory, seconds of each stage, and all scores.

    of: the stage by how a line of progress begins.
    """
    cache = workspace.with_name("cache")
    for made in (workspace, cache):
        shutil.rmtree(made, ignore_errors=True)
    environment = {**os.environ, "BAKEOFF_WORKSPACE": str(workspace), "BAKEOFF_CACHE": str(cache)}
    command = [sys.executable, "-m", "bakeoff"]
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    running = subprocess.Popen(
        [*command, "run", str(file)], cwd=code, env=environment, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    memory = Memory(running.pid)
    memory.start()
    starts: dict[str, float] = {}
    assert running.stderr is not None
    for line in running.stderr:
        print(line, end="", file=sys.stderr, flush=True)
        stage = of.get(line.split()[0].rstrip(":") if line.split() else "")
        if stage and stage not in starts:
            starts[stage] = time.monotonic() - began
    status, seconds = running.wait(), time.monotonic() - began
    memory.join()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    ends = [*list(starts.values())[1:], seconds]
    scores = subprocess.run(
        [*command, "scores", "--json"], cwd=code, env=environment, capture_output=True, text=True, check=False
    )
    return {
        "status": status,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime, 1),
        "peak_gb": round(memory.peak / 1e9, 2),
        "stages": {stage: round(end - start, 1) for (stage, start), end in zip(starts.items(), ends, strict=True)},
        "scores": [
            {key: row[key] for key in ("model", "benchmark", "metric", "value")} for row in json.loads(scores.stdout)
        ],
    }


class Memory(threading.Thread):
    """Samples a process and all its descendants while it runs."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._root = psutil.Process(pid)
        self.peak = 0

    def run(self) -> None:
        """Until the process has ended."""
        while self._root.is_running() and self._root.status() != psutil.STATUS_ZOMBIE:
            try:
                tree = [self._root, *self._root.children(recursive=True)]
            except psutil.Error:
                return
            self.peak = max(self.peak, sum(map(_pss, tree)))
            time.sleep(0.5)


def _pss(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0


if __name__ == "__main__":
    main()
