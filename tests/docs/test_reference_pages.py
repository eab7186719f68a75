"""The pages of docs/reference/ are what the code says, and leave nothing out."""

from __future__ import annotations

import re

import pytest
import typer.main

from bakeoff.main import app
from evaluator.question_sets.files import rows
from results.schema import tables
from tests.docs import environment, experiment_file, http
from tests.docs.cells import docstrings
from tests.docs.names import document
from tests.docs.pages import PAGES
from trainer.experiment import schema
from trainer.experiment.schema import Section


@pytest.mark.parametrize("path", PAGES)
def test_the_page_is_up_to_date(path: str) -> None:
    assert document(path) == PAGES[path](), "Write it anew: make docs"


def test_every_verb_has_its_place() -> None:
    told = document("docs/reference/command_line.md")
    verbs = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert [name for name in verbs if f"### `bakeoff {name}" not in told] == []


def test_every_part_of_an_experiment_file_has_its_place() -> None:
    told = {model for _, model in experiment_file.SECTIONS}
    named = vars(schema).values()
    parts = [one for one in named if isinstance(one, type) and issubclass(one, Section) and one is not Section]
    assert [part for part in parts if part not in told] == []


def test_every_key_says_what_it_means() -> None:
    keys = [(model, name) for _, model in experiment_file.SECTIONS for name in model.model_fields]
    assert [(model.__name__, name) for model, name in keys if name not in docstrings(model)] == []


def test_every_variable_that_is_read_is_described_and_no_other() -> None:
    assert environment.described() == set(environment.read())


def test_every_key_of_a_request_says_what_it_means() -> None:
    told = document("docs/reference/http.md")
    assert [route.path for route in http.routes() if f"`{route.path.replace(':path', '')}`" not in told] == []
    keys = told.split("## POST", 1)[1].split("## Keys")[0].splitlines()
    assert [line for line in keys if line.startswith("| `") and line.endswith("|  |")] == []


def test_every_table_and_column_has_its_place() -> None:
    told = document("docs/reference/store.md")
    held = tables.Table.metadata.tables
    assert [name for name in held if f"## `{name}`" not in told] == []
    assert sum(len(table.columns) for table in held.values()) == len(re.findall(r"^\| `", told, re.MULTILINE))


def test_every_column_of_a_question_file_has_its_place() -> None:
    names = {name for name, value in vars(rows).items() if name.isupper() and isinstance(value, tuple)}
    assert len(names) > 5
    told = document("docs/reference/test_files.md")
    assert [one for name in names for one in getattr(rows, name) if f"`{one}`" not in told] == []
