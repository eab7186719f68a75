"""The published page: what it tells, that it loads and runs nothing else, and that no text of others acts in it."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dashboard.publishing.bases import PublicBase
from dashboard.publishing.evidence import MOST_CHARACTERS, Asked, Told, cut
from dashboard.publishing.page import page
from dashboard.publishing.study import PageWishes, Study, read_study
from results import Question, Reading, Workspace, decide, decide_published
from results.errors import BakeoffError
from results.records import Score
from tests.dashboard import stores
from tests.dashboard.publishing.reading import Source

BASES = {"tiny-base": PublicBase("someone/tiny-base", "apache-2.0")}
HOSTILE = [
    stores.HOSTILE, stores.SCRIPT, "</script><script>window.hacked=1</script>", "<!--<script>", "]]>", "&lt;b&gt;",
    "\u202egnp.exe", "{{ 7 * 7 }}{% include 'x' %}", "\ud83d", "\x00\x1b[2J", "' onload='x", '" onload="x', "\u2028",
]  # fmt: skip


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return stores.small(tmp_path_factory.mktemp("published") / "workspace")


def study_of(place: Workspace, by: str = "humaneval", **wishes: object) -> Study:
    with place.store() as store:
        decision = decide(Reading(store), Question(measures=(by,)))
        return read_study(store, decision, BASES, PageWishes(**wishes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def study(small: Workspace) -> Study:
    return study_of(small, author="Ada", title="Which one answers shoppers?")


def test_it_tells_the_verdict_why_how_sure_and_what_would_change_it(study: Study) -> None:
    said = Source(page(study).html).text
    assert "Which one answers shoppers?" in said and "Not enough data" in said
    for word, fact in study.facts:
        assert word in said and fact in said
    for sentence in (*study.decision.facts, *study.decision.reasons, *study.next):
        assert " ".join(sentence.split()) in said


def test_every_candidate_stands_there_with_its_interval_and_what_its_figures_are(study: Study) -> None:
    said = Source(page(study).html).text
    assert "demo-rank16-q4_0 highest score, a guess 60.0 % (44.6–73.7) 40 measured" in said
    assert "Study B, variant 3: pass@1 0.457 on 164" in said
    assert "Published by others, not measured here" in said


def test_the_record_has_author_day_machines_digests_bases_and_licences(study: Study, small: Workspace) -> None:
    said = Source(page(study).html).text
    assert "Author Ada" in said and f"Newest measurement {study.until}" in said
    assert "Two-core test CPU, 2 cores, 8 GiB, Linux x86_64" in said
    assert "someone/tiny-base apache-2.0" in said
    with small.store() as store:
        for model in store.models.list():
            assert model.identity in said
            assert model.path not in said


def test_imported_figures_archived_models_and_unknown_licences_are_said(tmp_path: Path) -> None:
    place = stores.small(tmp_path / "w")
    with place.store() as store:
        theirs = stores.model("theirs", "remote", None, 0)
        store.models.add(dataclasses.replace(theirs, base="elsewhere"))
        settings = {"max_tokens": 256, "mode": "raw"}
        begun = stores.evaluation(theirs, "humaneval", stores.LAPTOP, settings, subset=f"{stores.TASKS} of 164 tasks")
        store.evaluations.begin(dataclasses.replace(begun, origin="imported"))
        rows = [stores.humaneval_outcome(n, "passed" if n % 3 else "wrong", "x") for n in range(stores.TASKS)]
        store.evaluations.add_outcomes(begun.id, rows)
        store.evaluations.finish(begun.id, [Score("pass@1", 0.65, 0.5, 0.78, stores.TASKS)], {})
        away = store.models.find("demo-rank8")
        store.runs.edit(str(away.run_id), archived=True)
        asked = Question(models=tuple(one.id for one in store.models.list()), measures=("humaneval",))
        said = Source(page(read_study(store, decide(store, asked), {}, PageWishes())).html).text
    assert "archived: a newer model has its name, or its run was put away" in said
    assert "40 imported" in said and ", imported" in said
    assert "an endpoint: its weights are elsewhere" in said and "no licence was recorded" in said


def test_a_published_study_is_labelled_published_and_says_what_is_not_there(small: Workspace) -> None:
    with small.store() as store:
        said = Source(page(read_study(store, decide_published(store, "B"), {}, PageWishes())).html).text
    assert "published figures" in said and "there are no items, answers or curves behind them" in said


def test_models_without_a_speed_are_drawn_by_size_or_named(tmp_path: Path) -> None:
    place = stores.small(tmp_path / "w")
    with place.store() as store:
        for name, size in (("untimed", 5 * 10**8), ("sizeless", 0)):
            store.models.add(stores.model(name, "gguf-q8_0", None, size))
            stores.write_humaneval(store, stores.model(name, "gguf-q8_0", None, size), 0.3)
    study = study_of(place)
    source = Source(page(study).html)
    assert study.along == "bytes" and "untimed" in set(study.points["name"])
    assert "Files, GB" in source.text and "for want of a figure along it: sizeless." in source.text
    assert "the large mark has the highest score, which is a guess" in source.text


def test_items_stand_in_three_groups_and_every_verdict_is_in_the_table(study: Study) -> None:
    matrix = study.matrix
    assert matrix is not None and sum(matrix.groups.values()) == stores.TASKS == len(matrix.items)
    reached = [{row.values[at] for row in matrix.rows} for at in range(len(matrix.items))]
    ends = [matrix.groups["all right"], matrix.groups["all right"] + matrix.groups["they differ"]]
    assert all(one == {1.0} for one in reached[: ends[0]])
    assert all(len(one) == 2 for one in reached[ends[0] : ends[1]])
    assert all(one == {0.0} for one in reached[ends[1] :])
    cells = page(study).html.split('<table class="items">')[1]
    assert all(f"<td>{word}</td>" in cells for row in matrix.rows for word in row.words)


def test_answers_are_of_the_items_that_tell_most_or_of_those_that_are_named(small: Workspace) -> None:
    study = study_of(small, answers=5)
    assert study.answers is not None and len(study.answers.items) == 5
    for one in study.answers.items:
        assert len({told.verdict == "passed" for told in one.told.values()}) == 2, "all agree on an item that tells"
    named = study_of(small, items=("HumanEval/3", "HumanEval/1"))
    assert named.answers is not None and [one.item for one in named.answers.items] == ["HumanEval/3", "HumanEval/1"]
    with pytest.raises(BakeoffError, match=r"'HumanEval/999'.*no answer.*40"):
        study_of(small, items=("HumanEval/999",))
    with pytest.raises(BakeoffError, match="none of these models was asked"):
        study_of(small, answers_by="mbpp")
    assert study_of(small, answers=0).answers is None


def test_what_is_cut_says_how_much(study: Study) -> None:
    assert cut("x" * MOST_CHARACTERS) == "x" * MOST_CHARACTERS
    assert cut("x" * (MOST_CHARACTERS + 1234)).endswith("[… 1,234 more characters are not published]")


def test_it_loads_nothing_and_its_policy_names_the_one_style_and_script(study: Study) -> None:
    made = page(study)
    source = Source(made.html)
    addresses = [
        value for _, attributes in source.elements for name, value in attributes.items()
        if name in ("src", "href", "srcset", "data", "action", "poster", "background", "xlink:href")
    ]  # fmt: skip
    assert made.data_name in addresses
    assert {one for one in addresses if one and not one.startswith("#")} == {made.data_name, "data:,"}
    rule = next(one["content"] for tag, one in source.elements if one.get("http-equiv") == "Content-Security-Policy")
    rules = dict(one.split(" ", 1) for one in str(rule).split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    for kind, name in (("style", "style-src"), ("script", "script-src")):
        texts = [text for tag, attributes, text in source.held if tag == kind and "type" not in attributes]
        assert len(texts) == 1
        assert rules[name] == f"'sha256-{base64.b64encode(hashlib.sha256(texts[0].encode()).digest()).decode()}'"
    assert not [one for tag, one in source.elements if "style" in one or any(name.startswith("on") for name in one)]


def hostile(study: Study, text: str) -> Study:
    """The study, with that text wherever others' texts stand."""
    assert study.matrix and study.answers
    told = {text: Told(text, text, text), "demo-rank8": Told("wrong", text, "")}
    rows = tuple(dataclasses.replace(row, model=text, words=(text,) * len(row.words)) for row in study.matrix.rows)
    wins = study.matrix.wins
    assert wins is not None
    return dataclasses.replace(
        study,
        title=text,
        author=text,
        question=text,
        verdict=text,
        facts=((text, text),) * len(study.facts),
        next=(text,) * len(study.next),
        points=study.points.assign(name=pd.Series([text] * len(study.points), dtype=object)),
        standings=tuple(dataclasses.replace(one, model=text, why=text) for one in study.standings),
        matrix=dataclasses.replace(
            study.matrix, items=(text,) * len(study.matrix.items), rows=rows,
            wins=wins.set_axis(pd.Index([text] * len(wins), dtype=object), axis=0),
        ),
        answers=dataclasses.replace(study.answers, models=(text,), items=(Asked(text, text, told),)),
        losses=tuple(dataclasses.replace(one, name=text) for one in study.losses),
        scores=tuple(dataclasses.replace(one, model=text, test=text) for one in study.scores),
        cards=tuple(dataclasses.replace(one, model=text, base=text, notes=(text,)) for one in study.cards),
        machines=(text,) * len(study.machines),
        left_out=(text,),
    )  # fmt: skip


class Harmless:
    """A study, and the elements of its page with a harmless text; told in a word where a test fails."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.shape = Source(page(hostile(study, "x")).html).shape


@pytest.fixture(scope="module")
def harmless(study: Study) -> Harmless:
    return Harmless(study)


def without_names(shape: list[tuple[str, tuple[str, ...]]]) -> list[tuple[str, tuple[str, ...]]]:
    """Elements but the names in charts: beside a point one is drawn where there is room."""
    return [one for one in shape if one[0] != "text"]


@given(st.text(min_size=1, max_size=60).filter(str.strip) | st.sampled_from(HOSTILE))
@example("</script>")
def test_no_text_of_others_makes_an_element_or_an_attribute(harmless: Harmless, text: str) -> None:
    html = page(hostile(harmless.study, text)).html
    html.encode("utf-8")
    source = Source(html)
    assert without_names(source.shape) == without_names(harmless.shape)
    (asked,) = source.answers["items"]
    assert asked["prompt"] in asked["told"], "the same text is the same everywhere"
    assert not set(html) & set("\u202a\u202e\u2066\x00\x1b")


def test_the_page_of_the_same_store_is_the_same_byte_for_byte(small: Workspace) -> None:
    assert page(study_of(small)) == page(study_of(small))
