"""One's own prompts: read from whatever people have, a row that cannot be read named by its line, kept under a name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.chat.prompts import STARTING, PromptSet, PromptShelf, read
from dashboard.errors import NoPrompts
from evaluator import read_question_set


def test_prompts_are_read_from_lines_tables_and_json() -> None:
    assert read("a\n\n b \na\n").prompts == ("a", "b")
    assert read('["a", {"prompt": "b"}]', "x.json").prompts == ("a", "b")
    assert read('{"questions": [{"question": "a"}]}', "x.json").prompts == ("a",)
    assert read('{"prompt": "a"}\n"b"', "x.jsonl").prompts == ("a", "b")
    assert read('Prompt,tag\n"two\nlines",x\nb,y\n', "x.CSV").prompts == ("two\nlines", "b")
    assert read("question\tanswer\nWhy?\tso\n", "x.tsv").prompts == ("Why?",)
    turns = [{"role": "system", "content": "s"}, {"role": "user", "content": "first"}, {"role": "user", "content": "u"}]
    assert read(json.dumps({"messages": turns}), "x.jsonl").prompts == ("u",)


def test_a_row_that_cannot_be_read_is_named_by_its_line_and_the_others_stay() -> None:
    found = read('{"prompt": "a"}\n{"other": 1}\n{"prompt": ""}\n{"prompt": "d"}', "x.jsonl")
    assert found.prompts == ("a", "d")
    assert [one.split(" has")[0] for one in found.bad] == ["line 2", "line 3"]


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        ("", "", "holds no prompt"),
        ("[1", "x.json", "x.json"),
        ("{}", "x.json", "list of prompts"),
        ('"a"\n{', "x.jsonl", "line 2"),
        ("a,b\n1,2\n", "x.csv", "has no column prompt"),
        ("x", "x.docx", "save it as one of these"),
    ],
)
def test_a_file_without_prompts_is_refused_in_a_line(text: str, name: str, said: str) -> None:
    with pytest.raises(NoPrompts, match=said) as refused:
        read(text, name)
    assert "\n" not in str(refused.value)


@pytest.mark.slow
@given(st.text(max_size=200), st.sampled_from(("x.csv", "x.tsv", "x.json", "x.jsonl", "x.txt", "")))
def test_any_text_is_prompts_or_a_refusal(text: str, name: str) -> None:
    try:
        found = read(text, name)
    except NoPrompts:
        return
    assert found.prompts and all(one == one.strip() != "" for one in found.prompts)


def test_a_file_of_questions_is_the_same_questions_to_evaluate(tmp_path: Path) -> None:
    files = {
        "a.csv": "question,answer\nWhat is 1+1?,2\nWhat is 2+2?,4\n",
        "b.jsonl": '{"input": "What is 1+1?", "ideal": "2"}\n{"input": "What is 2+2?", "ideal": "4"}\n',
        "c.json": '[{"prompt": "What is 1+1?", "expected": "2"}, {"prompt": "What is 2+2?", "expected": "4"}]',
    }
    shelf = PromptShelf(tmp_path / "sets")
    for name, text in files.items():
        found = read(text, name)
        assert found.right
        kept = shelf.keep(PromptSet(name, found.prompts), text, name.rpartition(".")[2])
        items = read_question_set(kept.source).items
        assert tuple(item.messages[-1]["content"] for item in items) == found.prompts
        assert shelf.sets()[name] == kept


def test_a_set_is_kept_replaced_and_removed_and_foreign_files_are_none(tmp_path: Path) -> None:
    shelf = PromptShelf(tmp_path / "sets")
    assert shelf.sets() == {}
    shelf.keep(PromptSet("../shop bot", ("Why?", "Wie \ud83d?")))
    shelf.keep(PromptSet("../shop bot", ("Why not?",)))
    (tmp_path / "sets" / "foreign.json").write_text('{"name": 3, "prompts": 4}')
    (tmp_path / "sets" / "broken.json").write_text("{")
    assert {name: one.prompts for name, one in shelf.sets().items()} == {"../shop bot": ("Why not?",)}
    assert [path.parent for path in tmp_path.rglob("*.json")] == [tmp_path / "sets"] * 3
    shelf.remove("../shop bot")
    assert shelf.sets() == {}


def test_the_starter_set_is_some_tens_of_different_prompts() -> None:
    assert len(set(STARTING)) == len(STARTING) >= 30
