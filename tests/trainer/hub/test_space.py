"""A published page as a static Space: what the Hub reads of it, what is sent, and what of an earlier page goes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests import hub_stand_in
from tests.dashboard import stores
from trainer import space_of

ROOT = Path(__file__).resolve().parents[3]


def test_the_readme_says_what_the_hub_reads_and_whose_the_models_are(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<html>")
    title = "Which one?\n---\nsdk: docker"
    upload = space_of(tmp_path, ["index.html"], "ada/page", title, ["mini: made from a base, licence mit"])
    _, header, body = upload.card.split("---\n", 2)
    read = yaml.safe_load(header)
    assert read["sdk"] == "static" and read["title"] == "Which one? --- sdk: docker"
    assert read["custom_headers"]["cross-origin-embedder-policy"] == "require-corp"
    assert "- mini: made from a base, licence mit" in body
    assert upload.kind == "space" and upload.sizes["index.html"] == 6


def published(folder: Path, hub: str, token: str) -> subprocess.CompletedProcess[str]:
    stores.small(folder / "workspace")
    environment = {**os.environ, "HF_ENDPOINT": hub, "HF_TOKEN": token, "HF_HOME": str(folder / "hf")}
    environment.pop("HF_HUB_OFFLINE", None)
    words = [
        "publish",
        "--workspace",
        str(folder / "workspace"),
        "--output",
        str(folder / "page"),
        "--push",
        "me/small",
    ]
    return subprocess.run(
        [sys.executable, "-m", "bakeoff", *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.mark.slow
def test_a_page_arrives_whole_in_a_private_space_and_the_old_ones_files_go(tmp_path: Path) -> None:
    with hub_stand_in.hub() as hub:
        old = {
            "README.md": b"",
            "index.html": b"",
            "decision-0123456789ab.json": b"",
            ".gitattributes": b"",
            "notes.md": b"",
        }
        hub.repositories["me/small"] = hub_stand_in.Repository({"main": old})
        done = published(tmp_path, hub.url, hub_stand_in.TOKEN)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1] == f"{hub.url}/me/small/commit/1"
    assert (hub.created["type"], hub.created["sdk"]) == ("space", "static")
    assert hub.created["visibility"] == "private"
    written = {path.name: path.read_bytes() for path in (tmp_path / "page").iterdir()}
    assert {name: content for name, content in hub.files.items() if name != "README.md"} == written
    assert hub.deleted == ["decision-0123456789ab.json"]


@pytest.mark.slow
def test_a_wrong_token_is_one_line_and_the_page_is_there_all_the_same(tmp_path: Path) -> None:
    with hub_stand_in.hub() as hub:
        done = published(tmp_path, hub.url, "wrong")
    assert done.returncode == 2 and "HF_TOKEN" in done.stderr and "Traceback" not in done.stderr
    assert (tmp_path / "page" / "index.html").is_file() and not hub.files
