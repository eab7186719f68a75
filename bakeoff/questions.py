"""The question of a decision as several verbs take it from the command line: its options, and what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import results

GB = 1e9

ModelsArgument = Annotated[
    list[str] | None, typer.Argument(help="Ask about these alone: names of models, or of fine-tunes.")
]
ExperimentOption = Annotated[
    str | None, typer.Option(help="Ask about its models. Default: the newest that was measured; '*': all models.")
]
TagOption = Annotated[str | None, typer.Option(help="Ask about the models of runs with this tag.")]
ByOption = Annotated[
    str | None, typer.Option("--by", "--benchmark", help="The test that decides. Default: own tests, then HumanEval.")
]
ThenOption = Annotated[list[str] | None, typer.Option(help="A test that breaks a tie; again for the next.")]
MarginOption = Annotated[
    float | None, typer.Option(min=0.001, max=0.5, help="The smallest difference that matters. Default: 0.03.")
]
FirstTokenOption = Annotated[float | None, typer.Option(help="Seconds to the first token, 90th percentile.")]
SpeedOption = Annotated[float | None, typer.Option(help="Median speed of one answer.")]
MemoryOption = Annotated[float | None, typer.Option(help="Peak memory while answering, GB of 10^9 bytes.")]
SizeOption = Annotated[float | None, typer.Option(help="Size of the files that ship, GB of 10^9 bytes.")]
MachineOption = Annotated[
    str | None, typer.Option(help="Machine whose latencies count. Default: the one with the most measurements.")
]
StudyOption = Annotated[str | None, typer.Option(help="Judge a published study's counts instead, e.g. B.")]


def limits(first_token: float | None, speed: float | None, memory: float | None, size: float | None) -> results.Limits:
    """Limits in the store's units: seconds, tokens a second, bytes. memory, size: in GB."""
    import results

    return results.Limits(first_token, speed, memory and memory * GB, size and size * GB)


def question(
    store: results.Store,
    models: Sequence[str] | None,
    about: tuple[str | None, str | None],
    measures: tuple[str | None, Sequence[str] | None],
    bounds: results.Limits,
    margin: float | None,
    machine: str | None,
) -> results.Question:
    """The question that the options ask. about: experiment and tag. measures: what decides, then what breaks ties.

    Raises: BakeoffError for a model that is not there or a test that nobody was measured by.
    """
    import results

    by, then = measures
    experiment, tag = about
    ids, tests = _ids(store, models or ()), _measures(store, by, then or ())
    return results.Question(experiment or "", tag or "", ids, tests, bounds, margin, machine)


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
