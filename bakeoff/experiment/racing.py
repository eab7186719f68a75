"""Measuring until decided, in an experiment and on the command line: a test as a race, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evaluator import Look
    from results import Evaluation, Model
    from trainer import Experiment

Measure = Callable[[Sequence["Model"]], list["Evaluation"]]


def race_or_whole(
    test_of: Callable[[], Any],
    whole: Measure,
    experiment: Experiment,
    common: Mapping[str, Any],
    say: Callable[[str], None],
) -> Measure:
    """What measures models by a test: a race where the experiment asks for one and the test allows it, else `whole`."""
    import evaluator
    from results import MARGIN

    wanted = experiment.evaluate
    if not wanted.until_decided:
        return whole
    until = evaluator.Until(wanted.margin or experiment.decide.margin or MARGIN)

    def tell(look: Look) -> None:
        for line in race_lines(look):
            say(f"{look.benchmark}: {line}")

    def measure(models: Sequence[Model]) -> list[Evaluation]:
        test = test_of()
        if len(models) < 2 or test.in_one_pass or (test.runs_programs and not evaluator.sandbox_available()[0]):
            say(f"{test.benchmark} is no race here and is measured whole")
            return whole(models)
        store, workspace, progress = common["store"], common["workspace"], common["progress"]
        return evaluator.race(models, test, store, workspace, until, progress, tell)

    return measure


def race_lines(look: Look) -> list[str]:
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
