"""Weights quantized and read back: by llama.cpp's functions (`engines.gguf_format.quantization`), and by the peer.

The peer is the official `gguf` package's NumPy. Both convert the same rows in turn, in one thread, timed by the
processor's clock, so that other work on the machine counts little. Gate: the numbers that come out are equal.

    PYTHONPATH=. python benchmarks/quantization.py --rounds 5
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import gguf
import numpy as np
from gguf.quants import dequantize, quantize

from engines.gguf_format.quantization import dequantized, quantized
from results import this_machine

ROWS, WIDTH = 4096, 2048
WRITTEN = ("Q8_0", "Q4_0")
READ = ("Q8_0", "Q4_0", "Q4_K", "Q6_K")


def main() -> None:
    """Print weights a second of both, their ratio in each round, and the machine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    rows = np.random.default_rng(0).standard_normal((ROWS, WIDTH), np.float32) * np.float32(0.02)
    found = {}
    for kind in WRITTEN:
        type_ = gguf.GGMLQuantizationType[kind]
        ours, peer = quantized(rows, kind), quantize(rows, type_)
        assert np.array_equal(dequantize(ours, type_), dequantize(peer, type_)), f"{kind}: other numbers are written"
        found[f"write {kind}"] = compared(lambda k=kind: quantized(rows, k), lambda t=type_: quantize(rows, t), rounds)
    for kind in READ:
        type_ = gguf.GGMLQuantizationType[kind]
        width = WIDTH // gguf.GGML_QUANT_SIZES[type_][0] * gguf.GGML_QUANT_SIZES[type_][1]
        stored = np.random.default_rng(1).integers(0, 60, (ROWS, width), dtype=np.uint8)  # scales stay finite
        assert np.array_equal(dequantized(stored, int(type_)), dequantize(stored, type_)), f"{kind}: others are read"
        found[f"read {kind}"] = compared(
            lambda s=stored, t=type_: dequantized(s, int(t)), lambda s=stored, t=type_: dequantize(s, t), rounds
        )
    machine = this_machine()
    print(json.dumps({"cpu": machine.cpu, "isa": list(machine.isa), "rounds": rounds, "figures": found}, indent=1))


def compared(ours: Callable[[], Any], peer: Callable[[], Any], rounds: int) -> dict[str, Any]:
    """Million weights a second of the processor's time, medians, and the ratio of each round."""
    seconds = [(timed(ours), timed(peer)) for _ in range(rounds)]
    speeds = [ROWS * WIDTH / 1e6 / statistics.median(side) for side in zip(*seconds, strict=True)]
    return {
        "ours": round(speeds[0]), "peer": round(speeds[1]),
        "ratios": sorted(round(theirs / own, 2) for own, theirs in seconds),
    }  # fmt: skip


def timed(function: Callable[[], Any]) -> float:
    """Processor seconds of one call."""
    began = time.process_time()
    function()
    return time.process_time() - began


if __name__ == "__main__":
    main()
