"""`bakeoff latency`: how fast the files that ship answer on this machine."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bakeoff.options import JsonOption, WorkspaceOption

if TYPE_CHECKING:
    from results import Model, Store


def latency(
    model: Annotated[
        list[str] | None, typer.Option(help="Name or id; repeat the option for more. Default: all GGUF models.")
    ] = None,
    repetitions: Annotated[int, typer.Option(help="Timed requests per prompt.")] = 5,
    tokens: Annotated[int, typer.Option(help="Tokens per answer.")] = 24,
    prompt: Annotated[list[str] | None, typer.Option(help="short, medium, long; pythagoras, sky, life.")] = None,
    like: Annotated[
        str,
        typer.Option(help="A file of your own questions: a usual and a long one of them are timed, answered in full."),
    ] = "",
    natural_tokens: Annotated[int, typer.Option(help="Tokens of an answer in full at most.")] = 256,
    seconds: Annotated[float, typer.Option(help="Start no further round of requests after so many seconds.")] = 60.0,
    concurrency: Annotated[int, typer.Option(help="Concurrent requests to one model.")] = 1,
    threads: Annotated[int, typer.Option(help="0: found by calibration.")] = 0,
    workspace: WorkspaceOption = None,
    json_: JsonOption = False,
) -> None:
    """Measure first token, time per token, cold start and memory of GGUF models, side by side.

    Examples: bakeoff latency --model demo-rank8@lora --model smollm2-135m-instruct --repetitions 20 ·
    bakeoff latency --model demo-rank8 --like mine.csv
    """
    import evaluator
    from bakeoff.experiment.measurements import is_gguf
    from bakeoff.experiment.summary import say
    from bakeoff.listing import show
    from bakeoff.progress import drawn
    from bakeoff.writing import writable

    place = writable(workspace)
    store = place.store()
    chosen = [_served(name, store) for name in model or ()] or [
        one for one in store.models.list() if not one.archived and one.path and is_gguf(one)
    ]
    settings = {
        "repetitions": repetitions,
        "tokens": tokens,
        "concurrency": concurrency,
        "threads": threads,
        "seconds": seconds,
        "natural_tokens": natural_tokens,
        "prompts": prompt or ([] if like else ["short", "medium"]),
    }
    if like:
        own = _own_prompts(like, store)
        settings |= {"own": own, "prompts": [*(prompt or []), *own]}
    with drawn() as progress:
        found = evaluator.evaluate_latency(chosen, store, place, settings, progress)
    for line in evaluator.of_other_files(found, store, place):
        say(line)
    names = {one.id: one.name for one in store.models.list()}
    rows = [
        {"model": names[one.model_id], "machine": one.machine_id, "settings": one.settings, **dataclasses.asdict(score)}
        for one in found
        for score in one.scores
    ]
    columns = {name: name for name in ("model", "metric", "value", "low", "high", "n", "machine")}
    show(rows, columns, as_json=json_, empty="No GGUF models yet. Make one: bakeoff export MODEL --form gguf-q8_0")


def _served(name: str, store: Store) -> Model:
    """The model of a name, or where that is no GGUF file, the format of it that ships and is one."""
    from bakeoff.experiment.measurements import is_gguf

    found = store.models.find(name)
    return found if is_gguf(found) else next((one for one in store.models.formats(name) if is_gguf(one)), found)


def _own_prompts(like: str, store: Store) -> dict[str, Any]:
    """Prompts of the lengths that a file of questions has. Raises: BakeoffError for what is no such file."""
    import evaluator
    from results import BakeoffError

    questions = evaluator.question_set(like, None, store)
    if questions is None:
        raise BakeoffError(
            f"--like {like}: there is no such file of questions, nor a test that was measured by that name"
        )
    return dict(evaluator.prompts_like(questions, evaluator.question_settings(None)))
