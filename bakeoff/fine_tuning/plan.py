"""`bakeoff plan FILE`: what an experiment would do and cost, before anything is spent."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from bakeoff.options import JsonOption, WorkspaceOption

CHARACTERS_A_TOKEN = 4.0
"""What a token of code or English prose has, about."""


def plan(
    experiment_file: Annotated[Path, typer.Argument(metavar="FILE", help="An experiment file (YAML).")],
    json_: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Print an experiment's runs, rows and tokens after filtering, memory, time and warnings. Exit 1 if it cannot run.

    Places: this machine's CPU and GPUs, and a T4, an RTX 4090 and an A100.

    Example: bakeoff plan experiments/demo.yaml
    """
    import trainer
    from bakeoff import progress
    from bakeoff.experiment.elsewhere import foreseen
    from bakeoff.experiment.foretelling import Others, Whole, foretold
    from bakeoff.experiment.lm_eval_tests import TaskTest
    from bakeoff.experiment.own_tests import OwnTest, check_tests, latency_words, own_tests
    from bakeoff.experiment.pipeline import without_sandbox
    from bakeoff.fine_tuning.plan_text import models_text, plan_text
    from results import BakeoffError, Workspace

    experiment = trainer.load_experiment(experiment_file)
    place = Workspace.open(workspace)
    with progress.drawn() as report, place.passing_store() as store:
        found = trainer.plan(experiment, place, report)
        others = foreseen(experiment, store, place, report)
        stale = trainer.changed_since(experiment, store, place) if experiment.bases else ""
        asked = bool(others.standing and experiment.data.sources and experiment.evaluate.heldout is not None)
        tokens = _tokens(trainer.validation_rows(experiment, place)) if asked else 0.0
    found = dataclasses.replace(found, problems=(*found.problems, *others.problems, *filter(None, [stale])))
    wholes, tests, timed = tuple[Whole, ...](), list[OwnTest | TaskTest](), list[str]()
    try:
        check_tests(experiment.evaluate, bool(experiment.data.sources))
        tests, timed = own_tests(experiment, place), latency_words(experiment.evaluate.latency)
        there, some = Others(others.standing, tokens), found.groups or others.standing
        wholes = foretold(experiment.evaluate, found, others=there, tests=tests) if some else ()
    except BakeoffError as error:
        found = dataclasses.replace(found, problems=(*found.problems, str(error)))
    if unscored := without_sandbox(experiment):
        found = dataclasses.replace(found, warnings=(*found.warnings, unscored))
    said = [*(test.told(experiment.evaluate.until_decided) for test in tests), *timed]
    if experiment.evaluate.until_decided:
        said.append("until decided: times and answers are the most that a race can come to")
    if json_:
        time = [dataclasses.asdict(whole) for whole in wholes]
        print(json.dumps({**dataclasses.asdict(found), "models": others.lines, "tests": said, "time": time}, indent=2))
    else:
        print(plan_text(found, wholes, models_text(others, experiment), said))
    if found.problems:
        sys.exit(1)


def _tokens(rows: Sequence[Any]) -> float:
    """About how many tokens held-out conversations have, whoever counts them."""
    return sum(len(str(turn["content"])) for row in rows for turn in row.messages) / CHARACTERS_A_TOKEN
