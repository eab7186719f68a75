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
    BakeoffError,
    Limit,
    Limits,
    NotFound,
    Reading,
    Report,
    Run,
    Store,
    contenders,
    decide,
    decide_counts,
    decide_published,
    decision_markdown,
    find_record,
    freeze,
    recheck,
)
from tests.results.shelves import HERE, THERE, add_heldout, add_humaneval, add_latency, add_model

STUDY_B = {
    "variant 1": (60, 164),
    "variant 2": (71, 164),
    "variant 3": (75, 164),
    "variant 4": (70, 164),
    "variant 5": (73, 164),
}


def passes(share: float, tasks: int = 164, seed: int = 0) -> list[bool]:
    """Tasks are passed in order of difficulty, but for a few: models of one family agree on most tasks."""
    noise = np.random.default_rng(seed).normal(0, 0.02, tasks)
    return [bool(place / tasks + jitter < share) for place, jitter in enumerate(noise)]


@pytest.fixture
def shelf(store: Store) -> Store:
    """A small good model, a large one that is a little better, a bad one, and an unmeasured one."""
    for name, share, size, ttft, tpot in (
        ("small", 0.45, 100_000_000, 0.3, 0.02),
        ("large", 0.48, 400_000_000, 1.0, 0.08),
        ("bad", 0.20, 90_000_000, 0.3, 0.02),
    ):
        model = add_model(store, name, size)
        add_humaneval(store, model, passes(share, seed=len(name)))
        add_latency(store, model, ttft, tpot)
    add_model(store, "unmeasured", 50_000_000)
    return store


def test_the_cheapest_of_the_tied_is_chosen(shelf: Store) -> None:
    found = decide(shelf)
    assert found.best == "large" and found.chosen == "small"
    assert {tie.model_id: tie.tied for tie in found.ties} == {"small": True, "bad": False}
    assert {one.model_id for one in found.candidates if one.on_front} == {"small", "large"}
    assert "Ship small" in found.paragraph and "cannot be told apart from small" in found.paragraph
    assert "may be" in found.paragraph, "tied is not equal, and the paragraph says by how much"
    assert found.items == 164 and found.family == 3
    assert found.candidate("small").quality is not None and found.candidate("unmeasured").quality is None


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
    found = decide(store, benchmark=benchmark)
    assert (found.chosen, found.best, found.metric) == ("good", "good", "pass@1")
    assert found.items == (163 if benchmark == "humaneval+" else 164)


def test_limits_come_first(shelf: Store) -> None:
    found = decide(shelf, Limits(ttft_seconds_p90=0.5))
    assert found.chosen == "small"
    assert not found.candidate("large").qualifies
    assert "the limit is at most 0.5" in found.candidate("large").reasons[0]
    assert any("large scored higher and is out only because" in one.sentence for one in found.would_change)


def test_one_reading_serves_any_limits_and_stays_what_it_was(shelf: Store) -> None:
    reading = Reading(shelf)
    limits = [Limits(), Limits(bytes=200_000_000), Limits(ttft_seconds_p90=0.5), Limits(bytes=1)]
    before = [decide(shelf, one) for one in limits]
    assert [decide(reading, one) for one in limits] == before
    add_humaneval(shelf, add_model(shelf, "later", 1000), passes(0.9))
    assert [decide(reading, one) for one in limits] == before
    assert decide(shelf).chosen == "later"


def test_the_unknown_is_no_pass_and_the_reason_names_what_to_run(shelf: Store) -> None:
    found = decide(shelf, Limits(tokens_per_second=1))
    assert not found.candidate("unmeasured").qualifies
    assert "bakeoff latency --model unmeasured" in found.candidate("unmeasured").reasons[0]
    assert any(one.run.startswith("bakeoff latency --model unmeasured") for one in found.would_change)


def test_a_command_is_named_where_a_measurement_would_tell_and_nowhere_else(shelf: Store) -> None:
    add_humaneval(shelf, add_model(shelf, "other"), passes(0.9), settings={"prompting": "bakeoff evaluate"})
    found = decide(shelf)
    runs = {one.model_id: one.run for one in found.would_change if one.run}
    assert runs == {"unmeasured": "bakeoff evaluate unmeasured --benchmark humaneval"}
    assert "prompting: bakeoff evaluate against chat" in found.candidate("other").reasons[0]


def test_the_verdict_is_a_sentence_whatever_the_models_are_called(shelf: Store) -> None:
    add_humaneval(shelf, add_model(shelf, "v1. 2. final", 1000), passes(0.9))
    found = decide(shelf)
    assert found.verdict == "Ship v1. 2. final." and found.evidence.startswith("The best measured is v1. 2. final")
    assert found.paragraph == f"{found.verdict} {found.evidence}"


def test_every_kind_of_limit_holds(shelf: Store) -> None:
    assert decide(shelf, Limits(bytes=50_000_000)).chosen is None
    assert not decide(shelf, Limits(peak_rss_bytes=1e8)).candidate("small").qualifies
    assert not decide(shelf, Limits(tokens_per_second=20)).candidate("large").qualifies
    assert not decide(shelf, Limits(others=(Limit("pass@1", 0.3, at_most=False),))).candidate("bad").qualifies
    assert "No model is known to meet the limits" in decide(shelf, Limits(ttft_seconds_p90=0.001)).paragraph


def test_latencies_of_two_machines_are_not_mixed(shelf: Store) -> None:
    other = add_model(shelf, "elsewhere", 10_000_000)
    add_humaneval(shelf, other, passes(0.45, seed=9), machine=THERE)
    add_latency(shelf, other, 0.01, 0.001, machine=THERE)
    found = decide(shelf, Limits(ttft_seconds_p90=2))
    assert found.machine_id == HERE.id
    assert not found.candidate("elsewhere").qualifies and found.candidate("elsewhere").answer_seconds is None
    assert "on machine here" in found.candidate("elsewhere").reasons[0]
    assert decide(shelf, machine_id=THERE.id).candidate("elsewhere").answer_seconds == pytest.approx(0.01 + 127 * 0.001)


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
    assert found.chosen == "twin", "100 MB against 900 MB"
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
    assert "the only choice, not the better one" in decide(store).paragraph


def test_archived_models_are_out(shelf: Store) -> None:
    shelf.models.add(dataclasses.replace(shelf.models.get("small"), archived=True))
    assert "small" not in {one.model_id for one in decide(shelf).candidates}


def test_where_humaneval_ties_held_out_loss_is_heard(shelf: Store) -> None:
    rows = np.random.default_rng(1).normal(60, 10, 40)
    add_heldout(shelf, shelf.models.get("small"), list(rows))
    add_heldout(shelf, shelf.models.get("large"), list(rows + np.tile([1, -1], 20)))
    assert "By held-out" not in decide(shelf).paragraph, "no difference, no word"
    add_heldout(shelf, shelf.models.get("bad"), list(rows - 9 + rows % 1))
    found = decide(shelf)
    assert found.chosen == "small" and found.benchmark == "humaneval"
    assert "By held-out bits per byte (40 rows) the choice is bad; behind the best:" in found.paragraph
    assert found.would_change[-1].run == "bakeoff decide --benchmark heldout"


def test_a_step_on_the_way_to_the_measured_file_is_no_contender(shelf: Store) -> None:
    shelf.runs.add(Run(id="run", name="run", experiment="one", base="base", config={}, seed=0))
    for name, form in (("tuned", "adapter"), ("tuned-lora", "lora-gguf")):
        add_model(shelf, name, form=form, run_id="run")
    assert {"tuned", "tuned-lora", "unmeasured"} <= {one.name for one in contenders(shelf)}
    add_humaneval(shelf, shelf.models.get("tuned-lora"), passes(0.5))
    found = {one.model_id for one in decide(shelf).candidates}
    assert "tuned-lora" in found and "unmeasured" in found and "tuned" not in found


def test_study_b_cannot_be_told_apart() -> None:
    found = decide_counts(STUDY_B)
    five = next(tie for tie in found.ties if tie.model_id == "variant 5")
    assert found.best == "variant 3" and five.tied
    assert five.contrast.method == "fisher" and five.contrast.p_at_best == 0.5
    assert five.contrast.items_needed is not None and five.contrast.items_needed > 20_000
    assert "unpaired and so conservative" in found.paragraph
    assert "p is 0.5 at the very least" in found.paragraph
    assert "26,139 tasks" in found.paragraph
    assert "Ship" not in found.paragraph, "a study's variants are not here to ship"


def test_study_b_is_published_and_judged_by_its_letter(store: Store) -> None:
    assert decide_published(store, "b").best == "variant 3"
    assert decide_published(store, "Study B").ties == decide_counts(STUDY_B).ties
    with pytest.raises(NotFound, match="Study B"):
        decide_published(store, "Z")
    assert store.models.list() == [] and store.evaluations.list() == [], "published figures are no measurements"


def test_everything_is_plain_json(shelf: Store) -> None:
    for found in (decide(shelf, Limits(bytes=1e9)), decide_counts(STUDY_B)):
        assert json.loads(json.dumps(found.as_json(), allow_nan=False))["chosen"] == found.chosen
    assert decision_markdown(decide(shelf)).count("\n| ") == 1 + 4


def test_hostile_names_stay_in_their_cells(store: Store) -> None:
    name = "a|b\n<script>alert(1)</script> 🚀 ‮evil"
    add_humaneval(store, add_model(store, name), [True] * 5)
    page = decision_markdown(decide(store))
    assert "<script" not in page
    row = next(line for line in page.splitlines() if line.startswith("| a"))
    assert "a\\|b" in row and row.count("|") - row.count("\\|") == 10


def test_a_frozen_decision_holds_until_something_changes(shelf: Store) -> None:
    record = freeze(decide(shelf, Limits(ttft_seconds_p90=2)), shelf, "First release")
    assert record == freeze(decide(shelf, Limits(ttft_seconds_p90=2)), shelf, "First release") or record.id.startswith(
        "first-release-"
    )
    assert find_record(shelf, "First release").id == record.id == find_record(shelf, record.id).id
    checked = recheck(record, shelf)
    assert checked.holds and checked.shipped == "small"
    assert {one.kind for one in checked.findings} == {"regressed"}, "bad is worse than the shipped model"
    with pytest.raises(NotFound, match=r"first-release-"):
        find_record(shelf, "Second release")


def test_a_later_model_regresses_or_wins_against_the_shipped(shelf: Store) -> None:
    record = freeze(decide(shelf), shelf, "v1")
    worse, better = add_model(shelf, "v2"), add_model(shelf, "v3")
    add_humaneval(shelf, worse, passes(0.25, seed=4))
    assert recheck(record, shelf).holds
    assert any("v2 has regressed against the shipped model" in one.sentence for one in recheck(record, shelf).findings)
    add_humaneval(shelf, better, passes(0.8, seed=5))
    checked = recheck(record, shelf)
    assert not checked.holds and [one.model_id for one in checked.findings if one.kind == "better"] == ["v3"]
    assert checked.decision.chosen == "v3" and "v3 is better" in checked.markdown()


def test_a_recheck_sees_other_files_and_broken_limits(shelf: Store) -> None:
    record = freeze(decide(shelf, Limits(bytes=150_000_000)), shelf, "v1")
    shipped = shelf.models.get(record.model_id)
    shelf.models.add(dataclasses.replace(shipped, identity="0" * 64, bytes=200_000_000))
    checked = recheck(record, shelf)
    assert not checked.holds and {"changed", "limits"} <= {one.kind for one in checked.findings}


def test_what_was_not_measured_cannot_be_frozen(store: Store) -> None:
    with pytest.raises(BakeoffError, match="measured model"):
        freeze(decide_counts(STUDY_B), store, "b")
    with pytest.raises(BakeoffError, match="measured model"):
        freeze(decide(store), store, "nothing")


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
        found = decide(store, Limits(ttft_seconds_p90=0.3))
        qualified = {one.model_id for one in found.candidates if one.qualifies}
        assert qualified == {f"m{place}" for place, (_, _, ttft) in enumerate(models) if ttft == 0.1}
        assert (found.chosen is None) == (not qualified)
        if found.chosen:
            chosen, tied = found.candidate(found.chosen), [one for one in found.candidates if one.tied]
            assert chosen in tied and found.chosen in qualified
            assert (chosen.bytes or 10) == min(one.bytes or 10 for one in tied)
        assert all(one.qualifies for one in found.candidates if one.on_front)
