"""Every page alone, on an empty, a small, a half-written and a large store: drawn, and the store unchanged."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard import app_pages
from dashboard.jobs import jobs
from results import Workspace
from tests.dashboard.answers import AnswerServer
from tests.dashboard.conftest import content

PAGES = Path(app_pages.__file__).parent
NAMES = sorted(path.stem for path in PAGES.glob("*.py") if path.stem != "__init__")
STORES = ("empty", "small", "half_written", "large")


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streamlit says at length that it runs without a server."""
    logging.getLogger("streamlit").setLevel(logging.ERROR)
    monkeypatch.delenv("BAKEOFF_DATABASE_URL", raising=False)


def shown(name: str, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The page, run once over the store."""
    monkeypatch.setenv("BAKEOFF_WORKSPACE", str(workspace))
    return AppTest.from_file(str(PAGES / f"{name}.py"), default_timeout=300).run()


def test_all_thirteen_pages_are_there() -> None:
    assert len(NAMES) == 13


@pytest.mark.parametrize(("name", "key"), [("decide", "by"), ("scores", "test")])
def test_what_a_link_names_that_is_not_here_is_said_until_one_chooses(
    name: str, key: str, workspaces: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the page is run again by itself, as its charts have it run."""
    monkeypatch.setenv("BAKEOFF_WORKSPACE", str(workspaces["small"]))
    page = AppTest.from_file(str(PAGES / f"{name}.py"), default_timeout=300)
    page.query_params[key] = "nothing"
    for _ in range(2):
        page = page.run()
        assert "The link names nothing, which is not here: it is left out." in [one.value for one in page.warning]
    page = page.selectbox(key=key).select_index(1).run()
    assert not [one.value for one in page.warning if "link" in one.value]


@pytest.mark.slow
@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("name", NAMES)
def test_a_page_runs_alone_and_changes_nothing(
    name: str, store: str, workspaces: dict[str, Path], serving: AnswerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(workspaces[store])
    page = shown(name, workspaces[store], monkeypatch)
    assert not page.exception, [error.message for error in page.exception]
    assert page.title
    assert content(workspaces[store]) == before


@pytest.mark.parametrize("name", ["home", "decide", "runs", "loss_curves", "latency", "scores", "chat", "arena"])
def test_an_empty_store_says_what_to_run(
    name: str, workspaces: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = shown(name, workspaces["empty"], monkeypatch)
    assert page.info
    assert any("bakeoff " in code.value for code in page.code)
    assert any(button.label.startswith("Run the demo") for button in page.button)


@pytest.mark.parametrize(("name", "kind"), [("new_run", "run"), ("add_models", "add"), ("prompt_sets", "prompts")])
def test_jobs_with_long_logs_are_listed_with_their_ends(
    name: str, kind: str, small: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for status in ("0", "1"):
        place = jobs.create(jobs.folder(small, kind, f"{kind}-mini"), ["true"]).folder
        (place / "log").write_text("".join(f"line {number}\n" for number in range(2000)))
        (place / "status").write_text(status)
    page = shown(name, small.path, monkeypatch)
    assert not page.exception, [error.message for error in page.exception]
    assert sum("line 1999" in code.value and "line 1\n" not in code.value for code in page.code) == 2


@pytest.mark.slow
def test_a_tighter_limit_changes_the_recommendation(
    workspaces: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(page: AppTest) -> str:
        return str([*page.success, *page.info, *page.warning][0].value)

    page = shown("decide", workspaces["small"], monkeypatch)
    loose = told(page)
    assert "demo" in loose
    files = next(field for field in page.number_input if field.key == "bytes")
    page = files.set_value(0.1).run()
    assert told(page) != loose and any("of 4 meet the limits" in one.value for one in page.markdown)
    assert any("relax files to" in one.value.replace("\\", "") for one in page.markdown)


@pytest.mark.slow
def test_a_limit_is_typed_slid_or_linked_and_any_value_stays(
    workspaces: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAKEOFF_WORKSPACE", str(workspaces["small"]))
    page = AppTest.from_file(str(PAGES / "decide.py"), default_timeout=300)
    page.query_params["ttft_seconds_p90"] = "12.5"  # far from all that was measured
    page = page.run()
    assert next(one for one in page.number_input if one.key == "ttft_seconds_p90").value == 12.5
    slider = next(one for one in page.slider if one.key == "ttft_seconds_p90-slid")
    assert slider.value == slider.max >= 12.5
    page = slider.set_value(0.3).run()
    assert next(one for one in page.number_input if one.key == "ttft_seconds_p90").value == 0.3
    slider = next(one for one in page.slider if one.key == "ttft_seconds_p90-slid")
    assert slider.value == pytest.approx(0.3) and slider.max < 12.5
    assert not page.exception


@pytest.mark.slow
def test_a_frozen_decision_is_seen_at_once(small: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAKEOFF_WORKSPACE", str(small.path))
    page = AppTest.from_file(str(PAGES / "decide.py"), default_timeout=300)
    page.query_params["by"] = "heldout"
    page = page.run()
    assert "Frozen decisions" not in [one.value for one in page.header]
    page.text_input(key="freeze-name").set_value("spring")
    page = page.button(key="freeze").click().run()
    assert "Frozen decisions" in [one.value for one in page.header]
    assert any(one.label.startswith("spring") for one in page.expander) and not page.exception


@pytest.mark.slow
def test_the_link_of_a_frozen_decision_asks_its_question_again(
    small: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"by": ["heldout"], "margin": ["2.5"], "bytes": ["0.3"], "ttft_seconds_p90": ["9"]}
    monkeypatch.setenv("BAKEOFF_WORKSPACE", str(small.path))
    page = AppTest.from_file(str(PAGES / "decide.py"), default_timeout=300)
    for key, value in asked.items():
        page.query_params[key] = value
    page = page.run()
    page.text_input(key="freeze-name").set_value("autumn")
    page = page.button(key="freeze").click().run()
    said = next(one.value for one in page.code if "about=" in one.value)
    linked = parse_qs(said.partition("?")[2])
    assert {key: linked[key] for key in asked} == asked and set(linked) <= {*asked, "about", "machine"}
    again = AppTest.from_file(str(PAGES / "decide.py"), default_timeout=300)
    for key, value in linked.items():
        again.query_params[key] = value
    again = again.run()
    again.text_input(key="freeze-name").set_value("winter")
    again = again.button(key="freeze").click().run()
    first, second = small.store().decisions.list()
    assert (first.model_id, first.limits) == (second.model_id, second.limits) and first.id != second.id


@pytest.mark.slow
def test_models_of_archived_runs_are_on_no_page_until_they_are_asked_for(
    small: Workspace, serving: AnswerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small.store() as store:
        gone = next(one for one in store.models.list() if one.name == "demo-rank8")
        assert gone.run_id
        store.runs.edit(gone.run_id, archived=True)
    for name, key in (("scores", "model"), ("latency", "timed")):
        page = shown(name, small.path, monkeypatch)
        assert gone.name not in page.multiselect(key=key).options
        page = next(one for one in page.toggle if one.key == "archived").set_value(True).run()
        assert gone.name in page.multiselect(key=key).options
    for name in ("home", "arena", "decide", "studies", "chat", "prompt_sets", "add_models"):
        page = shown(name, small.path, monkeypatch)
        assert not page.exception
        tables = [str(frame.value) for frame in page.dataframe]
        texts = [element.value for element in (*page.markdown, *page.caption, *page.success, *page.warning)]
        assert not any(gone.name in text for text in (*tables, *texts)), name


@pytest.mark.slow
def test_pages_list_the_format_that_ships_of_each_fine_tune_first(
    small: Workspace, serving: AnswerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small.store() as store:
        for smaller in ("demo-rank16-q4_0", "demo-rank8"):  # one fine-tune in three formats
            store.models.add(dataclasses.replace(store.models.find(smaller), fine_tune="demo-rank16"))
    for name, key in (("scores", "model"), ("latency", "timed")):
        options = shown(name, small.path, monkeypatch).multiselect(key=key).options
        assert set(options[-2:]) == {"demo-rank8", "demo-rank16"}, "what does not ship comes last"
    page = shown("arena", small.path, monkeypatch)
    models = next(one for one in page.multiselect if one.label == "Models")
    assert models.placeholder == "The formats that ship: 2" and "demo-rank16" in models.options


@pytest.mark.slow
def test_the_ranking_keeps_blind_votes_apart_and_says_whether_it_is_settled(
    small: Workspace, serving: AnswerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small.store() as store:
        blind = store.votes.list()
        for vote in blind[:3]:
            store.votes.add(dataclasses.replace(vote, id=f"{vote.id}-sighted", blind=False))
    page = shown("arena", small.path, monkeypatch)
    assert any(one.value.startswith(f"{len(blind)} votes, blind.") for one in page.caption)
    page = next(one for one in page.toggle if one.key == "sighted").set_value(True).run()
    told = next(one.value for one in page.caption if one.value.startswith("3 votes, with the names in sight"))
    assert "No ranking yet" in told and not page.exception


@pytest.mark.slow
def test_a_form_says_what_it_costs(small: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    with small.store() as store:
        adapter, form = store.models.find("demo-rank16"), store.models.find("demo-rank16-q4_0")
        store.models.add(dataclasses.replace(form, details={"source": adapter.identity}))
    page = shown("scores", small.path, monkeypatch)
    texts = [text.value for text in (*page.markdown, *page.caption)]
    told = next(text for text in texts if "against" in text and "interval of the cost" in text)
    assert "Q4" in told and "distinguishable" in told
    assert "Answers as JSON Lines" in {button.proto.label for button in page.get("download_button")}


@pytest.mark.slow
def test_answers_without_verdicts_are_no_score(workspaces: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    page = shown("scores", workspaces["half_written"], monkeypatch)
    told = [one.value.replace("\\", "") for one in page.warning]
    assert any("aside: unscored, 1 answers so far" in one and "not scored" in one for one in told)
    decision = shown("decide", workspaces["half_written"], monkeypatch)
    assert not any("Ship aside" in one.value for one in [*decision.success, *decision.info])


@pytest.mark.slow
def test_names_tags_and_archive_are_kept(small: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAKEOFF_WORKSPACE", str(small.path))
    page = AppTest.from_file(str(PAGES / "runs.py"), default_timeout=300)
    page.query_params["opened-run"], page.query_params["run-part"] = "demo-rank8-seed1", "Name, tags, archive"
    page = page.run()
    fields = {field.label: field for field in page.text_input}
    fields["Name"].set_value("renamed")
    fields["Tags"].set_value("kept, best")
    next(toggle for toggle in page.toggle if toggle.label.startswith("Archived:")).set_value(True)
    next(button for button in page.button if button.label == "Save").click().run()
    found = [row.run for row in small.store().runs.list() if row.run.name == "renamed"]
    assert len(found) == 1
    assert found[0].tags == ("best", "kept")
    assert found[0].archived


@pytest.mark.slow
def test_runs_show_the_settings_that_differ_their_scores_and_what_they_gain_on_a_baseline(
    workspaces: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = shown("runs", workspaces["small"], monkeypatch)
    table = page.dataframe[0].value
    assert list(table["lora.rank"]) == ["8", "16", "16"] and "training.learning_rate" not in table
    assert table["HumanEval, %"].notna().any() and "Against baseline" not in table
    page = AppTest.from_file(str(PAGES / "runs.py"), default_timeout=300)
    page.query_params["baseline-run"] = "demo-rank16-seed1"
    table = page.run().dataframe[0].value.set_index("Run")
    assert table["Against baseline"]["demo-rank16-seed1"] == 0 and table["Against baseline"].notna().all()


@pytest.mark.slow
def test_filters_are_seen_and_cleared(workspaces: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAKEOFF_WORKSPACE", str(workspaces["small"]))
    page = AppTest.from_file(str(PAGES / "runs.py"), default_timeout=300)
    page.query_params["run"] = "demo-rank8-seed1"
    page = page.run()
    assert any("1 of 3 runs: 1 chosen by name" in one.value for one in page.caption)
    page = next(one for one in page.button if one.label == "Show all runs").click().run()
    assert len(page.dataframe[0].value) == 3 and not any("of 3 runs" in one.value for one in page.caption)


@pytest.mark.slow
def test_machines_are_never_mixed(workspaces: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    page = shown("latency", workspaces["small"], monkeypatch)
    machine = next(box for box in page.selectbox if box.key == "timed-on")
    assert len(machine.options) == 2
    here = next(frame.value for frame in page.dataframe if "p90" in frame.value)
    assert len(here) == 4
    page = machine.set_value("f6e5d4c3b2a1").run()
    there = next(frame.value for frame in page.dataframe if "p90" in frame.value)
    assert list(there["Model"]) == ["demo-rank8"]


@pytest.mark.slow
def test_a_store_that_vanishes_is_told_in_one_line(small: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAKEOFF_WORKSPACE", str(small.path))
    monkeypatch.setenv("BAKEOFF_DATABASE_URL", "postgresql+psycopg://me:secret@127.0.0.1:1/none")
    page = AppTest.from_file(str(PAGES.parent / "app.py"), default_timeout=300).run()
    told = " ".join(error.value for error in page.error)
    assert told
    assert "secret" not in told
    assert "Traceback" not in told


@pytest.mark.slow
def test_chat_starts_with_the_formats_that_would_ship_and_earlier_names_lead_to_todays(
    small: Workspace, serving: AnswerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small.store() as store:
        store.models.add(dataclasses.replace(store.models.find("demo-rank16-q4_0"), fine_tune="demo-rank16"))
        store.models.rename("demo-rank16", "shop")
        names = [model.name for model in store.models.list() if not model.archived]
    monkeypatch.setattr(serving, "names", names)
    st.cache_data.clear()  # which another test's server may have filled
    page = shown("chat", small.path, monkeypatch)
    options = page.selectbox(key="model1").options
    assert sorted(options) == sorted(names) and options.index("shop-q4_0") < options.index("shop") == len(names) - 1
    for linked, meant in (("shop@lora", "shop"), ("demo-rank16-q4_0", "shop-q4_0"), ("shop", "shop")):
        page = AppTest.from_file(str(PAGES / "chat.py"), default_timeout=300)
        page.query_params["model1"] = linked
        assert page.run().selectbox(key="model1").value == meant
