"""The how-tos stay short, stand in the list, and their example of an importer imports."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from results.importers.parcels import Parcel
from results.importers.refusals import ImportRefused
from tests.docs.blocks import DOCUMENTS, blocks
from tests.docs.names import document

PAGES = [name for name in DOCUMENTS if name.startswith("docs/how_to/")]
LINES = 60


@pytest.mark.parametrize("name", PAGES)
def test_a_how_to_is_read_in_a_few_minutes_and_shows_a_command_first(name: str) -> None:
    assert len(document(name).splitlines()) <= LINES
    assert {block.kind for block in blocks(name)} & {"bash", "python"}


def test_the_first_page_leads_to_every_other_one() -> None:
    linked = {f"docs/{link}" for link in re.findall(r"\]\(([^)]+)\)", document("docs/index.md"))}
    there = {name for name in DOCUMENTS if name.startswith("docs/")} - {"docs/index.md"}
    assert linked == there


def example() -> dict[str, Any]:
    """The names of the importer that docs/how_to/write_an_importer.md shows."""
    names: dict[str, Any] = {}
    (code,) = (block.text for block in blocks("docs/how_to/write_an_importer.md") if block.kind == "python")
    exec(compile(code, "write_an_importer.md", "exec"), names)
    return names


def test_the_importer_in_the_how_to_reads_a_log(tmp_path: Path) -> None:
    importer, log = example(), tmp_path / "shop-rank8.jsonl"
    rows = [{"iteration": 10 * step, "train_loss": 2 / step} for step in (1, 2, 4)]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert importer["is_log"](rows[0]) and not importer["is_log"]({"step": 1})
    parcel: Parcel = importer["read_log"](log)
    (run,) = parcel.runs
    assert run.run.name == "shop-rank8"
    assert [tuple(point) for point in run.points] == [("loss", 10, 2.0), ("loss", 20, 1.0), ("loss", 40, 0.5)]
    log.write_text('{"iteration": 10, "train_loss": "much"}\n')
    with pytest.raises(ImportRefused, match="line 1 has no iteration or no train_loss"):
        importer["read_log"](log)
