"""A zoo of what trainers and trackers write: how many runs it is, of which name, with which points."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from results import ImportRefused, Store, import_path
from tests.results import foreign

AT = 1795309657.0


def curves(store: Store, metric: str = "loss") -> dict[str, dict[int, float]]:
    """Run name → the points of a metric."""
    found = {}
    for one in store.runs.list():
        if metric in store.curves.metrics(one.run.id):
            steps, values = store.curves.read(one.run.id, metric)
            found[one.run.name] = dict(zip(map(int, steps), (round(float(value), 4) for value in values), strict=True))
    return found


def losses(first: int, last: int, scale: float = 1.0, every: int = 1) -> list[tuple[str, int, float]]:
    return [("train/loss", step, scale * step) for step in range(first, last + 1, every)]


class TestTensorBoard:
    def test_two_trainings_in_one_folder_are_two_runs(self, store: Store, tmp_path: Path) -> None:
        foreign.events(tmp_path / "tb" / "events.out.tfevents.1.a", losses(1, 3), AT)
        foreign.events(tmp_path / "tb" / "events.out.tfevents.2.a", losses(1, 4, 2.0), AT + 100)
        report = import_path(tmp_path / "tb", store)
        assert curves(store) == {"tb (1)": {1: 1, 2: 2, 3: 3}, "tb (2)": {1: 2, 2: 4, 3: 6, 4: 8}}
        assert "holds 2 trainings" in report.notes[0]
        assert not any(item.new for item in import_path(tmp_path / "tb", store).items)

    def test_two_trainings_in_one_file_are_two_runs(self, store: Store, tmp_path: Path) -> None:
        foreign.events(tmp_path / "tb" / "events.out.tfevents.1.a", [*losses(1, 3), *losses(1, 2, 2.0)], AT)
        import_path(tmp_path / "tb", store)
        assert list(curves(store).values()) == [{1: 1, 2: 2, 3: 3}, {1: 2, 2: 4}]

    def test_a_resumed_training_is_one_run(self, store: Store, tmp_path: Path) -> None:
        foreign.events(tmp_path / "tb" / "events.out.tfevents.1.a", losses(1, 3), AT)
        foreign.events(tmp_path / "tb" / "events.out.tfevents.2.a", losses(4, 6), AT + 100)
        report = import_path(tmp_path / "tb", store)
        assert curves(store) == {"tb": {step: step for step in range(1, 7)}} and not report.notes

    def test_of_steps_that_were_trained_twice_the_resumed_ones_count(self, store: Store, tmp_path: Path) -> None:
        foreign.events(tmp_path / "tb" / "events.out.tfevents.1.a", losses(1, 5), AT)
        foreign.events(tmp_path / "tb" / "events.out.tfevents.2.a", losses(4, 4, 10.0) + losses(5, 5, 10.0), AT + 100)
        report = import_path(tmp_path / "tb", store)
        assert curves(store) == {"tb": {1: 1, 2: 2, 3: 3, 4: 40, 5: 50}}
        assert "2 steps were trained twice" in report.notes[0]

    def test_steps_that_go_on_under_other_settings_are_another_training(self, store: Store, tmp_path: Path) -> None:
        for number, rate in enumerate((1e-4, 2e-4)):
            steps = losses(1 + 3 * number, 3 + 3 * number)
            told = {"learning_rate": rate, "logging_dir": f"runs/{number}"}
            foreign.events(tmp_path / "tb" / f"events.out.tfevents.{number}.a", steps, AT + 100 * number, told)
        import_path(tmp_path / "tb", store)
        assert [one.run.config["training.learning_rate"] for one in store.runs.list()] == [1e-4, 2e-4]

    def test_a_short_trial_before_is_another_training(self, store: Store, tmp_path: Path) -> None:
        foreign.events(tmp_path / "tb" / "events.out.tfevents.1.a", losses(1, 5), AT)
        foreign.events(tmp_path / "tb" / "events.out.tfevents.2.a", losses(10, 40, 1.0, 10), AT + 100)
        import_path(tmp_path / "tb", store)
        assert sorted(len(points) for points in curves(store).values()) == [4, 5]

    def test_the_evaluation_at_the_end_belongs_to_its_training(self, store: Store, tmp_path: Path) -> None:
        told = [*losses(1, 3), ("eval/loss", 2, 5.0), ("eval/loss", 3, 4.0)]
        foreign.events(tmp_path / "tb" / "events.out.tfevents.1.a", told, AT)
        foreign.events(tmp_path / "tb" / "events.out.tfevents.2.a", [("eval/loss", 3, 3.5)], AT + 100)
        import_path(tmp_path / "tb", store)
        assert curves(store, "validation_loss") == {"tb": {2: 5.0, 3: 3.5}}

    def test_two_tags_of_one_meaning_that_disagree_are_said(self, store: Store, tmp_path: Path) -> None:
        told = [*losses(1, 3), ("train/lr", 1, 0.5), ("train/learning_rate", 1, 0.25)]
        foreign.events(tmp_path / "tb" / "events.out.tfevents.1.a", told, AT)
        item = import_path(tmp_path / "tb", store).items[0]
        assert any("learning_rate: 1 steps have several values" in missing for missing in item.missing)

    def test_two_trainings_at_a_time_keep_their_own_evaluations(self, store: Store, tmp_path: Path) -> None:
        for process, scale in ((11, 1.0), (22, 2.0)):
            folder = tmp_path / "tb" / f"events.out.tfevents.{process}.host.{process}"
            foreign.events(folder.with_name(f"{folder.name}.0"), losses(1, 3, scale), AT + process)
            foreign.events(folder.with_name(f"{folder.name}.1"), [("eval/loss", 3, scale)], AT + 100 - process)
        import_path(tmp_path / "tb", store)
        assert curves(store, "validation_loss") == {"tb (1)": {3: 1.0}, "tb (2)": {3: 2.0}}

    def test_one_metric_under_two_tags_is_of_two_trainings(self, store: Store, tmp_path: Path) -> None:
        foreign.events(tmp_path / "tb" / "events.out.tfevents.1.a", losses(1, 3), AT)
        foreign.events(tmp_path / "tb" / "events.out.tfevents.2.a", [("loss", 1, 9.0), ("loss", 2, 8.0)], AT + 100)
        import_path(tmp_path / "tb", store)
        assert curves(store) == {"tb (1)": {1: 1, 2: 2, 3: 3}, "tb (2)": {1: 9, 2: 8}}

    def test_a_download_of_its_page_is_a_tag_of_a_run(self, store: Store, tmp_path: Path) -> None:
        (tmp_path / "run-r8-tag-train_loss.csv").write_text("Wall time,Step,Value\n1.5,10,3.0\n2.5,20,2.0\n")
        import_path(tmp_path / "run-r8-tag-train_loss.csv", store)
        assert curves(store) == {"r8": {10: 3.0, 20: 2.0}}

    def test_folders_below_are_runs_of_their_names(self, store: Store, tmp_path: Path) -> None:
        for name in ("r8", "r16"):
            foreign.events(tmp_path / "all" / name / "events.out.tfevents.1.a", losses(1, len(name)), AT)
        import_path(tmp_path / "all", store)
        assert curves(store) == {"r16": {1: 1, 2: 2, 3: 3}, "r8": {1: 1, 2: 2}}


class TestTrainer:
    def write(self, folder: Path, history: list[dict[str, Any]], **fields: Any) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "trainer_state.json"
        path.write_text(json.dumps({"log_history": history, "global_step": 2, "max_steps": 2, **fields}))
        return path

    def test_an_entry_without_a_step_is_a_summary(self, store: Store, tmp_path: Path) -> None:
        predicted = {"predict_loss": 1.5, "predict_runtime": 3.0, "predict_bleu": 20.0}
        history = [{"step": 1, "loss": 3.0}, {"step": 2, "loss": 2.0}, {"train_runtime": 9.0, "step": 2}, predicted]
        item = import_path(self.write(tmp_path / "r", history), store).items[0]
        assert curves(store) == {"r": {1: 3.0, 2: 2.0}} and store.runs.get(item.id).status == "finished"
        report = store.reports.get(item.id, "import")
        assert report is not None and report.payload["summary"].items() >= predicted.items()
        assert any("predict_bleu" in missing for missing in item.missing)

    def test_a_log_without_any_step_is_numbered_and_said(self, store: Store, tmp_path: Path) -> None:
        item = import_path(self.write(tmp_path / "r", [{"loss": 3.0}, {"loss": 2.0}]), store).items[0]
        assert curves(store) == {"r": {1: 3.0, 2: 2.0}}
        assert any("numbered in their order" in missing for missing in item.missing)

    def test_a_step_with_two_values_is_said(self, store: Store, tmp_path: Path) -> None:
        history = [{"step": 1, "eval_loss": 3.0}, {"step": 1, "eval_loss": 2.0}]
        item = import_path(self.write(tmp_path / "r", history), store).items[0]
        assert any("1 steps have several values" in missing for missing in item.missing)

    def test_two_metrics_of_one_name_in_the_store_stay_two(self, store: Store, tmp_path: Path) -> None:
        item = import_path(self.write(tmp_path / "r", [{"step": 1, "train/loss": 3.0, "loss": 2.0}]), store).items[0]
        assert store.curves.metrics(item.id) == ["loss", "loss (2)"]


WIDE = '"Step","r8 - train/loss","r8 - train/loss__MIN","r8 - train/loss__MAX","r16 - train/loss","r8 - _step"\n'
RUNS = (
    '"Name","State","Notes","Tags","Created","Runtime","learning_rate","eval/loss","train/global_step","train/loss"\n'
)
CSV: dict[str, tuple[str, dict[str, dict[int, float]]]] = {
    "a chart with bounds": (WIDE + "1,3,2,4,,1\n2,2,1,3,5,2\n", {"r8": {1: 3, 2: 2}, "r16": {2: 5}}),
    "two runs of one name in a chart": (
        "Step,r8 - loss,r8 - loss\n1,3,4\n2,2,1\n", {"r8": {1: 3, 2: 2}, "r8 (2)": {1: 4, 2: 1}}),
    "a history by _step": ("_step,_runtime,train/loss\n1,0.5,3\n2,0.9,2\n", {"w": {1: 3, 2: 2}}),
    "a history by optimizer steps": ("_step,train/global_step,train/loss\n1,10,3\n2,20,2\n", {"w": {10: 3, 20: 2}}),
    "a history whose optimizer steps have gaps": (
        "_step,train/global_step,train/loss\n1,10,3\n2,,2\n", {"w": {1: 3, 2: 2}}),
    "a history by whole epochs": ("epoch,train/loss\n1,3\n2,2\n", {"w": {1: 3, 2: 2}}),
    "a history by parts of epochs": ("epoch,train/loss\n0.5,3\n1.0,2\n", {"w": {1: 3, 2: 2}}),
    "a chart over time": ('"Relative Time (Process)","r8 - loss"\n2.5,3\n7.25,2\n', {"r8": {1: 3, 2: 2}}),
    "semicolons and decimal commas": ("Step;r8 - loss\n1;3,5\n2;2,5\n", {"r8": {1: 3.5, 2: 2.5}}),
    "a table of runs": (
        RUNS + '"r8","finished","","","","732","0.0002","1.52","300","1.31"\n'
        '"r16","crashed","","","","740","0.0002","1.49","300","1.27"\n', {"r8": {300: 1.31}, "r16": {300: 1.27}}),
    "a history with pandas's row numbers": (",_step,loss\n0,1,3\n1,2,2\n", {"w": {1: 3, 2: 2}}),
    "a history of several runs with ids": (
        "name,run_id,step,loss\nr8,a,1,3\nr8,a,2,2\nr16,b,1,4\n", {"r8": {1: 3, 2: 2}, "r16": {1: 4}}),
    "a history of runs of one name with ids": (
        "name,run_id,step,loss\nr8,a,1,3\nr8,b,2,4\n", {"r8 (a)": {1: 3}, "r8 (b)": {2: 4}}),
    "a history of several runs": ("run,step,loss\nr8,1,3\nr8,2,2\nr16,1,4\n", {"r8": {1: 3, 2: 2}, "r16": {1: 4}}),
}  # fmt: skip


@pytest.mark.parametrize("kind", CSV)
def test_tables_as_wandb_exports_them(store: Store, tmp_path: Path, kind: str) -> None:
    text, expected = CSV[kind]
    (tmp_path / "w.csv").write_text(text)
    report = import_path(tmp_path / "w.csv", store)
    assert curves(store) == expected
    said = [*report.notes, *(missing for item in report.items for missing in item.missing)]
    if "parts of epochs" in kind or "time" in kind:
        assert any("numbered in the order of" in sentence for sentence in said)


def test_a_table_of_runs_has_settings_and_summaries(store: Store, tmp_path: Path) -> None:
    row = '"r8","crashed","too hot","a, b","2026-01-02T03:04:05Z","60","0.0002","1.52","300","1.31"\n'
    (tmp_path / "w.csv").write_text(RUNS + row)
    item = import_path(tmp_path / "w.csv", store).items[0]
    run = store.runs.get(item.id)
    assert (run.config, run.status, run.tags, run.notes) == ({"learning_rate": 0.0002}, "failed", ("a", "b"), "too hot")
    assert run.started_at is not None and run.finished_at is not None
    assert (run.finished_at - run.started_at).total_seconds() == 60
    report = store.reports.get(item.id, "import")
    assert report is not None
    assert report.payload["summary"] == {
        "eval/loss": 1.52, "train/global_step": 300, "train/loss": 1.31, "runtime_seconds": 60.0,
    }  # fmt: skip
    assert store.runs.list()[0].best_validation_loss == 1.52


def test_a_table_of_runs_from_mlflow(store: Store, tmp_path: Path) -> None:
    header = "run_id,status,start_time,metrics.loss,metrics.mmlu,params.loss_type,params.name,tags.mlflow.runName"
    row = "4f,FINISHED,2026-01-02 03:04:05+00:00,1.5,0.4,nll,x,rank8"
    (tmp_path / "w.csv").write_text(f"{header}\n{row}\n")
    item = import_path(tmp_path / "w.csv", store).items[0]
    run = store.runs.get(item.id)
    assert (run.name, run.status, run.config) == ("rank8", "finished", {"loss_type": "nll", "name": "x"})
    assert run.started_at is not None and store.curves.metrics(run.id) == ["loss", "mmlu"]


def test_a_setting_may_be_called_as_a_column_of_wandbs(store: Store, tmp_path: Path) -> None:
    (tmp_path / "w.csv").write_text("Name,State,name,loss\nr8,finished,inner,1.0\n")
    item = import_path(tmp_path / "w.csv", store).items[0]
    assert item.name == "r8" and store.runs.get(item.id).config == {"name": "inner"}


def test_runs_of_one_name_in_a_table_are_two(store: Store, tmp_path: Path) -> None:
    (tmp_path / "w.csv").write_text("Name,State,rank,loss,_step\nx,finished,8,1.0,5\nx,finished,16,2.0,5\n")
    assert [item.name for item in import_path(tmp_path / "w.csv", store).items] == ["x (line 2)", "x (line 3)"]
    assert [one.run.config["rank"] for one in store.runs.list()] == [8, 16]


def test_rows_of_several_runs_without_a_name_are_refused(store: Store, tmp_path: Path) -> None:
    (tmp_path / "w.csv").write_text("step,loss\n1,3\n2,2\n1,4\n2,1\n")
    with pytest.raises(ImportRefused, match=r"two values at step 1 \(lines 2 and 4\).*add one called Name"):
        import_path(tmp_path / "w.csv", store)


def test_words_among_numbers_are_counted(store: Store, tmp_path: Path) -> None:
    (tmp_path / "w.csv").write_text("step,loss,phase\n1,3,warm\n2,diverged,hot\n")
    notes = import_path(tmp_path / "w.csv", store).notes
    assert notes == (
        "loss: 1 of 2 cells are no numbers and are left out",
        "phase: 2 of 2 cells are no numbers and are left out",
    )


def test_columns_of_a_table_of_runs_are_settings_or_metrics_by_their_names(store: Store, tmp_path: Path) -> None:
    settings = ["eval_steps", "learning_rate", "max_grad_norm", "train_batch_size", "loss_type", "val_set_size", "seed"]
    metrics = ["loss", "eval/loss", "train/learning_rate", "train_samples_per_second", "val_acc", "epoch", "grad_norm"]
    row = ["r8", "finished", *(str(number) for number in range(1, 15))]
    (tmp_path / "w.csv").write_text(",".join(["Name", "State", *settings, *metrics]) + "\n" + ",".join(row) + "\n")
    item = import_path(tmp_path / "w.csv", store).items[0]
    report = store.reports.get(item.id, "import")
    assert report is not None and set(store.runs.get(item.id).config) == set(settings)
    assert set(report.payload["summary"]) == set(metrics) and item.points == len(metrics)


class TestHistoriesOfOtherTools:
    @pytest.mark.parametrize(
        ("name", "lines"),
        [
            ("wandb-history.jsonl", [{"_step": 1, "loss": 2.0, "_timestamp": AT}, {"_step": 2, "loss": 1.5}]),
            ("axolotl.jsonl", [{"loss": 2.0, "step": 1}, {"loss": 1.5, "step": 2}, {"train_runtime": 9.5}]),
            ("swift.jsonl", [{"loss": 2.0, "acc": 0.5, "global_step/max_steps": "1/9"},
                             {"loss": 1.5, "global_step/max_steps": "2/9"}, {"last_model_checkpoint": "out/2"}]),
        ],
    )  # fmt: skip
    def test_a_history_in_json_lines_is_a_run(
        self, store: Store, tmp_path: Path, name: str, lines: list[dict[str, Any]]
    ) -> None:
        (tmp_path / name).write_text("\n".join(json.dumps(line) for line in lines))
        report = import_path(tmp_path / name, store)
        assert list(curves(store).values()) == [{1: 2.0, 2: 1.5}]
        [run] = [one.run for one in store.runs.list()]
        assert "timestamp" not in " ".join(store.curves.metrics(run.id)) and "(history)" in run.source
        without = len(lines) - 2
        said = f"{without} of 3 lines have no step and are left out"
        assert (said in report.notes) == bool(without)
        assert not any(item.new for item in import_path(tmp_path / name, store).items)

    def test_when_a_point_was_logged_is_no_curve(self, store: Store, tmp_path: Path) -> None:
        (tmp_path / "series.csv").write_text(f"step,timestamp,loss\n1,{AT},2.0\n2,{AT + 1},1.5\n")
        report = import_path(tmp_path / "series.csv", store)
        assert curves(store) == {"series": {1: 2.0, 2: 1.5}}
        assert report.items[0].points == 2 and "timestamp says when a point was logged" in report.notes[0]

    def test_lightning_s_files_of_one_name_are_runs_of_their_folders(self, store: Store, tmp_path: Path) -> None:
        for version in (0, 1):
            folder = tmp_path / "lightning_logs" / f"version_{version}"
            folder.mkdir(parents=True)
            (folder / "metrics.csv").write_text(f"epoch,step,train_loss\n0,1,{2.0 + version}\n0,2,{1.5 + version}\n")
        import_path(tmp_path / "lightning_logs", store)
        names = {one.run.name for one in store.runs.list()}
        assert names == {"version_0", "version_1"}

    def test_a_table_that_is_no_history_says_what_one_needs(self, store: Store, tmp_path: Path) -> None:
        (tmp_path / "summary.csv").write_text("dataset,version,metric,mode,mine\nhumaneval,8e,pass@1,gen,34.8\n")
        with pytest.raises(ImportRefused, match=r"no step column.*A curve needs one.*task_id and completion"):
            import_path(tmp_path / "summary.csv", store)
