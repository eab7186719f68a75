"""`bakeoff decide`: which model to ship."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from bakeoff.options import JsonOption, WorkspaceOption


def decide(
    max_ttft_p90: Annotated[float | None, typer.Option(help="Seconds to the first token, 90th percentile.")] = None,
    min_tokens_per_second: Annotated[float | None, typer.Option(help="Median speed of one answer.")] = None,
    max_ram: Annotated[float | None, typer.Option(help="Peak memory while answering, GB of 10^9 bytes.")] = None,
    max_size: Annotated[float | None, typer.Option(help="Size of the files that ship, GB of 10^9 bytes.")] = None,
    machine: Annotated[
        str | None, typer.Option(help="Machine whose latencies count. Default: the one with the most measurements.")
    ] = None,
    benchmark: Annotated[str | None, typer.Option(help="humaneval or heldout. Default: HumanEval if measured.")] = None,
    study: Annotated[str | None, typer.Option(help="Judge a published study's counts instead, e.g. B.")] = None,
    freeze: Annotated[str | None, typer.Option(help="Store the decision as a record under this name.")] = None,
    recheck: Annotated[str | None, typer.Option(help="Check a frozen decision (id or name) against today.")] = None,
    json_: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Choose the model to ship: limits, then quality, then cost, with every reason.

    bakeoff decide --max-ttft-p90 2 --max-size 0.5 --freeze first-release
    """
    import results

    limits = results.Limits(
        max_ttft_p90, min_tokens_per_second, max_ram and max_ram * 1e9, max_size and max_size * 1e9
    )  # fmt: skip
    with results.Workspace.open(workspace).store() as store:
        found: results.Decision | results.Recheck
        if recheck:
            found = results.recheck(results.find_record(store, recheck), store)
        elif study:
            found = results.decide_published(store, study)
        else:
            found = results.decide(store, limits, machine, benchmark)
        if freeze and isinstance(found, results.Decision):
            typer.echo(f"frozen as {results.freeze(found, store, freeze).id}", err=True)
    if json_:
        print(json.dumps(found.as_json()))
    else:
        print(results.decision_markdown(found) if isinstance(found, results.Decision) else found.markdown())
