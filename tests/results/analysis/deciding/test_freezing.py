"""A decision kept as a record, and held against the store of a later day."""

from __future__ import annotations

import dataclasses

import pytest

from results import BakeoffError, Limits, NotFound, Question, Store, decide, decide_counts, find_record, freeze, recheck
from tests.results.shelves import THERE, add_humaneval, add_latency, add_model, passes


def test_a_frozen_decision_holds_until_something_changes(shelf: Store) -> None:
    question = Question(limits=Limits(ttft_seconds_p90=2), margin=0.1)
    record = freeze(decide(shelf, question), shelf, "First release")
    assert record.id == freeze(decide(shelf, question), shelf, "First release").id
    assert record.id.startswith("first-release-")
    assert find_record(shelf, "First release").id == record.id == find_record(shelf, record.id).id
    checked = recheck(record, shelf)
    assert checked.holds and checked.shipped == "small"
    assert (checked.findings, checked.changed) == ((), ()), "bad is worse than the shipped model, and was then"
    assert "Nothing has changed since." in checked.markdown()
    with pytest.raises(NotFound, match=r"first-release-"):
        find_record(shelf, "Second release")


def test_a_record_says_who_decided_when_and_where(shelf: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAKEOFF_AUTHOR", "Ada")
    question = Question(limits=Limits(ttft_seconds_p90=2), margin=0.1)
    record = freeze(decide(shelf, question), shelf, "v1")
    assert record.payload["author"] == "Ada" and record.created_at is not None and record.payload["machine"]
    assert record.payload["question"]["margin"] == 0.1 and record.limits["measures"] == ["humaneval"]
    chosen = next(one for one in record.payload["candidates"] if one["model_id"] == record.model_id)
    assert chosen["identity"] and chosen["quality"]["evaluation_id"]
    monkeypatch.setenv("BAKEOFF_AUTHOR", "Grace")
    assert freeze(decide(shelf, question), shelf, "v1") == record, "the first who decided it"


def test_a_recheck_names_what_changed(shelf: Store) -> None:
    record = freeze(decide(shelf, Question(margin=0.1)), shelf, "v1")
    add_humaneval(shelf, shelf.models.get("bad"), passes(0.21, seed=8), settings={"dtype": "bfloat16"})
    checked = recheck(record, shelf)
    assert checked.holds and checked.changed == ("the test's outcomes",)
    assert [one.kind for one in checked.findings] == ["measured anew"]
    add_latency(shelf, shelf.models.get("small"), 0.3, 0.02, machine=THERE)
    add_latency(shelf, shelf.models.get("large"), 0.3, 0.02, machine=THERE)
    add_latency(shelf, shelf.models.get("bad"), 0.3, 0.02, machine=THERE)
    add_model(shelf, "new")
    assert "who stands beside it" in recheck(record, shelf).changed


def test_a_later_model_regresses_or_wins_against_the_shipped(shelf: Store) -> None:
    record = freeze(decide(shelf, Question(margin=0.1)), shelf, "v1")
    worse, better = add_model(shelf, "v2"), add_model(shelf, "v3")
    add_humaneval(shelf, worse, passes(0.25, seed=4))
    assert recheck(record, shelf).holds
    assert any("v2 has regressed against the shipped model" in one.sentence for one in recheck(record, shelf).findings)
    add_humaneval(shelf, better, passes(0.8, seed=5))
    checked = recheck(record, shelf)
    assert not checked.holds and [one.model_id for one in checked.findings if one.kind == "better"] == ["v3"]
    assert checked.decision.chosen == "v3" and "v3 is better" in checked.markdown()


def test_a_recheck_sees_other_files_and_broken_limits(shelf: Store) -> None:
    record = freeze(decide(shelf, Question(limits=Limits(bytes=150_000_000))), shelf, "v1")
    shipped = shelf.models.get(record.model_id)
    shelf.models.add(dataclasses.replace(shipped, identity="0" * 64, bytes=200_000_000))
    checked = recheck(record, shelf)
    assert not checked.holds and {"changed", "limits"} <= {one.kind for one in checked.findings}


def test_what_was_not_measured_cannot_be_frozen(store: Store) -> None:
    with pytest.raises(BakeoffError, match="measured model"):
        freeze(decide_counts({"one": (60, 164), "two": (71, 164)}), store, "b")
    with pytest.raises(BakeoffError, match="measured model"):
        freeze(decide(store), store, "nothing")
