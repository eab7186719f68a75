"""A decision as a Docker Space: what lies in the folder, that it answers in Chromium, and what is refused."""

from __future__ import annotations

import dataclasses
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from bakeoff.main import app
from dashboard.errors import PageRefused
from dashboard.publishing.bases import PublicBase
from dashboard.publishing.chat import Chat
from dashboard.publishing.space import MOST_BYTES, space_part
from dashboard.publishing.wheel import pins, wheel
from engines import FolderSource, write_model
from results import Model, Workspace
from tests import hub_stand_in
from tests.dashboard import stores
from tests.dashboard.publishing.test_chat import answered
from tests.dashboard.test_browser import serious_faults
from trainer import miniature

ROOT = Path(__file__).resolve().parents[3]
BASE = PublicBase("someone/tiny-base", "apache-2.0")


def model(name: str) -> Model:
    return stores.model(name, "gguf-q8_0", None, 10)


def file(folder: Path, size: int = 4) -> Path:
    with (folder / f"{size}.gguf").open("wb") as made:
        made.truncate(size)
    return folder / f"{size}.gguf"


def test_names_are_plain_ones_and_two_of_a_name_are_refused(tmp_path: Path) -> None:
    part = space_part([Chat(model("shop@q8_0"), file(tmp_path), BASE), Chat(model("../x y"), file(tmp_path), BASE)])
    assert [one.id for one in part.models] == ["shop-q8_0", "x-y"]
    with pytest.raises(PageRefused, match="shop@q8_0 and shop q8_0 would both be called shop-q8_0: rename one"):
        space_part([Chat(model(name), file(tmp_path), BASE) for name in ("shop@q8_0", "shop q8_0")])


def test_too_many_and_too_large_models_and_gated_bases_are_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(PageRefused, match="at most 8 models, and these are 9"):
        space_part([Chat(model(f"m{one}"), file(tmp_path), BASE) for one in range(9)])
    large = file(tmp_path, MOST_BYTES // 2 + 1)
    with pytest.raises(PageRefused, match=r"are 10\.0 GB, and a Space takes 10 GB"):
        space_part([Chat(model("a"), large, BASE), Chat(model("b"), large, BASE)])
    with pytest.raises(PageRefused, match="whose licence must be accepted"):
        space_part([Chat(model("a"), file(tmp_path), PublicBase("meta-llama/x", "llama3.2", gated=True))])


def test_the_wheel_is_of_the_files_that_run_here_and_pip_knows_it() -> None:
    name, content = wheel()
    assert wheel() == (name, content), "the same files, the same bytes"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert (
            archive.read("dashboard/publishing/Dockerfile") == (ROOT / "dashboard/publishing/Dockerfile").read_bytes()
        )
        assert not [one for one in archive.namelist() if "__pycache__" in one]
        record = next(one for one in archive.namelist() if one.endswith("/RECORD"))
        listed = [line.split(",")[0] for line in archive.read(record).decode().splitlines()]
        assert sorted(listed) == sorted(archive.namelist())


def test_every_library_of_the_core_is_pinned_as_it_is_installed_and_none_of_an_extra() -> None:
    lines = dict(line.split("==") for line in pins().splitlines())
    assert {"xllamacpp", "streamlit", "starlette", "numpy"} <= set(lines) and not {"torch", "bakeoff"} & set(lines)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A store whose fine-tune `mini@q8_0` is a file that answers."""
    root = tmp_path_factory.mktemp("space")
    workspace = stores.small(root / "workspace")
    write_model(root / "mini.gguf", FolderSource(miniature("llama", root / "base")), "gguf-q8_0")
    with workspace.store() as store:
        whole = stores.model("mini@q8_0", "gguf-q8_0", None, (root / "mini.gguf").stat().st_size)
        store.models.add(dataclasses.replace(whole, path=str(root / "mini.gguf")))
    return workspace


def publish(place: Workspace, folder: Path, *words: str) -> Result:
    asked = [
        "publish",
        "--workspace",
        str(place.path),
        "--output",
        str(folder),
        "--experiment",
        "*",
        "--by",
        "humaneval",
    ]
    return CliRunner().invoke(app, [*asked, *words])


@pytest.fixture(scope="module")
def folder(place: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("published") / "space"
    told = publish(place, made, "--space", "mini@q8_0", "--prompt", "Is <b>ice</b> cold?")
    assert told.exit_code == 0, told.output
    assert "docker build" in told.stdout
    return made


@pytest.mark.slow
def test_the_folder_is_a_space_as_it_stands(folder: Path) -> None:
    _, header, body = (folder / "README.md").read_text().split("---\n", 2)
    read = yaml.safe_load(header)
    assert (read["sdk"], read["app_port"]) == ("docker", 7860) and "mini@q8_0: made from" in body
    assert (folder / "Dockerfile").read_text().count("ARG KIND=space") == 1
    assert sorted(path.name for path in (folder / "models").iterdir()) == ["mini-q8_0.gguf"]


@pytest.mark.slow
def test_its_models_answer_in_the_browser_and_only_its_own_server_is_asked(
    folder: Path, tmp_path: Path, browser: Any
) -> None:
    environment = {**os.environ, "BAKEOFF_WORKSPACE": str(tmp_path / "inside")}
    bakeoff = [sys.executable, "-m", "bakeoff"]
    adding = [*bakeoff, "add", str(folder / "models" / "mini-q8_0.gguf"), "--name", "mini-q8_0"]
    subprocess.run(adding, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=900)
    serving = [*bakeoff, "serve", "--port", "0", "--public", str(folder / "page")]
    running = subprocess.Popen(serving, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(300_000)
    try:
        assert running.stderr is not None
        address = next(line.split()[-1] for line in running.stderr if "serving http" in line)
        tab, asked, complaints = context.new_page(), [], []
        tab.on("request", lambda request: asked.append(request.url))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.goto(address)
        assert tab.get_by_label("Model", exact=True).locator("option").all_inner_texts() == ["mini@q8_0"]
        assert "by mini@q8_0" in answered(tab)
        assert serious_faults(tab) == {}
        assert {url for url in asked if not url.startswith(("data:", address))} == set() and complaints == []
    finally:
        context.close()
        running.terminate()
        running.communicate(timeout=900)


@pytest.mark.slow
def test_published_again_with_another_model_the_old_one_goes_and_strangers_files_stay(
    place: Workspace, folder: Path, tmp_path: Path
) -> None:
    (made := tmp_path / "again").mkdir()
    (made / "notes.md").write_text("mine")
    (made / "models").mkdir()
    (made / "models" / "old.gguf").write_bytes(b"old")
    assert publish(place, made, "--space", "mini@q8_0").exit_code == 0
    assert (made / "notes.md").is_file() and not (made / "models" / "old.gguf").exists()
    assert (made / "models" / "mini-q8_0.gguf").read_bytes() == (folder / "models" / "mini-q8_0.gguf").read_bytes()


@pytest.mark.slow
def test_a_dockerfile_of_somebody_elses_is_not_replaced(place: Workspace, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    told = publish(place, tmp_path, "--space", "mini@q8_0")
    assert told.exit_code != 0 and "is not of bakeoff's making" in str(told.exception)
    assert (tmp_path / "Dockerfile").read_text() == "FROM scratch\n"


def test_options_that_do_not_go_together_are_one_line(place: Workspace, tmp_path: Path) -> None:
    for words, said in (
        (("--space", "a", "--chat", "b"), "give one of them"),
        (("--prompt", "a"), "goes with --chat or --space"),
    ):
        told = publish(place, tmp_path / "none", *words)
        assert told.exit_code == 2 and said in " ".join(told.output.replace("│", " ").split())
        assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_it_arrives_whole_in_a_private_docker_space_and_the_old_models_go(place: Workspace, tmp_path: Path) -> None:
    with hub_stand_in.hub() as hub:
        old = {"README.md": b"", "models/old.gguf": b"", "page/decision-0123456789ab.json": b"", "notes.md": b""}
        hub.repositories["me/chat"] = hub_stand_in.Repository({"main": old})
        environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_TOKEN": hub_stand_in.TOKEN, "HF_HOME": str(tmp_path)}
        environment["HF_HUB_DISABLE_XET"] = "1"  # the stand-in speaks LFS
        environment.pop("HF_HUB_OFFLINE", None)
        words = ["--output", str(tmp_path / "s"), "--experiment", "*", "--by", "humaneval", "--space", "mini@q8_0"]
        command = [
            sys.executable,
            "-m",
            "bakeoff",
            "publish",
            "--workspace",
            str(place.path),
            *words,
            "--push",
            "me/chat",
        ]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    assert (hub.created["type"], hub.created["sdk"], hub.created["visibility"]) == ("space", "docker", "private")
    assert {"Dockerfile", "README.md", "constraints.txt", "page/index.html"} <= set(hub.files)
    assert sorted(hub.deleted) == ["models/old.gguf", "page/decision-0123456789ab.json"]
