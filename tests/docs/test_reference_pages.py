"""The pages of docs/reference/ are what the code says, and leave nothing out."""

from __future__ import annotations

import pytest
import typer.main

from bakeoff.main import app
from tests.docs import experiment_file
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
    assert [(model.__name__, name) for model, name in keys if name not in experiment_file.docstrings(model)] == []
