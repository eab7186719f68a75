"""Tasks of lm-eval over local files: the YAML's templates for question, answer and choices, and its metric.

What would run Python (`!function`), ask for a download or change what is measured (few-shot examples, filters that are
not known) is refused by name. Tasks by lm-eval's own library are not read here.

Source of the format: lm-evaluation-harness, docs/task_guide.md (0.4.13).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evaluator.errors import BenchmarkUnreadable
from evaluator.jsonlines import read_rows
from evaluator.question_sets.checking.rules import Rule, checked
from evaluator.question_sets.files.tables import table_rows
from evaluator.question_sets.files.templates import filled, value_of
from evaluator.question_sets.items import BadItem, BadQuestion, Check, Gathering, Item
from results import below, is_there, short_repr

READ = frozenset(
    [
        *("task", "dataset_path", "dataset_kwargs", "test_split", "validation_split", "training_split", "output_type"),
        *("doc_to_text", "doc_to_target", "doc_to_choice", "target_delimiter", "generation_kwargs", "metric_list"),
        *("tag", "group", "metadata", "description", "num_fewshot", "repeats", "fewshot_split", "fewshot_config"),
        *("should_decontaminate", "doc_to_decontamination_query", "task_alias", "dataset_name", "filter_list"),
    ]
)
"""Keys that are read, or that change nothing of what is asked without examples."""

METRICS: Mapping[str, Rule] = {
    "exact_match": Rule("exact"), "acc": Rule("choice"), "acc_norm": Rule("choice"), "f1": Rule("token_f1"),
}  # fmt: skip
ENDINGS = {"csv": ("csv",), "json": ("json",), "parquet": ("parquet",)}


def is_task(value: Any) -> bool:
    """Whether a YAML file's value is a task of lm-eval."""
    return isinstance(value, Mapping) and "task" in value and ("doc_to_text" in value or "dataset_path" in value)


def read_task(path: Path, task: Mapping[str, Any]) -> tuple[Gathering, tuple[str, ...], int | None]:
    """(items, where answers end, their most tokens). Raises: BenchmarkUnreadable, FileUnreadable."""
    for key in task:
        if key not in READ:
            raise BenchmarkUnreadable(f"{path}: {short_repr(key)} is not read, and may change what is measured")
    if shots := task.get("num_fewshot"):
        raise BenchmarkUnreadable(
            f"{path}: num_fewshot is {short_repr(shots)}: examples are not shown here; set it to 0"
        )
    kind = task.get("output_type", "generate_until")
    if kind not in ("generate_until", "multiple_choice"):
        raise BenchmarkUnreadable(
            f"{path}: output_type {short_repr(kind)}: generate_until and multiple_choice are read"
        )
    gathering = Gathering()
    rule = _rule(path, task, kind, gathering)
    with below(path.parent, path):
        for number, (where, row) in enumerate(_rows(path, task), 1):
            try:
                if isinstance(row, str):
                    raise BadQuestion(row)
                gathering.items.append(_item(task, rule, row, (str(number), where)))
            except BadQuestion as error:
                gathering.bad.append(BadItem(where, str(error)))
    generation = task.get("generation_kwargs") or {}
    return gathering, _until(path, generation), _most(path, generation)


def _rule(path: Path, task: Mapping[str, Any], kind: str, gathering: Gathering) -> Rule:
    """How answers are checked, by the first metric of the task."""
    metrics = task.get("metric_list") or [{"metric": "acc" if kind == "multiple_choice" else "exact_match"}]
    if not isinstance(metrics, list) or not all(isinstance(one, Mapping) for one in metrics):
        raise BenchmarkUnreadable(f"{path}: metric_list is no list of metrics but {short_repr(metrics)}")
    names = [str(one.get("metric")) for one in metrics]
    known = [name for name in names if name in METRICS]
    if not known:
        raise BenchmarkUnreadable(f"{path}: the metrics {short_repr(names)} are not read; {', '.join(METRICS)} are")
    for name in names:
        if name != known[0]:
            gathering.note(f"metric {name} is not read: {known[0]} is the test's", item=False)
    if task.get("filter_list"):
        gathering.note("filter_list is not read: answers are found as by the check", item=False)
    if kind == "multiple_choice":
        gathering.note(
            "multiple_choice is asked by log-likelihood in lm-eval; here too with --choices likelihood", item=False
        )
        return Rule("choice")
    return METRICS[known[0]]


def _rows(path: Path, task: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any] | str]]:
    for file in _files(path, task):
        if file.suffix.lower() in (".csv", ".tsv"):
            yield from ((f"{file}, line {line}", row) for line, row in table_rows(file))
        else:
            yield from read_rows(file, BenchmarkUnreadable)


def _files(path: Path, task: Mapping[str, Any]) -> list[Path]:
    """The data files of the split that is tested. Raises: BenchmarkUnreadable where they are not here."""
    given = (
        (task.get("dataset_kwargs") or {}).get("data_files")
        if isinstance(task.get("dataset_kwargs"), Mapping)
        else None
    )
    split = task.get("test_split") or task.get("validation_split") or task.get("training_split") or "train"
    if isinstance(given, Mapping):
        given = given.get(split)
    source = task.get("dataset_path")
    if given is None and isinstance(source, str) and source not in ENDINGS:
        given = source
    names = given if isinstance(given, list) else [given]
    files = [path.parent / name for name in names if isinstance(name, str)]
    if not files or not all(is_there(file) for file in files):
        raise BenchmarkUnreadable(
            f"{path}: the rows of {short_repr(split)} are not here ({short_repr(given or source)}): data_files "
            "beside it are read, as CSV, JSON Lines or Parquet; data sets of the Hub are not fetched"
        )
    return files


def _item(task: Mapping[str, Any], rule: Rule, row: Mapping[str, Any], of: tuple[str, str]) -> Item:
    text = _field(task, "doc_to_text", row)
    if not isinstance(text, str) or not text.strip():
        raise BadQuestion(f"its question is no text but {short_repr(text)}")
    if task.get("description"):
        text = filled(str(task["description"]), row) + text
    target = _field(task, "doc_to_target", row)
    choices: tuple[str, ...] = ()
    if rule.kind == "choice":
        listed = _field(task, "doc_to_choice", row)
        if not isinstance(listed, list) or len(listed) < 2:
            raise BadQuestion(f"its choices are no list but {short_repr(listed)}")
        choices = tuple(str(one) for one in listed)
        if isinstance(target, str) and target.strip().isdigit() and target not in choices:
            target = int(target)
    shown = bool(choices) and all(choice in text for choice in choices)
    check: Check = checked(rule, target, choices)
    return Item(of[0], ({"role": "user", "content": text},), (check,), choices, shown, where=of[1])


def _field(task: Mapping[str, Any], key: str, row: Mapping[str, Any]) -> Any:
    """What a key makes of a row: a column of that name, else its template's value; a list as it is."""
    said = task.get(key)
    if isinstance(said, str) and said in row:
        return row[said]
    if isinstance(said, str):
        return value_of(said, row) if key != "doc_to_text" else filled(said, row)
    if isinstance(said, list):
        return [filled(one, row) if isinstance(one, str) else one for one in said]
    if isinstance(said, int) and not isinstance(said, bool):
        return said
    raise BadQuestion(f"{key} is {short_repr(said)}, which is no column and no template")


def _until(path: Path, generation: Any) -> tuple[str, ...]:
    until = generation.get("until") if isinstance(generation, Mapping) else None
    found = [until] if isinstance(until, str) else until or []
    if not isinstance(found, list) or not all(isinstance(one, str) and one for one in found):
        raise BenchmarkUnreadable(f"{path}: generation_kwargs.until is no list of texts but {short_repr(until)}")
    return tuple(found)


def _most(path: Path, generation: Any) -> int | None:
    most = generation.get("max_gen_toks") if isinstance(generation, Mapping) else None
    if most is None:
        return None
    if not isinstance(most, int) or isinstance(most, bool) or most < 1:
        raise BenchmarkUnreadable(f"{path}: generation_kwargs.max_gen_toks is {short_repr(most)}, no number of tokens")
    return most
