"""A store as large as a published page is meant for: ten models, 164 tasks with their answers, curves, latencies."""

from __future__ import annotations

import random
from pathlib import Path

from results import Workspace
from results.analysis.statistics import wilson_interval
from results.records import Score
from tests.dashboard import stores

TASKS = 164
PROSE = "Each number is compared with every other; if two of them are closer than the threshold, the answer is yes. "


def ten(folder: Path) -> Workspace:
    """Nine fine-tunes and their base, by HumanEval, held-out loss and latency."""
    workspace = Workspace(folder)
    with workspace.store() as store:
        store.machines.add(stores.LAPTOP)
        models = [stores.model("tiny-base", "base", None, 270_000_000)]
        for at in range(9):
            made = stores.run(f"tuned-{at}", 2 ** (at % 4 + 2), at, at)
            stores.write_run(store, made, steps=60, spike=31 if at == 1 else None)
            form = "gguf-q8_0" if at % 2 else "lora-gguf"
            models.append(stores.model(f"tuned-{at}", form, made.id, 272_000_000 + at * 10**6))
        hard = [random.Random(task).random() for task in range(TASKS)]
        for at, one in enumerate(models):
            store.models.add(one)
            rng, rows = random.Random(one.name), []
            for task in range(TASKS):
                passed = 0.25 + 0.06 * at + rng.gauss(0, 0.12) > hard[task]
                verdict = "passed" if passed else rng.choice(["wrong", "wrong", "syntax_error", "timed_out"])
                answer = f"{stores.ANSWERS.get(verdict, 'pass')}\n{PROSE * rng.randrange(1, 8)}"
                rows.append(stores.humaneval_outcome(task, verdict, answer))
            begun = store.evaluations.begin(
                stores.evaluation(one, "humaneval", stores.LAPTOP, {"max_tokens": 512, "engine": "llamacpp"})
            )
            store.evaluations.add_outcomes(begun.id, rows)
            passes = sum(row.verdict == "passed" for row in rows)
            store.evaluations.finish(
                begun.id, [Score("pass@1", passes / TASKS, *wilson_interval(passes, TASKS), TASKS)], {}
            )
            stores.write_heldout(store, one, 1.2 - at * 0.03)
            stores.write_latency(store, one, 60 + 7 * (at % 5), stores.LAPTOP)
    return workspace
