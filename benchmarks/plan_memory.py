"""Peak bytes of a GPU that TRL's trainer takes, against what `bakeoff plan` says: a random 276M shape, two steps.

Each setting in a process of its own. Without a GPU, on the stand-in of `tests/stand_in_gpu`, which counts bytes as they
are; its attention keeps tables of all pairs of a row's tokens, which a GPU's kernels do not.

    python benchmarks/plan_memory.py
    PYTHONPATH=$PWD/tests/stand_in_gpu BAKEOFF_STAND_IN_GPU=a100 python benchmarks/plan_memory.py   # some ten minutes
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

SHAPE = ("llama", 16, 1024, 4096, 16, 4, 64, 32000)
"""As `trainer.bases.registry.Shape` has it: layers, hidden, intermediate, heads, groups, head, vocabulary."""

SETTINGS = (
    {"batch_size": 2, "tokens": 512},
    {"batch_size": 2, "tokens": 512, "recomputed": True},
    {"batch_size": 2, "tokens": 512, "quantization": "nf4"},
    {"batch_size": 2, "tokens": 512, "quantization": "nf4", "recomputed": True},
    {"batch_size": 4, "tokens": 128, "ragged": True},
    {"batch_size": 1, "tokens": 128, "method": "full"},
)
"""Rows are of one length, unless ragged: then padded, for which transformers repeats keys and values."""


def main() -> None:
    """Run every setting and print said, taken and their ratio as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(measure(Path(folder), **json.loads(arguments.worker))), flush=True)
        return
    for setting in SETTINGS:
        command = [sys.executable, __file__, "--worker", json.dumps(setting)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        print(
            done.stdout.splitlines()[-1] if not done.returncode else json.dumps({**setting, "failed": True}), flush=True
        )


def measure(
    folder: Path,
    batch_size: int,
    tokens: int,
    quantization: str = "none",
    method: str = "lora",
    recomputed: bool = False,
    ragged: bool = False,
) -> dict[str, Any]:
    """Two steps of one setting; bytes from just before them to their peak."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    from engines import this_device, this_gpus
    from trainer.bases.miniature_tokenizers import miniature_tokenizer
    from trainer.bases.registry import Shape
    from trainer.experiment.schema import Lora, Training
    from trainer.planning.estimates import memory

    here, [place, *_] = this_device(), this_gpus()
    model = _model(folder, here, quantization)
    if method == "full":
        model.float().requires_grad_(True)
    lengths = [tokens - (row % batch_size) * (tokens // 8) if ragged else tokens for row in range(2 * batch_size)]
    rows = [
        {"input_ids": [5] * length, "labels": [-100] * (length // 2) + [5] * (length - length // 2)}
        for length in lengths
    ]
    arguments = SFTConfig(
        output_dir=str(folder / "out"), max_steps=2, per_device_train_batch_size=batch_size, max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True}, remove_unused_columns=False, report_to="none",
        save_strategy="no", disable_tqdm=True, activation_checkpointing=recomputed,
        bf16=here.dtype == "bfloat16", fp16=here.dtype == "float16",
    )  # fmt: skip
    lora = LoraConfig(r=16, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
    trl = SFTTrainer(
        model=model, args=arguments, train_dataset=Dataset.from_list(rows),
        processing_class=miniature_tokenizer("llama"), peft_config=None if method == "full" else lora,
    )  # fmt: skip
    for weight in trl.model.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()  # as `trainer.trl_loop.trainer` has them
    torch.cuda.reset_peak_memory_stats(here.name)
    trl.train()
    peak = torch.cuda.max_memory_allocated(here.name)
    training = Training(batch_size=batch_size, quantization=quantization, gradient_checkpointing=recomputed)
    said = memory(Shape(*SHAPE), training, Lora(method=method), tokens, 1, place)
    counted = said.total - said.overhead  # CUDA's own bytes are in no allocator's count
    setting = {"batch_size": batch_size, "tokens": tokens, "quantization": quantization, "method": method}
    return {
        **setting, "recomputed": recomputed, "ragged": ragged, "said_mb": round(counted / 1e6),
        "peak_mb": round(peak / 1e6), "ratio": round(counted / peak, 2),
    }  # fmt: skip


def _model(folder: Path, here: Any, quantization: str) -> Any:
    import torch
    import transformers

    _, layers, hidden, intermediate, heads, groups, head, vocabulary = SHAPE
    config = transformers.LlamaConfig(
        num_hidden_layers=layers, hidden_size=hidden, intermediate_size=intermediate, num_attention_heads=heads,
        num_key_value_heads=groups, head_dim=head, vocab_size=vocabulary, tie_word_embeddings=True,
    )  # fmt: skip
    dtype = getattr(torch, here.dtype)
    packed = transformers.BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )
    transformers.AutoModelForCausalLM.from_config(config, dtype=dtype).save_pretrained(folder)
    more = {"quantization_config": packed} if quantization == "nf4" else {}
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, device_map={"": here.name}, **more)
    model.requires_grad_(False)
    model.config.use_cache = False
    return model


if __name__ == "__main__":
    main()
