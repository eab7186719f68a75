"""docs/glossary.md has the words of the code: all that are stored or shown, and none that are not there."""

from __future__ import annotations

import ast
import re
import typing
from collections.abc import Iterator

import pytest

from dashboard.chat import client
from dashboard.jobs import jobs
from engines.server import residency
from results import records
from results.analysis import findings
from tests.docs.names import absent, document, quoted, rows, trees

GLOSSARY = document("docs/glossary.md")
CALLS = ("Score", "Point", "_percentile")
"""What makes a score or a point of a curve; the metric is the first argument."""
PARTS = ("nats", "length_against")
"""Quantities beside these calls that are no metric of their own."""


def names(heading: str, of: str = "") -> list[str]:
    """The first column under a heading. of: only rows whose second column says so."""
    return [row[0].strip("`") for row in rows(GLOSSARY, heading) if not of or row[1] == of]


def plain(name: str) -> str:
    """A record's name as words: DecisionRecord, decision record."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()


def metrics(*folders: str) -> set[str]:
    """Names of metrics in the functions that make scores or points, without their percentiles."""
    found: set[str] = set()
    for _, tree in trees(*folders):
        for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
            nodes = list(ast.walk(function))
            calls = [node for node in nodes if isinstance(node, ast.Call) and getattr(node.func, "id", "") in CALLS]
            if calls:
                found |= {name for node in nodes for name in _named(node, calls)}
    stems = {re.sub(r"(_p(\d+|…)|…)$", "", name) for name in found}
    return {stem for stem in stems if re.fullmatch(r"[a-z][\w@…]*", stem)} - set(PARTS)


def _named(node: ast.AST, calls: list[ast.Call]) -> Iterator[str]:
    heads: list[ast.expr | None] = []
    if node in calls and isinstance(node, ast.Call):
        heads = [*node.args[:1]]
    elif isinstance(node, ast.Dict):
        heads = [*node.keys]
    elif isinstance(node, ast.Tuple):
        heads = [*node.elts[:1]]
    for head in heads:
        if isinstance(head, ast.Constant) and isinstance(head.value, str):
            yield head.value
        elif isinstance(head, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "…" for part in head.values)


def test_every_public_record_is_in_it_and_no_other() -> None:
    made = {name for name, value in vars(records).items() if getattr(value, "__module__", "") == records.__name__}
    kinds = {name for name in vars(records) if name[0].isupper()} & set(vars(records).get("__annotations__", ()))
    aliases = {"Json", "Progress", "RunStatus", "Form", "Origin", "Verdict", "Winner"}
    classes = {name for name in made if isinstance(vars(records)[name], type)} | kinds
    told = {cell.strip("`").rpartition(".")[2] for _, _, cell in rows(GLOSSARY, "What the store holds")}
    assert told == classes | aliases
    assert aliases <= set(vars(records))
    for word, _, cell in rows(GLOSSARY, "What the store holds"):
        name = cell.strip("`").rpartition(".")[2]
        assert name in aliases or word == plain(name)


@pytest.mark.parametrize(
    ("heading", "of", "kinds"),
    [
        ("Formats", "", records.Form),
        ("Verdicts", "", records.Verdict),
        ("States", "run", records.RunStatus),
        ("States", "evaluation", typing.get_type_hints(records.Evaluation)["status"]),
        ("States", "served model", residency.State),
        ("States", "answer", client.State),
        ("States", "job", jobs.State),
        ("States", "candidate", findings.Standing),
        ("States", "decision", findings.Kind),
    ],
)
def test_every_state_that_is_shown_is_in_it_and_no_other(heading: str, of: str, kinds: object) -> None:
    assert sorted(names(heading, of)) == sorted(typing.get_args(kinds))


def test_every_metric_of_training_is_in_it_and_no_other() -> None:
    assert set(names("Metrics of training")) == metrics("trainer")


def test_every_metric_of_an_evaluation_is_in_it_and_no_other() -> None:
    told = {name.replace("@k", "@…").replace("_clean", "") for name in names("Metrics of evaluations")}
    assert told == metrics("evaluator", "dashboard/jobs") | {"pass@…"}
    assert 'f"pass@{k}{suffix}"' in document("evaluator/humaneval/pass_at_k.py")


def test_every_place_that_it_names_is_there() -> None:
    places = [token for row in re.findall(r"^\|.*\|$", GLOSSARY, re.MULTILINE) for token in quoted(row.split("|")[-2])]
    assert len(places) > 50
    assert [token for token in places if absent(token)] == []


def test_a_word_has_one_meaning() -> None:
    lines = [_cells(line) for line in GLOSSARY.splitlines() if line.startswith("| ")]
    words = [
        cells[0] for cells in lines if len(cells) == 3 and "`" not in cells[0] and cells[0] not in ("word", "name")
    ]
    assert len(words) == len(set(words))


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]
