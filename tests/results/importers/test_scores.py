"""A zoo of what benchmarks write: whose results, by which benchmark, with which verdicts and settings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from results import Evaluation, ImportRefused, Store, compare, import_path
from tests.results import foreign

DATE = "2026-01-02T03-04-05.678901"


def named(store: Store) -> dict[tuple[str, str], Evaluation]:
    """(model's name, benchmark) → evaluation."""
    names = {one.id: one.name for one in store.models.list()}
    return {(names[one.model_id], one.benchmark): one for one in store.evaluations.list()}


def verdicts(store: Store, evaluation: Evaluation) -> dict[str, str | None]:
    return {one.item: one.verdict for one in store.evaluations.outcomes(evaluation.id)}


def harness(folder: Path, model: str, passed: Sequence[bool], task: str = "arc_easy", beside: bool = True) -> Path:
    """A results file of lm-evaluation-harness 0.4, and the samples beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    results = {**foreign.HARNESS_4, "model_name": model, "config": {"model_args": f"pretrained={model}"}}
    results["n-samples"] = {task: {"effective": len(passed)}}
    results["results"] = {task: {"acc,none": sum(passed) / len(passed), "acc_stderr,none": 0.1}}
    (folder / f"results_{DATE}.json").write_text(json.dumps(results))
    rows = [
        {"doc_id": number, "doc": {"question": f"q{number}"}, "target": "A", "resps": [[["-1.5", "True"]]],
         "filtered_resps": [["-1.5", "True"]], "filter": "none", "metrics": ["acc"], "doc_hash": f"{number:064x}"[::-1],
         "acc": float(one)}
        for number, one in enumerate(passed)
    ]  # fmt: skip
    path = foreign.write_lines(folder / f"samples_{task}_{DATE}.jsonl", rows)
    if not beside:
        (folder / f"results_{DATE}.json").unlink()
    return path


class TestHarness:
    def test_samples_beside_the_results_are_outcomes_that_pair(self, store: Store, tmp_path: Path) -> None:
        harness(tmp_path / "a", "org/alpha", [True] * 9 + [False])
        harness(tmp_path / "b", "org/beta", [False] * 8 + [True, False])
        report = import_path(tmp_path, store)
        assert len(report.items) == 2 and not any(item.missing for item in report.items)
        found = compare(store, store.models.find("org/alpha"), store.models.find("org/beta"), "lm-eval:arc_easy")
        assert found.quality is not None and found.quality.method == "mcnemar"
        assert (found.quality.both, found.quality.only_a, found.quality.only_b) == (1, 8, 0)

    def test_a_samples_file_by_name_is_read_with_its_results(self, store: Store, tmp_path: Path) -> None:
        path = harness(tmp_path / "a", "org/alpha", [True, False])
        item = import_path(path, store).items[0]
        assert (item.name, item.benchmark, item.outcomes) == ("org/alpha", "lm-eval:arc_easy", 2)
        assert not import_path(tmp_path, store).items[0].new

    def test_a_results_file_that_the_caller_named_has_its_samples_too(self, store: Store, tmp_path: Path) -> None:
        harness(tmp_path / "a", "org/alpha", [True, False])
        (tmp_path / "a" / f"results_{DATE}.json").rename(tmp_path / "a" / f"mine_{DATE}.json")
        (item,) = import_path(tmp_path, store).items
        assert (item.name, item.outcomes) == ("org/alpha", 2)

    def test_samples_alone_have_scores_and_say_what_is_missing(self, store: Store, tmp_path: Path) -> None:
        item = import_path(harness(tmp_path / "alpha", "", [True, True, False], beside=False), store).items[0]
        evaluation = store.evaluations.get(item.id)
        assert item.name == "alpha" and "results file" in item.missing[0]
        assert [(one.metric, round(one.value, 2), one.n) for one in evaluation.scores] == [("acc", 0.67, 3)]
        assert list(verdicts(store, evaluation).values()) == ["passed", "passed", "wrong"]

    def test_each_filter_is_a_metric_and_the_first_score_decides(self, store: Store, tmp_path: Path) -> None:
        results = {**foreign.HARNESS_4, "results": {"gsm8k": {
            "exact_match,strict-match": 0.0, "exact_match,flexible-extract": 1.0}}}  # fmt: skip
        (tmp_path / f"results_{DATE}.json").write_text(json.dumps(results))
        row = {"doc_id": 0, "doc": {"q": 1}, "target": "4", "resps": [["It is 4"]], "metrics": ["exact_match"]}
        filters = [{"filter": "strict-match", "exact_match": 0.0}, {"filter": "flexible-extract", "exact_match": 1.0}]
        foreign.write_lines(tmp_path / f"samples_gsm8k_{DATE}.jsonl", [{**row, **one} for one in filters])
        item = import_path(tmp_path, store).items[0]
        (outcome,) = store.evaluations.outcomes(item.id)
        assert outcome.verdict == "wrong" and outcome.details["answer"] == "It is 4"
        assert outcome.details["metrics"] == {
            "exact_match (strict-match)": 0.0, "exact_match (flexible-extract)": 1.0,
        }  # fmt: skip

    def test_the_array_of_before_is_read(self, store: Store, tmp_path: Path) -> None:
        rows = [{"doc_id": 0, "doc": {"q": 1}, "target": "A", "resps": [["A"]], "filtered_resps": ["A"], "acc": 1.0}]
        (tmp_path / "pretrained__x_arc_easy.jsonl").write_text(json.dumps(rows))
        item = import_path(tmp_path / "pretrained__x_arc_easy.jsonl", store).items[0]
        assert item.outcomes == 1 and store.evaluations.get(item.id).scores[0].metric == "acc"

    def test_humanevals_samples_are_answers_to_its_tasks(self, store: Store, tmp_path: Path) -> None:
        rows = [{"doc_id": 0, "doc": {"task_id": "HumanEval/0"}, "target": "", "resps": [["    return 1"]],
                 "filtered_resps": [["def f():\n    return 1"]], "filter": "create_test", "pass@1": 1.0}]  # fmt: skip
        foreign.write_lines(tmp_path / f"samples_humaneval_{DATE}.jsonl", rows)
        item = import_path(tmp_path / f"samples_humaneval_{DATE}.jsonl", store).items[0]
        (outcome,) = store.evaluations.outcomes(item.id)
        assert (item.benchmark, outcome.item, outcome.verdict) == ("humaneval", "HumanEval/0", "passed")
        assert (outcome.details["code"], outcome.details["kind"]) == ("def f():\n    return 1", "solution")

    def test_samples_that_cannot_be_read_are_named_and_the_scores_stay(self, store: Store, tmp_path: Path) -> None:
        harness(tmp_path, "org/alpha", [True]).write_text('{"doc_id": 0')
        report = import_path(tmp_path, store)
        assert report.items[0].outcomes == 0 and "imported without its samples" in report.notes[0]


class TestBigcode:
    def test_generations_are_answers_in_the_benchmarks_order(self, store: Store, tmp_path: Path) -> None:
        programs = [
            ["def has_close_elements(a, b):\n    return 1", "def has_close_elements(a, b):\n    return 2"],
            ["x"] * 2,
        ]
        folder = tmp_path / "santacoder"
        folder.mkdir()
        (folder / "generations.json").write_text(json.dumps(programs))
        report = import_path(folder / "generations.json", store)
        evaluation = named(store)["santacoder", "humaneval"]
        assert (evaluation.status, evaluation.subset) == ("unscored", "2 of 164 tasks")
        found = store.evaluations.outcomes(evaluation.id)
        assert [(one.item, one.sample) for one in found] == [
            ("HumanEval/0", 0), ("HumanEval/0", 1), ("HumanEval/1", 0), ("HumanEval/1", 1),
        ]  # fmt: skip
        assert found[1].details["kind"] == "solution" and "return 2" in found[1].details["code"]
        assert "taken for those of humaneval in order" in report.notes[0]

    def test_generations_of_unknown_tasks_are_refused_with_the_remedy(self, store: Store, tmp_path: Path) -> None:
        (tmp_path / "generations_apps.json").write_text(json.dumps([["print(1)"]]))
        with pytest.raises(ImportRefused, match=r"no first task of HumanEval or MBPP.*write them as JSON Lines"):
            import_path(tmp_path / "generations_apps.json", store)

    def test_its_results_are_scores_with_their_settings(self, store: Store, tmp_path: Path) -> None:
        config = {
            "model": "bigcode/santacoder",
            "revision": "v2",
            "temperature": 0.2,
            "n_samples": 20,
            "tasks": "humaneval",
        }
        value = {"humaneval": {"pass@1": 0.25, "pass@10": 0.4}, "multiple-js": {"pass@1": 0.1}, "config": config}
        (tmp_path / "evaluation_results.json").write_text(json.dumps(value))
        import_path(tmp_path, store)
        name = "bigcode/santacoder@v2"
        assert named(store).keys() == {(name, "humaneval"), (name, "bigcode:multiple-js")}
        evaluation = named(store)[name, "humaneval"]
        assert evaluation.settings["temperature"] == 0.2 and "model" not in evaluation.settings
        assert [(one.metric, one.value, one.low) for one in evaluation.scores] == [
            ("pass@1", 0.25, None), ("pass@10", 0.4, None),
        ]  # fmt: skip


CHAT = {"object": "chat.completion", "model": "gpt-x", "choices": [
    {"message": {"role": "assistant", "content": "```python\nx\n```"}, "finish_reason": "stop"},
    {"message": {"role": "assistant", "content": "y"}, "finish_reason": "length"}]}  # fmt: skip
PLAIN = {"object": "text_completion", "model": "base-x", "choices": [{"text": "    return 1", "finish_reason": "stop"}]}
TEXT_PART = {"type": "output_text", "text": "z"}
RESPONSES = {"object": "response", "model": "gpt-y", "output": [
    {"type": "reasoning", "summary": []}, {"type": "message", "content": [TEXT_PART]}]}  # fmt: skip
ANSWERS: dict[str, tuple[list[Mapping[str, Any]], str, list[tuple[str, str | None, str | None]]]] = {
    "chat completions as completions": (
        [{"task_id": "HumanEval/0", "completion": CHAT}], "gpt-x",
        [("```python\nx\n```", None, None), ("y", None, None)]),
    "plain completions as completions": (
        [{"task_id": "HumanEval/0", "completion": PLAIN}], "base-x", [("    return 1", None, "completion")]),
    "responses": ([{"task_id": "HumanEval/0", "response": RESPONSES}], "gpt-y", [("z", None, None)]),
    "a batch": (
        [{"custom_id": "HumanEval/0", "response": {"status_code": 200, "body": CHAT}, "error": None}], "gpt-x",
        [("```python\nx\n```", None, None), ("y", None, None)]),
    "a list of completions": (
        [{"task_id": "HumanEval/0", "completions": ["a", "b"]}], "alpha",
        [("a", None, "completion"), ("b", None, "completion")]),
    "labels by is_solved": (
        [{"task_id": "HumanEval/0", "completion": "a", "is_solved": True}], "alpha", [("a", "passed", "completion")]),
    "labels of EvalPlus": (
        [{"task_id": "HumanEval/0", "solution": "a", "base_status": "timeout"}], "alpha",
        [("a", "timed_out", "solution")]),
}  # fmt: skip


@pytest.mark.parametrize("kind", ANSWERS)
def test_answers_in_other_objects(store: Store, tmp_path: Path, kind: str) -> None:
    rows, name, expected = ANSWERS[kind]
    (tmp_path / "alpha").mkdir()
    item = import_path(foreign.write_lines(tmp_path / "alpha" / "samples.jsonl", rows), store).items[0]
    found = store.evaluations.outcomes(item.id)
    assert item.name == name
    assert [(one.details["answer"], one.verdict, one.details.get("kind")) for one in found] == expected


def test_a_servers_failure_is_not_the_models(store: Store, tmp_path: Path) -> None:
    rows = [
        {"custom_id": "HumanEval/0", "response": {"status_code": 500, "body": {}}, "error": None},
        {"custom_id": "HumanEval/1", "response": {"status_code": 200, "body": PLAIN}, "error": None},
        {"custom_id": "HumanEval/2", "response": {"error": {"message": "overloaded"}}},
    ]
    import_path(foreign.write_lines(tmp_path / "batch.jsonl", rows), store)
    outcomes = store.evaluations.outcomes(named(store)["base-x", "humaneval"].id)
    found = {each.item: (each.verdict, each.details["message"]) for each in outcomes}
    assert found == {
        "HumanEval/0": ("error", "status 500"), "HumanEval/1": (None, ""), "HumanEval/2": ("error", "overloaded"),
    }  # fmt: skip


@pytest.mark.parametrize("form", ["lines in .json", "an array in .jsonl", "an array of lines in .json", "UTF-16"])
def test_answers_are_read_under_either_ending(store: Store, tmp_path: Path, form: str) -> None:
    rows = [{"task_id": f"HumanEval/{task}", "completion": "größer"} for task in (0, 1)]
    text = (
        json.dumps(rows, indent=1 if "lines" in form else None) if "array" in form else "\n".join(map(json.dumps, rows))
    )
    path = tmp_path / ("m.jsonl" if ".jsonl" in form or form == "UTF-16" else "m.json")
    path.write_text(text, encoding="utf-16" if form == "UTF-16" else "utf-8")
    (item,) = import_path(path, store).items
    assert [one.details["answer"] for one in store.evaluations.outcomes(item.id)] == ["größer"] * 2


def test_tasks_are_called_alike_however_a_file_spells_them(store: Store, tmp_path: Path) -> None:
    for name, task in (("a_mbpp", 2), ("b", "Mbpp/2"), ("c", "MBPP/2")):
        import_path(foreign.write_lines(tmp_path / f"{name}.jsonl", [{"task_id": task, "completion": "x"}]), store)
    items = [each.item for one in store.evaluations.list() for each in store.evaluations.outcomes(one.id)]
    assert items == ["MBPP/2"] * 3
    path = foreign.write_lines(tmp_path / "d.jsonl", [{"task_id": 2, "completion": "x"}])
    with pytest.raises(ImportRefused, match="of which benchmark is not said"):
        import_path(path, store)


def test_labels_of_evalplus_in_lines_are_two_evaluations(store: Store, tmp_path: Path) -> None:
    rows = [
        {"task_id": f"HumanEval/{task}", "solution": "x", "base_status": base, "plus_status": plus}
        for task, (base, plus) in enumerate([("pass", "pass"), ("pass", "fail"), ("fail", "pass")])
    ]
    (tmp_path / "alpha").mkdir()
    import_path(foreign.write_lines(tmp_path / "alpha" / "samples.jsonl", rows), store)
    base, plus = named(store)["alpha", "humaneval"], named(store)["alpha", "humaneval+"]
    assert list(verdicts(store, base).values()) == ["passed", "passed", "wrong"]
    assert list(verdicts(store, plus).values()) == ["passed", "wrong", "wrong"]


BENCH = {**foreign.LLAMA_BENCH, "samples_ns": [], "samples_ts": []}
GENERATED = {**BENCH, "n_prompt": 0, "n_gen": 128, "avg_ts": 80.0}
FIELDS = [key for key in BENCH if not key.startswith("samples")]
MARKDOWN = """warming up
| model                          |       size |     params | backend    | threads | fa | test       |              t/s |
| ------------------------------ | ---------: | ---------: | ---------- | ------: | -: | ---------- | ---------------: |
| llama 1B Q8_0                  | 136.73 MiB |   134.52 M | CPU        |       2 |  0 | pp 512     |    512.00 ± 3.00 |
| llama 1B Q8_0                  | 136.73 MiB |   134.52 M | CPU        |       2 |  0 | tg128      |     80.00 ± 1.00 |
| llama 1B Q8_0                  | 136.73 MiB |   134.52 M | CPU        |       4 |  0 | tg128 @ d64 |    95.00 ± 1.00 |

build: 8cf427ff (5163)
"""


def as_sql(rows: Sequence[Mapping[str, Any]]) -> str:
    values = [", ".join(f"'{row[key]}'" for key in FIELDS) for row in rows]
    inserts = [f"INSERT INTO llama_bench ({', '.join(FIELDS)}) VALUES ({one});" for one in values]
    return "CREATE TABLE IF NOT EXISTS llama_bench (\n  build_commit TEXT\n);\n\n" + "\n".join(inserts) + "\n"


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    return "\n".join([",".join(FIELDS), *(",".join(f'"{row[key]}"' for key in FIELDS) for row in rows)])


FORMS = {
    "bench.json": json.dumps([BENCH, GENERATED]),
    "bench.jsonl": "\n".join(map(json.dumps, [BENCH, GENERATED])),
    "bench.csv": as_csv([BENCH, GENERATED]),
    "bench.sql": as_sql([BENCH, GENERATED]),
}


@pytest.mark.parametrize("file", FORMS)
def test_llama_bench_in_each_format_says_the_same(store: Store, tmp_path: Path, file: str) -> None:
    (tmp_path / file).write_text(FORMS[file])
    item = import_path(tmp_path / file, store).items[0]
    evaluation = store.evaluations.get(item.id)
    assert (item.name, evaluation.settings["n_threads"]) == ("smollm2-135m-Q8_0", 2)
    assert {one.metric: one.value for one in evaluation.scores} == {
        "tokens_per_second_pp512": 512.0, "tokens_per_second_tg128": 80.0,
    }  # fmt: skip
    assert store.machines.get(evaluation.machine_id).cpu == "AMD EPYC"


def test_llama_bench_as_it_prints(store: Store, tmp_path: Path) -> None:
    (tmp_path / "alpha").mkdir()
    (tmp_path / "alpha" / "bench.md").write_text(MARKDOWN)
    report = import_path(tmp_path, store)
    found = [store.evaluations.get(item.id) for item in report.items]
    assert {item.name for item in report.items} == {"alpha: llama 1B Q8_0"}
    assert [(one.settings["n_threads"], [score.metric for score in one.scores]) for one in found] == [
        (2, ["tokens_per_second_pp512", "tokens_per_second_tg128"]), (4, ["tokens_per_second_tg128@d64"]),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [{"n_threads": 4}, {"type_k": "q8_0"}, {"no_kv_offload": True}, {"n_cpu_moe": 3}, {"build_number": 1},
     {"cpu_info": "Xeon"}, {"model_size": 1}, {"tensor_split": "1/1"}, {"a_setting_of_tomorrow": "on"}],
)  # fmt: skip
def test_lines_that_differ_in_any_setting_stay_apart(store: Store, tmp_path: Path, change: dict[str, Any]) -> None:
    rows = [BENCH, {**BENCH, **change, "avg_ts": 99.0}, {**GENERATED, **change}]
    (tmp_path / "bench.json").write_text(json.dumps(rows))
    assert len(import_path(tmp_path / "bench.json", store).items) == 2
    values = [sorted(score.value for score in one.scores) for one in store.evaluations.list()]
    assert sorted(values) == [[80.0, 99.0], [512.0]]


def test_a_test_that_was_run_again_is_another_measurement(store: Store, tmp_path: Path) -> None:
    (tmp_path / "bench.json").write_text(json.dumps([BENCH, GENERATED, {**BENCH, "avg_ts": 99.0}]))
    import_path(tmp_path / "bench.json", store)
    values = sorted(score.value for one in store.evaluations.list() for score in one.scores)
    assert values == [80.0, 99.0, 512.0] and len(store.models.list()) == 1


def test_lighteval_names_its_model_and_its_mean_is_no_test(store: Store, tmp_path: Path) -> None:
    found = {
        "config_general": {"model_name": "org/small", "lighteval_sha": "x"},
        "results": {"leaderboard|gsm8k|0": {"qem": 0.3, "qem_stderr": 0.01}, "all": {"qem": 0.3}},
        "versions": {},
    }
    (tmp_path / "results.json").write_text(json.dumps(found))
    report = import_path(tmp_path / "results.json", store)
    [(name, benchmark)] = named(store)
    assert (name, benchmark) == ("org/small", "lm-eval:leaderboard|gsm8k|0")
    assert "lighteval" in report.items[0].source and "'all' is lighteval's mean" in report.notes[0]


def test_results_of_a_benchmark_that_is_not_scored_here_are_named(store: Store, tmp_path: Path) -> None:
    row = {"task_id": "BigCodeBench/0", "solution": "x", "status": "pass"}
    (tmp_path / "eval.json").write_text(json.dumps({"eval": {"BigCodeBench/0": [row]}}))
    with pytest.raises(ImportRefused, match=r"no base_status.*BigCodeBench's not"):
        import_path(tmp_path / "eval.json", store)
