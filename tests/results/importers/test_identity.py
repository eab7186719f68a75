"""Two different things never become one; nothing new is "there already"; a name is never empty."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from results import ImportRefused, NotFound, Report, Store, import_path
from results.importers import read_file
from tests.results import foreign
from tests.results.shelves import add_humaneval, add_model

RIGHT = {"task_id": "HumanEval/23", "completion": "    return len(string)\n"}
WRONG = {"task_id": "HumanEval/23", "completion": "    return 0\n"}


def answers(folder: Path, *rows: dict[str, Any], name: str = "samples.jsonl") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return foreign.write_lines(folder / name, rows)


def texts(store: Store) -> list[str]:
    """Each stored answer, with its model's name."""
    names = {one.id: one.name for one in store.models.list()}
    return sorted(
        f"{names[one.model_id]}: {outcome.details['answer'].strip()}"
        for one in store.evaluations.list()
        for outcome in store.evaluations.outcomes(one.id)
    )


def test_answers_in_files_of_one_name_are_two_models(store: Store, tmp_path: Path) -> None:
    good, bad = answers(tmp_path / "good", RIGHT), answers(tmp_path / "bad", WRONG)
    report = import_path(good, store)
    assert import_path(bad, store).items[0].new
    assert texts(store) == ["bad: return 0", "good: return len(string)"]
    assert any("does not name its model; called 'good'" in note for note in report.notes)


def test_from_inside_the_folder_the_name_is_the_folders(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(tmp_path / "good", RIGHT)
    monkeypatch.chdir(tmp_path / "good")
    for path in (Path("samples.jsonl"), Path("."), Path("../good/./samples.jsonl")):
        assert import_path(path, store).items[0].name == "good"
    assert len(store.evaluations.list()) == 1


def test_answers_generated_again_into_the_same_file_are_new_ones(store: Store, tmp_path: Path) -> None:
    for _ in range(2):
        assert import_path(answers(tmp_path / "good", RIGHT), store).items[0].id
        again = import_path(answers(tmp_path / "good", WRONG), store).items[0]
    assert not again.new and texts(store) == ["good: return 0", "good: return len(string)"]


def test_folders_of_one_name_are_told_apart_by_those_above(store: Store, tmp_path: Path) -> None:
    answers(tmp_path / "monday" / "good", RIGHT)
    answers(tmp_path / "tuesday" / "good", WRONG)
    assert {item.name for item in import_path(tmp_path, store).items} == {"monday/good", "tuesday/good"}
    wednesday = answers(tmp_path / "wednesday" / "good", {**RIGHT, "completion": "x"})
    assert import_path(wednesday, store).items[0].name == "good"
    thursday = answers(tmp_path / "thursday" / "good", {**RIGHT, "completion": "y"})
    assert import_path(thursday, store).items[0].name == "thursday/good"


@pytest.mark.parametrize(
    "folders", [("12", "14"), ("2026-11-01_10-00-00", "2026-11-02_10-00-00"), ("results/0", "results/1")]
)
@pytest.mark.parametrize("at_once", [True, False])
def test_folders_that_are_numbers_or_dates_tell_models_apart(
    store: Store, tmp_path: Path, folders: tuple[str, str], at_once: bool
) -> None:
    files = [answers(tmp_path / "study" / folder, row) for folder, row in zip(folders, (RIGHT, WRONG), strict=True)]
    for path in [tmp_path / "study"] if at_once else files:
        import_path(path, store)
    names = sorted(f"study/{folder.removeprefix('results/')}" for folder in folders)
    assert texts(store) == [f"{names[0]}: return len(string)", f"{names[1]}: return 0"]


def test_the_same_answers_moved_elsewhere_are_there_already(store: Store, tmp_path: Path) -> None:
    first = import_path(answers(tmp_path / "monday" / "good", RIGHT), store).items[0]
    shutil.copytree(tmp_path / "monday", tmp_path / "tuesday")
    again = import_path(tmp_path / "tuesday" / "good" / "samples.jsonl", store).items[0]
    assert (again.id, again.new) == (first.id, False)


def test_answers_and_their_results_are_one_models(store: Store, tmp_path: Path) -> None:
    answers(tmp_path / "good", RIGHT)
    answers(tmp_path / "good", {**RIGHT, "passed": True, "result": "passed"}, name="samples.jsonl_results.jsonl")
    evalplus = {"eval": {"HumanEval/23": [{"solution": "def strlen(s): pass", "base_status": "fail"}]}}
    (tmp_path / "good" / "samples_eval_results.json").write_text(json.dumps(evalplus))
    assert {item.name for item in import_path(tmp_path, store).items} == {"good"}
    assert len(store.models.list()) == 1 and len(store.evaluations.list()) == 3


def test_rows_that_name_their_models_are_those_models(store: Store, tmp_path: Path) -> None:
    path = answers(tmp_path / "x", {**RIGHT, "model": "alpha-1b"}, {**WRONG, "model": "beta-1b"})
    import_path(path, store)
    assert texts(store) == ["alpha-1b: return len(string)", "beta-1b: return 0"]


def test_the_caller_names_the_model(store: Store, tmp_path: Path) -> None:
    path = answers(tmp_path / "good", RIGHT)
    report = import_path(path, store, model="mine")
    assert report.items[0].name == "mine" and "no model 'mine'" in report.notes[0]
    assert not import_path(path, store, model="mine").items[0].new
    answers(tmp_path / "bad", WRONG)
    with pytest.raises(ImportRefused, match="several models"):
        import_path(tmp_path, store, model="mine")
    assert len(store.evaluations.list()) == 1
    with pytest.raises(NotFound):
        import_path(foreign.run_folder(tmp_path / "run-of-mine"), store, model="nobody")


def test_files_of_a_default_name_are_models_of_their_folders(store: Store, tmp_path: Path) -> None:
    for name, speed in (("alpha", 100.0), ("beta", 200.0)):
        (tmp_path / name).mkdir()
        bench = {**foreign.LLAMA_BENCH, "model_filename": "models/ggml-model-q4_0.gguf", "avg_ts": speed}
        (tmp_path / name / "bench.json").write_text(json.dumps([bench]))
    names = [item.name for item in import_path(tmp_path, store).items]
    assert len(store.models.list()) == 2 and ["alpha" in names[0], "beta" in names[1]] == [True, True]
    told = {**foreign.LLAMA_BENCH, "model_filename": "out/gamma/ggml-model-q4_0.gguf"}
    (tmp_path / "bench.json").write_text(json.dumps([told]))
    assert import_path(tmp_path / "bench.json", store).items[0].name == "gamma/ggml-model-q4_0"


@pytest.mark.parametrize("change", [{"revision": "step2000"}, {"peft": "out/r8"}, {"load_in_4bit": "True"}])
def test_revisions_adapters_and_quantizations_of_one_base_are_models(
    store: Store, tmp_path: Path, change: dict[str, str]
) -> None:
    arguments = {"pretrained": "EleutherAI/pythia-160m"}
    for name, told in (("one", arguments), ("two", {**arguments, **change})):
        value = {**foreign.HARNESS_4, "config": {"model_args": told}}
        (tmp_path / f"{name}.json").write_text(json.dumps({**value, "model_name": "EleutherAI/pythia-160m"}))
    import_path(tmp_path, store)
    names = {one.name for one in store.models.list()}
    assert len(names) == 2 and any(next(iter(change.values())) in name for name in names)


def test_a_relative_model_path_is_another_model_in_another_place(store: Store, tmp_path: Path) -> None:
    for name, value in (("one", 0.4), ("two", 0.5)):
        results = {**foreign.HARNESS_4, "config": {"model_args": "pretrained=./merged"}, "model_name": "./merged"}
        results["results"] = {"arc_easy": {"acc,none": value}}
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.json").write_text(json.dumps(results))
    assert len({item.name for item in import_path(tmp_path, store).items}) == 2


def sweep(folder: Path, rank: int, losses: list[float]) -> Path:
    """A run of a sweep, in a folder that all of them have."""
    folder = folder / f"r{rank}" / "out"
    folder.mkdir(parents=True)
    state = foreign.trainer_state(len(losses), len(losses))
    for entry in state["log_history"]:
        if "loss" in entry:
            entry["loss"] = losses[entry["step"] - 1]
    (folder / "trainer_state.json").write_text(json.dumps(state))
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "b", "r": rank}))
    return folder


def test_two_runs_of_a_sweep_that_begin_alike_are_two_runs(store: Store, tmp_path: Path) -> None:
    one, two = sweep(tmp_path, 8, [3.0, 2.0, 1.0]), sweep(tmp_path, 16, [3.0, 1.5, 0.5])
    import_path(one, store)
    report = import_path(two, store)
    assert report.items[0].new and not report.refused and not report.notes
    assert [each.last_loss for each in store.runs.list()] == [1.0, 0.5]
    assert [each.run.name for each in store.runs.list()] == ["out", "r16/out"]
    assert not any(item.new for item in import_path(tmp_path, store).items)


def test_another_run_in_the_same_place_is_new_and_the_difference_is_said(store: Store, tmp_path: Path) -> None:
    import_path(sweep(tmp_path, 8, [3.0, 2.0, 1.0]), store)
    shutil.rmtree(tmp_path / "r8")
    report = import_path(sweep(tmp_path, 8, [3.0, 2.5, 0.5]), store)
    assert report.items[0].new and "loss is another at step 2" in report.notes[0] and len(store.runs.list()) == 2


def test_a_run_that_grew_in_its_place_is_the_same_run_and_an_older_copy_is_there(store: Store, tmp_path: Path) -> None:
    folder = foreign.run_folder(tmp_path / "rank8", checkpoints=(3, 6))
    first = import_path(folder / "checkpoint-3", store).items[0]
    second = import_path(folder, store).items[0]
    assert (second.id, second.new, second.change) == (first.id, False, "further")
    older = import_path(folder / "checkpoint-3", store).items[0]
    assert (older.id, older.change) == (first.id, "there")
    assert len(store.runs.list()) == 1 and store.runs.list()[0].steps == 6


def test_a_nameless_thing_has_a_name(store: Store, tmp_path: Path) -> None:
    (tmp_path / "w.csv").write_text('"Name","State","loss"\n"","finished","1.0"\n')
    (tmp_path / "h.json").write_text(json.dumps({**foreign.HARNESS_3, "config": {"model_args": ""}}))
    answers(tmp_path, {**RIGHT, "model": "  "}, name=".jsonl")
    for item in import_path(tmp_path, store).items:
        assert item.name.strip()
    assert all(one.name.strip() for one in store.models.list())


def test_what_a_bakeoff_of_before_imported_is_found_again(store: Store, tmp_path: Path) -> None:
    """Then ids came from a run's beginning and a file's name, and nothing held a digest of the content."""
    state = tmp_path / "in" / "rank8" / "trainer_state.json"
    state.parent.mkdir(parents=True)
    state.write_text(json.dumps(foreign.trainer_state()))
    run = read_file(state).runs[0]
    store.runs.add(dataclasses.replace(run.run, id=run.former_id), run.points)
    store.reports.put(Report(run.former_id, "import", {"format": "trainer_state.json", "source": run.run.source}))
    path = answers(tmp_path / "in" / "good", {**RIGHT, "passed": True})
    found = read_file(path).evaluations[0]
    model = dataclasses.replace(found.model, id="samples-old", name="samples", identity=found.former, details={})
    store.models.add(model)
    store.machines.add(found.machine)
    old = dataclasses.replace(found.evaluation, id="old", model_id=model.id, machine_id=found.machine.id)
    store.evaluations.begin(old)
    kept = [dataclasses.replace(one, details={"answer": RIGHT["completion"]}) for one in found.outcomes]
    store.evaluations.add_outcomes("old", kept)
    store.evaluations.finish("old", found.scores)
    items = import_path(tmp_path / "in", store).items
    assert {item.id for item in items} == {run.former_id, "old"} and not any(item.new for item in items)
    answers(tmp_path / "in" / "good", {**WRONG, "passed": True})
    assert [item.new for item in import_path(tmp_path / "in" / "good", store).items] == [True]


def test_a_measured_model_keeps_its_name(store: Store, tmp_path: Path) -> None:
    add_humaneval(store, add_model(store, "good"), [True])
    item = import_path(answers(tmp_path / "good", RIGHT), store).items[0]
    assert item.name.startswith("good (imported ") and not store.models.get("good").archived


ROW = st.fixed_dictionaries(
    {
        "task_id": st.sampled_from(["HumanEval/0", "HumanEval/1"]),
        "completion": st.text(max_size=3),
        "passed": st.booleans(),
    },
    optional={"result": st.text(max_size=3), "temperature": st.sampled_from([0.2, 0.8])},
)
FILES = st.lists(ROW, min_size=1, max_size=3)


@given(FILES, FILES)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_difference_in_content_is_another_evaluation(
    tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path, one: Any, two: Any
) -> None:
    place = tmp_path_factory.mktemp("store")
    (place / "results.db").write_bytes(migrated_sqlite.read_bytes())
    with Store(f"sqlite:///{place / 'results.db'}") as store:
        for rows in (one, two, one, two):
            import_path(answers(place / "m", *rows), store)
        assert len(store.evaluations.list()) == (1 if one == two else 2)


POINTS = st.lists(st.tuples(st.integers(1, 3), st.sampled_from([1.0, 2.0])), min_size=1, max_size=3)


@given(POINTS, POINTS, st.booleans())
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_difference_between_two_finished_runs_makes_two(
    tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path, one: Any, two: Any, same_place: bool
) -> None:
    place = tmp_path_factory.mktemp("store")
    (place / "results.db").write_bytes(migrated_sqlite.read_bytes())
    with Store(f"sqlite:///{place / 'results.db'}") as store:
        for folder, points in (("a", one), ("b", two), ("a", one), ("b", two)):
            path = place / ("a" if same_place else folder) / "run" / "trainer_state.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            history = [{"step": step, "loss": loss} for step, loss in dict(points).items()]
            path.write_text(json.dumps({"log_history": history, "max_steps": 3, "global_step": 3}))
            import_path(path, store)
        files = [list(dict(points).items()) for points in (one, two)]  # the order of their lines is part of them
        assert len(store.runs.list()) == (1 if files[0] == files[1] else 2)
