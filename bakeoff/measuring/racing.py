"""What `bakeoff evaluate --until-decided` says while a race runs: a line a look, or with --json an event a line."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

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
    for line in lines(look):
        print(f"bakeoff: {line}", file=sys.stderr, flush=True)


def lines(look: Look) -> list[str]:
    """What is said of a look."""
    from results import departure_text, end_text, standing_text

    names, models = look.names, len(look.names)
    said = [departure_text(one, names, models) for one in look.departed]
    if look.standing.over:
        answers = f"{look.answers:,} answers of {models * look.terms.most:,}"
        brought = f", {look.brought:,} of them known from other measurements" if look.brought else ""
        return [*said, f"{end_text(look.standing, names, look.terms)}; {answers}{brought}"]
    left = f"; at most {_time(look.seconds_left)} left" if look.seconds_left is not None else ""
    return [*said, standing_text(look.standing, names, look.terms) + left]


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def event(look: Look) -> None:
    """One JSON object on stdout: the look's fields, and the sentences that they make."""
    found = dataclasses.asdict(look)
    kind = "decided" if look.standing.over else "look"
    print(json.dumps({"event": kind, **found, "said": lines(look)}, default=str), flush=True)


def scores_event(rows: Sequence[Mapping[str, Any]]) -> None:
    """The last event: the scores, as without a race."""
    print(json.dumps({"event": "scores", "scores": list(rows)}, default=str), flush=True)
