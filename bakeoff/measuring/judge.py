"""`bakeoff judge`: let a language model compare the stored answers of two models."""

from __future__ import annotations

from typing import Annotated

import typer

from bakeoff.options import JsonOption, WorkspaceOption


def judge(
    model_a: Annotated[str, typer.Argument(help="Name or id.")],
    model_b: Annotated[str, typer.Argument(help="Name or id.")],
    url: Annotated[str, typer.Option(help="OpenAI-compatible endpoint, ending in /v1.")],
    name: Annotated[str, typer.Option(help="The judge's name at the endpoint; its votes carry it.")],
    benchmark: Annotated[
        str, typer.Option(help="Benchmark whose stored answers are judged: stopping or humaneval.")
    ] = "stopping",
    workspace: WorkspaceOption = None,
    json_: JsonOption = False,
) -> None:
    """Ask a judging model which of two models answered better, twice each, positions swapped; its key: OPENAI_API_KEY.

    A preference that does not survive the swap is a tie. Votes of judges are never pooled with people's.

    Example: bakeoff judge demo-rank8 demo-rank32 --url http://127.0.0.1:11434/v1 --name qwen3:8b
    """
    import evaluator
    from bakeoff.listing import output, show
    from bakeoff.progress import drawn
    from engines import open_engine
    from results import Model, Workspace

    place = Workspace.open(workspace)
    with place.store() as store, drawn() as progress:
        engine = open_engine(Model(name, name, "remote", "", "", 0, url), place)
        try:
            a, b = store.models.find(model_a), store.models.find(model_b)
            votes = evaluator.judge_answers(engine, name, a, b, benchmark, store, progress)
        finally:
            engine.close()
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
    engines = next((one.details["engines"] for one in votes if "engines" in one.details), None)
    if engines and not json_:
        output().print(f"The answers came through different engines: {engines[0]} and {engines[1]}.", markup=False)
