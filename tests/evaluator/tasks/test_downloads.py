"""Published benchmarks are fetched when asked for: whole, known by their digest, never twice, never in silence."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bakeoff.main import app
from evaluator import BenchmarkUnreadable, download, load_benchmark
from evaluator.tasks.downloads import RELEASES, Release
from evaluator.tasks.transfers import MOST_BYTES

TASK = {
    "task_id": "Mbpp/2",
    "text": "Add two numbers.",
    "code": "def add(a, b):\n    return a + b",
    "test_list": ["assert add(1, 2) == 3"],
}
BODY = (json.dumps(TASK) + "\n").encode()


class Server:
    """A local stand-in for GitHub: `body` under every path, `status` where it is not 200; remembers what it is asked.

    With an `etag` it answers ranges as RFC 9110 has it: the rest where `If-Range` is its own mark, else the whole.
    """

    def __init__(self) -> None:
        self.body, self.status, self.announced = BODY, 200, 0
        self.etag, self.length_told = "", True
        self.breaks_at = 0
        """Bytes of an answer after which the connection breaks; 0: it does not."""
        self.stalls = threading.Event()
        """Unset by a test that wants the rest of an answer to wait."""
        self.stalls.set()
        self.ranges: list[str] = []
        told = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                told.answer(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/mbpp.jsonl"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        wanted, mark = handler.headers.get("Range", ""), handler.headers.get("If-Range", "")
        self.ranges.append(wanted)
        start = int(wanted.removeprefix("bytes=").removesuffix("-") or 0) if wanted and mark == self.etag else 0
        rest = self.body[start:]
        handler.send_response(206 if start and self.status == 200 else self.status)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(self.body) - 1}/{len(self.body)}")
        if self.length_told:
            handler.send_header("Content-Length", str(self.announced or len(rest)))
        if self.etag:
            handler.send_header("ETag", self.etag)
        handler.end_headers()
        handler.wfile.write(rest[: self.breaks_at or len(rest)])
        handler.wfile.flush()
        self.stalls.wait(60)

    def release(self, sha256: str = "") -> dict[str, Release]:
        return {"mbpp": Release(self.address, "mbpp.jsonl", sha256)}


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
    assert "there already" in download("mbpp", server.release()) and len(server.ranges) == 1
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


MANY = [{**TASK, "task_id": f"Mbpp/{number}", "text": "Add two numbers. " * 60} for number in range(2, 202)]
LONG = "".join(json.dumps(task) + "\n" for task in MANY).encode()
SHA = hashlib.sha256(LONG).hexdigest()


@pytest.mark.parametrize("sha256", [SHA, ""], ids=["digest known", "digest not known"])
def test_what_breaks_off_is_gone_on_with_where_the_server_proves_that_it_is_the_same(
    server: Server, tmp_path: Path, sha256: str
) -> None:
    server.body, server.etag, server.breaks_at = LONG, '"one"', 100_000
    with pytest.raises(BenchmarkUnreadable, match=r"0\.1 MB are kept: the same command goes on from there") as told:
        download("mbpp", server.release(sha256))
    assert "\n" not in str(told.value)
    with pytest.raises(BenchmarkUnreadable, match="--download fetches it"):
        load_benchmark("mbpp")  # a part is never taken for the file
    server.breaks_at = 0
    said = download("mbpp", server.release(sha256))
    assert server.ranges == ["", "bytes=100000-"] and "0.1 MB of it fetched earlier" in said and SHA in said
    assert left(tmp_path) == ["mbpp.jsonl"] and len(load_benchmark("mbpp")) == 200


@pytest.mark.parametrize("change", ["another mark", "a weak mark", "no ranges", "a damaged part", "another address"])
def test_a_part_that_does_not_belong_to_the_file_is_fetched_anew(server: Server, tmp_path: Path, change: str) -> None:
    server.body, server.etag, server.breaks_at = LONG, 'W/"one"' if change == "a weak mark" else '"one"', 100_000
    with pytest.raises(BenchmarkUnreadable):
        download("mbpp", server.release(SHA))
    part, releases = tmp_path / "cache" / "benchmarks" / ".mbpp.jsonl.part", server.release(SHA)
    if change == "another mark":
        server.etag = '"two"'
    elif change == "no ranges":
        server.etag = ""
    elif change == "a damaged part":
        part.write_bytes(bytes(100_000))
    elif change == "another address":
        releases["mbpp"] = Release(server.address.replace("mbpp", "other"), "mbpp.jsonl", SHA)
    server.breaks_at = 0
    assert "as published" in download("mbpp", releases)
    assert left(tmp_path) == ["mbpp.jsonl"] and len(load_benchmark("mbpp")) == 200


def test_a_part_is_never_the_whole(server: Server, tmp_path: Path) -> None:
    server.body, server.length_told, server.breaks_at = LONG, False, 100_000
    with pytest.raises(BenchmarkUnreadable, match="does not say where the file ends"):
        download("mbpp", server.release())
    with pytest.raises(BenchmarkUnreadable, match="is not the file that was published"):
        download("mbpp", server.release(SHA))
    server.breaks_at = 0
    assert "as published" in download("mbpp", server.release(SHA))


@pytest.mark.parametrize("body", [b"", b"<html>Sign in to the network of this hotel</html>"], ids=["nothing", "a page"])
def test_what_is_no_benchmark_leaves_nothing(server: Server, tmp_path: Path, body: bytes) -> None:
    server.body = body
    with pytest.raises(BenchmarkUnreadable, match=r"What http.* answers is no benchmark: ") as told:
        download("mbpp", server.release())
    assert left(tmp_path) == [] and "\n" not in str(told.value) and ".part" not in str(told.value)


@pytest.mark.slow
def test_a_fetch_that_is_killed_half_way_is_gone_on_with(server: Server, tmp_path: Path) -> None:
    server.body, server.etag, server.breaks_at = LONG, '"one"', 100_000
    server.stalls.clear()
    program = f"""from evaluator import download
from evaluator.tasks.downloads import Release
download("mbpp", {{"mbpp": Release({server.address!r}, "mbpp.jsonl")}})"""
    child = subprocess.Popen([sys.executable, "-c", program])
    part = tmp_path / "cache" / "benchmarks" / ".mbpp.jsonl.part"
    try:
        while not (part.exists() and part.stat().st_size) and child.poll() is None:
            time.sleep(0.02)
    finally:
        child.kill()
    assert child.wait() == -signal.SIGKILL
    kept = part.stat().st_size
    server.breaks_at = 0
    server.stalls.set()
    assert SHA in download("mbpp", server.release())
    assert kept and server.ranges == ["", f"bytes={kept}-"] and left(tmp_path) == ["mbpp.jsonl"]


def test_of_two_fetches_at_once_one_waits_for_the_other(server: Server, tmp_path: Path) -> None:
    server.body = LONG
    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(lambda _: download("mbpp", server.release()), range(4)))
    assert len(server.ranges) == 1 and all("mbpp.jsonl" in one for one in said) and left(tmp_path) == ["mbpp.jsonl"]


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
