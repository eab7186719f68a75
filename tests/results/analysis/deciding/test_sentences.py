"""Every sentence of a decision is read against its numbers: over random stores none contradicts another or its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from results import Decision, Limits, Question, Store, decide, decide_counts, decision_markdown
from results.analysis.deciding.choice import Cost
from results.analysis.findings import Figure
from results.analysis.wording import figure_text
from tests.results.shelves import add_graded, add_heldout, add_humaneval, add_latency, add_model

KINDS = ("passes", "graded", "grouped", "held-out", "too hard", "too easy", "few")
RAW = re.compile(r"_p\d\d|mean_share|_bytes|\de[+-]\d")
"""What is no word: metrics by their name in the store, numbers in powers of ten."""


def stored(store: Store, kind: str, models: int, seed: int, limited: bool) -> Decision:
    """A decision over models that agree on most items, measured in one of the ways that there are."""
    draws = np.random.default_rng(seed)
    items = int(draws.integers(6, 14)) if kind == "few" else int(draws.integers(20, 200))
    hard = draws.random(items)
    for place in range(models):
        model = add_model(store, f"m{place}", int(draws.choice([0, 90, 150, 400])) * 1_000_000)
        skill = {"too hard": 0.0, "too easy": 1.0}.get(kind, float(draws.choice([0.5, 0.55, 0.8])))
        own = np.where(draws.random(items) < 0.7, hard, draws.random(items)) < skill
        if kind in ("graded", "grouped"):
            graded = np.where(own, draws.choice([0.75, 1.0], items), draws.choice([0.0, 0.25], items))
            groups = [f"g{item % 9}" for item in range(items)] if kind == "grouped" else []
            add_graded(store, model, graded.tolist(), groups)
        elif kind == "held-out":
            add_heldout(store, model, list(60 + 20 * hard + draws.normal(place % 2, 2, items)))
        else:
            add_humaneval(store, model, own.tolist())
        if draws.random() < 0.7:
            add_latency(store, model, float(draws.choice([0.2, 0.7])), 0.02)
    return decide(store, Question(limits=Limits(ttft_seconds_p90=0.5) if limited else Limits()))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@given(models=st.integers(2, 6), seed=st.integers(0, 10_000), limited=st.booleans())
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_sentence_contradicts_its_numbers(
    tmp_path_factory: pytest.TempPathFactory, kind: str, models: int, seed: int, limited: bool
) -> None:
    with Store(f"sqlite:///{tmp_path_factory.mktemp('said') / 'results.db'}") as store:
        found = stored(store, kind, models, seed, limited)
    said = [found.verdict, *found.facts, *found.reasons, *(one.sentence for one in found.would_change)]
    assert not [one for one in said if RAW.search(one)]
    assert not [one for one in said for number in _numbers(one) if number > 1_000_000]
    if not all(one.qualifies for one in found.candidates):
        assert not [one for one in said if re.search(r"[Nn]o other (?!that meets the limits)", one)]
    if found.metric == "bits_per_byte":
        assert not [one for one in said if "score" in one.replace("the same score", "").replace("better score", "")]
    assert "&lt;" not in decision_markdown(found), "what is escaped is no sentence to read on a terminal"
    _standings(found)
    _costs(found)
    _best(found)


def _standings(found: Decision) -> None:
    """An interval that leaves zero out stands beside no "not told apart", and few items beside no p-value."""
    compared = len(found.ties) + 1
    for tie in found.ties:
        name = found.candidate(tie.model_id).model
        (said,) = [one for one in found.reasons if one.startswith(f"{name} is ")]
        alone = not tie.contrast.low <= 0 <= tie.contrast.high and not tie.contrast.too_few
        assert ("if they were the only two" in said) == ("not told apart" in said and alone)
        assert not (tie.tied and tie.contrast.too_few and not tie.within and "p = " in said)
        assert compared > 2 or "adjusted" not in said


def _costs(found: Decision) -> None:
    """What is called the cheapest is known to be cheaper than each other; what is not, is not."""
    known = {
        one.model_id: Cost(one.bytes, one.answer_seconds)
        for one in found.candidates if one.qualifies and one.quality is not None
    }  # fmt: skip
    if "It is the cheapest too." in found.facts:
        own = known.pop(found.chosen or "")
        assert all(own.below(other) for other in known.values())
    if "Of no cheaper one is that shown." in found.facts:
        own = known.pop(found.chosen or "")
        assert any(other.below(own) for other in known.values())


def _best(found: Decision) -> None:
    """All who have the best score are named with it."""
    if found.best is None:
        return
    best = found.candidate(found.best).quality
    equal = [one.model for one in found.candidates if one.qualifies and one.quality and best]
    equal = [name for name in equal if found.candidate(name).quality.value == best.value]  # type: ignore[union-attr]
    (said,) = [one for one in found.reasons if one.startswith(("Highest score: ", "Fewest bits per byte: "))]
    assert all(name in said for name in equal) and (", each " in said) == (len(equal) > 1)


def _numbers(sentence: str) -> Iterator[int]:
    return (int(one.replace(",", "")) for one in re.findall(r"(?<![\w.])\d[\d,]*(?![\w.])", sentence) if one.strip(","))


def test_a_limit_that_is_relaxed_as_said_is_met(store: Store) -> None:
    for name, share, ttft in (("slow", 0.9, 0.7777777), ("quick", 0.3, 0.1)):
        model = add_model(store, name)
        add_humaneval(store, model, [task < 164 * share for task in range(164)])
        add_latency(store, model, ttft, 0.02)
    (said,) = [
        one.sentence for one in decide(store, Question(limits=Limits(0.5))).would_change if "relax" in one.sentence
    ]
    assert "slow has the better score and is out only because p90 time to first token is 0.817 s" in said
    relaxed = float(said.split("relax p90 time to first token to ")[1].split()[0])
    assert decide(store, Question(limits=Limits(relaxed))).candidate("slow").qualifies


def test_related_items_are_asked_for_by_groups(store: Store) -> None:
    draws = np.random.default_rng(0)
    for name in ("one", "two"):
        scores = draws.choice([0.0, 0.5, 1.0], 60)
        add_graded(store, add_model(store, name), scores.tolist(), [f"g{item % 10}" for item in range(60)])
    found = decide(store)
    assert found.kind == "not enough data" and found.items_needed is not None
    groups = -(-found.items_needed // 6)
    assert f"takes about {groups:,} groups of related items in all (10 groups of 60 items now)" in found.paragraph


def test_a_test_that_is_too_hard_or_too_easy_is_said_to_be_so_and_asks_for_no_number_of_items(store: Store) -> None:
    for name in ("one", "two"):
        add_humaneval(store, add_model(store, name), [False] * 164)
    hard = decide(store)
    assert hard.items_needed is None and "too hard for them" in hard.paragraph
    assert "measure by an easier test" in hard.would_change[0].sentence
    assert "differences below 3 points do not matter" in hard.reasons[0]
    for name in ("three", "four"):
        add_graded(store, add_model(store, name), [1.0] * 20, benchmark="easy")
    easy = decide(store, Question(measures=("easy",)))
    assert "Each of the models passes all of 20 items of easy: it is too easy to tell them apart." in easy.facts


def test_a_store_without_models_says_what_to_do_first_and_prints_no_table(store: Store, tmp_path: Path) -> None:
    page = decision_markdown(decide(store))
    assert page.startswith("There are no models yet.") and "bakeoff demo" in page
    assert "|" not in page and "0 models" not in page


def test_a_further_measure_that_says_nothing_is_named(store: Store) -> None:
    models = [add_model(store, name) for name in ("one", "two")]
    for model in models:
        add_humaneval(store, model, [True] * 30 + [False] * 30)
    add_graded(store, models[0], [0.5] * 20)
    found = decide(store, Question(measures=("humaneval", "mine")))
    assert "Nothing to say of the models still open has mine: fewer than two were measured alike." in found.reasons


def test_a_published_study_shows_no_digests(store: Store) -> None:
    assert "SHA-256" not in decision_markdown(decide_counts({"one": (60, 164), "two": (75, 164)}))


def test_a_score_reads_alike_in_sentences_and_tables_on_pages_and_the_command_line() -> None:
    passed = Figure("pass@1", 1 / 16, 0.0111, 0.2833, 16)
    assert figure_text(passed) == "6.2 % (95 % interval 1.1 to 28.3), n = 16"
    assert figure_text(Figure("bits_per_byte", 0.6574, 0.532, 0.776, 24)).startswith("0.657 (95 % interval 0.532")
    assert "| one | 75.0 % | 53.1 to 88.8 | 20 |" in decision_markdown(decide_counts({"one": (15, 20), "two": (3, 20)}))
