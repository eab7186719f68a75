"""A race through the way that all tests take: losers are asked no more, a kill changes nothing, answers are not asked
twice. Models are an endpoint's, whose replies are right as often as they are said to be."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from engines import EngineError
from evaluator import Look, ModelUnmeasurable, Until, evaluate_questions, question_test, race, read_question_set
from results import Evaluation, Model, Question, RaceEntry, Report, Store, Workspace, decide
from tests.evaluator.endpoints import Endpoint, served

ITEMS = 240


class Lucky(Endpoint):
    """Answers the number that is asked for, as often as the model is good; which items it fails is the item's luck."""

    def reply(self, body: Mapping[str, Any]) -> str | None:
        number: str = body["messages"][-1]["content"].split()[1]
        self.server.asked.append((body["model"], number))
        if len(self.server.asked) == self.server.dies_at:
            return None
        return number if random.Random(number).random() < self.server.rates[body["model"]] else "no"


@pytest.fixture
def endpoint() -> Iterator[Any]:
    with served(Lucky, asked=[], rates={}, dies_at=0) as server:
        yield server


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "numbers.csv"
    path.write_text("question,answer\n" + "".join(f"Say {1000 + n} please,{1000 + n}\n" for n in range(ITEMS)))
    return path


def models(store: Store, endpoint: Any, **rates: float) -> list[Model]:
    endpoint.rates |= rates
    url = f"http://127.0.0.1:{endpoint.server_port}/v1"
    return [store.models.add(Model(n, n, "remote", n, n, 0, url, details={"model": n})) for n in rates]


def raced(
    some: list[Model], mine: Path, store: Store, workspace: Workspace, **until: Any
) -> tuple[list[Evaluation], list[Look]]:
    heard: list[Look] = []
    test = question_test(read_question_set(mine), store, {"slots": 4})
    return race(some, test, store, workspace, Until(**until), tell=heard.append), heard


@pytest.mark.slow
def test_losers_stop_and_the_decision_is_made_on_what_was_asked(
    store: Store, workspace: Workspace, endpoint: Any, mine: Path
) -> None:
    some = models(store, endpoint, good=0.9, poor=0.5, bad=0.1)
    found, heard = raced(some, mine, store, workspace)
    assert heard[-1].standing.end == "one left" and heard[-1].standing.inside == ("good",)
    asked = {model.id: sum(one[0] == model.id for one in endpoint.asked) for model in some}
    assert asked["bad"] < asked["poor"] <= asked["good"] < ITEMS
    entries = {one.model_id: RaceEntry.of(one) for one in found}
    for one in found:
        entry = entries[one.model_id]
        assert one.status == "finished" and entry is not None and entry.items == asked[one.model_id]
        assert {score.n for score in one.scores} == {asked[one.model_id]}
        assert one.subset == "race over 240 items" and entry.at
    assert [entry.left if entry else "" for entry in entries.values()] == [None, "worse", "worse"]
    items = [{one.item for one in store.evaluations.outcomes(each.id)} for each in found]
    assert items[2] < items[1] <= items[0]
    decision = decide(store, Question(measures=("numbers",)))
    assert (decision.kind, decision.chosen) == ("ship", "good")
    before = len(endpoint.asked)
    again, once_more = raced(some, mine, store, workspace)
    assert again == found and len(endpoint.asked) == before
    assert [look.standing for look in once_more] == [look.standing for look in heard]


@pytest.mark.slow
def test_a_race_that_broke_off_goes_on_in_the_same_order_and_decides_the_same(
    store: Store, workspace: Workspace, endpoint: Any, mine: Path, tmp_path: Path
) -> None:
    some = models(store, endpoint, good=0.8, poor=0.6, bad=0.2)
    endpoint.dies_at = 130
    with pytest.raises(EngineError):
        raced(some, mine, store, workspace)
    (report,) = store.reports.list(kind="race")
    kept = {one.id: len(store.evaluations.outcomes(one.id)) for one in store.evaluations.list(benchmark="numbers")}
    endpoint.dies_at = 0
    found, heard = raced(some, mine, store, workspace)
    answered = sum(len(store.evaluations.outcomes(one.id)) for one in found)
    assert len(endpoint.asked) <= answered + 8  # what was under way when it broke off is asked again
    assert kept.keys() == {one.id for one in found}
    (after,) = store.reports.list(kind="race")
    assert after.subject == report.subject and after.payload["order"] == report.payload["order"]
    assert len(after.payload["order"]) == ITEMS and after.payload["end"] == heard[-1].standing.end
    with Workspace(tmp_path / "other").store() as other:
        fresh = models(other, endpoint, good=0.8, poor=0.6, bad=0.2)
        _, unbroken = raced(fresh, mine, other, Workspace(tmp_path / "other"))
    assert [look.standing for look in unbroken] == [look.standing for look in heard]


def test_what_another_measurement_knows_is_not_asked_again(
    store: Store, workspace: Workspace, endpoint: Any, mine: Path
) -> None:
    good, poor = models(store, endpoint, good=0.9, poor=0.3)
    evaluate_questions([good], read_question_set(mine), store, workspace, {"slots": 4})
    endpoint.asked.clear()
    _, heard = raced([good, poor], mine, store, workspace)
    assert {name for name, _ in endpoint.asked} == {"poor"}
    assert heard[-1].brought == heard[-1].standing.items and heard[-1].standing.inside == ("good",)


@pytest.mark.slow
def test_equal_models_end_at_the_margin_and_a_budget_ends_sooner(
    store: Store, workspace: Workspace, endpoint: Any, mine: Path
) -> None:
    pair = models(store, endpoint, one=0.7, other=0.7)
    _, heard = raced(pair, mine, store, workspace, margin=0.1)
    assert heard[-1].standing.end == "tie" and heard[-1].standing.items < ITEMS
    _, cut = raced(pair, mine, store, workspace, margin=0.01, budget=60)
    assert cut[-1].standing.end == "budget" and cut[-1].answers <= 62
    assert cut[-1].at_most <= 62 and cut[-1].standing.left[0].why == "budget"


def test_items_found_in_training_data_are_not_raced_over(
    store: Store, workspace: Workspace, endpoint: Any, mine: Path
) -> None:
    pair = models(store, endpoint, one=0.9, other=0.2)
    known = [item.id for item in read_question_set(mine).items][:200]
    store.reports.put(Report("one", "contamination", {"benchmark": "numbers", "items": known}))
    found, heard = raced(pair, mine, store, workspace)
    assert heard[-1].terms.most == ITEMS - 200
    asked: set[str] = {one.item for each in found for one in store.evaluations.outcomes(each.id)}
    assert not asked & set(known)


def test_what_cannot_be_raced_is_refused_before_anything_is_asked(
    store: Store, workspace: Workspace, endpoint: Any, mine: Path
) -> None:
    pair = models(store, endpoint, one=0.5, other=0.5)
    with pytest.raises(ModelUnmeasurable, match="needs two models, and there is one"):
        raced(pair[:1], mine, store, workspace)
    with pytest.raises(ModelUnmeasurable, match=r"above 0 and at most 0\.5, such as 0\.02: 2"):
        raced(pair, mine, store, workspace, margin=2.0)
    with pytest.raises(ModelUnmeasurable, match="budget of 3 answers is too little for 2 models: 4 at least"):
        raced(pair, mine, store, workspace, budget=3)
    test = question_test(read_question_set(mine), store, {"choices": "likelihood"})
    with pytest.raises(ModelUnmeasurable, match="one pass"):
        race(pair, test, store, workspace, Until())
    mine.write_text("question,answer,group\nOne?,1,a\nTwo?,2,a\nThree?,3,b\n")
    with pytest.raises(ModelUnmeasurable, match=r"Items of 2 groups are related.*leave until decided out"):
        raced(pair, mine, store, workspace)
    assert not endpoint.asked
