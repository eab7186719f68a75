"""Files of questions of every format: each row is an item or a bad one with its reason; nothing is guessed or lost."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from evaluator import BenchmarkUnreadable, QuestionSettings, Wishes, question_set, read_question_set, shown
from evaluator.question_sets.files.templates import filled
from evaluator.question_sets.items import BadQuestion, QuestionSet
from results import Store
from tests.damage import damaged
from tests.evaluator.question_sets.files import FILES, Invented, lines


def read(invented: Invented, folder: Path) -> QuestionSet:
    return read_question_set(
        invented.write(folder), Wishes(invented.question, "gold_value" if invented.question else "")
    )


@pytest.mark.parametrize("invented", FILES, ids=[one.name for one in FILES])
def test_a_file_is_read_as_its_tool_means_it(invented: Invented, tmp_path: Path) -> None:
    found = read(invented, tmp_path)
    assert (len(found.items), sorted(found.checks)) == (invented.items, sorted(invented.checks)), found.bad
    assert len(found.bad) == len(invented.bad), found.bad
    for said in invented.bad:
        assert any(said in bad.reason for bad in found.bad), (said, found.bad)
    assert all(str(tmp_path) in bad.where for bad in found.bad)
    assert invented.told in found.format
    assert found.name == invented.name.rpartition(".")[0]


def test_thirty_files_were_invented() -> None:
    assert len(FILES) >= 30 and {one.name.rpartition(".")[2] for one in FILES} == {
        "csv", "tsv", "jsonl", "json", "parquet", "yaml",
    }  # fmt: skip


def by_name(name: str) -> Invented:
    return next(one for one in FILES if one.name == name)


def test_turns_choices_templates_and_stops_arrive_whole(tmp_path: Path) -> None:
    talk = read(by_name("talk.jsonl"), tmp_path).items[0]
    assert [turn["role"] for turn in talk.messages] == ["system", "user", "assistant", "user"]
    assert talk.checks[0].wanted == ["Lima"]
    arc = read(by_name("arc.jsonl"), tmp_path).items[0]
    assert (arc.id, arc.choices, arc.checks[0].wanted) == ("x1", ("ice", "fire"), 1)
    assert "A) ice\nB) fire" in shown(arc, QuestionSettings())
    alpaca = read(by_name("alpaca.json"), tmp_path).items[0]
    assert alpaca.text == "Translate\n\ndog"
    boolq = read(by_name("boolq_rows.jsonl"), tmp_path).items[0]
    assert boolq.text.startswith("The sky is blue.\n\n") and boolq.checks[0].wanted == ["true", "yes"]
    own = read(by_name("own.csv"), tmp_path).items[0]
    assert own.text == "The sky is blue.\n\nColour?"
    sums = read(by_name("sums.yaml"), tmp_path)
    assert (sums.stop, sums.max_tokens, sums.items[0].checks[0].wanted) == (("\n\n", "Q:"), 64, ["4"])
    task = read(by_name("task.yaml"), tmp_path).items[0]
    assert task.text == "Question: Hot?\n1. ice\n2. fire\nAnswer:" and task.listed
    foo = read(by_name("foo.yaml"), tmp_path).items
    assert [one.text for one in foo[:4]] == [
        "Translate to French: dog", "In French, DOG:", "Translate to Spanish: dog", "In Spanish, DOG:",
    ]  # fmt: skip
    assert any("items of 2 groups are related" in note for note in read(by_name("foo.yaml"), tmp_path).notes)
    assert foo[0].group == foo[1].group and len({one.id for one in foo}) == len(foo)


def test_what_is_not_read_is_named(tmp_path: Path) -> None:
    rows = [{"question": "a?", "answer": "b", "note": "x", "tags": ["t", "u"]}, {"question": "c?", "answer": 3}]
    (tmp_path / "mine.jsonl").write_bytes(lines(*rows))
    found = read_question_set(tmp_path / "mine.jsonl")
    assert "column 'note' is not read (1 of 2 items)" in found.notes
    assert any("by exact (1 of 2 items)" in note for note in found.notes)
    assert found.items[0].tags == ("t", "u")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"question,question\na,b\n", "several columns named"),
        ("a.csv", b'question,answer\n"open,b\n', "line 2: no table"),
        ("a.csv", b"", "is empty"),
        ("a.csv", b"question,answer\n\xff\xfe,b\n", "not UTF-8"),
        ("a.jsonl", b"", "holds no question"),
        ("a.yaml", b"a: 1", "neither promptfoo's"),
        ("a.yaml", b"task: t\ndoc_to_text: !function utils.text\n", "runs Python of the file"),
        ("a.yaml", b"task: t\ndoc_to_text: q\ndataset_path: allenai/ai2_arc\n", "are not here"),
        ("a.yaml", b"task: t\ndoc_to_text: q\nprocess_docs: x\n", "may change what is measured"),
        ("a.yaml", b"task: t\ndoc_to_text: q\nnum_fewshot: 5\n", "examples are not shown"),
        ("a.yaml", b"prompts: [file://make.py]\ntests: [{vars: {a: 1}}]\n", "a program, which is not run"),
        ("a.yaml", b"prompts: [x]\ntests: file://tests.js\n", "are read"),
        ("a.parquet", b"PAR1nothing", "as Parquet"),
        ("a.txt", b"question", "by its ending"),
    ],
)
def test_a_file_that_is_none_is_refused_in_one_line(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BenchmarkUnreadable, match=said) as refused:
        read_question_set(tmp_path / name)
    assert "\n" not in str(refused.value) and str(tmp_path / name) in str(refused.value)


@pytest.mark.parametrize(
    "template",
    [
        "{{ ().__class__ }}", "{{ x.__class__ }}", "{{ x.format(x) }}", "{{ x * 9999999 }}", "{% import 'os' %}",
        "{% for a in x.split(' ') %}{% for b in x.split(' ') %}{{x}}{% endfor %}{% endfor %}",
        "{{ x.replace('', x) }}", "{{ x.join(x.split(' ')) }}", "{{ missing }}", "{{ x", "{{ x | attr('y') }}",
        "{% macro m() %}{% endmacro %}", "{{ cycler }}", "{{ [x].index('y') }}", "{{ 10 ** 9 }}",
    ],
)  # fmt: skip
def test_a_template_reaches_no_python_and_ends(template: str) -> None:
    with pytest.raises(BadQuestion):
        filled(template, {"x": "word " * 5000})


def test_files_outside_of_the_folder_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "a.yaml").write_text(
        "prompts: ['{{x}}']\ntests: [{vars: {x: file://../secret.txt}, assert: [{type: equals, value: a}]}]\n"
    )
    found = read_question_set(inner / "a.yaml")
    assert not found.items and "leads out" in found.bad[0].reason


def test_a_set_that_was_measured_is_found_by_its_name(tmp_path: Path) -> None:
    from evaluator.question_sets.measured import remember

    store = Store(f"sqlite:///{tmp_path / 'results.db'}")
    path = by_name("plain.csv").write(tmp_path)
    first = read_question_set(path, Wishes(check="contains"))
    remember(first, store)
    assert question_set("plain", None, store) == first
    path.unlink()
    with pytest.raises(BenchmarkUnreadable, match="not there any more"):
        question_set("plain", None, store)
    assert question_set("humaneval", None, store) is None
    assert question_set("unknown", None, store) is None


def test_a_file_of_programs_stays_a_benchmark_of_programs(tmp_path: Path) -> None:
    task = {"task_id": "a/1", "prompt": "def f():\n", "entry_point": "f", "test": "def check(candidate):\n    pass\n"}
    (tmp_path / "tasks.jsonl").write_bytes(lines(task))
    assert question_set(str(tmp_path / "tasks.jsonl")) is None
    (tmp_path / "mine.jsonl").write_bytes(lines({"question": "a?", "test": "assert f() == 1"}))
    assert question_set(str(tmp_path / "mine.jsonl")) is not None


def test_the_digest_is_of_what_an_answer_s_verdict_follows_from(tmp_path: Path) -> None:
    def digest(text: str) -> str:
        (tmp_path / "a.csv").write_text(text)
        return read_question_set(tmp_path / "a.csv").digest

    first = digest("question,answer\na?,b\n")
    assert digest("question,answer,note\na?,b,n\n") == first
    assert len({first, digest("question,answer\na?,c\n"), digest("question,answer\nb?,b\n")}) == 3


PIECES = (
    b'"',
    b",",
    b"\n",
    b"{",
    b"}",
    b"[",
    b"null",
    b"\x00",
    b"\xff",
    b"{{",
    b"}}",
    b"- ",
    b"&a ",
    b"*a",
    b": ",
    b"1e999",
)


@pytest.mark.parametrize("invented", FILES, ids=[one.name for one in FILES])
def test_a_damaged_file_is_read_or_refused_in_words_and_no_row_is_lost(invented: Invented, tmp_path: Path) -> None:
    draws = random.Random(invented.name)
    path = invented.write(tmp_path)
    for _ in range(12):
        path.write_bytes(damaged(invented.content, draws, PIECES, (1, 1, 2, 5), (1, 4, 30)))
        try:
            found = read_question_set(path, Wishes(invented.question, "gold_value" if invented.question else ""))
        except BenchmarkUnreadable as refused:
            assert "\n" not in str(refused)
        else:
            assert found.items or found.bad
            places = [one.where for one in (*found.items, *found.bad)]
            if path.suffix == ".jsonl" and all(", line " in place and ", row " not in place for place in places):
                assert len(places) == sum(bool(line.strip()) for line in path.read_bytes().split(b"\n"))
