"""A judging model against people: agreement and kappa against known figures, and what is corrected covers the truth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from results import Vote, calibrated, corrected_preference, corrected_share, vote_calibration
from results.analysis.calibration import FEWEST_LABELS, cohens_kappa, judged_by_both
from results.analysis.statistics import wilson_interval


def pairs(*counts: tuple[str, str, int]) -> list[tuple[str, str]]:
    return [(judge, person) for judge, person, count in counts for _ in range(count)]


def test_kappa_is_that_of_the_textbook() -> None:
    """Fleiss, Levin and Paik, Statistical Methods for Rates and Proportions, table 18.1: 0.676, error 0.088."""
    table = [[75, 1, 4], [5, 4, 1], [0, 0, 10]]
    found = cohens_kappa(pairs(*((f"{i}", f"{j}", table[i][j]) for i in range(3) for j in range(3))))
    assert found is not None and found.value == pytest.approx(0.676, abs=5e-4)
    assert (found.high - found.low) / 2 / 1.96 == pytest.approx(0.088, abs=0.006)


def test_agreement_by_chance_is_none_and_one_word_throughout_has_no_kappa() -> None:
    independent = cohens_kappa(pairs(("y", "y", 40), ("y", "n", 10), ("n", "y", 40), ("n", "n", 10)))
    assert independent is not None and independent.value == pytest.approx(0) and independent.low < 0 < independent.high
    assert cohens_kappa(pairs(("y", "y", 50))) is None
    perfect = cohens_kappa(pairs(("y", "y", 20), ("n", "n", 20)))
    assert perfect is not None and perfect.value == perfect.high == 1 and perfect.low < 0.95


def test_a_judge_with_few_labels_is_uncalibrated() -> None:
    none, few = calibrated("m", []), calibrated("m", pairs(("y", "y", FEWEST_LABELS - 1)))
    assert (
        not none.enough and none.words == "m is uncalibrated: no person's labels on what it judged, and 30 are needed."
    )
    assert not few.enough and "29 labels of people" in few.words
    enough = calibrated("m", pairs(("y", "y", 20), ("n", "n", 8), ("y", "n", 4)))
    assert enough.enough and enough.words.startswith(
        "m agrees with people on 88 % (72 % to 95 %) of 32 labelled answers; kappa 0."
    )
    assert wilson_interval(FEWEST_LABELS, FEWEST_LABELS)[0] > 0.88
    assert "no meaning" in calibrated("m", pairs(("y", "y", 40))).words


@pytest.mark.parametrize(
    ("answers", "labels", "rate", "kept", "raised"),
    [(200, 40, 0.5, 0.95, 0.4), (500, 100, 0.8, 0.9, 0.6), (300, 300, 0.3, 0.8, 0.2), (500, 60, 0.6, 1.0, 0.0),
     (1000, 30, 0.5, 0.97, 0.05)],
)  # fmt: skip
def test_what_is_corrected_covers_the_truth_where_the_judge_alone_does_not(
    answers: int, labels: int, rate: float, kept: float, raised: float
) -> None:
    """kept, raised: the judge's chance to pass what a person passes, and what none does."""
    draw = np.random.default_rng(0)
    covered = plain = 0
    for _ in range(2000):
        person = draw.random(answers) < rate
        judged = draw.random(answers) < np.where(person, kept, raised)
        found = corrected_share(judged.astype(float), list(zip(judged[:labels], person[:labels], strict=True)))
        assert found is not None and 0 <= found.low <= found.value <= found.high <= 1
        covered += found.low <= rate <= found.high
        low, high = wilson_interval(int(judged.sum()), answers)
        plain += low <= rate <= high
    assert covered / 2000 > 0.93
    assert plain / 2000 < 0.6 or abs(rate * kept + (1 - rate) * raised - rate) < 0.02


def test_too_few_labels_correct_nothing_and_labels_of_all_answers_are_the_answer() -> None:
    assert corrected_share([1.0] * 100, [(1.0, 1.0)] * (FEWEST_LABELS - 1)) is None
    labelled = [(1.0, float(place % 4 == 0)) for place in range(80)]
    found = corrected_share([1.0] * 80, labelled)
    assert found is not None and found.value == pytest.approx(0.25)


def vote(prompt: int, winner: str, judge: str = "", turned: bool = False, blind: bool = True) -> Vote:
    """A vote on the answers of x and y, shown in either order; winner: x, y or tie."""
    a, b = ("y", "x") if turned else ("x", "y")
    won = "tie" if winner == "tie" else "a" if winner == a else "b"
    return Vote(
        f"{prompt}{judge}{turned}{blind}",
        str(prompt),
        a,
        b,
        f"{a}{prompt}",
        f"{b}{prompt}",
        won,
        judge=judge,
        blind=blind,
    )  # type: ignore[arg-type]


def test_votes_on_the_same_answers_meet_in_either_order_and_kinds_are_never_pooled() -> None:
    votes = [
        vote(1, "x", "m"), vote(1, "x", turned=True), vote(2, "y", "m", turned=True), vote(2, "x"),
        vote(3, "tie", "m"), vote(4, "y", "other"), vote(4, "y"), vote(5, "x", "m"), vote(5, "y", blind=False),
    ]  # fmt: skip
    assert [(one.prompt, one.winner, person) for one, person in judged_by_both(votes, "m")] == [
        ("1", "a", "a"), ("2", "a", "b"),
    ]  # fmt: skip
    assert vote_calibration(votes, "m").labels == 2 and vote_calibration(votes, "m", blind=False).labels == 1
    assert vote_calibration(votes, "nobody").labels == 0


@pytest.mark.parametrize("turn", [lambda place: False, lambda place: place % 2 == 0])
def test_a_preference_is_corrected_by_what_people_said_of_the_same_answers(turn: Callable[[int], bool]) -> None:
    """The judge always prefers x; people prefer it on a quarter of the pairs that they saw."""
    votes = [vote(place, "x", "m", turned=turn(place)) for place in range(200)]
    assert corrected_preference(votes, "m", "x", "y") is None
    votes += [vote(place, "x" if place % 4 == 0 else "y") for place in range(60)]
    found, other = corrected_preference(votes, "m", "x", "y"), corrected_preference(votes, "m", "y", "x")
    assert found is not None and other is not None
    assert found.value == pytest.approx(0.25) and found.high < 0.5 and other.value == pytest.approx(0.75)
