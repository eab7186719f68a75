"""`bakeoff judge`: let a language model compare the stored answers of two models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from bakeoff.options import JsonOption, WorkspaceOption

if TYPE_CHECKING:
    from results import Model, Vote


def judge(
    model_a: Annotated[str, typer.Argument(help="Name or id.")],
    model_b: Annotated[str, typer.Argument(help="Name or id.")],
    name: Annotated[str, typer.Option(help="The judge: a model of the store, or with --url its name there.")],
    url: Annotated[str, typer.Option(help="OpenAI-compatible endpoint, ending in /v1.")] = "",
    benchmark: Annotated[
        str, typer.Option(help="Benchmark whose stored answers are judged: stopping or humaneval.")
    ] = "stopping",
    workspace: WorkspaceOption = None,
    json_: JsonOption = False,
) -> None:
    """Ask a judging model which of two models answered better, twice each, positions swapped; its key: OPENAI_API_KEY.

    A preference that does not survive the swap is a tie. Votes of judges are never pooled with people's; how far they
    agree with people's blind votes on the same answers is said, and what these make of them.

    Examples: bakeoff judge demo-rank8 demo-rank32 --url http://127.0.0.1:11434/v1 --name qwen3:8b ·
    bakeoff judge demo-rank8 demo-rank32 --name my-judge
    """
    import evaluator
    from bakeoff.listing import output, show
    from bakeoff.progress import drawn
    from engines import open_engine
    from results import Model, Workspace

    place = Workspace.open(workspace).existing()
    with place.store() as store, drawn() as progress:
        judging = Model(name, name, "remote", "", "", 0, url) if url else store.models.find(name)
        engine = open_engine(judging, place)
        try:
            a, b = store.models.find(model_a), store.models.find(model_b)
            votes = evaluator.judge_answers(engine, judging.name, a, b, benchmark, store, progress)
        finally:
            engine.close()
        told = _calibration(store.votes.list(), judging.name, a, b)
    winners = {"a": a.name, "b": b.name}
    rows = [
        {
            "prompt": one.prompt,
            "better": winners.get(one.winner, one.winner),
            "consistent": one.details.get("consistent"),
            "engines": one.details.get("engines"),
        }
        for one in votes
    ]
    show(
        rows,
        {key: key for key in ("prompt", "better", "consistent")},
        as_json=json_,
        empty="Judged before: no new vote.",
    )
    for line in () if json_ else told:
        output().print(line, markup=False, highlight=False)
    engines = next((one.details["engines"] for one in votes if "engines" in one.details), None)
    if engines and not json_:
        output().print(f"The answers came through different engines: {engines[0]} and {engines[1]}.", markup=False)


def _calibration(votes: Sequence[Vote], judge: str, a: Model, b: Model) -> list[str]:
    """How far the judge votes as people do, and what people would prefer of all that it has compared."""
    from results import corrected_preference, percent, vote_calibration

    told = [vote_calibration(votes, judge).words]
    if (share := corrected_preference(votes, judge, a.id, b.id)) is not None:
        told.append(
            f"Corrected by people's votes: {a.name} is preferred to {b.name} in {percent(share.value)} "
            f"({percent(share.low)} to {percent(share.high)})."
        )
    return told
