"""Sources with several models: a tree of LM Studio, an endpoint that lists its own."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from engines import FileRefused, find


def test_a_tree_of_lm_studio_gives_each_model_once_and_names_what_it_leaves_out(tiny: Path, tmp_path: Path) -> None:
    for file in (
        "lmstudio-community/gemma-3-4b-it-GGUF/gemma-3-4b-it-Q4_K_M.gguf",
        "lmstudio-community/gemma-3-4b-it-GGUF/mmproj-model-f16.gguf",
        "bartowski/Qwen3-8B-GGUF/Qwen3-8B-Q8_0-00001-of-00002.gguf",
        "bartowski/Qwen3-8B-GGUF/Qwen3-8B-Q8_0-00002-of-00002.gguf",
        "me/bot/model.gguf",
        "me/other/model.gguf",
    ):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(tiny.read_bytes())
    (tmp_path / "lmstudio-community" / "gemma-3-4b-it-GGUF" / "gemma.gguf.part").write_bytes(b"half")
    found = find(str(tmp_path))
    assert [one.name for one in found] == ["Qwen3-8B-Q8_0", "gemma-3-4b-it-Q4_K_M", "bot-model", "other-model"]
    assert found[1].notes == ("Left out beside it, a projector for images: mmproj-model-f16.gguf.",)
    assert [one.notes for one in (found[0], *found[2:])] == [()] * 3
    with pytest.raises(FileRefused, match="is a projector for images and no language model"):
        find(str(tmp_path / "lmstudio-community" / "gemma-3-4b-it-GGUF" / "mmproj-model-f16.gguf"))


@contextmanager
def endpoint(body: bytes, status: int = 200) -> Iterator[str]:
    """The URL of an endpoint that answers every question with this."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()


def listing(*names: str) -> bytes:
    return json.dumps({"object": "list", "data": [{"id": name} for name in names]}).encode()


def test_an_endpoint_of_one_model_gives_it_and_one_of_several_lists_them() -> None:
    with endpoint(listing("qwen3:8b")) as url:
        (found,) = find(url)
        assert (found.kind, found.name, found.source, found.base) == (
            "endpoint",
            "qwen3-8b",
            f"{url}#qwen3:8b",
            "qwen3:8b",
        )
    with endpoint(listing("a", "b")) as url, pytest.raises(FileRefused) as refused:
        find(url)
    assert str(refused.value) == f"{url} has 2 models. Name one: {url}#a, {url}#b"


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (listing(), 200, "has no model"),
        (b"<html>", 200, "does not list its models as OpenAI's protocol has it. Name the model: "),
        (b"{}", 401, "answered 401; set OPENAI_API_KEY to a key that it takes"),
        (b"{}", 404, "answered 404; does the URL end in /v1?"),
    ],
)
def test_an_endpoint_that_does_not_list_says_what_to_do(body: bytes, status: int, said: str) -> None:
    with endpoint(body, status) as url, pytest.raises(FileRefused) as refused:
        find(url)
    assert said in str(refused.value)


def test_urls_that_are_no_endpoints_are_one_line() -> None:
    with endpoint(listing("a")) as url:
        pass
    with pytest.raises(FileRefused, match=r"cannot be reached: .* Is it running\?"):
        find(url)
    with pytest.raises(FileRefused, match=r"is a page of the Hub\. Write: hub:me/bot"):
        find("https://huggingface.co/me/bot/tree/main")
    with pytest.raises(FileRefused) as refused:
        find("https://me:secret@example.test/v1#model")
    assert "secret" not in str(refused.value) and "OPENAI_API_KEY" in str(refused.value)
