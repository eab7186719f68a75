"""Files that are broken, huge, ambiguous or meant to harm: refused by name and reason, never run."""

from __future__ import annotations

import json
import os
import pickle
import sqlite3
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from results import ImportRefused, Store, import_path
from results.importers import read_file
from tests.results import foreign
from tests.results.foreign import frame


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Any:
    """One empty store for all the files that are refused."""
    path = tmp_path_factory.mktemp("untouched") / "results.db"
    path.write_bytes(migrated_sqlite.read_bytes())
    with Store(f"sqlite:///{path}") as opened:
        yield opened


def state(**entry: Any) -> str:
    return json.dumps({"log_history": [{"step": 1, "loss": 1.0, **entry}], "global_step": 1, "max_steps": 1})


REFUSED = {
    "trainer_state.json": [
        ("", "empty"),
        ("{", "not valid JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('{"log_history": [], "log_history": [1]}', "stands twice"),
        ('{"log_history": [1]}', "no object"),
        (state(step="five"), "not a whole number"),
        (state(step=1.5), "not a whole number"),
        (state(step=-1), "not between"),
        (state(step=2**63), "not between"),
        (state(step=True), "not a whole number"),
        ('{"log_history": [{"step": 1e400, "loss": 1}]}', "not a whole number"),
        ('{"log_history": [{"step": ' + "9" * 5000 + "}]}", "not valid JSON"),
        ("\udcff", "not UTF-8"),
        ('"a text"', "of no known kind"),
        ("12", "of no known kind"),
    ],
    "samples.jsonl": [
        ('{"task_id": "HumanEval/0", "completion": 5}', "no text"),
        ('{"task_id": 0, "completion": "x"}', "no task_id"),
        ('{"task_id": "HumanEval/0", "completion": "x", "passed": "yes"}', "neither true nor false"),
        ('{"task_id": "HumanEval/0", "completion": "x", "passed": true}\n{"task_id": "HumanEval/1", "completion": "x"}',
         "some answers have verdicts"),
        ('{"task_id": "HumanEval/0", "completion": "x"}\n{"task_id": "Mbpp/1", "completion": "x"}', "mixes the tasks"),
        ('{"task_id": "HumanEval/0", "completion": "x"}\nnot json', "line 2"),
        ('{"something": 1}', "of no known kind"),
        ("\n\n", "no lines"),
    ],
    "m_eval_results.json": [
        ('{"eval": {"HumanEval/0": [{"base_status": "perfect"}]}}', "base_status is 'perfect'"),
        ('{"eval": {"HumanEval/0": 5}}', "not a list of samples"),
        ('{"eval": {"HumanEval/0": [{}]}}', "no base_status"),
    ],
    "wandb.csv": [
        ("Step,loss\n1,2,3\n", "cells"),
        ("loss\n1\n", "no step column"),
        ("Step,loss,loss\n1,2,3\n", "one name"),
        ("Step,loss\nx,2\n", "the step is 'x'"),
        ("Step,loss\n1e400,2\n", "the step is"),
        ("Step,loss\n1,\n", "no numbers"),
    ],
    "bench.json": [
        (json.dumps([{**foreign.LLAMA_BENCH, "avg_ts": "fast"}]), "avg_ts"),
        (json.dumps([{**foreign.LLAMA_BENCH, "avg_ts": -1}]), "avg_ts"),
        ('{"results": {"arc": {"alias": "arc"}}, "versions": {}}', "without a number"),
    ],
    "trainer_log.jsonl": [
        ('{"current_steps": "1"}', "not a whole number"),
        ('{"current_steps": 1}\n[]', "no current_steps"),
    ],
    "notes.txt": [("hello", "not a known kind")],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "reason"), [(name, text, reason) for name, cases in REFUSED.items() for text, reason in cases]
)
def test_refused_by_file_and_reason(untouched: Store, tmp_path: Path, name: str, text: str, reason: str) -> None:
    path = tmp_path / "in" / name
    path.parent.mkdir()
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ImportRefused) as caught:
        import_path(path, untouched)
    assert reason in str(caught.value) and name in str(caught.value) and len(str(caught.value)) < 1000
    assert untouched.runs.list() == [] and untouched.models.list() == []


class Trap:
    """Unpickling this makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize(
    "name", ["training_args.bin", "rng_state.pth", "trainer_state.json", "results.jsonl", "state.db"]
)
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_pickle_is_never_loaded_whatever_its_name(untouched: Store, tmp_path: Path, name: str, protocol: int) -> None:
    (tmp_path / name).write_bytes(pickle.dumps(Trap(tmp_path / "pwned"), protocol))
    with pytest.raises(ImportRefused):
        import_path(tmp_path / name, untouched)
    assert not (tmp_path / "pwned").exists()


def test_yaml_builds_no_objects(store: Store, tmp_path: Path) -> None:
    folder = foreign.run_folder(tmp_path / "rank8")
    attack = f"!!python/object/apply:os.mkdir ['{tmp_path / 'pwned'}']"
    (folder / "training_args.yaml").write_text(attack)
    foreign.mlflow_folder(tmp_path / "mlruns")
    (tmp_path / "mlruns" / "124").mkdir()
    (tmp_path / "mlruns" / "124" / "meta.yaml").write_text(attack)
    report = import_path(tmp_path, store)
    assert not (tmp_path / "pwned").exists() and {item.name for item in report.items} == {"rank8", "rank 8/a"}


def test_a_link_out_of_an_mlflow_store_is_not_followed(store: Store, tmp_path: Path) -> None:
    folder = foreign.mlflow_folder(tmp_path / "mlruns")
    (tmp_path / "secret").write_text("token")
    params = next(folder.glob("*/*/params"))
    (params / "leak").symlink_to(tmp_path / "secret")
    report = import_path(folder, store)
    assert "leak" not in store.runs.get(report.items[0].id).config


def test_values_beyond_every_range_are_kept(store: Store, tmp_path: Path) -> None:
    text = '{"log_history": [{"step": 1, "loss": 1e400}, {"step": 2, "loss": NaN}, {"step": 3, "loss": -Infinity}'
    (tmp_path / "trainer_state.json").write_text(
        text + ', {"step": 4, "loss": 2.0}], "max_steps": 9, "global_step": 4}'
    )
    item = import_path(tmp_path / "trainer_state.json", store).items[0]
    _, values = store.curves.read(item.id, "loss")
    assert [str(float(value)) for value in values] == ["inf", "nan", "-inf", "2.0"]


def test_hostile_names_are_names(store: Store, tmp_path: Path) -> None:
    evil = "'; DROP TABLE runs; -- \u202e🚀 <script>" + "x" * 10_000
    (tmp_path / "w.csv").write_text(f'"Step","{evil} - ../../etc/passwd"\n1,2\n', encoding="utf-8")
    item = import_path(tmp_path / "w.csv", store).items[0]
    run = store.runs.get(item.id)
    assert run.name == evil and store.curves.metrics(run.id) == ["../../etc/passwd"] and len(run.id) < 80


def test_a_foreign_schema_runs_nothing(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "evil.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE experiments (experiment_id, name)")
        view = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS run_uuid FROM n"
        connection.execute(f"CREATE VIEW runs AS {view}")
    connection.close()
    with pytest.raises(ImportRefused, match="holds neither"):
        import_path(path, store)
    path.write_bytes(path.read_bytes()[:50] + os.urandom(200))
    with pytest.raises(ImportRefused):
        import_path(path, store)


def test_our_own_store_is_merged_not_imported(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ImportRefused, match="bakeoff store merge"):
        import_path(tmp_path / "store" / "results.db", store)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (frame(b"", 2**63), "the limit is"),
        (b"\xff" * 64, "not an event file"),
        (frame(b"\x0a" + b"\xff" * 20), "no event"),
        (frame(b"\x12\x06abcdef")[:-1] + b"\0", "damaged record"),
        (frame(b"\x1a\x0dbrain.Event:2"), "no scalars"),
        (frame(b"\x29" + b"\x01" * 3), "no event"),
    ],
)
def test_hostile_event_files(untouched: Store, tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "events.out.tfevents.1.host"
    path.write_bytes(content)
    with pytest.raises(ImportRefused, match=reason):
        import_path(path, untouched)


def test_a_fifo_does_not_hang(untouched: Store, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "trainer_state.json")
    with pytest.raises(ImportRefused, match="plain file"):
        import_path(tmp_path / "trainer_state.json", untouched)
    with pytest.raises(ImportRefused, match="nothing of a known kind"):
        import_path(tmp_path, untouched)
    with pytest.raises(ImportRefused, match="no such file"):
        import_path(tmp_path / "absent.json", untouched)


@given(
    st.binary(max_size=300),
    st.sampled_from(["a.json", "a.jsonl", "a.csv", "a.db", "events.out.tfevents.1", "a.jsonl.gz"]),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_read_or_refused(tmp_path: Path, data: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ImportRefused):
        read_file(tmp_path / name)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
SEEDS = [foreign.trainer_state(3, 3), foreign.HARNESS_3, foreign.HARNESS_4, foreign.LLAMA_BENCH,
         {"eval": {"HumanEval/0": [{"solution": "s", "base_status": "pass", "plus_status": "fail"}]}, "hash": "a"},
         {"config": {"name": "n", "args": {"max_steps": "3"}}, "env": {}, "steps": [{"step": 1, "loss": 2.0}]},
         {"train_loss": 1.0, "train_runtime": 2.0}]  # fmt: skip


@given(st.sampled_from(SEEDS), st.lists(st.integers(0, 12), max_size=4), JSON)
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_value_anywhere_in_a_known_file_is_read_or_refused(
    tmp_path: Path, seed: Any, way: list[int], value: Any
) -> None:
    whole: Any = {"root": json.loads(json.dumps(seed))}
    place, key = whole, "root"
    for turn in way:
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner:
            break
        place, key = inner, (list(inner)[turn % len(inner)] if isinstance(inner, dict) else turn % len(inner))
    place[key] = value
    path = tmp_path / "trainer_state.json"
    path.write_text(json.dumps(whole["root"]), encoding="utf-8", errors="surrogatepass")
    try:
        parcel = read_file(path)
    except ImportRefused as error:
        assert "trainer_state.json" in str(error)
    else:
        assert parcel.runs or parcel.evaluations


def test_a_link_out_of_a_run_is_named_and_not_followed(store: Store, tmp_path: Path) -> None:
    folder = foreign.run_folder(tmp_path / "in" / "rank8")
    secret = tmp_path / "secret"
    secret.write_text("password: token\n")
    (folder / "training_args.yaml").symlink_to(secret)
    (folder / "checkpoint-9").symlink_to(tmp_path)
    (tmp_path / "in" / "all_results.json").symlink_to(secret)
    for named in (tmp_path / "in", folder):
        report = import_path(named, store)
        run = store.runs.get(report.items[0].id)
        assert "token" not in repr((run, report))
        assert "training_args.yaml" in repr((report.items[0].missing, report.passed_over)), named
    told = import_path(tmp_path / "in", store).passed_over
    assert "all_results.json: a link that leads out of in; it is not followed" in told


def test_a_linked_folder_is_imported_when_it_is_named(store: Store, tmp_path: Path) -> None:
    folder = foreign.run_folder(tmp_path / "rank8")
    (tmp_path / "latest").symlink_to(folder)
    assert import_path(tmp_path / "latest", store).items


NINE = "".join(f"{name}: &{name} [{','.join([f'*{below}'] * 9)}]\n" for below, name in pairwise("abcdefghi"))


@pytest.mark.parametrize(
    "text", [f"name: &a [x]\n{NINE}", "[" * 20_000, "seed: " + "9" * 6000, "when: 2020-99-99", "&a [*a]"]
)
def test_yaml_that_grows_is_named(store: Store, tmp_path: Path, text: str) -> None:
    folder = foreign.run_folder(tmp_path / "rank8")
    (folder / "training_args.yaml").write_text(text)
    mlruns = foreign.mlflow_folder(tmp_path / "mlruns")
    (tmp_path / "mlruns" / "124").mkdir()
    (tmp_path / "mlruns" / "124" / "meta.yaml").write_text(text)
    (missing,) = [one for one in import_path(folder, store).items[0].missing if "training_args.yaml" in one]
    assert "not valid YAML: line" in missing and len(missing) < 500
    (note,) = [one for one in import_path(mlruns, store).notes if "meta.yaml" in one]
    assert "not valid YAML: line" in note and len(note) < 500
