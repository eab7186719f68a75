"""Artifacts on S3: against a server process that is killed, and credentials that are nowhere but in the environment."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bakeoff.main import app
from results import BakeoffError, Model, NotFound, Workspace
from results.artifacts import Artifacts

pytest.importorskip("s3fs", reason="s3fs is not installed: pip install 'bakeoff[s3]'")
pytest.importorskip("moto.server", reason="no S3 server is installed: pip install -r requirements-dev.txt")
pytestmark = pytest.mark.slow

SECRET = "hush-hush-hush-hush-hush"
SERVER = "import sys; from moto.server import main; main(sys.argv[1:])"


class S3:
    """moto's server as a process of its own, with one bucket. It remembers nothing once it is killed."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-c", SERVER, "-H", "127.0.0.1", "-p", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 300
        while True:
            try:
                urllib.request.urlopen(urllib.request.Request(f"{self.url}/team", method="PUT"), timeout=60).close()
                return
            except OSError:
                assert time.monotonic() < until and self.process.poll() is None, "the server does not answer"
                time.sleep(0.1)

    def keys(self) -> list[str]:
        """What lies in the bucket, as the server itself lists it."""
        with urllib.request.urlopen(f"{self.url}/team?list-type=2", timeout=60) as answer:
            return [part.split("</Key>")[0] for part in answer.read().decode().split("<Key>")[1:]]

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    server = S3()
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    variables = {"ENDPOINT_URL": server.url, "ACCESS_KEY_ID": "me", "SECRET_ACCESS_KEY": SECRET}
    for name, value in {**variables, "DEFAULT_REGION": "us-east-1", "CONFIG_FILE": "/nowhere"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    yield server
    server.kill()


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """A folder of four files, each of other content."""
    (tmp_path / "adapter").mkdir()
    for number in range(4):
        (tmp_path / "adapter" / f"part{number}.bin").write_bytes(bytes([number]) * 100_000)
    return tmp_path / "adapter"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_folder_comes_back_from_a_bucket_and_an_unknown_name_or_bucket_is_named(
    s3: S3, adapter: Path, tmp_path: Path
) -> None:
    artifacts = Artifacts("s3://team/models")
    assert artifacts.put(adapter, "demo") and not artifacts.put(adapter, "demo") and artifacts.exists("demo")
    artifacts.get("demo", tmp_path / "back")
    assert contents(tmp_path / "back") == contents(adapter)
    with pytest.raises(NotFound, match=r"no artifact 'other'.*bakeoff store upload"):
        artifacts.get("other", tmp_path / "x")
    with pytest.raises(BakeoffError, match="bucket does not exist"):
        Artifacts("s3://typo").put(adapter, "demo")


def test_an_upload_whose_server_dies_is_one_line_and_goes_on_where_it_was(
    s3: S3, adapter: Path, tmp_path: Path
) -> None:
    """Half is sent, the server is killed: the rest is refused. Then the client is killed after half."""

    def kill(what: str, done: int, total: int) -> None:
        if done >= total // 2:
            s3.kill()

    with pytest.raises(BakeoffError, match="same command again") as told:
        Artifacts("s3://team/models").put(adapter, "demo", kill)
    assert "\n" not in str(told.value) and SECRET not in str(told.value) and "demo" in str(told.value)
    s3.start()
    half = (
        "import os, signal, sys; from pathlib import Path; from results import Artifacts\n"
        "stop = lambda what, done, total: done >= total // 2 and os.kill(os.getpid(), signal.SIGKILL)\n"
        "Artifacts('s3://team/models').put(Path(sys.argv[1]), 'demo', stop)"
    )
    killed = subprocess.run([sys.executable, "-c", half, str(adapter)], timeout=600)
    assert killed.returncode == -signal.SIGKILL
    there = s3.keys()
    assert len(there) == 2 and not Artifacts("s3://team/models").exists("demo")
    sent: list[int] = []
    log = Artifacts("s3://team/models")
    put = log._system.put_file
    log._system.put_file = lambda *what, **how: (sent.append(1), put(*what, **how))[1]  # counts, and does it
    assert log.put(adapter, "demo")
    del log._system.put_file
    assert len(sent) == 3, "two files and the manifest: what had arrived is not sent again"
    Artifacts("s3://team/models").get("demo", tmp_path / "back")
    assert contents(tmp_path / "back") == contents(adapter)


def test_the_verbs_say_no_secret_and_keep_none(s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAKEOFF_ARTIFACTS", "s3://team/models")
    (tmp_path / "w" / "models").mkdir(parents=True)
    (tmp_path / "w" / "models" / "demo.gguf").write_bytes(b"weights")
    place = Workspace(tmp_path / "w")
    with place.store(f"sqlite:///{tmp_path / 'w' / 'results.db'}") as store:
        store.models.add(Model("demo-1", "demo", "gguf-q8_0", "b", "i", 7, "models/demo.gguf"))
    workspace = ["--workspace", str(tmp_path / "w")]
    up = CliRunner().invoke(app, ["store", "upload", *workspace])
    assert "demo: uploaded" in up.output and "uploading models/demo.gguf" in up.output
    (tmp_path / "w" / "models" / "demo.gguf").unlink()
    down = CliRunner().invoke(app, ["store", "download", "demo", *workspace])
    assert (tmp_path / "w" / "models" / "demo.gguf").read_bytes() == b"weights"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "")
    s3.kill()
    gone = CliRunner().invoke(app, ["store", "upload", "demo", *workspace])
    assert gone.exit_code != 0 and "same command again" in str(gone.exception)
    kept = b"".join(path.read_bytes() for path in (tmp_path / "w").rglob("*") if path.is_file())
    assert SECRET.encode() not in kept and SECRET not in up.output + down.output + gone.output + str(gone.exception)
