"""Invented files of questions, as people, spreadsheets and tools write them: what each is to become."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet

from evaluator.question_sets.checking.rules import checked, rule_of
from evaluator.question_sets.items import Item


@dataclass(frozen=True)
class Invented:
    """One file, with those beside it."""

    name: str
    content: bytes
    items: int
    checks: Sequence[str]
    """Those of its items, in words."""
    bad: Sequence[str] = ()
    """What is said of each item that cannot be read, in part."""
    told: str = ""
    """What is said of its format, in part."""
    beside: dict[str, bytes] = field(default_factory=dict)
    question: str = ""
    """How its question is named."""

    def write(self, folder: Path) -> Path:
        for name, content in {self.name: self.content, **self.beside}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        return folder / self.name


def lines(*rows: Any) -> bytes:
    return "".join(
        (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)) + "\n" for row in rows
    ).encode()


def table(*rows: dict[str, Any]) -> bytes:
    sink = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(list(rows)), sink)
    return sink.getvalue()


ASKED = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Capital of Italy?"}]
TALK = [*ASKED, {"role": "assistant", "content": "Rome."}, {"role": "user", "content": "And of Peru?"}]
SHARED = [{"from": "human", "value": "Größe der Sonne?"}, {"from": "gpt", "value": "1,4 Millionen km"}]
MMLU = {"question": "Which gas?", "choices": ["oxygen", "iron", "gold", "salt"], "answer": 0, "subject": "chemistry"}
ARC = {"id": "x1", "question": "Hot?", "choices": {"text": ["ice", "fire"], "label": ["1", "2"]}, "answerKey": "2"}
BOOLQ = {"question": "is the sky blue", "passage": "The sky is blue.", "answer": True}
GSM = {"question": "Two and two?", "answer": "Two and two make four.\n#### 4"}
PROMPTFOO = b"""
prompts:
  - 'Translate to {{language}}: {{text}}'
  - file://second.txt
providers: [openai:gpt-4o-mini]
defaultTest:
  assert:
    - {type: not-icontains, value: sorry}
tests:
  - vars: {language: [French, Spanish], text: dog}
    assert:
      - {type: icontains-any, value: [chien, perro]}
  - description: judged by a model
    vars: {language: German, text: cat}
    assert: [{type: llm-rubric, value: is friendly}]
  - vars: {language: German, text: cat}
    assert: [{type: equals, value: Katze, metric: words}, {type: javascript, value: output.length < 9}]
  - vars: {language: German, text: file://notes.txt}
    assert: [{type: is-json, value: {type: object, required: [word]}}]
"""
HARNESS = b"""
task: mine
dataset_path: json
dataset_kwargs: {data_files: {test: rows.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "Question: {{q.strip()}}\\n{% for c in opts %}{{loop.index}}. {{c}}\\n{% endfor %}Answer:"
doc_to_choice: "{{opts}}"
doc_to_target: label
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""
GENERATED = b"""
task: sums
dataset_path: csv
dataset_kwargs: {data_files: rows.csv}
output_type: generate_until
doc_to_text: "Q: {{question}}\\nA:"
doc_to_target: "{{answer.split('####')[-1].strip()}}"
generation_kwargs: {until: ["\\n\\n", "Q:"], max_gen_toks: 64, do_sample: false}
metric_list: [{metric: exact_match, ignore_case: true}]
"""

FILES = [
    Invented("plain.csv", b"question,answer\nCapital of France?,Paris\n2 + 2?,4\n", 2, ["exact", "number"], told="CSV"),
    Invented("marked.csv", b"\xef\xbb\xbfquestion;answer\r\nHauptstadt?;Berlin\r\n", 1, ["exact"]),
    Invented("excel.csv", b"sep=;\r\nprompt;expected\r\n\"a;b?\";c\r\n", 1, ["exact"]),
    Invented("sixteen.csv", "question\tanswer\nqué?\tsí\n".encode("utf-16"), 1, ["exact"]),
    Invented("tabs.tsv", b"input\toutput\nx?\ty\n", 1, ["exact"]),
    Invented("lines.csv", b'question,answer\n"two\nlines?",yes\n\nlast?,no\n', 2, ["exact"]),
    Invented("short.csv", b"question,answer\na?,b\nc?\n,d\ne?,\n", 1, ["exact"],
             ["1 cells", "no question", "no right answer"]),
    Invented("letters.csv", b"question,A,B,C,D,answer\nHot?,ice,fire,snow,rain,B\nCold?,ice,fire,snow,rain,E\n", 1,
             ["choice"], ["none of its 4 choices"]),
    Invented("listed.csv", b'question,options,label\nHot?,ice|fire,fire\nCold?,"[""ice"", ""fire""]",0\n', 2,
             ["choice"]),
    Invented("checked.csv", b"question,answer,check\na?,b,contains\nc?,3.14,number 0.01\nd?,^x,regex\ne?,f,sound\n", 3,
             ["contains", "number ± 0.01", "regex"], ["there is no check"]),
    Invented("labels.csv", b"text,label,topic\nI love it,positive,film\nI hate it,negative,food\n", 2, ["exact"]),
    Invented("own.csv", b"ctx,q,gold_value\nThe sky is blue.,Colour?,blue\n", 1, ["exact"], question="{ctx}\n\n{q}"),
    Invented("inspect.jsonl", lines(
        {"id": "a", "input": "Fruit?", "choices": ["stone", "apple"], "target": "B", "metadata": {"n": 1}},
        {"id": "b", "input": ASKED, "target": ["Rome", "Roma"]},
        {"id": "c", "input": "Run it", "target": "x", "sandbox": "docker"},
        {"id": "a", "input": "Again?", "target": "y"}), 2, ["choice", "exact"], ["has sandbox", "which another has"],
        told="inspect"),
    Invented("evals.jsonl", lines({"input": ASKED, "ideal": "Rome"}, {"input": "2+2?", "ideal": ["4", "four"]}), 2,
             ["exact"], told="OpenAI Evals"),
    Invented("talk.jsonl", lines({"messages": [*TALK, {"role": "assistant", "content": "Lima"}]}, {"messages": TALK},
                                 {"messages": TALK, "answer": "Lima"}), 2, ["exact"], ["no right answer"]),
    Invented("shared.jsonl", lines({"conversations": SHARED}), 1, ["exact"], told="conversations"),
    Invented("pictures.jsonl", lines({"messages": [{"role": "user", "content": [{"type": "image"}]}], "answer": "x"}),
             0, [], ["no role and text"]),
    Invented("broken.jsonl", lines({"question": "a?", "answer": "b"}, '{"question": "c?", "answer"', "null", [1]), 1,
             ["exact"], ["not valid JSON", "no object", "no object"]),
    Invented("mmlu_rows.jsonl", lines(MMLU, {**MMLU, "answer": 4}), 1, ["choice"], ["none of its 4 choices"]),
    Invented("arc.jsonl", lines(ARC), 1, ["choice"]),
    Invented("boolq_rows.jsonl", lines(BOOLQ), 1, ["exact"]),
    Invented("gsm.jsonl", lines(GSM), 1, ["number"]),
    Invented("alpaca.json", json.dumps([{"instruction": "Translate", "input": "dog", "output": "chien"}]).encode(), 1,
             ["exact"], told="JSON"),
    Invented("wrapped.json", json.dumps({"v": 2, "questions": [{"question": "a", "answer": "b"}]}, indent=1).encode(),
             1, ["exact"]),
    Invented("calls.jsonl", lines(
        {"question": "In Oslo?", "check": "tool_call", "answer": {"name": "sky", "arguments": {"city": "Oslo"}}},
        {"question": "As JSON", "check": "json", "schema": {"type": "object"}},
        {"question": "Colours", "check": {"kind": "set_f1", "threshold": 0.5}, "answer": ["red", "blue"]}), 3,
        ["tool_call", "json", "set_f1 ≥ 0.5"]),
    Invented("code.jsonl", lines({"question": "Add two numbers.", "test": "assert add(1, 2) == 3"},
                                 {"question": "Broken test", "test": "assert ("}), 1, ["code"], ["no Python"]),
    Invented("pq.parquet", table({"question": "a?", "answer": "b", "choices": ["b", "c"]}), 1, ["choice"],
             told="Parquet"),
    Invented("wide.parquet", table({"question": "a?", "answers": ["b", "c"], "id": 7}), 1, ["exact"]),
    Invented("foo.yaml", PROMPTFOO, 6, ["not contains", "contains_any", "json"],
             ["llm-rubric", "javascript"], "promptfoo",
             {"second.txt": b"In {{language}}, {{text|upper}}:", "notes.txt": b"Hund"}),
    Invented("foo.csv", b'question,__expected,__expected2,__description\nCapital of Peru?,Lima,"icontains: lim",d\n'
             b'As JSON?,is-json,,\nGood?,"llm-rubric: is good",,\nAny?,"contains-any: a, b",,\n', 3,
             ["exact, case matters", "contains", "json", "contains_any, case matters"], ["llm-rubric"], "promptfoo"),
    Invented("task.yaml", HARNESS, 1, ["choice"], ["none of its 2 choices"], "lm-eval", {"rows.jsonl": lines(
        {"q": "Hot? ", "opts": ["ice", "fire"], "label": 1}, {"q": "Cold?", "opts": ["ice", "fire"], "label": 2})}),
    Invented("sums.yaml", GENERATED, 1, ["exact"], ["cells"], "lm-eval",
             {"rows.csv": b"question,answer\n2+2?,Four. #### 4\n3+3?\n"}),
    Invented("list.yaml", b"- {question: 'a?', answer: b}\n- {question: 'c?'}\n", 1, ["exact"], ["no right answer"]),
]  # fmt: skip

REPLIES = (
    "Paris.", "The answer is (B) as 3/4 < 1,234.5", '```json\n{"a": [1, {"b": "c"}]}\n```',
    "<think>hm</think>\n- red\n- blue",
    '<tool_call>{"name": "sky", "arguments": {"city": "Oslo"}}</tool_call>', "#### 42 \\boxed{7}", "",
)  # fmt: skip
"""Replies as models give them."""


def every_check() -> list[Item]:
    """An item for every check that needs no sandbox."""
    said: list[tuple[Any, Any]] = [
        ("exact", "Paris"), ("starts_with", "The"), ("contains_any", "a, b"), ("contains_all", ["a"]), ("regex", "B+"),
        ("number 0.5", 42), ("choice", "apple"), ("json", {"type": "object", "properties": {"a": {"pattern": "x"}}}),
        ("tool_call", {"name": "sky", "arguments": {"city": "Oslo"}}), ("set_f1", "red, blue"), ("token_f1", "The"),
        ("rouge_l", "The answer is"), ("not number", 1),
    ]  # fmt: skip
    choices, asked = ("stone", "apple"), ({"role": "user", "content": "q"},)
    return [Item("1", asked, (checked(rule_of(rule), answer, choices),), choices) for rule, answer in said]  # type: ignore[arg-type]
