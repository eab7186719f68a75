"""A folder in which something is made: it goes with its maker, however that ends, and never with another's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from results import making

MAKER = """
import sys
from pathlib import Path
from results import making

with making(Path(sys.argv[1])) as work:
    (work / "half").write_bytes(b"half")
    print(work, flush=True)
    sys.stdin.read()
"""


def test_what_is_made_takes_its_place_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    with making(tmp_path) as work:
        (work / "model").write_bytes(b"whole")
        work.rename(tmp_path / "made")
    assert (tmp_path / "made" / "model").read_bytes() == b"whole"
    assert [one.name for one in tmp_path.iterdir() if one.is_dir()] == ["made"]
    with pytest.raises(ValueError, match="on the way"), making(tmp_path) as work:
        (work / "model").write_bytes(b"half")
        raise ValueError("on the way")
    assert not work.exists()


def test_what_a_killed_maker_left_goes_and_what_a_living_one_makes_stays(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MAKER, str(tmp_path)]
    makers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    folders = []
    for maker in makers:
        assert maker.stdout
        folders.append(Path(maker.stdout.readline().strip()))
    makers[0].kill()
    makers[0].wait()
    assert all((folder / "half").is_file() for folder in folders)
    with making(tmp_path):
        assert not folders[0].exists() and (folders[1] / "half").is_file()
    makers[1].communicate("")
    assert not folders[1].exists()
