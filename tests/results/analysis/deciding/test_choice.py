"""Three verdicts over tables of outcomes: what they promise, and what must not matter to them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from results.analysis.deciding.choice import Choice, Cost, choose
from results.analysis.deciding.leads import TotalsLead
from results.analysis.paired import PairedDifference, paired_numbers, paired_verdicts

Table = tuple[np.ndarray, list[float]]


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """(models, items) of right and wrong by models that agree more or less, and what each costs."""
    models, items = draw(st.integers(2, 5)), draw(st.sampled_from([5, 16, 40, 164, 600]))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    agreement = draw(st.sampled_from([0.0, 0.5, 0.9, 0.99]))
    shared = np.sqrt(agreement) * generator.standard_normal(items)
    own = np.sqrt(1 - agreement) * generator.standard_normal((models, items))
    hard = np.array(draw(st.lists(st.floats(-2, 2), min_size=models, max_size=models)))
    costs = draw(st.lists(st.sampled_from([1e8, 1.02e8, 5e8, 0.0]), min_size=models, max_size=models))
    return shared + own > hard[:, None], costs


def decided(table: Table, margin: float = 0.03, names: Sequence[str] = "abcdefgh") -> Choice:
    """The verdict over models that are called by `names`; equal scores by cost, then by what they passed."""
    passed, costs = table
    places = sorted(range(len(passed)), key=lambda one: (-passed[one].mean(), costs[one] or 1e12, passed[one].tolist()))
    known = dict(zip(names, passed, strict=False))

    def lead(a: str, b: str) -> PairedDifference:
        both, only_a = int((known[a] & known[b]).sum()), int((known[a] & ~known[b]).sum())
        only_b = int((~known[a] & known[b]).sum())
        return paired_verdicts(both, only_a, only_b, passed.shape[1] - both - only_a - only_b)

    order = [names[place] for place in places]
    bound = max(1e-9, min(margin, passed.mean(axis=1).max() / 4))
    return choose(order, lead, {names[one]: Cost(costs[one] or None) for one in range(len(passed))}, bound)


@given(tables())
def test_a_model_that_fails_everything_a_name_and_an_order_change_no_verdict(table: Table) -> None:
    found, (passed, costs) = decided(table), table
    alike = {(row.tobytes(), cost) for row, cost in zip(passed, costs, strict=True)}
    assume(len(alike) == len(costs))  # of two that are alike in all that is known, identity chooses
    for cost in (1.0, 1e12):
        more = np.vstack([passed, np.zeros((1, passed.shape[1]), bool)])
        if passed.any(axis=1).all():
            other = decided((more, [*costs, cost]))
            assert (other.kind, other.chosen, other.best) == (found.kind, found.chosen, found.best)
    renamed = decided(table, names="zyxwvutsr")
    translated = dict(zip("zyxwvutsr", "abcdefgh", strict=False))
    assert (renamed.kind, translated.get(renamed.chosen or "")) == (found.kind, found.chosen)
    turned = decided((passed[::-1], costs[::-1]), names="abcdefgh"[: len(costs)][::-1])
    assert (turned.kind, turned.chosen) == (found.kind, found.chosen)


@given(tables())
def test_what_a_verdict_says_its_numbers_carry(table: Table) -> None:
    found, (passed, costs) = decided(table), table
    rates = dict(zip("abcdefgh", passed.mean(axis=1), strict=False))
    assert rates[found.best] == max(rates.values())
    for place in found.places.values():
        assert place.within == (place.behind_at_most is not None and place.behind_at_most < found.margin)
    if found.kind == "ship":
        assert found.chosen == found.best and all(found.places[one].behind for one in rates if one != found.best)
        assert all(found.places[one].p_adjusted <= 0.05 for one in rates if one != found.best)
    elif found.kind == "tie":
        assert found.chosen is not None and found.places[found.chosen].within
        assert max(rates.values()) - rates[found.chosen] < found.margin
        cost = dict(zip("abcdefgh", costs, strict=False))
        assert found.chosen == found.best or 0 < cost[found.chosen] < cost[found.best]
    else:
        assert found.chosen is None
        assert found.items_needed is None or found.items_needed > passed.shape[1]


@given(st.integers(1, 300), st.integers(0, 300), st.integers(0, 300), st.floats(0.5, 0.999))
def test_totals_have_one_interval_and_its_own_test(n: int, passed_a: int, passed_b: int, level: float) -> None:
    lead = TotalsLead(min(passed_a, n), n, min(passed_b, n), n)
    low, high = lead.interval(level)
    assert low <= lead.value <= high
    assert lead.lies_above(low - 1e-6, (1 - level) / 2) and not lead.lies_above(low + 1e-6, (1 - level) / 2)
    assert (lead.p_value <= 0.05 - 1e-9) <= (lead.interval(0.95)[0] >= 0 or lead.interval(0.95)[1] <= 0)
    assert lead.p_value <= 0.05 + 1e-9 or lead.interval(0.95)[0] <= 0 <= lead.interval(0.95)[1]


def test_few_items_that_all_fall_one_way_are_not_called_better() -> None:
    """Five of five: no exact test reaches 5 %."""
    found = choose(["a", "b"], lambda a, b: paired_verdicts(0, 5, 0, 0) if a == "a" else paired_verdicts(0, 0, 5, 0),
                   {"a": Cost(), "b": Cost()}, 0.03)  # fmt: skip
    assert found.kind != "ship" and not found.places["b"].behind


@pytest.mark.parametrize(("gap", "kind"), [(0.2, "ship"), (0.0, "tie")])
def test_graded_scores_are_judged_alike(gap: float, kind: str) -> None:
    scores = np.random.default_rng(0).uniform(0.2, 0.8, 400)
    noise = np.random.default_rng(1).normal(0, 0.01, 400)
    rows = {"a": scores, "b": np.clip(scores - gap + noise, 0, 1)}
    found = choose(["a", "b"], lambda a, b: paired_numbers(rows[a], rows[b]), {"a": Cost(2e9), "b": Cost(1e9)}, 0.03)
    assert (found.kind, found.chosen) == (kind, "a" if gap else "b")


def test_a_choice_needs_models_and_a_margin() -> None:
    with pytest.raises(ValueError, match="above 0"):
        choose(["a"], lambda a, b: paired_verdicts(1, 0, 0, 0), {"a": Cost()}, 0.0)
