"""promptfoo's files: the YAML with prompts, tests and assertions, and the CSV with `__expected`.

Every prompt with every test is an item. What is no test is not read and named (providers, options); an assertion that
runs code, asks a model or times an answer makes its item a bad one, by name.

Source of the formats: promptfoo.dev/docs, "Assertions & metrics" and "Test case configuration" (2026).
Not here: what checks do (`verdicts`), the templates' language (`templates`).
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from engines import Message
from evaluator.errors import BenchmarkUnreadable
from evaluator.question_sets.checking.rules import Rule, checked
from evaluator.question_sets.files.tables import table_rows
from evaluator.question_sets.files.templates import filled
from evaluator.question_sets.files.turns import json_cell, turns_of
from evaluator.question_sets.items import BadItem, BadQuestion, Check, Gathering, Item
from results import FileUnreadable, below, json_lines, read_text, read_yaml, short_repr

ASSERTIONS: Mapping[str, Rule] = {
    "equals": Rule("exact", case=True), "contains": Rule("contains", case=True), "icontains": Rule("contains"),
    "contains-any": Rule("contains_any", case=True), "icontains-any": Rule("contains_any"),
    "contains-all": Rule("contains_all", case=True), "icontains-all": Rule("contains_all"),
    "starts-with": Rule("starts_with", case=True), "regex": Rule("regex"), "is-json": Rule("json"),
    "contains-json": Rule("json"),
}  # fmt: skip
"""promptfoo's assertions that are read; each may have `not-` before it."""

MOST_PRODUCTS = 10_000
"""Items that lists of variables may make of one test."""

_EXPECTED = re.compile(r"__expected\d{0,3}")
_PREFIXED = re.compile(
    r"(?P<type>(?:not-)?[a-z][a-z-]+)(?:\((?P<threshold>[\d.]+)\))?(?::\s*(?P<value>.*))?", re.DOTALL
)
_KNOWN = re.compile(
    r"(?:not-)?(?:equals|i?contains(?:-any|-all|-json|-sql|-xml|-html)?|starts-with|regex|is-[a-z-]+|javascript|python|ruby"
    r"|webhook|llm-rubric|similar[a-z:-]*|model-graded-[a-z]+|g-eval|factuality|answer-relevance|context-[a-z]+|latency"
    r"|cost|perplexity(?:-score)?|levenshtein|rouge-n|bleu|gleu|meteor|classifier|moderation|guardrails|select-best|pi"
    r"|f-score|finish-reason|word-count|skill-used|trajectory[a-z:-]*|trace-[a-z-]+|search-rubric|max-score|agent-rubric)"
)
"""Names of assertions, read or not; a text that begins otherwise is an answer that must be equalled."""

_IGNORED = ("description", "metadata", "options", "threshold", "provider", "providers", "tags", "id")
_SETTINGS = ("prompts", "tests", "defaultTest", "description")


def is_config(value: Any) -> bool:
    """Whether a YAML file's value is a configuration of promptfoo."""
    return isinstance(value, Mapping) and "tests" in value and ("prompts" in value or "providers" in value)


def is_table(header: Sequence[str]) -> bool:
    """Whether a table's columns are those of promptfoo's tests."""
    return any(_EXPECTED.fullmatch(name) for name in header)


def read_table(path: Path, question: str) -> Gathering:
    """The items of a CSV with `__expected`. question: the prompt over its columns, `{{name}}` or `{name}`.

    Raises: BenchmarkUnreadable, FileUnreadable.
    """
    reading = _Reading([_template(question)] if question else [], path.parent)
    for place, (where, test) in enumerate(_table_tests(path), 1):
        reading.add(where, test, place)
    return reading.gathering


def _template(question: str) -> str:
    if "{" not in question:
        return "{{" + question + "}}"
    return question if "{{" in question else re.sub(r"\{([^{}]+)\}", r"{{\1}}", question)


def read_config(path: Path, value: Mapping[str, Any]) -> Gathering:
    """The items of a YAML file. Raises: BenchmarkUnreadable where prompts or tests cannot be read."""
    with below(path.parent, path):
        reading = _Reading(list(_prompts(path, value.get("prompts"))), path.parent)
        for key in value:
            if key not in _SETTINGS and not str(key).startswith("$"):
                reading.gathering.note(f"{str(key)[:60]} is not read", item=False)
        usual = value.get("defaultTest")
        if isinstance(usual, Mapping):
            reading.usual = usual
        elif usual is not None:
            raise BenchmarkUnreadable(f"{path}: defaultTest is {short_repr(usual)}: write it out in the file")
        for place, (where, test) in enumerate(_tests(path, value["tests"]), 1):
            reading.add(where, test, place)
    return reading.gathering


def _prompts(path: Path, given: Any) -> Iterator[str]:
    """The templates of prompts. Raises: BenchmarkUnreadable for those that are programs."""
    for one in given if isinstance(given, list) else [given]:
        text = one.get("raw", one.get("id")) if isinstance(one, Mapping) else one
        if not isinstance(text, str) or not text.strip():
            raise BenchmarkUnreadable(f"{path}: a prompt is no text but {short_repr(one)}")
        name = text.removeprefix("file://")
        if name == text and not re.fullmatch(r"[\w./-]+\.(txt|md|json|jinja|j2)", text):
            yield text
            continue
        if not name.endswith((".txt", ".md", ".json", ".jinja", ".j2")):
            raise BenchmarkUnreadable(
                f"{path}: the prompt {short_repr(text)} is no text but a program, which is not run"
            )
        yield read_text(path.parent / name).strip()


def _tests(path: Path, given: Any) -> Iterator[tuple[str, Any]]:
    """(where, test) of each; those in files of their own too."""
    entries = given if isinstance(given, list) else [given]
    for place, one in enumerate(entries, 1):
        if not isinstance(one, str):
            yield f"{path}, test {place}", one
            continue
        file = path.parent / one.removeprefix("file://")
        if file.suffix.lower() in (".csv", ".tsv"):
            yield from _table_tests(file)
        elif file.suffix.lower() in (".yaml", ".yml"):
            inner = read_yaml(file)
            for number, test in enumerate(inner if isinstance(inner, list) else [inner], 1):
                yield f"{file}, test {number}", test
        elif file.suffix.lower() == ".jsonl":
            for line, test in json_lines(file):
                yield f"{file}, line {line}", test
        else:
            raise BenchmarkUnreadable(f"{path}: tests are in {short_repr(one)}: .csv, .yaml and .jsonl are read")


def _table_tests(path: Path) -> Iterator[tuple[str, Any]]:
    for line, row in table_rows(path):
        where = f"{path}, line {line}"
        if isinstance(row, str):
            yield where, row
            continue
        asserted = [_assertion(text) for name, text in row.items() if _EXPECTED.fullmatch(name) and text.strip()]
        told = {"description": row.get("__description", "")}
        more = {"metric": row["__metric"]} if row.get("__metric") else {}
        variables = {name: text for name, text in row.items() if not name.startswith("__")}
        around = {key: row[f"__{key}"] for key in ("prefix", "suffix") if row.get(f"__{key}")}
        strange = [name for name in row if name.startswith("__") and not _EXPECTED.fullmatch(name) and row[name]
                   and name not in ("__description", "__metric", "__prefix", "__suffix")]  # fmt: skip
        yield where, {"vars": variables, "assert": asserted, "options": around, "unread": strange, **told, **more}


def _assertion(text: str) -> dict[str, Any]:
    """The assertion that a cell of `__expected` is."""
    found = _PREFIXED.fullmatch(text.strip())
    name = found["type"] if found else ""
    if found is None or not _KNOWN.fullmatch(name) or (found["value"] is None and not name.endswith("-json")):
        starts = re.match(r"(fn|eval|file|grade):", text.strip())
        return {"type": {"grade": "llm-rubric"}.get(starts[1], "javascript") if starts else "equals", "value": text}
    return {"type": name, "value": found["value"], "threshold": found["threshold"]}


class _Reading:
    """Tests on their way to items."""

    def __init__(self, prompts: Sequence[str], folder: Path) -> None:
        self.gathering = Gathering()
        self.usual: Mapping[str, Any] = {}
        self._prompts = prompts
        self._folder = folder

    def add(self, where: str, test: Any, number: int) -> None:
        """Take one test: an item for each prompt and each combination of its variables."""
        try:
            if isinstance(test, str):
                raise BadQuestion(test)
            if not isinstance(test, Mapping):
                raise BadQuestion(f"is no test but {short_repr(test)}")
            self._add(where, test, number)
        except (BadQuestion, FileUnreadable) as error:
            self.gathering.bad.append(BadItem(where, str(error)))

    def _add(self, where: str, test: Mapping[str, Any], number: int) -> None:
        asserted = [*_listed(self.usual.get("assert")), *_listed(test.get("assert"))]
        if not asserted:
            raise BadQuestion("has no assertion, so nothing of its answers is checked")
        for key in test:
            if key not in ("vars", "assert", "unread", "metric", *_IGNORED):
                raise BadQuestion(f"has {short_repr(key)}, which is not read")
        for key in ("threshold", "provider"):
            if test.get(key) is not None:
                raise BadQuestion(f"has {key}, which is not read: all its assertions must hold, of every model")
        for name in test.get("unread", ()):
            self.gathering.note(f"column {name!r} is not read")
        made: list[Item] = []
        for combined, variables in enumerate(self._combinations(test)):
            for place, prompt in enumerate(self._prompts or [_only(variables)], 1):
                name = (
                    str(number) + (f".{combined + 1}" if combined else "") + (f", prompt {place}" if place > 1 else "")
                )
                made.append(self._item(where, test, asserted, (name, str(number), prompt, place), variables))
        self.gathering.items += made

    def _item(
        self, where: str, test: Mapping[str, Any], asserted: Sequence[Any], of: tuple[str, str, str, int],
        variables: Mapping[str, Any],
    ) -> Item:  # fmt: skip
        name, group, prompt, place = of
        around = test.get("options") if isinstance(test.get("options"), Mapping) else {}
        assert isinstance(around, Mapping)
        if strange := [key for key in around if key not in ("prefix", "suffix")]:
            raise BadQuestion(f"has the option {short_repr(strange[0])}, which is not read")
        text = filled(f"{around.get('prefix', '')}{prompt}{around.get('suffix', '')}", variables)
        checks = tuple(self._check(one, variables) for one in asserted)
        tags = tuple(str(one["metric"]) for one in (*asserted, test) if isinstance(one, Mapping) and one.get("metric"))
        tags += (f"prompt {place}",) if len(self._prompts) > 1 else ()
        several = len(self._prompts) > 1
        return Item(name, _turns(text), checks, tags=tuple(dict.fromkeys(tags)), group=group * several, where=where)

    def _combinations(self, test: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The variables; a list among them stands for each of its values."""
        usual, own = self.usual.get("vars") or {}, test.get("vars") or {}
        if not isinstance(usual, Mapping) or not isinstance(own, Mapping):
            raise BadQuestion(f"its vars are no mapping but {short_repr(own)}")
        variables = {str(key): self._variable(value) for key, value in {**usual, **own}.items()}
        several = {key: value for key, value in variables.items() if isinstance(value, list)}
        count = 1
        for value in several.values():
            count *= len(value)
        if not 1 <= count <= MOST_PRODUCTS:
            raise BadQuestion(f"its lists of variables make {count:,} tests: 1 to {MOST_PRODUCTS:,} are read")
        for chosen in itertools.product(*several.values()):
            yield {**variables, **dict(zip(several, chosen, strict=True))}

    def _variable(self, value: Any) -> Any:
        if not isinstance(value, str) or not value.startswith("file://"):
            return value
        name = value.removeprefix("file://")
        if not name.endswith((".txt", ".md", ".json")):
            raise BadQuestion(f"a variable is {short_repr(value)}, which is no text")
        with below(self._folder):
            return read_text(self._folder / name)

    def _check(self, said: Any, variables: Mapping[str, Any]) -> Check:
        if not isinstance(said, Mapping) or not isinstance(said.get("type"), str):
            raise BadQuestion(f"an assertion has no type: {short_repr(said)}")
        name = said["type"].removeprefix("not-")
        rule = ASSERTIONS.get(name)
        if rule is None:
            raise BadQuestion(
                f"the assertion {said['type']!r} is not read; {', '.join(ASSERTIONS)} are, each with not-"
            )
        for key in said:
            if key not in ("type", "value", "metric", "weight", "threshold") or (key == "threshold" and said[key]):
                raise BadQuestion(f"the assertion {said['type']!r} has {short_repr(key)}, which is not read")
        if said.get("weight", 1) != 1:
            raise BadQuestion("an assertion has a weight, which is not read: all assertions must hold")
        rule = replace(rule, negated=said["type"].startswith("not-"))
        value = said.get("value")
        if isinstance(value, str) and value.startswith("file://"):
            with below(self._folder):
                value = read_text(self._folder / value.removeprefix("file://"))
        if rule.kind == "json":
            value = None if value in (None, "") else json_cell(value)
        elif isinstance(value, list):
            value = [filled(one, variables) if isinstance(one, str) else one for one in value]
        elif isinstance(value, str) and rule.kind != "regex":
            value = filled(value, variables)
        if rule.kind == "exact" and isinstance(value, Mapping):
            raise BadQuestion("an assertion wants an object to be equalled: use is-json with a schema")
        return checked(rule, value, ())


def _listed(given: Any) -> list[Any]:
    return given if isinstance(given, list) else [] if given is None else [given]


def _only(variables: Mapping[str, Any]) -> str:
    """The prompt of a table without one: its one variable, or the one that is called so. Raises: BadQuestion."""
    named = [name for name in variables if name.lower() in ("prompt", "question", "input", "query")]
    names = named[:1] or list(variables)
    if len(names) != 1:
        said = short_repr(", ".join(variables))
        raise BadQuestion(f"has the variables {said} and no prompt: give it: --question '… {{variable}} …'")
    return "{{" + names[0] + "}}"


def _turns(text: str) -> tuple[Message, ...]:
    """The turns of a rendered prompt: those of a JSON or YAML-like chat, else one user turn."""
    if text.lstrip().startswith("["):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, list) and value and all(isinstance(one, Mapping) and "role" in one for one in value):
            return tuple(turns_of(value))
    if not text.strip():
        raise BadQuestion("its prompt is empty")
    return ({"role": "user", "content": text},)
