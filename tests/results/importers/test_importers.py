"""Every known format in, once, with its source and what was missing; real files in place where they are."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

import pytest

from results import ImportRefused, Store, compare, import_path
from tests.results import foreign

DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the folder with real files is not beside the project")


def curve(store: Store, run_id: str, metric: str = "loss") -> dict[int, float]:
    steps, values = store.curves.read(run_id, metric)
    return dict(zip(map(int, steps), map(float, values), strict=True))


def twice(path: Path, store: Store, **given: Any) -> Any:
    """Import, import again, and see that nothing changed."""
    report = import_path(path, store, **given)
    before = store.info()["rows"]
    again = import_path(path, store, **given)
    assert store.info()["rows"] == before and not again.refused
    assert [item.id for item in again.items] == [item.id for item in report.items]
    assert all(item.new for item in report.items) and not any(item.new for item in again.items)
    return report


def test_a_trainer_state(store: Store, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    path = tmp_path / "run" / "trainer_state.json"
    path.write_text(json.dumps(foreign.trainer_state()))
    item = twice(path, store).items[0]
    run = store.runs.get(item.id)
    assert (run.name, run.status, run.origin, run.total_steps) == ("run", "finished", "imported", 6)
    assert run.source == "run/trainer_state.json (Hugging Face Trainer)"
    assert curve(store, run.id) == {step: 3.0 / step for step in range(1, 7)}
    assert curve(store, run.id, "validation_loss") == {3: 3.5 / 3, 6: 3.5 / 6}
    assert {"gradient_norm", "learning_rate", "tokens_seen", "epoch"} <= set(store.curves.metrics(run.id))
    assert "train_loss" not in store.curves.metrics(run.id), "the run's average is no point of a curve"
    report = store.reports.get(run.id, "import")
    assert report is not None and report.payload["summary"]["train_runtime"] == 9.5
    assert any("base model" in missing for missing in report.payload["missing"])


def test_an_old_trainer_state_without_summary_or_batch_size(store: Store, tmp_path: Path) -> None:
    state = foreign.trainer_state(4, 10, ended=False)
    for key in ("train_batch_size", "num_train_epochs", "best_metric"):
        del state[key]
    for entry in state["log_history"]:
        entry.pop("grad_norm", None)
        entry.pop("num_tokens", None)
    (tmp_path / "trainer_state.json").write_text(json.dumps(state))
    run = store.runs.get(import_path(tmp_path / "trainer_state.json", store).items[0].id)
    assert run.status == "stopped" and run.reason == "at step 4 of 10 when it was imported"


def test_a_run_folder_takes_the_furthest_checkpoint_and_loads_no_pickle(store: Store, tmp_path: Path) -> None:
    report = twice(foreign.run_folder(tmp_path / "outputs" / "rank8"), store)
    assert len(report.items) == 1
    run = store.runs.get(report.items[0].id)
    assert (run.name, run.base, run.status) == ("rank8", "HuggingFaceTB/SmolLM2-135M", "finished")
    assert run.config["lora.rank"] == 8 and len(curve(store, run.id)) == 6
    assert any("training_args.bin is a pickle and is never loaded" in missing for missing in report.items[0].missing)


def test_checkpoints_of_one_run_are_one_run(store: Store, tmp_path: Path) -> None:
    folder = foreign.run_folder(tmp_path / "rank8", checkpoints=(3, 5))
    first = import_path(folder / "checkpoint-3", store).items[0]
    assert store.runs.get(first.id).reason == "at step 3 of 6 when it was imported"
    second = import_path(folder, store).items[0]
    assert second.id == first.id and len(curve(store, first.id)) == 5


def test_a_garbled_newest_checkpoint_is_named_and_the_older_used(store: Store, tmp_path: Path) -> None:
    folder = foreign.run_folder(tmp_path / "rank8")
    newest = folder / "checkpoint-6" / "trainer_state.json"
    newest.write_text(newest.read_text()[:200])
    report = import_path(folder, store)
    assert len(curve(store, report.items[0].id)) == 3
    assert "checkpoint-6/trainer_state.json" in report.notes[0] and "older checkpoint" in report.notes[0]


def test_a_summary_alone_says_that_the_curve_is_missing(store: Store, tmp_path: Path) -> None:
    (tmp_path / "all_results.json").write_text(
        '{"epoch": 1.0, "train_loss": 1.2, "train_runtime": 60, "eval_loss": 1.1}'
    )
    item = twice(tmp_path / "all_results.json", store).items[0]
    assert "only a summary" in item.missing[0]
    assert store.runs.get(item.id).status == "finished"


def test_a_diverged_run_keeps_its_nan(store: Store, tmp_path: Path) -> None:
    state = foreign.trainer_state(3, 6, ended=False)
    state["log_history"][2]["loss"] = math.nan
    (tmp_path / "trainer_state.json").write_text(json.dumps(state))
    run = store.runs.get(twice(tmp_path / "trainer_state.json", store).items[0].id)
    assert run.status == "diverged" and math.isnan(curve(store, run.id)[3])


def test_llama_factory_with_a_line_cut_off(store: Store, tmp_path: Path) -> None:
    rows = [
        {"current_steps": 5, "total_steps": 20, "loss": 2.0, "lr": 1e-4, "epoch": 0.1, "percentage": 25.0,
         "elapsed_time": "0:01:05", "remaining_time": "0:03:15", "throughput": 350.5, "total_tokens": 4000},
        {"current_steps": 10, "total_steps": 20, "loss": 1.5, "learning_rate": 5e-5, "elapsed_time": "1 day, 0:02:10"},
        {"current_steps": 10, "total_steps": 20, "eval_loss": 1.6},
    ]  # fmt: skip
    path = foreign.write_lines(tmp_path / "trainer_log.jsonl", rows)
    path.write_text(path.read_text() + '{"current_steps": 15, "tot')
    run = store.runs.get(twice(path, store).items[0].id)
    assert run.status == "stopped" and run.total_steps == 20
    assert curve(store, run.id) == {5: 2.0, 10: 1.5}
    assert curve(store, run.id, "learning_rate") == {5: 1e-4, 10: 5e-5}
    assert curve(store, run.id, "elapsed_seconds") == {5: 65.0, 10: 86530.0}
    assert curve(store, run.id, "validation_loss") == {10: 1.6}


@pytest.mark.slow
def test_tensorboard_as_tensorboard_writes_it(store: Store, tmp_path: Path) -> None:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    folder = tmp_path / "rank8" / "runs" / "Nov22_host"
    writer = EventFileWriter(str(folder))
    text = TensorProto(dtype=7, string_val=[json.dumps({"seed": 42, "learning_rate": 2e-4, "nested": {}}).encode()])
    values = [Summary.Value(tag="args/text_summary", tensor=text)]
    writer.add_event(Event(step=0, wall_time=1795309657.0, summary=Summary(value=values)))
    for step in range(1, 4):
        values = [
            Summary.Value(tag="train/loss", simple_value=3.0 / step),
            Summary.Value(tag="eval/loss", tensor=TensorProto(dtype=1, float_val=[2.0 / step])),
            Summary.Value(tag="train/grad_norm", tensor=TensorProto(dtype=2, tensor_content=b"\0\0\0\0\0\0\xf0\x7f")),
        ]
        writer.add_event(Event(step=step, wall_time=1795309657.0 + step, summary=Summary(value=values)))
    writer.close()
    run = store.runs.get(twice(tmp_path / "rank8", store).items[0].id)
    assert run.config == {"training.seed": 42, "training.learning_rate": 2e-4} and run.seed == 42
    assert curve(store, run.id) == pytest.approx({1: 3.0, 2: 1.5, 3: 1.0})
    assert curve(store, run.id, "validation_loss") == pytest.approx({1: 2.0, 2: 1.0, 3: 2 / 3}, rel=1e-6)
    assert curve(store, run.id, "gradient_norm")[1] == math.inf
    file = next(folder.iterdir())
    file.write_bytes(file.read_bytes()[:-7])
    report = import_path(file, store)
    assert "ends within a record" in report.notes[0]


@pytest.mark.parametrize("make", [foreign.mlflow_folder, foreign.mlflow_sqlite])
def test_mlflow(store: Store, tmp_path: Path, make: Any) -> None:
    report = twice(make(tmp_path / "mlflow"), store)
    run = store.runs.get(report.items[0].id)
    assert (run.name, run.experiment, run.base, run.status) == ("rank 8/a", "rank search", "SmolLM2", "finished")
    assert run.config["lora_rank"] == "8" and run.tags == ("team: x",)
    assert curve(store, run.id) == {1: 3.0, 2: 1.5}, "a step logged again keeps its newest value"
    assert math.isnan(curve(store, run.id, "validation_loss")[2]) and curve(store, run.id, "grad norm") == {2: math.inf}
    assert len(report.items) == 1


def test_one_mlflow_run_from_both_stores_is_one_run(store: Store, tmp_path: Path) -> None:
    first = import_path(foreign.mlflow_folder(tmp_path / "mlruns"), store).items[0]
    assert import_path(foreign.mlflow_sqlite(tmp_path / "mlflow.db"), store).items[0].id == first.id


@pytest.mark.parametrize("with_ids", [True, False])
def test_trackio(store: Store, tmp_path: Path, with_ids: bool) -> None:
    run = store.runs.get(twice(foreign.trackio_sqlite(tmp_path / "project.db", with_ids), store).items[0].id)
    assert (run.name, run.experiment, run.config) == ("run-one", "project", {"lr": 0.0002, "nested.rank": 8})
    values = curve(store, run.id)
    assert values[0] == 3.0 and math.isnan(values[1]) and values[2] == -math.inf


def test_wandb_csv_of_two_runs(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text(
        '"Step","rank 8 - train/loss","rank 8 - train/loss__MIN","rank - 16 - train/loss"\n'
        '"1","3.0","2.9",""\n"2","NaN","1.0","2.5"\n'
    )
    report = twice(path, store)
    runs = {item.name: item.id for item in report.items}
    assert set(runs) == {"rank 8", "rank - 16"}
    assert curve(store, runs["rank - 16"]) == {2: 2.5} and math.isnan(curve(store, runs["rank 8"])[2])
    assert "minima and maxima" in report.notes[0]


def test_a_history_csv_is_a_run_named_after_its_file(store: Store, tmp_path: Path) -> None:
    (tmp_path / "rank8.csv").write_text("_step,loss,eval/loss,comment\n1.0,2.0,,fine\n2.0,1.5,1.6,\n")
    item = twice(tmp_path / "rank8.csv", store).items[0]
    assert item.name == "rank8" and curve(store, item.id) == {1: 2.0, 2: 1.5}
    assert curve(store, item.id, "validation_loss") == {2: 1.6} and "comment" not in store.curves.metrics(item.id)


def test_human_eval_results(store: Store, tmp_path: Path) -> None:
    rows = [
        {"task_id": "HumanEval/0", "completion": "    return 1", "result": "passed", "passed": True},
        {"task_id": "HumanEval/1", "completion": "", "result": "failed: ", "passed": False},
        {
            "task_id": "HumanEval/2",
            "completion": "x = (",
            "result": "failed: '(' was never closed (<string>, line 9)",
            "passed": False,
        },
        {"task_id": "HumanEval/3", "completion": "    while 1: pass", "result": "timed out", "passed": False},
        {"task_id": "HumanEval/4", "completion": "    return 2", "result": "failed: ", "passed": False},
    ]
    with gzip.open(tmp_path / "zephyr_samples.jsonl_results.jsonl.gz", "wt") as file:
        file.write("\n".join(json.dumps(row) for row in rows))
    item = twice(tmp_path / "zephyr_samples.jsonl_results.jsonl.gz", store).items[0]
    evaluation = store.evaluations.get(item.id)
    assert item.name == "zephyr" and evaluation.benchmark == "humaneval" and evaluation.subset == "5 of 164 tasks"
    assert [one.verdict for one in store.evaluations.outcomes(item.id)] == [
        "passed", "no_code", "syntax_error", "timed_out", "wrong",
    ]  # fmt: skip
    assert evaluation.scores[0].value == 0.2 and evaluation.origin == "imported"
    assert evaluation.source == f"{tmp_path.name}/zephyr_samples.jsonl_results.jsonl.gz (human-eval)"


def test_answers_without_verdicts_have_no_score(store: Store, tmp_path: Path) -> None:
    path = foreign.write_lines(tmp_path / "m.jsonl", [{"task_id": "HumanEval/0", "solution": "def f(): pass"}])
    item = twice(path, store).items[0]
    evaluation = store.evaluations.get(item.id)
    assert (evaluation.scores, evaluation.status) == ((), "unscored") and "can be scored here" in item.missing[-1]
    assert evaluation.reason.endswith("Score them: bakeoff evaluate m --benchmark humaneval --rescore")
    assert store.evaluations.outcomes(item.id)[0].details["code"] == "def f(): pass"


@pytest.mark.parametrize("old", [False, True])
def test_evalplus_base_and_plus(store: Store, tmp_path: Path, old: bool) -> None:
    new_form: Any = {
        "HumanEval/0": [{"task_id": "HumanEval/0", "solution": "s", "base_status": "pass", "plus_status": "fail"}],
        "HumanEval/1": [{"task_id": "HumanEval/1", "solution": "s", "base_status": "timeout", "plus_status": "pass"}],
    }
    old_form: Any = {
        "HumanEval/0": {"nfiles": 1, "base": [["success", [True]]], "plus": [["failed", [False]]]},
        "HumanEval/1": {"nfiles": 1, "base": [["timeout", []]], "plus": [["success", [True]]]},
    }
    path = tmp_path / "model_temp_0.0_eval_results.json"
    path.write_text(json.dumps({"date": "2026-01-01", "hash": "abc", "eval": old_form if old else new_form}))
    scores = {item.benchmark: store.evaluations.get(item.id).scores[0].value for item in twice(path, store).items}
    assert scores == {"humaneval": 0.5, "humaneval+": 0.0}, "the added tests count only after the base tests"


def test_the_harness_in_both_versions(store: Store, tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text(json.dumps(foreign.HARNESS_3))
    (tmp_path / "new.json").write_text(json.dumps(foreign.HARNESS_4))
    old = store.evaluations.get(twice(tmp_path / "old.json", store).items[0].id)
    assert old.benchmark == "lm-eval:arc_easy" and {score.metric for score in old.scores} == {"acc", "acc_norm"}
    assert old.scores[0].low == pytest.approx(0.4 - 1.96 * 0.01, abs=1e-4)
    report = twice(tmp_path / "new.json", store)
    found = {item.benchmark: store.evaluations.get(item.id) for item in report.items}
    assert set(found) == {"lm-eval:arc_easy", "lm-eval:gsm8k", "humaneval"}
    assert found["humaneval"].scores[0].metric == "pass@1" and found["humaneval"].scores[0].n == 164
    assert found["lm-eval:arc_easy"].scores[1].low is None, "N/A is no standard error"
    assert {score.metric for score in found["lm-eval:gsm8k"].scores} == {
        "exact_match (strict-match)", "exact_match (flexible-extract)",
    }  # fmt: skip
    assert report.items[0].name == "Qwen/Qwen2.5-0.5B + out/adapter", "an adapter's score is not its base's"


@pytest.mark.parametrize("lines", [False, True])
def test_llama_bench(store: Store, tmp_path: Path, lines: bool) -> None:
    tests: list[Any] = [foreign.LLAMA_BENCH, {**foreign.LLAMA_BENCH, "n_prompt": 0, "n_gen": 128, "avg_ts": 80.0}]
    path = tmp_path / ("bench.jsonl" if lines else "bench.json")
    path.write_text("\n".join(map(json.dumps, tests)) if lines else json.dumps(tests))
    item = twice(path, store).items[0]
    evaluation = store.evaluations.get(item.id)
    assert evaluation.benchmark == "llama-bench", "synthetic tokens are no latency of a user"
    assert {score.metric: score.value for score in evaluation.scores} == {
        "tokens_per_second_pp512": 512.0, "tokens_per_second_tg128": 80.0,
    }  # fmt: skip
    model, machine = store.models.get(evaluation.model_id), store.machines.get(evaluation.machine_id)
    assert (model.form, model.bytes, machine.cpu) == ("gguf-q8_0", 143_000_000, "AMD EPYC")
    assert store.evaluations.outcomes(item.id)[0].value == pytest.approx(1.01)


def test_a_dry_run_writes_nothing(store: Store, tmp_path: Path) -> None:
    foreign.run_folder(tmp_path / "out" / "rank8")
    (tmp_path / "out" / "old.json").write_text(json.dumps(foreign.HARNESS_3))
    before = store.info()["rows"]
    report = import_path(tmp_path / "out", store, dry_run=True)
    assert {item.kind for item in report.items} == {"run", "evaluation"} and report.dry_run
    assert store.info()["rows"] == before


def test_a_folder_of_everything(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "all"
    foreign.run_folder(folder / "rank8")
    foreign.run_folder(folder / "rank16")
    foreign.mlflow_folder(folder / "mlruns")
    foreign.trackio_sqlite(folder / "project.db")
    (folder / "bench.json").write_text(json.dumps([foreign.LLAMA_BENCH]))
    (folder / "broken.json").write_text('{"log_history": [')
    (folder / "package.json").write_text('{"name": "something else"}')
    (folder / "model.safetensors").write_bytes(b"\x00" * 64)
    report = twice_with_refusals(folder, store)
    assert sorted(item.name for item in report.items) == ["rank 8/a", "rank16", "rank8", "run-one", "smollm2-135m-Q8_0"]
    assert len(report.refused) == 1 and "broken.json" in report.refused[0]


def twice_with_refusals(folder: Path, store: Store) -> Any:
    report = import_path(folder, store)
    assert [item.id for item in import_path(folder, store).items] == [item.id for item in report.items]
    return report


def test_an_import_takes_no_name_from_a_measured_model(store: Store, tmp_path: Path) -> None:
    from tests.results.shelves import add_humaneval, add_model

    mine = add_model(store, "m")
    add_humaneval(store, mine, [True])
    path = foreign.write_lines(tmp_path / "m.jsonl", [{"task_id": "HumanEval/0", "completion": "", "passed": False}])
    item = twice(path, store).items[0]
    assert store.models.get("m").name == "m" and not store.models.get("m").archived
    assert item.name.startswith("m (imported ")
    attached = twice(path, store, model="m").items[0]
    assert store.evaluations.get(attached.id).model_id == "m"


def test_a_dropped_file_is_called_as_it_was_dropped(store: Store, tmp_path: Path) -> None:
    dropped = tmp_path / "uploads" / ("0f" * 8)
    dropped.mkdir(parents=True)
    (dropped / "shop.json").write_text('{"no": "known kind"}')
    (dropped / "trainer_state.json").write_text(json.dumps(foreign.trainer_state()))
    with pytest.raises(ImportRefused, match=r"^shop\.json: JSON, but of no known kind"):
        import_path(dropped / "shop.json", store)
    (item,) = import_path(dropped / "trainer_state.json", store).items
    assert store.runs.get(item.id).source.startswith("trainer_state.json (")


def test_what_people_edited_survives_an_import(store: Store, tmp_path: Path) -> None:
    folder = foreign.run_folder(tmp_path / "rank8", checkpoints=(3,))
    item = import_path(folder, store).items[0]
    store.runs.edit(item.id, name="my best", tags=("good",), notes="keep")
    assert import_path(folder, store).items[0].id == item.id
    run = store.runs.get(item.id)
    assert (run.name, run.tags, run.notes) == ("my best", ("good",), "keep")


@needs_data
@pytest.mark.slow
def test_real_files(store: Store) -> None:
    curve_of_trl = twice(DATA / "runs" / "trl" / "sft.json", store).items[0]
    run = store.runs.get(curve_of_trl.id)
    assert len(curve(store, run.id)) == 50 and run.base == "Qwen/Qwen2.5-0.5B-Instruct" and run.status == "finished"
    assert twice(DATA / "runs" / "wandb_csv" / "logs.csv", store).items[0].points > 2000
    assert len(twice(DATA / "runs" / "lm_eval", store).items) > 50
    report = twice(DATA / "humaneval", store)
    passed = {
        item.name: sum(one.verdict == "passed" for one in store.evaluations.outcomes(item.id))
        for item in report.items
        if store.evaluations.get(item.id).scores
    }
    assert passed == {"codellama_7b": 47, "starcoder2_7b": 2, "zephyr": 531}
    zephyr = next(item for item in report.items if item.name == "zephyr")
    scores = {score.metric: score.value for score in store.evaluations.get(zephyr.id).scores}
    assert scores == {"pass@1": pytest.approx(0.3238, abs=5e-5), "pass@10": 0.5}
    found = compare(store, store.models.find("codellama_7b"), store.models.find("starcoder2_7b"))
    assert found.quality is not None and (found.quality.both, found.quality.only_a, found.quality.only_b) == (1, 46, 1)
    assert found.quality.better == "a"
