"""The choice: limits first, ties honestly, then cost; every step on a store with models of known quality."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from results import (
    Limit,
    Limits,
    NotFound,
    Question,
    Reading,
    Report,
    Run,
    Store,
    contenders,
    decide,
    decide_counts,
    decide_published,
    decision_markdown,
)
from tests.results.shelves import HERE, THERE, add_heldout, add_humaneval, add_latency, add_model, passes

STUDY_B = {
    "variant 1": (60, 164),
    "variant 2": (71, 164),
    "variant 3": (75, 164),
    "variant 4": (70, 164),
    "variant 5": (73, 164),
}


@pytest.fixture
def open_question(shelf: Store) -> Store:
    """The same with models that agree on fewer tasks, so that 164 of them show nothing but who is bad."""
    for name, own in (("small", slice(59, 74)), ("large", slice(74, 94))):
        passed = np.arange(164) < 59
        passed[own] = True
        add_humaneval(shelf, shelf.models.get(name), passed.tolist())
    return shelf


def test_164_tasks_do_not_show_that_the_smaller_is_as_good(shelf: Store) -> None:
    found = decide(shelf)
    assert (found.kind, found.best, found.chosen) == ("tie", "large", "large")
    assert {tie.model_id: (tie.tied, tie.within) for tie in found.ties} == {
        "small": (True, False),
        "bad": (False, False),
    }
    assert {one.model_id for one in found.candidates if one.on_front} == {"small", "large"}
    assert found.verdict == "Ship large: no other is better by 3 points."
    assert "Of no cheaper one is that shown." in found.evidence


def test_where_nothing_is_shown_the_highest_score_is_a_guess(open_question: Store) -> None:
    found = decide(open_question)
    assert (found.kind, found.chosen) == ("not enough data", None)
    assert found.best is not None
    assert f"{found.best} has the highest score, which is a guess" in found.verdict
    assert found.items_needed is not None and found.items_needed > 164 and f"{found.items_needed:,}" in found.paragraph
    assert found.items == 164 and found.margin == 0.03
    assert found.candidate("small").quality is not None and found.candidate("unmeasured").quality is None


def test_a_wider_margin_ships_the_cheaper_of_the_tied(shelf: Store) -> None:
    found = decide(shelf, Question(margin=0.1))
    assert (found.kind, found.best, found.chosen) == ("tie", "large", "small")
    assert found.verdict == "Tie: ship small." and "No other is better than small by 10 points" in found.evidence
    small = next(tie for tie in found.ties if tie.model_id == "small")
    assert small.within and small.behind_at_most is not None and small.behind_at_most < 0.1
    assert f"by {100 * small.behind_at_most:.1f} points at most" in found.evidence
    assert decide(shelf, Question(margin=0.1, limits=Limits(bytes=1e9))).chosen == "small"


def test_the_margin_that_is_named_suffices(open_question: Store) -> None:
    """What would change it names a margin under which the same models give a choice."""
    named = next(one for one in decide(open_question).would_change if "--margin" in one.run)
    margin = float(named.run.split("--margin ")[1].split()[0])
    assert decide(open_question, Question(margin=margin)).chosen is not None
    assert decide(open_question, Question(margin=margin - 0.002)).chosen is None


def test_better_than_each_other_is_shipped_whatever_it_costs(shelf: Store) -> None:
    add_humaneval(shelf, add_model(shelf, "far ahead", 900_000_000), passes(0.7))
    found = decide(shelf)
    assert (found.kind, found.chosen) == ("ship", "far ahead")
    assert all(not tie.tied for tie in found.ties) and "better than each of the 3 others" in found.evidence


def test_nothing_passed_is_nothing_known(store: Store) -> None:
    for name in ("one", "two"):
        add_humaneval(store, add_model(store, name), [False] * 164)
    found = decide(store)
    assert found.kind == "not enough data" and "too hard for them" in found.evidence


def test_a_tie_near_nothing_takes_a_margin_of_its_own(store: Store) -> None:
    """Of models that pass 4 of 100 a tie of 3 points would ship one that passes a quarter as often."""
    for name, passed, size in (("best", 40, 900), ("cheap", 11, 100)):
        add_humaneval(store, add_model(store, name, size * 1_000_000), [True] * passed + [False] * (1000 - passed))
    found = decide(store)
    assert found.margin == pytest.approx(0.01) and found.chosen == "best"


def test_the_next_measure_breaks_a_tie_and_cost_does_where_it_does_not(store: Store) -> None:
    rows = np.random.default_rng(1).normal(60, 10, 60)
    for place, (name, size) in enumerate((("cheap", 100), ("dear", 900))):
        model = add_model(store, name, size * 1_000_000)
        add_humaneval(store, model, [task % 3 > 0 for task in range(400)])
        add_heldout(store, model, list(rows - 2 * place + rows % 1))
    by_cost = decide(store, Question(measures=("humaneval",)))
    assert (by_cost.kind, by_cost.chosen) == ("tie", "cheap")
    broken = decide(store, Question(measures=("humaneval", "heldout")))
    assert (broken.kind, broken.chosen, broken.beside[0].broke) == ("tie", "dear", True)
    assert "By held-out bits per byte (60 rows) the tie is broken: dear is better" in broken.evidence


def test_costs_that_differ_by_little_or_are_unknown_choose_nobody(store: Store) -> None:
    """A file that is 2 % smaller, or whose size nobody knows, is not the cheaper one."""
    for name, size, passed in (("best", 1_000_000_000, 301), ("near", 980_000_000, 300), ("unknown", 0, 300)):
        add_humaneval(store, add_model(store, name, size), [task < passed for task in range(600)])
    found = decide(store)
    assert (found.kind, found.chosen) == ("tie", "best")


@pytest.mark.parametrize("benchmark", ["humaneval+", "mbpp", "a file of mine"])
def test_any_benchmark_of_programs_can_decide(store: Store, benchmark: str) -> None:
    """By pass@1; and HumanEval+ has HumanEval's tasks, so what training data held of one counts for neither."""
    for name, share in (("good", 0.8), ("bad", 0.2)):
        model = add_model(store, name)
        plain = add_humaneval(store, model, passes(share))
        begun = store.evaluations.begin(dataclasses.replace(plain, id=f"{name} {benchmark}", benchmark=benchmark))
        store.evaluations.add_outcomes(begun.id, store.evaluations.outcomes(plain.id))
        store.evaluations.finish(begun.id, plain.scores)
    store.reports.put(Report("good", "contamination", {"benchmark": "humaneval", "items": ["HumanEval/0"]}))
    found = decide(store, Question(measures=(benchmark,)))
    assert (found.chosen, found.best, found.metric) == ("good", "good", "pass@1")
    assert found.items == (163 if benchmark == "humaneval+" else 164)


def test_limits_come_first(shelf: Store) -> None:
    found = decide(shelf, Question(limits=Limits(ttft_seconds_p90=0.5)))
    assert found.chosen == "small"
    assert not found.candidate("large").qualifies
    assert "the limit is at most 0.5" in found.candidate("large").reasons[0]
    (out,) = [one.sentence for one in found.would_change if one.sentence.startswith("large has the better score")]
    assert (
        "out only because p90 time to first token is 1.05 s" in out and "relax p90 time to first token to 1.05 s" in out
    )


def test_one_reading_serves_any_limits_and_stays_what_it_was(shelf: Store) -> None:
    reading = Reading(shelf)
    limits = [Limits(), Limits(bytes=200_000_000), Limits(ttft_seconds_p90=0.5), Limits(bytes=1)]
    before = [decide(shelf, Question(limits=one)) for one in limits]
    assert [decide(reading, Question(limits=one)) for one in limits] == before
    add_humaneval(shelf, add_model(shelf, "later", 1000), passes(0.9))
    assert [decide(reading, Question(limits=one)) for one in limits] == before
    assert decide(shelf).chosen == "later"


def test_the_unknown_is_no_pass_and_the_reason_names_what_to_run(shelf: Store) -> None:
    found = decide(shelf, Question(limits=Limits(tokens_per_second=1)))
    assert not found.candidate("unmeasured").qualifies
    assert "bakeoff latency --model unmeasured" in found.candidate("unmeasured").reasons[0]
    assert any(one.run.startswith("bakeoff latency --model unmeasured") for one in found.would_change)


def test_a_command_is_named_where_a_measurement_would_tell_and_nowhere_else(shelf: Store) -> None:
    add_humaneval(shelf, add_model(shelf, "other"), passes(0.9), settings={"prompting": "bakeoff evaluate"})
    found = decide(shelf)
    runs = {one.model_id: one.run for one in found.would_change if one.run.startswith("bakeoff evaluate")}
    assert runs == {"unmeasured": "bakeoff evaluate unmeasured --benchmark humaneval"}
    assert "prompting: bakeoff evaluate against chat" in found.candidate("other").reasons[0]


def test_the_verdict_is_a_sentence_whatever_the_models_are_called(shelf: Store) -> None:
    add_humaneval(shelf, add_model(shelf, "v1. 2. final", 1000), passes(0.9))
    found = decide(shelf)
    assert found.verdict == "Ship v1. 2. final." and found.evidence.startswith("It is better than each of the 3 others")
    assert found.paragraph == f"{found.verdict} {found.evidence}"


def test_every_kind_of_limit_holds(shelf: Store) -> None:
    assert decide(shelf, Question(limits=Limits(bytes=50_000_000))).chosen is None
    assert not decide(shelf, Question(limits=Limits(peak_rss_bytes=1e8))).candidate("small").qualifies
    assert not decide(shelf, Question(limits=Limits(tokens_per_second=20))).candidate("large").qualifies
    assert (
        not decide(shelf, Question(limits=Limits(others=(Limit("pass@1", 0.3, at_most=False),))))
        .candidate("bad")
        .qualifies
    )
    assert (
        "No model is known to meet the limits"
        in decide(shelf, Question(limits=Limits(ttft_seconds_p90=0.001))).paragraph
    )


def test_latencies_of_two_machines_are_not_mixed(shelf: Store) -> None:
    other = add_model(shelf, "elsewhere", 10_000_000)
    add_humaneval(shelf, other, passes(0.45, seed=9), machine=THERE)
    add_latency(shelf, other, 0.01, 0.001, machine=THERE)
    found = decide(shelf, Question(limits=Limits(ttft_seconds_p90=2)))
    assert found.machine_id == HERE.id
    assert not found.candidate("elsewhere").qualifies and found.candidate("elsewhere").answer_seconds is None
    assert "on machine here" in found.candidate("elsewhere").reasons[0]
    assert decide(shelf, Question(machine_id=THERE.id)).candidate("elsewhere").answer_seconds == pytest.approx(
        0.01 + 127 * 0.001
    )


def test_latencies_with_other_prompts_do_not_compare(shelf: Store) -> None:
    other = add_model(shelf, "long-prompts")
    add_humaneval(shelf, other, passes(0.45, seed=9))
    add_latency(shelf, other, 0.1, 0.01, settings={"tokens": 512})
    assert decide(shelf).candidate("long-prompts").answer_seconds is None


def test_other_settings_are_set_aside_by_name(shelf: Store) -> None:
    other = add_model(shelf, "raw-prompted")
    add_humaneval(shelf, other, passes(0.9), settings={"prompting": "raw"})
    found = decide(shelf)
    assert found.best == "large"
    assert "prompting: raw against chat" in found.candidate("raw-prompted").reasons[0]


def test_engine_and_subset_do_not_stand_in_the_way(shelf: Store) -> None:
    other = add_model(shelf, "adapter", form="adapter")
    add_humaneval(shelf, other, passes(0.45)[:100], settings={"engine": "huggingface"}, subset="100 of 164 tasks")
    found = decide(shelf)
    assert found.items == 100, "only the tasks that all share count"
    quality = found.candidate("adapter").quality
    assert quality is not None and quality.subset == "100 of 164 tasks"
    assert "100 of 164 tasks" in decision_markdown(found)
    assert found.candidate("small").quality_all is not None


def test_a_model_with_a_handful_of_tasks_shrinks_nobody(shelf: Store) -> None:
    add_humaneval(shelf, add_model(shelf, "glimpse"), [True] * 5)
    found = decide(shelf)
    assert found.items == 164 and "measured on 5 items where others have 164" in found.candidate("glimpse").reasons[0]


def test_our_own_errors_count_nowhere(store: Store) -> None:
    add_humaneval(store, add_model(store, "one"), [True] * 10 + [None] * 10)
    add_humaneval(store, add_model(store, "two"), [True] * 10 + [False] * 10)
    found = decide(store)
    assert found.items == 10 and all(one.quality and one.quality.value == 1.0 for one in found.candidates)


def test_contaminated_tasks_count_for_nobody(store: Store) -> None:
    dirty = [f"HumanEval/{task}" for task in range(82)]
    store.runs.add(Run("r1", "r1", "sweep", "base", {}, 0))
    add_humaneval(store, add_model(store, "cheat", run_id="r1"), [True] * 82 + [False] * 82)
    add_humaneval(store, add_model(store, "honest"), [False] * 82 + [True] * 60 + [False] * 22)
    assert decide(store).best == "cheat"
    store.reports.put(Report("r1", "contamination", {"benchmark": "humaneval", "items": dirty}))
    found = decide(store)
    assert found.best == "honest" and found.left_out == 82 and found.items == 82
    assert found.candidate("cheat").quality_all is not None, "the score on all tasks is still shown"
    assert "82 tasks found in training data" in found.paragraph


def test_held_out_loss_ranks_where_there_is_no_humaneval(store: Store) -> None:
    rows = np.random.default_rng(1).gamma(2, 20, 200)
    for name, factor, size in (("worse", 1.05, 10), ("good", 1.0, 900), ("twin", 1.0005, 100)):
        noise = np.random.default_rng(size + 1).normal(1, 0.01, 200)
        add_heldout(store, add_model(store, name, size * 1_000_000), list(rows * factor * noise))
    found = decide(store)
    assert found.benchmark == "heldout" and found.metric == "bits_per_byte"
    assert {tie.model_id: tie.tied for tie in found.ties} in (
        {"worse": False, "twin": True},
        {"worse": False, "good": True},
    )
    assert (found.kind, found.chosen) == ("tie", "twin"), "100 MB against 900 MB, and 3 % of the bits do not matter"
    best = found.candidate(found.best or "")
    assert best.quality is not None and best.quality.value == min(
        one.quality.value for one in found.candidates if one.quality
    )


def test_an_empty_store_says_what_to_run(store: Store) -> None:
    found = decide(store)
    assert found.chosen is None and "bakeoff demo" in found.paragraph
    add_model(store, "lonely")
    assert "not measured; run: bakeoff evaluate" in decide(store).paragraph
    add_humaneval(store, store.models.get("lonely"), [True, False])
    assert decide(store).kind == "only one" and "the only choice and not the better one" in decide(store).paragraph


def test_archived_models_are_out(shelf: Store) -> None:
    shelf.models.add(dataclasses.replace(shelf.models.get("small"), archived=True))
    assert "small" not in {one.model_id for one in decide(shelf).candidates}


def test_where_humaneval_leaves_it_open_held_out_loss_is_heard_and_does_not_decide(open_question: Store) -> None:
    shelf = open_question
    rows = np.random.default_rng(1).normal(60, 10, 40)
    add_heldout(shelf, shelf.models.get("small"), list(rows))
    add_heldout(shelf, shelf.models.get("large"), list(rows - 9 + rows % 1))
    found = decide(shelf)
    assert found.chosen is None and found.benchmark == "humaneval" and found.measures == ("humaneval", "heldout")
    assert "By held-out bits per byte (40 rows) large is better than each of the others still open" in found.paragraph
    assert found.would_change[-1].run == "bakeoff decide --experiment '*' --by heldout"
    assert decide(shelf, Question(measures=("heldout",))).chosen == "large"


def test_equal_scores_are_not_called_the_highest(store: Store) -> None:
    for place, name in enumerate(("one", "two")):
        add_humaneval(store, add_model(store, name, 10 + place), [True] + [False] * 15)
    found = decide(store)
    assert found.verdict == "Not enough data to choose: one, two have the same score, and none is better."


def test_a_step_on_the_way_to_the_measured_file_is_no_contender(shelf: Store) -> None:
    shelf.runs.add(Run(id="run", name="run", experiment="one", base="base", config={}, seed=0))
    for name, form in (("tuned", "adapter"), ("tuned-lora", "lora-gguf")):
        add_model(shelf, name, form=form, run_id="run")
    assert {"tuned", "tuned-lora", "unmeasured"} <= {one.name for one in contenders(shelf)}
    add_humaneval(shelf, shelf.models.get("tuned-lora"), passes(0.5))
    found = {one.model_id for one in decide(shelf).candidates}
    assert "tuned-lora" in found and "unmeasured" in found and "tuned" not in found


def test_study_b_has_too_few_tasks() -> None:
    found = decide_counts(STUDY_B)
    assert (found.kind, found.best, found.chosen) == ("not enough data", "variant 3", None)
    assert all(tie.tied for tie in found.ties)
    assert "variant 3 has the highest score, which is a guess" in found.verdict
    assert "HumanEval has no more" in found.paragraph and f"{found.items_needed:,} tasks" in found.paragraph
    assert "Ship" not in found.paragraph, "a study's variants are not here to ship"


def test_study_b_is_published_and_judged_by_its_letter(store: Store) -> None:
    assert decide_published(store, "b").best == "variant 3"
    assert decide_published(store, "Study B").ties == decide_counts(STUDY_B).ties
    with pytest.raises(NotFound, match="Study B"):
        decide_published(store, "Z")
    assert store.models.list() == [] and store.evaluations.list() == [], "published figures are no measurements"


def test_everything_is_plain_json(shelf: Store) -> None:
    for found in (decide(shelf, Question(limits=Limits(bytes=1e9))), decide_counts(STUDY_B)):
        assert json.loads(json.dumps(found.as_json(), allow_nan=False))["chosen"] == found.chosen
    assert decision_markdown(decide(shelf)).count("\n| ") == 1 + 4


def test_hostile_names_stay_in_their_cells(store: Store) -> None:
    name = "a|b\n<script>alert(1)</script> 🚀 ‮evil"
    add_humaneval(store, add_model(store, name), [True] * 5)
    page = decision_markdown(decide(store))
    assert "<script" not in page
    row = next(line for line in page.splitlines() if line.startswith("| a"))
    assert "a\\|b" in row and row.count("|") - row.count("\\|") == 8


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(
            st.lists(st.booleans(), min_size=8, max_size=8), st.integers(0, 3), st.sampled_from([None, 0.1, 0.5])
        ),
        min_size=1,
        max_size=5,
    )
)
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_measured_the_choice_is_consistent(
    tmp_path_factory: pytest.TempPathFactory, models: Sequence[tuple[list[bool], int, Any]]
) -> None:
    with Store(f"sqlite:///{tmp_path_factory.mktemp('judge') / 'results.db'}") as store:
        for place, (passed, size, ttft) in enumerate(models):
            model = add_model(store, f"m{place}", size)
            add_humaneval(store, model, passed)
            if ttft is not None:
                add_latency(store, model, ttft, 0.02)
        found = decide(store, Question(limits=Limits(ttft_seconds_p90=0.3)))
        qualified = {one.model_id for one in found.candidates if one.qualifies}
        assert qualified == {f"m{place}" for place, (_, _, ttft) in enumerate(models) if ttft == 0.1}
        assert (found.kind == "nobody") == (not qualified)
        assert found.chosen is None or found.chosen in qualified
        assert found.chosen is None or found.candidate(found.chosen).tied
        assert all(one.qualifies for one in found.candidates if one.on_front)


def test_not_enough_data_says_how_long_it_takes_at_the_pace_so_far(store: Store) -> None:
    batch = {"seconds": 40.0, "models": 2, "answers": 20}
    for name, passed in (("one", [True] * 6 + [False] * 4), ("two", [False] * 6 + [True] * 4)):
        add_humaneval(store, add_model(store, name), passed, details={"batch": batch}, subset="10 of 164 tasks")
    found = decide(store)
    assert found.kind == "not enough data" and found.items_needed is not None and found.items_needed > 10
    assert found.seconds_needed == pytest.approx(found.items_needed * 2 * 2.0), "2 s an answer, two models"
    assert " at the pace so far." in found.paragraph
    add_humaneval(store, add_model(store, "slow"), [True] * 5 + [False] * 5, subset="10 of 164 tasks")
    assert decide(store).seconds_needed is not None, "whoever tells no time takes as long as the others"
