"""`bakeoff compare`: two models against each other, paired."""

from __future__ import annotations

import json
import re
from typing import Annotated

import typer

from bakeoff.options import JsonOption, WorkspaceOption

COUNTS = re.compile(r"(\d{1,9})/(\d{1,9})")


def compare(
    model_a: Annotated[str, typer.Argument(help="A fine-tune, a format such as demo-rank8@q4_0, or counts: 75/164.")],
    model_b: Annotated[str, typer.Argument(help="The other one.")],
    benchmark: Annotated[
        str, typer.Option(help="humaneval, heldout, or a test of your own by its name.")
    ] = "humaneval",
    machine: Annotated[
        str | None, typer.Option(help="Machine whose latencies count. Default: the one with the most measurements.")
    ] = None,
    json_: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Say whether two models can be told apart: paired table, p-value, intervals, latency ratio.

    bakeoff compare demo-rank8 demo-rank32 · bakeoff compare 75/164 73/164
    """
    from bakeoff.listing import spelt_out
    from results import (
        BakeoffError,
        Workspace,
        compare,
        comparison_markdown,
        contrast_counts,
        contrasts_by_tag,
        formats_compared,
        verdict,
    )

    counts = [COUNTS.fullmatch(one) for one in (model_a, model_b)]
    if counts[0] and counts[1]:
        try:
            found = contrast_counts(*(int(part) for match in counts if match for part in match.groups()))
        except ValueError as error:
            raise BakeoffError(f"Counts are passed/tasks, e.g. 75/164: {error}") from error
        print(json.dumps(found.as_json()) if json_ else verdict(model_a, model_b, "humaneval", found))
        return
    with Workspace.open(workspace).existing().store() as store:
        pair = formats_compared(store, model_a, model_b, benchmark)
        if pair[0] == pair[1]:
            raise BakeoffError(f"{model_a} and {model_b} are one model: name two that differ")
        comparison = compare(store, *pair, benchmark=benchmark, machine_id=machine)
        tags = contrasts_by_tag(store, *pair, benchmark)
    if json_:
        print(json.dumps({**comparison.as_json(), "tags": [one.as_json() for one in tags]}))
        return
    print(comparison_markdown(comparison))
    if tags:
        print(f"\nBy tag (Holm-adjusted over {len(tags)} tags):\n")
        print(*(f"- {spelt_out(one.sentence)}" for one in tags), sep="\n")
