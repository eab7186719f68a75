"""Published benchmarks are fetched when asked for: whole, known by their digest, never twice, never in silence."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bakeoff.main import app
from evaluator import BenchmarkUnreadable, download, load_benchmark
from evaluator.tasks.downloads import MOST_BYTES, RELEASES, Release

TASK = {
    "task_id": "Mbpp/2",
    "text": "Add two numbers.",
    "code": "def add(a, b):\n    return a + b",
    "test_list": ["assert add(1, 2) == 3"],
}
BODY = (json.dumps(TASK) + "\n").encode()


class Server:
    """A local stand-in for GitHub: `body` under every path, `status` where it is not 200; counts what it is asked."""

    def __init__(self) -> None:
        self.body, self.status, self.announced, self.asked = BODY, 200, 0, 0
        told = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                told.asked += 1
                self.send_response(told.status)
                self.send_header("Content-Length", str(told.announced or len(told.body)))
                self.end_headers()
                self.wfile.write(told.body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def release(self, sha256: str = "") -> dict[str, Release]:
        return {"mbpp": Release(f"http://127.0.0.1:{self.server.server_port}/mbpp.jsonl", "mbpp.jsonl", sha256)}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    for name in ("HUMANEVAL_OVERRIDE_PATH", "MBPP_OVERRIDE_PATH", "HF_HUB_CACHE", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    server = Server()
    yield server
    server.server.shutdown()
    server.server.server_close()


def left(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "cache" / "benchmarks").iterdir())


def test_a_benchmark_is_fetched_once_with_its_digest_said(server: Server, tmp_path: Path) -> None:
    sha = hashlib.sha256(BODY).hexdigest()
    said = download("mbpp", server.release())
    assert sha in said and "127.0.0.1" in said and "nothing to compare it with" in said
    assert [task.id for task in load_benchmark("mbpp")] == ["MBPP/2"]
    assert "there already" in download("mbpp", server.release()) and server.asked == 1
    (tmp_path / "cache" / "benchmarks" / "mbpp.jsonl").unlink()
    assert "as published" in download("mbpp", server.release(sha))


def test_another_file_than_the_published_one_is_refused_and_leaves_nothing(server: Server, tmp_path: Path) -> None:
    with pytest.raises(BenchmarkUnreadable, match="is not the file that was published"):
        download("mbpp", server.release("0" * 64))
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("status", "announced", "reason"),
    [(404, 0, "it answers 404"), (200, len(BODY) + 10, "Cannot fetch .*Go online"), (200, 0, "more than 64 MB")],
    ids=["missing", "cut off", "too large"],
)
def test_what_does_not_come_whole_leaves_nothing(
    server: Server, tmp_path: Path, status: int, announced: int, reason: str
) -> None:
    server.status, server.announced = status, announced
    server.body = bytes(MOST_BYTES + 1) if "more than" in reason else BODY
    with pytest.raises(BenchmarkUnreadable, match=reason):
        download("mbpp", server.release())
    assert left(tmp_path) == []


def test_without_network_one_line_says_what_to_do(server: Server, tmp_path: Path) -> None:
    releases = server.release()
    server.server.shutdown()
    server.server.server_close()
    with pytest.raises(BenchmarkUnreadable, match=r"Cannot fetch http://127.*: .*Go online.*--benchmark PATH") as told:
        download("mbpp", releases)
    assert "\n" not in str(told.value) and left(tmp_path) == []


def test_score_fetches_only_what_has_an_address(server: Server, tmp_path: Path) -> None:
    samples = tmp_path / "samples.jsonl"
    samples.write_text(json.dumps({"task_id": "HumanEval/0", "completion": "    return 1"}) + "\n")
    found = CliRunner().invoke(app, ["score", str(samples), "--download"])
    assert isinstance(found.exception, BenchmarkUnreadable)
    assert str(found.exception) == "--download fetches humaneval+, mbpp, mbpp+ by name, not humaneval"
    with pytest.raises(BenchmarkUnreadable, match="--download fetches it"):
        load_benchmark("humaneval+")


def test_every_address_is_of_a_fixed_commit() -> None:
    for release in RELEASES.values():
        assert release.address.startswith("https://") and any(len(part) == 40 for part in release.address.split("/"))
