"""What `bakeoff evaluate --until-decided` says while a race runs: a line a look, or with --json an event a line."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bakeoff.experiment.racing import race_lines

if TYPE_CHECKING:
    from evaluator import Look, QuestionSet, Until
    from results import Evaluation, Model, Progress, Store, Workspace


def until_of(until_decided: bool, margin: float | None, budget: int | None, rescore: bool) -> Until | None:
    """What the options say of a race; None where there is none. Raises: ModelUnmeasurable for what does not fit."""
    import evaluator
    from results import MARGIN

    if not until_decided:
        if margin is not None or budget is not None:
            raise evaluator.ModelUnmeasurable("--margin and --budget say when a race is decided: add --until-decided")
        return None
    if rescore:
        raise evaluator.ModelUnmeasurable("--rescore asks no model, so there is no race: leave --until-decided out")
    return evaluator.Until(MARGIN if margin is None else margin, budget)


def raced(
    models: Sequence[Model],
    test: QuestionSet | str,
    places: tuple[Store, Workspace],
    settings: Mapping[str, Any],
    until: Until,
    progress: Progress,
    as_json: bool,
) -> list[Evaluation]:
    """Race the models over a question set, or over a benchmark of programs by its name, and say how it goes."""
    import evaluator

    store, workspace = places
    if isinstance(test, str):
        if test in ("heldout", "stopping"):
            raise evaluator.ModelUnmeasurable(
                f"{test} is measured in one pass and not raced: leave --until-decided out"
            )
        kept = {key: value for key, value in settings.items() if key not in ("choices", "skip_bad")}
        kept |= {"max_tokens": settings["max_tokens"] or 512, "benchmark": test}
        asked: Any = evaluator.program_test(kept, progress)
    else:
        asked = evaluator.question_test(test, store, settings)
    return evaluator.race(models, asked, store, workspace, until, progress, event if as_json else told)


def told(look: Look) -> None:
    """Lines on stderr: who left, how it stands, and how it ended."""
    for line in race_lines(look):
        print(f"bakeoff: {line}", file=sys.stderr, flush=True)


def event(look: Look) -> None:
    """One JSON object on stdout: the look's fields, and the sentences that they make."""
    found = dataclasses.asdict(look)
    kind = "decided" if look.standing.over else "look"
    print(json.dumps({"event": kind, **found, "said": race_lines(look)}, default=str), flush=True)


def scores_event(rows: Sequence[Mapping[str, Any]]) -> None:
    """The last event: the scores, as without a race."""
    print(json.dumps({"event": "scores", "scores": list(rows)}, default=str), flush=True)
