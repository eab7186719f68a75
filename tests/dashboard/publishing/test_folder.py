"""A page takes its place whole or not at all, leaves what is not its own, and is the same where nothing changed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dashboard.errors import PageRefused
from dashboard.publishing.folder import MARK, put

ROOT = Path(__file__).resolve().parents[3]
OLD, NEW = (f'<html>{MARK}1">{word}</html>' for word in ("old", "new"))
FIRST, SECOND = {"decision-0123456789ab.json": b"first"}, {"decision-ba9876543210.json": b"second"}
KILLED = """
import os, signal, sys
from pathlib import Path
from dashboard.publishing import folder

class Dying(dict):
    def items(self):
        yield "decision-ba9876543210.json", b"second"
        if sys.argv[2] == "between":
            os.kill(os.getpid(), signal.SIGKILL)
        yield "model-ba9876543211.gguf", Path(sys.argv[3])

if sys.argv[2] == "within":
    def dying(path):
        os.kill(os.getpid(), signal.SIGKILL)
    folder.open_plain = dying
folder.put(Path(sys.argv[1]), sys.argv[4], Dying({"decision-ba9876543210.json": b"", "model-ba9876543211.gguf": b""}))
"""


def whole(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_page_and_its_files_are_there_and_others_may_read_them(tmp_path: Path) -> None:
    assert put(tmp_path / "a" / "page", OLD, FIRST) == {"index.html": len(OLD), "decision-0123456789ab.json": 5}
    assert whole(tmp_path / "a" / "page") == {"index.html": OLD.encode(), **FIRST}
    mask = os.umask(0)
    os.umask(mask)
    assert all(path.stat().st_mode & 0o777 == 0o666 & ~mask for path in (tmp_path / "a" / "page").iterdir())


def test_a_new_page_takes_away_what_only_the_old_one_needed_and_nothing_of_others(tmp_path: Path) -> None:
    put(tmp_path, OLD, FIRST)
    (tmp_path / "CNAME").write_text("bakeoff.example")
    (tmp_path / "decision-notes.json").write_text("mine")
    put(tmp_path, NEW, SECOND)
    others = {"CNAME": b"bakeoff.example", "decision-notes.json": b"mine"}
    assert whole(tmp_path) == {"index.html": NEW.encode(), **SECOND, **others}


def test_a_page_of_somebody_elses_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<html>my own page</html>")
    with pytest.raises(PageRefused, match=r"no page of bakeoff's.*another folder"):
        put(tmp_path, NEW, SECOND)
    assert whole(tmp_path) == {"index.html": b"<html>my own page</html>"}


def test_a_file_in_the_folders_place_is_one_line_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "page").write_text("a file")
    with pytest.raises(PageRefused, match=r"cannot be written.*--output"):
        put(tmp_path / "page", NEW, SECOND)


@pytest.mark.parametrize("moment", ["between", "within"])
def test_who_is_killed_leaves_the_old_page_whole_and_the_next_clears_up(tmp_path: Path, moment: str) -> None:
    folder, model = tmp_path / "page", tmp_path / "model.gguf"
    model.write_bytes(b"weights")
    put(folder, OLD, FIRST)
    words = [sys.executable, "-c", KILLED, str(folder), moment, str(model), NEW]
    assert subprocess.run(words, cwd=ROOT, capture_output=True, timeout=600).returncode == -9
    found = whole(folder)
    assert found["index.html"] == OLD.encode() and FIRST.items() <= found.items()
    assert len(found) > 2, "it was killed before it began"
    put(folder, NEW, SECOND)
    assert whole(folder) == {"index.html": NEW.encode(), **SECOND}


def test_a_failure_on_the_way_leaves_the_old_page_and_no_part(tmp_path: Path) -> None:
    folder = tmp_path / "page"
    put(folder, OLD, FIRST)
    with pytest.raises(PageRefused):
        put(folder, NEW, {**SECOND, "model-0123456789ab.gguf": tmp_path / "absent.gguf"})
    found = whole(folder)
    assert found.pop("index.html") == OLD.encode() and FIRST.items() <= found.items()
    assert not [name for name in found if name.endswith(".part")]
