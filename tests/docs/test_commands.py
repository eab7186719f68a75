"""Every command, experiment file and link in the documents is one that works: parsed by what would read it."""

from __future__ import annotations

import ast
import json
import re
import tomllib

import pytest
import yaml

from tests.docs.blocks import DOCUMENTS, Block, blocks
from tests.docs.commands import commands, fault
from tests.docs.links import broken
from tests.docs.names import document, is_command, quoted
from trainer.errors import ExperimentInvalid
from trainer.experiment.reading import experiment_of

ALL = [block for name in DOCUMENTS for block in blocks(name)]
WHOLE = {"name": "document", "bases": ["smollm2-135m-instruct"], "data": {"sources": [{"name": "rows.jsonl"}]}}
"""What a document need not repeat where it shows a part of an experiment file."""


def problem(block: Block) -> str:
    """What is wrong with a block; empty where nothing is."""
    try:
        match block.kind:
            case "bash":
                return "; ".join(filter(None, map(fault, commands(block.text))))
            case "yaml":
                experiment_of(WHOLE | yaml.safe_load(block.text), block.place)
            case "json":
                json.loads(block.text)
            case "toml":
                tomllib.loads(block.text)
            case "python":
                ast.parse(block.text)
            case "text" | "csv" | "jsonl":
                pass
            case other:
                return f"nobody reads a block of {other!r}"
    except (ExperimentInvalid, ValueError, SyntaxError) as error:
        return str(error)
    return ""


def test_there_is_something_to_hold() -> None:
    assert len([block for block in ALL if block.kind == "bash"]) > 40
    assert [block for block in ALL if block.kind == "yaml"]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_block_of_a_document_is_read_by_what_it_is_for(name: str) -> None:
    assert [(block.place, said) for block in blocks(name) if (said := problem(block))] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_command_within_a_sentence_is_one(name: str) -> None:
    said = [one for one in quoted(document(name)) if re.match(r"bakeoff [a-z]", one)]
    assert [one for one in said if not is_command(one)] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_leads_somewhere(name: str) -> None:
    assert broken(name) == []


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("bakeof run mine.yaml", "bakeof is no program that a document may name"),
        ("bakeoff runn mine.yaml", "No such command 'runn'."),
        ("bakeoff run mine.yaml --rehearsed", "No such option"),
        ("bakeoff latency --tokens many", "Invalid value for '--tokens'"),
        ("bakeoff export a --form q8", "no format q8"),
        ("A=1 bakeoff models extra | head", "Got unexpected extra argument"),
        ("make setups", "no target setups"),
        ("pip install -r requirement.txt", "no file requirement.txt"),
        ("uv tool install '.[trains]'", "no extra trains"),
        ("python benchmarks/nothing.py > out", "no file benchmarks/nothing.py"),
    ],
)
def test_a_wrong_command_is_found(command: str, why: str) -> None:
    assert why in problem(Block("here", "bash", command))


def test_files_that_a_block_writes_are_no_commands() -> None:
    text = "cat > a.csv <<'END'\nbakeof, nothing\nEND\nbakeoff data a.csv && bakeoff \\\n    runs  # all"
    assert list(commands(text)) == [["cat"], ["bakeoff", "data", "a.csv"], ["bakeoff", "runs"]]


def test_a_link_to_a_heading_that_is_not_there_is_found() -> None:
    from tests.docs import links

    assert links.headings("# A store, and more\n## A\n## A") == {"a-store-and-more", "a", "a-1"}
    assert links._leads_nowhere("README.md", "docs/architecture.md#nowhere")
    assert not links._leads_nowhere("README.md", "docs/architecture.md#the-house")
