"""The verdict card: short facts of the decision's own numbers, and limits that let in whom they say they let in."""

from __future__ import annotations

import dataclasses
import re

import pytest

from dashboard.views.deciding import verdict
from results import Limits, Question, Store, Workspace, decide
from results.analysis.findings import Limit
from tests.results.shelves import add_heldout, add_humaneval, add_latency, add_model


@pytest.fixture
def store(workspace: Workspace) -> Store:
    """A base, a good and a great fine-tune; the great one is slow."""
    opened = workspace.store()
    for name, passed, first in (("base", 20, 0.1), ("good", 90, 0.2), ("great", 130, 0.7)):
        model = add_model(opened, name, 100_000_000, form="gguf-q4_0")
        add_humaneval(opened, model, [number < passed for number in range(164)])
        add_heldout(opened, model, [20.0 - passed / 20] * 12)
        add_latency(opened, model, first, 0.02)
    return opened


def test_ship_says_score_costs_and_how_sure(store: Store) -> None:
    decision = decide(store)
    assert verdict.title(decision) == "Ship great as Q4"
    found = dict(verdict.facts(decision, "a CPU"))
    assert found["HumanEval"].startswith("great 79.3 % [") and found["HumanEval"].endswith("on 164 items")
    assert found["Costs"] == "100 MB · first token 0.70 s · 50 tokens/s on a CPU"
    assert found["Ahead of"] == "good, base"
    assert "p < 0.001" in found["How sure"] and "against good" in found["How sure"]
    assert all(len(fact) < 160 for fact in found.values())


def test_who_is_out_is_told_the_limit_that_lets_it_in(store: Store) -> None:
    decision = decide(store, Question(limits=Limits(ttft_seconds_p90=0.5)))
    assert verdict.title(decision) == "Ship good as Q4"
    (out,) = verdict.relaxations(decision)
    assert out.sentence == "great: relax first token to 0.735 s and it qualifies, and has the better score."
    then = decide(store, Question(limits=Limits(ttft_seconds_p90=out.steps[0].needed)))
    assert verdict.title(then) == "Ship great as Q4" and not verdict.relaxations(then)


def test_nobody_qualifies_names_the_nearest_and_no_wall_of_figures(store: Store) -> None:
    limits = Limits(ttft_seconds_p90=0.05, bytes=50e6)
    decision = decide(store, Question(limits=limits))
    assert verdict.title(decision) == "Nobody qualifies"
    ((word, fact),) = verdict.facts(decision)
    assert word == "Nearest"
    assert fact == "base: relax first token to 0.106 s and files to 0.1 GB and it qualifies."
    near = verdict.relaxations(decision)[0]
    first, size = near.steps
    assert decide(
        store, Question(limits=Limits(ttft_seconds_p90=first.needed, bytes=size.needed * 1e9))
    ).chosen == "base"  # fmt: skip


def test_an_unmeasured_figure_is_no_limit_to_relax(store: Store) -> None:
    add_humaneval(store, add_model(store, "untimed", 90_000_000), [True] * 164)
    decision = decide(store, Question(limits=Limits(ttft_seconds_p90=0.5)))
    untimed = next(one for one in verdict.relaxations(decision) if one.model == "untimed")
    assert untimed.sentence == "untimed: first token not measured."
    assert verdict.relaxations(decision)[-1] == untimed
    (button,) = [one for one in verdict.nexts(decision, store.evaluations.list()) if one.label.startswith("Time")]
    assert button.command == ("bakeoff", "latency", "--model", "untimed")


def test_not_enough_data_says_what_is_needed_and_asks_otherwise_at_a_click(workspace: Workspace) -> None:
    store = workspace.store()
    for name, passed in (("one", 11), ("two", 10)):
        add_humaneval(store, add_model(store, name), [(number * 7) % 20 < passed for number in range(20)])
    decision = decide(store)
    assert verdict.title(decision) == "Not enough data"
    found = dict(verdict.facts(decision))
    assert found["How sure"].startswith("a guess; neither a lead nor a tie within 3 points")
    assert re.fullmatch(r"about [\d,]+ items in all \(20 now\).*", found["Needs"])
    for one in verdict.nexts(decision, store.evaluations.list()):
        if one.margin is not None:
            assert decide(store, Question(margin=one.margin / 100)).chosen is not None
            break
    else:
        pytest.fail("no other question is offered")


def test_less_is_better_where_it_is(store: Store) -> None:
    decision = decide(store, Question(measures=("heldout",)))
    found = dict(verdict.facts(decision))
    assert found["Held-out"].endswith("less is better")


@pytest.mark.parametrize(
    ("value", "at_most", "needed"), [(0.1371, True, 0.138), (0.1371, False, 0.137), (1234.5, True, 1240)]
)
def test_a_limit_is_rounded_so_that_it_lets_the_figure_in(value: float, at_most: bool, needed: float) -> None:
    assert verdict.loosened(value, at_most) == needed
    assert Limit("x", verdict.loosened(value, at_most), at_most).holds(value)


def test_many_names_are_counted() -> None:
    assert verdict.listed(["a", "b", "c"]) == "a, b, c"
    assert verdict.listed(list("abcdef")) == "a, b and 4 more"


def test_a_tie_says_by_how_much_another_may_be_better(store: Store) -> None:
    decision = dataclasses.replace(decide(store), kind="tie", best_behind_at_most=0.021)
    assert verdict.sure(decision) == "with 97.5 % confidence no other is better by more than 2.1 points"


def test_no_more_is_asked_for_than_a_benchmark_has(workspace: Workspace) -> None:
    store = workspace.store()
    for name, passed, step in (("one", 52, 7), ("two", 50, 11)):
        add_humaneval(store, add_model(store, name), [(number * step) % 100 < passed for number in range(100)])
    decision = decide(store)
    found = dict(verdict.facts(decision))
    assert decision.items_needed is not None and decision.items_needed > 164
    assert found["Needs"].endswith("(100 now), and it has 164: another test, or a wider margin")
    measures = [one.label for one in verdict.nexts(decision, []) if one.command]
    assert measures == ["Measure all 164 items by HumanEval"]
