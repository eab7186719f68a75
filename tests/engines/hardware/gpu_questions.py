"""What an engine on a stand-in GPU is asked by test_on_gpu.py, in a process of its own: prints its answers as JSON.

Arguments: the base's folder, a folder of adapters, the torch dtype or auto, the decoder, bytes left free beside the
weights (0: all that there are).
"""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path
from typing import Any

import torch

from engines import HuggingFaceEngine, Request, Sampling

PROMPTS = ("def add(a, b):", "The sky is", "x", "Once upon a time there was", "List the planets: Mercury, Venus,")


def told(base: Path, adapters: Path, dtype: str, decoder: str, left: int = 0) -> dict[str, Any]:
    """Everything that the tests look at; on a machine without a GPU the CPU's own answers."""
    paths = {path.name: path for path in sorted(adapters.iterdir())}
    engine = HuggingFaceEngine(base, paths, dtype=None if dtype == "auto" else getattr(torch, dtype), decoder=decoder)
    found: dict[str, Any] = {}
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        found["loaded_bytes"] = torch.cuda.memory_allocated()
    weights = list(engine.model.parameters()) + list(engine.model.buffers())
    weights += [layer.weight for layer in engine.layers.values() if layer.weight is not None]
    banks = [part for layer in engine.layers.values() for part in layer.bank.values()]
    parts = [part.down for part in banks] + [part.up for part in banks]
    parts += [gain for layer in engine.layers.values() for gain in layer.gains.values()]
    found["devices"] = sorted({one.device.type for one in [*weights, *parts]})
    found["adapter_dtypes"] = sorted({str(one.dtype) for one in parts})
    names = ["", *paths]
    found["logits"] = engine.mixed_logits(PROMPTS[0], names).tolist()
    found["base_alone"] = engine.mixed_logits(PROMPTS[0], ["", ""])[0].tolist()
    taken = torch.empty(torch.cuda.mem_get_info()[0] - left, dtype=torch.uint8, device="cuda") if left else None
    ids = [engine.encode(prompt) for prompt in PROMPTS]
    greedy = [Request(one, Sampling(max_tokens=9), name) for one in ids * 4 for name in names]
    # Asked apart: the last bits of a row's logits follow its batch, and a draw may stand at an edge.
    drawn = [Request(one, Sampling(9, 1.0, 0.9, seed=place), names[-1]) for place, one in enumerate(ids)]
    for name, asked in (("greedy", greedy), ("drawn", drawn)):
        answers = dict(engine.answers(asked))
        found[name] = [[list(answers[i].ids), answers[i].near_tie] for i in range(len(asked))]
    found["losses"] = [
        one.tolist() for name in names for one in engine.token_losses([engine.encode(p) for p in PROMPTS], name)
    ]
    found["details"] = engine.details()
    if torch.cuda.is_available():
        found["peak_bytes"] = torch.cuda.max_memory_allocated()
        engine.close()
        del engine, weights, banks, parts, taken
        gc.collect()
        found["left_bytes"] = torch.cuda.memory_allocated()
    return found


if __name__ == "__main__":
    base, adapters, dtype, decoder, left = sys.argv[1:]
    print(json.dumps(told(Path(base), Path(adapters), dtype, decoder, int(left))))
