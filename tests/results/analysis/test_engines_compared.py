"""What answered is a part of a figure: like engine is compared with like, and where that cannot be it is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from results import Question, Store, compare, decide, decision_markdown, engine_words, form_costs
from tests.results.shelves import add_humaneval, add_model

SAID = "Not all were asked through one engine"
LLAMA, TRANSFORMERS = {"engine": "llamacpp"}, {"engine": "huggingface"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An adapter, and a Q4_0 file exported from it."""
    made = Store(f"sqlite:///{tmp_path / 'store.db'}")
    adapter = add_model(made, "tuned", form="adapter")
    add_model(made, "tuned-q4_0", form="gguf-q4_0", details={"source": adapter.identity})
    return made


def test_a_decision_between_engines_says_so_everywhere(store: Store) -> None:
    adapter, q4 = store.models.find("tuned"), store.models.find("tuned-q4_0")
    add_humaneval(store, adapter, [True] * 40 + [False] * 60, settings=TRANSFORMERS)
    add_humaneval(store, q4, [True] * 38 + [False] * 62, settings=LLAMA)
    found = decide(store)
    assert SAID in found.paragraph and "tuned through transformers" in found.paragraph
    assert any(SAID in reason for reason in found.reasons) and SAID in decision_markdown(found)
    assert {one.model: one.quality.engine for one in found.candidates if one.quality} == {
        "tuned": "transformers", "tuned-q4_0": "llama.cpp",
    }  # fmt: skip
    assert any(SAID in problem for problem in compare(store, adapter, q4).problems)
    (cost,) = form_costs(store)
    assert cost.sentence.endswith("The engine's part is in it: llama.cpp against transformers.")


def test_like_is_compared_with_like_where_there_is_like(store: Store) -> None:
    adapter, q4 = store.models.find("tuned"), store.models.find("tuned-q4_0")
    add_humaneval(store, adapter, [True] * 40 + [False] * 60, settings=TRANSFORMERS)
    like = add_humaneval(store, q4, [True] * 30 + [False] * 70, settings=TRANSFORMERS)
    newer = add_humaneval(store, q4, [True] * 38 + [False] * 62, settings=LLAMA)
    found = decide(store)
    quality = found.candidate(q4.id).quality
    assert quality is not None and quality.evaluation_id == like.id and SAID not in found.paragraph
    assert form_costs(store)[0].cost == pytest.approx(0.1) and "engine" not in form_costs(store)[0].sentence
    assert not any(SAID in problem for problem in compare(store, adapter, q4).problems)
    other = add_model(store, "other-q4_0", form="gguf-q4_0")
    add_humaneval(store, other, [True] * 20 + [False] * 80, settings=LLAMA)
    shipped = decide(store, Question(models=(q4.id, other.id))).candidate(q4.id).quality
    assert shipped is not None and shipped.evaluation_id == newer.id


def test_a_glimpse_through_the_same_engine_is_not_preferred(store: Store) -> None:
    adapter, q4 = store.models.find("tuned"), store.models.find("tuned-q4_0")
    add_humaneval(store, adapter, [True] * 40 + [False] * 60, settings=TRANSFORMERS)
    add_humaneval(store, q4, [True] * 5, settings=TRANSFORMERS)
    add_humaneval(store, q4, [True] * 38 + [False] * 62, settings=LLAMA)
    found = decide(store)
    assert found.items == 100 and SAID in found.paragraph


def test_what_was_not_recorded_is_not_guessed(store: Store) -> None:
    add_humaneval(store, store.models.find("tuned"), [True] * 40 + [False] * 60)
    add_humaneval(store, store.models.find("tuned-q4_0"), [True] * 38 + [False] * 62, settings=LLAMA)
    assert SAID not in decide(store).paragraph


def test_a_file_measured_by_transformers_is_labelled(store: Store) -> None:
    q4 = store.models.find("tuned-q4_0")
    old = add_humaneval(store, q4, [True] * 5, settings=TRANSFORMERS)
    assert engine_words(q4, old) == "transformers over dequantized weights"
    beside = add_model(store, "lora", form="lora-gguf")
    assert engine_words(beside, add_humaneval(store, beside, [True], settings=LLAMA)) == "llama.cpp"
