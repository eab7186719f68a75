"""What a form costs against the model that it was exported from."""

from __future__ import annotations

from pathlib import Path

import pytest

from results import Store, digest, form_costs
from tests.results.shelves import add_heldout, add_humaneval, add_model


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An adapter, its merged folder, and a Q4_0 file exported from that."""
    made = Store(f"sqlite:///{tmp_path / 'store.db'}")
    adapter = add_model(made, "tuned", form="adapter")
    merged = add_model(made, "tuned-merged", form="merged", details={"source": adapter.identity})
    add_model(made, "tuned-q4_0", form="gguf-q4_0", details={"source": merged.identity})
    return made


def test_the_cost_is_paired_with_the_adapter_at_the_root(store: Store) -> None:
    passed = [task % 2 == 0 for task in range(164)]
    add_humaneval(store, store.models.find("tuned"), passed)
    add_humaneval(
        store, store.models.find("tuned-q4_0"), [one and task not in (0, 2, 4) for task, one in enumerate(passed)]
    )
    (cost,) = form_costs(store)  # the merged folder was not measured
    assert (cost.model, cost.against, cost.contrast.items) == ("tuned-q4_0", "tuned", 164)
    assert cost.cost == pytest.approx(3 / 164) and cost.ends[0] <= cost.cost <= cost.ends[1]
    assert cost.contrast.only_a == 0 and cost.contrast.only_b == 3
    assert cost.sentence.startswith("Q4_0 costs 1.8 points (95 % interval of the cost ")
    assert (
        ", not distinguishable: tuned-q4_0 against tuned on 164 shared items; the two differ on 3 of 164 items"
        in cost.sentence
    )
    assert cost.as_json()["sentence"] == cost.sentence


def test_a_loss_that_shows_and_a_gain_are_told(store: Store) -> None:
    adapter, q4 = store.models.find("tuned"), store.models.find("tuned-q4_0")
    add_humaneval(store, adapter, [True] * 40 + [False] * 4)
    add_humaneval(store, q4, [False] * 20 + [True] * 24)
    (cost,) = form_costs(store)
    assert "Q4_0 costs 36.4 points" in cost.sentence and ", distinguishable:" in cost.sentence
    add_humaneval(store, store.models.find("tuned-merged"), [True] * 41 + [False] * 3)
    costs = {one.model: one for one in form_costs(store)}
    assert costs["tuned-merged"].cost < 0 and "Merging gains 2.3 points" in costs["tuned-merged"].sentence


def test_bits_that_rise_are_a_cost(store: Store) -> None:
    add_heldout(store, store.models.find("tuned"), [50.0 + row for row in range(30)])
    add_heldout(store, store.models.find("tuned-q4_0"), [50.5 + row for row in range(30)])
    (cost,) = form_costs(store, "heldout", [store.models.find("tuned-q4_0")])
    assert cost.cost > 0 and "costs 0.0072 bits per byte" in cost.sentence and ", distinguishable:" in cost.sentence
    assert form_costs(store) == []


def test_what_was_not_exported_or_not_measured_alike_has_no_cost(store: Store) -> None:
    add_humaneval(store, store.models.find("tuned"), [True] * 10)
    add_humaneval(store, store.models.find("tuned-q4_0"), [True] * 10, settings={"prompting": "raw"})
    assert form_costs(store) == []
    lora = add_model(store, "tuned-lora", form="lora-gguf", details={"source": store.models.find("tuned").identity})
    add_humaneval(store, lora, [True] * 10, settings={"prompting": "raw"})
    assert [(one.model, one.against) for one in form_costs(store)] == [("tuned-q4_0", "tuned-lora")]


def test_a_model_exported_from_itself_has_no_cost(store: Store) -> None:
    add_humaneval(store, store.models.find("tuned"), [True] * 10)
    add_model(store, "loop", details={"source": digest(["loop"])})  # a damaged record
    assert form_costs(store) == []
