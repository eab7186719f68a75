"""`bakeoff store move`: what it prints, and what it never prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bakeoff.main import app
from results import Machine, Store
from results.schema.database import Database

HERE = Machine("here", "a CPU", (), 2, 8, "", "Linux")


def test_it_moves_a_workspace_into_a_new_file_and_says_what_arrived(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    with Store(tmp_path / "w" / "results.db") as store:
        store.machines.add(HERE)
    arguments = ["store", "move", str(tmp_path / "w"), str(tmp_path / "new.db")]
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 0, shown.output
    assert "machines: 1 rows, checksum " in shown.stdout and "numbers and checksums agree" in shown.stdout
    assert "comparing rows: 1/1" in shown.stderr
    with Store(tmp_path / "new.db") as store:
        assert store.machines.list() == [HERE]
    again = CliRunner().invoke(app, ["store", "move", str(tmp_path / "new.db"), str(tmp_path / "w2.db"), "--json"])
    report = json.loads(again.stdout)
    assert report["rows"]["machines"] == 1 and len(report["checksums"]["machines"]) == 64
    refused = CliRunner().invoke(app, arguments)
    assert refused.exit_code != 0 and "has 1 rows (1 machines)" in str(refused.exception)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:s3cret@127.0.0.1:9/none",
        "postgresql://127.0.0.1:9/none?user=me&password=s3cret",
        "postgresql://127.0.0.1:9/none?user=me&sslpassword=s3cret",
    ],
)
def test_a_password_is_never_said_wherever_the_url_has_it(tmp_path: Path, url: str) -> None:
    assert "s3cret" not in Database(url).masked and "127.0.0.1" in Database(url).masked
    shown = CliRunner().invoke(app, ["store", "move", url, str(tmp_path / "new.db")])
    assert shown.exit_code != 0
    assert "s3cret" not in shown.output + str(shown.exception) and "127.0.0.1" in str(shown.exception)
