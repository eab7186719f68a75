"""Every listed attack gets the verdict that is due, and the next answer is judged as if nothing had happened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.attack_programs import ATTACKS
from evaluator import Answer, Limits, ScoredAnswer, Scorer, ScoringSettings, load_benchmark

LIGHT = [attack for attack in ATTACKS if not attack.heavy]
HEAVY = [attack for attack in ATTACKS if attack.heavy]
TASKS = load_benchmark("humaneval")
RIGHT = "    import sys\n    print(numbers, file=sys.stderr)\n" + TASKS[0].canonical_solution


def _verdicts(attacks: list, limits: Limits, workers: int) -> Iterator[dict[str, tuple[ScoredAnswer, ScoredAnswer]]]:
    """Attack → (its verdict, that of a right answer run after it); every pair's programs differ, so each is run."""
    answers, places = [], []
    for number, attack in enumerate(attacks):
        answers += [Answer(attack.task, number, program) for program in attack.programs]
        answers.append(Answer("HumanEval/0", 1000 + number, f"{RIGHT}\n# {number}"))
        places.append(len(answers) - 1)
    with Scorer(TASKS, ScoringSettings(limits=limits, calibrate=False, workers=workers)) as scorer:
        scored = scorer.score(answers)
    return {attack.name: (scored[i - 1], scored[i]) for i, attack in zip(places, attacks, strict=True)}


@pytest.fixture(scope="module")
def light():
    return _verdicts(LIGHT, Limits(cpu_seconds=3.0, idle_seconds=1.0), workers=1)


@pytest.fixture(scope="module")
def heavy():
    return _verdicts(HEAVY, Limits(cpu_seconds=0.4, idle_seconds=0.4), workers=2)


def test_names_are_unique():
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS)


def test_the_documents_table_has_every_attack():
    text = (Path(__file__).parents[3] / "docs" / "security.md").read_text()
    rows = [tuple(cell.strip() for cell in line.split("|")[1:4]) for line in text.splitlines() if line.startswith("| ")]
    told = {(group, name): verdict for group, name, verdict in rows}
    assert {(attack.group, attack.name) for attack in ATTACKS} <= told.keys()
    assert all(told[attack.group, attack.name] in {*attack.due, "timed_out"} for attack in ATTACKS)


@pytest.mark.slow
@pytest.mark.parametrize("attack", LIGHT, ids=lambda attack: f"{attack.group}-{attack.name}")
def test_attack_is_no_pass(attack, light):
    verdict, after = light[attack.name]
    assert verdict.verdict in attack.due, verdict.message
    assert after.verdict == "passed", after.message


@pytest.mark.slow
@pytest.mark.parametrize("attack", HEAVY, ids=lambda attack: f"{attack.group}-{attack.name}")
def test_exhaustion_is_bounded(attack, heavy):
    verdict, after = heavy[attack.name]
    # Before a small time limit, what would have been refused later may still be under way.
    assert verdict.verdict in {*attack.due, "timed_out"}, verdict.message
    assert after.verdict == "passed", after.message


@pytest.mark.parametrize(
    "name", ["object equal to everything", "known answers by order of call", "os._exit(0) at import"]
)
def test_the_best_known_cheats_fail(name):
    attack = next(attack for attack in ATTACKS if attack.name == name)
    with Scorer(TASKS[:1], ScoringSettings(calibrate=False, workers=1)) as scorer:
        assert scorer.score([Answer(attack.task, 0, attack.code)])[0].verdict == "wrong"


@pytest.mark.slow
def test_a_leak_would_be_seen():
    """The confinement programs pass when the leak that they look for is there: they can fail."""
    leaks = [attack for attack in ATTACKS if attack.group == "C"]
    code = leaks[0].code.replace("LEAKED = leaks()", "LEAKED = True")
    assert code != leaks[0].code
    with Scorer(TASKS[:1], ScoringSettings(calibrate=False, workers=1)) as scorer:
        assert scorer.score([Answer("HumanEval/0", 0, code)])[0].verdict == "passed"
