"""What `bakeoff evaluate --benchmark lm-eval:gsm8k` asks, and what it says with `--dry-run`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bakeoff.measuring.question_sets import PROMPTS_SHOWN, show

if TYPE_CHECKING:
    from evaluator import HarnessSettings, Tasks
    from results import Model

FREE = {"samples": 1, "temperature": 0.0}
"""Settings of other tests that a task says itself."""


def tasks_settings(settings: Mapping[str, Any], foreign_options: bool) -> HarnessSettings:
    """How tasks are asked. foreign_options: whether options of other tests were given.

    Raises: ModelUnmeasurable for what a task of lm-eval says itself.
    """
    import evaluator

    said = [f"--{key}" for key, usual in FREE.items() if settings.get(key, usual) != usual]
    if said or foreign_options:
        named = (
            said[0] if said else "--check, --question, --answer, --choices, --skip-bad, --rescore and --until-decided"
        )
        raise evaluator.ModelUnmeasurable(
            f"A task of lm-eval says itself how it is sampled and checked: leave out {named}"
        )
    return evaluator.harness_settings({key: value for key, value in settings.items() if key not in FREE})


def show_tasks(tasks: Tasks, settings: HarnessSettings, models: Sequence[Model], as_json: bool) -> None:
    """Print the tasks, how many documents they have, and three of their requests."""
    show(description(tasks, settings, models), lines, as_json)


def description(tasks: Tasks, settings: HarnessSettings, models: Sequence[Model]) -> dict[str, Any]:
    """The same as data. Raises: BenchmarkUnreadable, ModelUnmeasurable."""
    import evaluator

    of = evaluator.asked_documents(tasks, settings)
    spread = [of.chosen[len(of.chosen) * place // PROMPTS_SHOWN] for place in range(PROMPTS_SHOWN)]
    return {
        "name": tasks.benchmark,
        "file": tasks.path,
        "tasks": {name: len(task.eval_docs) for name, task in tasks.tasks.items()},
        "versions": tasks.versions,
        "asks": tasks.kind,
        "measured": len(of.chosen),
        "prompting": settings.prompting or "raw",
        "models": [model.name for model in models],
        "requests": [
            {
                "item": one.id,
                "prompt": evaluator.request_shown(str(one.requests[0].args[0])),
                "then": [str(each.args[1]) for each in one.requests if len(each.args) > 1],
            }
            for one in {one.id: one for one in spread}.values()
        ],
    }


_ASKED = {
    "generate_until": "the model answers in text",
    "loglikelihood": "the likelihoods of continuations are read",
    "loglikelihood_rolling": "the likelihood of the whole text is read",
}


def lines(found: Mapping[str, Any]) -> list[str]:
    """The description for people."""
    tasks = ", ".join(f"{name} ({count} items, version {found['versions'][name]})"
                      for name, count in list(found["tasks"].items())[:10])  # fmt: skip
    more = f" and {len(found['tasks']) - 10} more tasks" if len(found["tasks"]) > 10 else ""
    told = [f"{found['name']}: {tasks}{more}{', out of ' + found['file'] if found['file'] else ''}"]
    told.append(f"asked: {_ASKED[found['asks']]}, {found['prompting']} prompts")
    for one in found["requests"]:
        told.append(f"\n--- item {one['item']}\n{one['prompt']}")
        told += [f"    then: {text!r}"[:500] for text in one["then"]]
    models = ", ".join(found["models"]) or "no model: name some"
    told.append(f"\nNothing was asked. To be asked {found['measured']} items: {models}")
    return told
