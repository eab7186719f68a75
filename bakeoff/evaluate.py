"""`bakeoff evaluate`: measure models by HumanEval, held-out rows or how their answers end."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from bakeoff.options import JsonOption, WorkspaceOption

if TYPE_CHECKING:
    from results import Evaluation, Form, Model, Progress, Store, Workspace


def evaluate(
    models: Annotated[list[str] | None, typer.Argument(help="Names or ids; all models without any.")] = None,
    benchmark: Annotated[
        str, typer.Option(help="humaneval, heldout, stopping, or a JSON Lines file of HumanEval's or MBPP's shape.")
    ] = "humaneval",
    experiment: Annotated[
        Path | None, typer.Option(help="For heldout: the file whose validation rows are read.")
    ] = None,
    tasks: Annotated[int | None, typer.Option(help="So many, spread evenly. All without it.")] = None,
    prompting: Annotated[str | None, typer.Option(help="chat or raw. By default what the model is for.")] = None,
    samples: Annotated[int, typer.Option(help="Answers to each task; more than one needs --temperature.")] = 1,
    temperature: Annotated[float, typer.Option(help="0 is greedy.")] = 0.0,
    max_tokens: Annotated[int, typer.Option(help="New tokens of an answer at most.")] = 512,
    forms: Annotated[
        list[str] | None,
        typer.Option(
            help="Measure the named models in this form too, exported if need be, and say what it costs; repeat it. "
            "Without names: only models of this form."
        ),
    ] = None,
    rescore: Annotated[bool, typer.Option(help="Run the stored answers again; generate nothing.")] = False,
    workspace: WorkspaceOption = None,
    json_: JsonOption = False,
) -> None:
    """Measure models, all adapters of a base in one batch. What is measured already is not measured again.

    Examples: bakeoff evaluate demo-rank8 smollm2-135m-instruct --tasks 40 ·
    bakeoff evaluate demo-rank8 --forms gguf-q8_0 --forms gguf-q4_0
    """
    from bakeoff.listing import output, printable, show
    from bakeoff.progress import drawn
    from results import Workspace, form_costs

    place = Workspace.open(workspace)
    settings = {"tasks": tasks, "prompting": prompting, "samples": samples, "temperature": temperature}
    with place.store() as store, drawn() as progress:
        chosen = _chosen(store, place, models or [], forms or [])
        if rescore:
            found = _rescored(store, chosen, benchmark, progress)
        elif benchmark == "heldout":
            found = _heldout(store, place, chosen, experiment, progress)
        else:
            found = _measured(store, place, chosen, benchmark, settings | {"max_tokens": max_tokens}, progress)
        names = {one.id: one.name for one in store.models.list()}
        costs = {one.model: one for one in form_costs(store, benchmark, chosen)} if forms else {}
    rows = [
        {"model": names[one.model_id], "subset": one.subset, **dataclasses.asdict(score)}
        for one in found
        for score in one.scores
    ]
    for row in rows:
        cost = costs.get(row["model"])
        if cost and row["metric"] == cost.contrast.metric:
            row["form_cost"] = cost.as_json()
    columns = {name: name for name in ("model", "metric", "value", "low", "high", "n", "subset")}
    show(rows, columns, as_json=json_, empty="No models to measure. Make some: bakeoff run EXPERIMENT.yaml")
    if not json_:
        for cost in costs.values():
            output().print(printable(cost.sentence), markup=False, highlight=False)


def _chosen(store: Store, place: Workspace, names: list[str], forms: list[str]) -> list[Model]:
    """The named models and their forms; without names all that are not archived and here, or those of the forms."""
    if names:
        import engines

        named = [store.models.find(name) for name in names]
        made = [engines.export(model, cast("Form", form), place, store) for model in named for form in forms]
        return list({model.id: model for model in (*named, *made)}.values())
    here = [one for one in store.models.list() if not one.archived and one.form not in ("remote", "ggml")]
    return [model for model in here if not forms or model.form in forms]


def _measured(
    store: Store, place: Workspace, models: list[Model], benchmark: str, settings: dict[str, Any], progress: Progress
) -> list[Evaluation]:
    import evaluator

    if benchmark == "stopping":
        wanted = {"max_tokens": settings["max_tokens"]}
        return list(evaluator.evaluate_stopping(models, store, place, wanted, progress))
    return list(evaluator.evaluate_humaneval(models, store, place, settings | {"benchmark": benchmark}, progress))


def _heldout(
    store: Store, place: Workspace, models: list[Model], experiment: Path | None, progress: Progress
) -> list[Evaluation]:
    import evaluator
    import trainer
    from results import BakeoffError

    if experiment is None:
        raise BakeoffError("Whose rows are held out? Name the experiment file: --experiment FILE.yaml")
    rows = trainer.validation_rows(trainer.load_experiment(experiment), place)
    return list(evaluator.evaluate_heldout(models, rows, store, place, progress))


def _rescored(store: Store, models: list[Model], benchmark: str, progress: Progress) -> list[Evaluation]:
    import evaluator

    tasks = evaluator.load_benchmark(benchmark)
    stored = [one for model in models for one in store.evaluations.list(model_id=model.id, benchmark=benchmark)]
    return [evaluator.rescore(one.id, store, tasks, progress) for one in stored if one.status == "finished"]
