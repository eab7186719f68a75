"""`bakeoff decide`: which model to ship."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from bakeoff.options import JsonOption, WorkspaceOption

if TYPE_CHECKING:
    import results

GB = 1e9


def decide(
    models: Annotated[
        list[str] | None, typer.Argument(help="Ask about these alone: names of models, or of fine-tunes.")
    ] = None,
    experiment: Annotated[
        str | None, typer.Option(help="Ask about its models. Default: the newest that was measured; '*': all models.")
    ] = None,
    tag: Annotated[str | None, typer.Option(help="Ask about the models of runs with this tag.")] = None,
    by: Annotated[
        str | None,
        typer.Option("--by", "--benchmark", help="The test that decides. Default: own tests, then HumanEval."),
    ] = None,
    then: Annotated[list[str] | None, typer.Option(help="A test that breaks a tie; again for the next.")] = None,
    margin: Annotated[
        float | None, typer.Option(min=0.001, max=0.5, help="The smallest difference that matters. Default: 0.03.")
    ] = None,
    max_ttft_p90: Annotated[float | None, typer.Option(help="Seconds to the first token, 90th percentile.")] = None,
    min_tokens_per_second: Annotated[float | None, typer.Option(help="Median speed of one answer.")] = None,
    max_ram: Annotated[float | None, typer.Option(help="Peak memory while answering, GB of 10^9 bytes.")] = None,
    max_size: Annotated[float | None, typer.Option(help="Size of the files that ship, GB of 10^9 bytes.")] = None,
    machine: Annotated[
        str | None, typer.Option(help="Machine whose latencies count. Default: the one with the most measurements.")
    ] = None,
    study: Annotated[str | None, typer.Option(help="Judge a published study's counts instead, e.g. B.")] = None,
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

    with results.Workspace.open(workspace).store() as store:
        found: results.Decision | results.Recheck
        if recheck:
            found = results.recheck(results.find_record(store, recheck), store)
        elif study:
            found = results.decide_published(store, study, results.MARGIN if margin is None else margin)
        else:
            measures, memory, size = (
                _measures(store, by, then or ()),
                max_ram and max_ram * GB,
                max_size and max_size * GB,
            )
            limits = results.Limits(max_ttft_p90, min_tokens_per_second, memory, size)
            ids = _ids(store, models or ())
            found = results.decide(
                store, results.Question(experiment or "", tag or "", ids, measures, limits, margin, machine)
            )
        if freeze and isinstance(found, results.Decision):
            typer.echo(f"frozen as {results.freeze(found, store, freeze).id}", err=True)
    shown = results.decision_markdown(found) if isinstance(found, results.Decision) else found.markdown()
    print(json.dumps(found.as_json()) if json_ else shown)


def _ids(store: results.Store, names: Sequence[str]) -> tuple[str, ...]:
    """Ids of the models that names mean: of a fine-tune, its formats that were measured, or the one that would ship."""
    measured = {one.model_id for one in store.evaluations.list() if one.status == "finished"}
    found: dict[str, None] = {}
    for name in names:
        formats = store.models.formats(name)
        for model in [one for one in formats if one.id in measured] or formats[:1]:
            found[model.id] = None
    return tuple(found)


def _measures(store: results.Store, by: str | None, then: Sequence[str]) -> tuple[str, ...]:
    """The benchmarks of a question. Raises: BakeoffError for one that nobody was measured by, naming what there is."""
    from results.errors import BakeoffError

    if then and by is None:
        raise BakeoffError("--then names the test that breaks ties of another: name that one with --by.")
    named = (*([by] if by else []), *then)
    known = sorted({one.benchmark for one in store.evaluations.list() if one.status == "finished"})
    for one in named:
        if one not in known:
            listed = ", ".join(known) or "none yet"
            raise BakeoffError(f"Nothing was measured by {one!r}. Measured were: {listed}. Measure: bakeoff evaluate")
    return named
