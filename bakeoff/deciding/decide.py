"""`bakeoff decide`: which model to ship."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from bakeoff import questions
from bakeoff.options import JsonOption, WorkspaceOption

if TYPE_CHECKING:
    import results


def decide(
    models: questions.ModelsArgument = None,
    experiment: questions.ExperimentOption = None,
    tag: questions.TagOption = None,
    by: questions.ByOption = None,
    then: questions.ThenOption = None,
    margin: questions.MarginOption = None,
    max_ttft_p90: questions.FirstTokenOption = None,
    min_tokens_per_second: questions.SpeedOption = None,
    max_ram: questions.MemoryOption = None,
    max_size: questions.SizeOption = None,
    machine: questions.MachineOption = None,
    study: questions.StudyOption = None,
    freeze: Annotated[str | None, typer.Option(help="Store the decision as a record under this name.")] = None,
    recheck: Annotated[str | None, typer.Option(help="Check a frozen decision (id or name) against today.")] = None,
    json_: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Choose the model to ship: limits, then quality, then cost, with every reason.

    One of three verdicts: ship one (better than each other), a tie (ship the cheaper, shown to be as good to within the
    margin), or not enough data (what to measure, and how much).

    bakeoff decide --experiment shop --by shop-tests --then heldout --max-ttft-p90 0.5 --freeze first-release
    """
    import results

    place = results.Workspace.open(workspace)
    with place.passing_store() if study else place.existing().store() as store:
        found: results.Decision | results.Recheck
        if recheck:
            found = results.recheck(results.find_record(store, recheck), store)
        elif study:
            found = results.decide_published(store, study, results.MARGIN if margin is None else margin)
        else:
            bounds = questions.limits(max_ttft_p90, min_tokens_per_second, max_ram, max_size)
            asked = questions.question(store, models, (experiment, tag), (by, then), bounds, margin, machine)
            found = results.decide(store, asked)
        if freeze and isinstance(found, results.Decision):
            typer.echo(f"frozen as {results.freeze(found, store, freeze).id}", err=True)
    shown = results.decision_markdown(found) if isinstance(found, results.Decision) else found.markdown()
    print(json.dumps(found.as_json()) if json_ else shown)
