"""Long prompts: read stretch by stretch as if at once, refused before they are read where they do not fit, left alone
when nobody waits any more."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

from engines import EngineError, HuggingFaceEngine, LlamaCppEngine, Sampling
from engines.huggingface import batching
from engines.openai_endpoint import OpenAIEngine
from engines.server.address import listening
from engines.server.worker import OneModel
from results import Model, Workspace
from tests.engines.server.running import run
from trainer import miniature

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

LONG = "import os\ndef main(arguments):\n    for one in arguments:\n        print(one, 1.5)\n" * 32


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bases")


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma2"])
def test_a_prompt_that_is_read_in_stretches_is_answered_as_one_that_is_read_at_once(family: str, bases: Path) -> None:
    engine = HuggingFaceEngine(miniature(family, bases / family), dtype=torch.float32)
    ids = engine.encode(LONG)
    assert 2 * batching.STRETCH_TOKENS < len(ids) < 2000
    prompts = [LONG, LONG[:1500], "def f(n):"]
    pieces = list(engine.stream_text(LONG, Sampling(max_tokens=3, ignore_end=True)))
    assert [piece.text for piece in pieces[: len(ids) // batching.STRETCH_TOKENS]].count("") >= 2
    alone = "".join(piece.text for piece in pieces)
    together = [one.text for one in engine.complete(prompts, Sampling(max_tokens=3, ignore_end=True))]
    expected = [_greedy(engine, prompt, 3) for prompt in prompts]
    assert together == expected and alone == expected[0]


def _greedy(engine: HuggingFaceEngine, prompt: str, tokens: int) -> str:
    """What whole forwards of everything so far choose, token by token."""
    ids = list(engine.encode(prompt))
    start = len(ids)
    ends = torch.tensor(sorted(engine.end_ids))
    for _ in range(tokens):
        with torch.inference_mode():
            hidden = engine.model.get_decoder()(input_ids=torch.tensor([ids]), use_cache=False).last_hidden_state
            logits = batching.head_logits(engine.model, hidden[:, -1:])[0, 0]
        ids.append(int(logits.index_fill(0, ends, float("-inf")).argmax()))
    return str(engine.tokenizer.decode(ids[start:], skip_special_tokens=True))


def test_the_context_limits_prompt_and_answer_before_anything_is_read(bases: Path) -> None:
    engine = HuggingFaceEngine(miniature("llama", bases / "llama"))
    assert engine.context == 2048
    for ask in (
        lambda: list(engine.stream_text(LONG * 4, Sampling())),
        lambda: engine.complete([LONG * 4], Sampling()),
        lambda: list(engine.stream([{"role": "user", "content": LONG * 4}], Sampling())),
    ):
        with pytest.raises(EngineError, match=r"The prompt has \d{4} tokens; llama has a context of 2048"):
            ask()
    taken = len(engine.encode(LONG))
    near = LONG + " x" * ((2040 - taken) // 2)
    left = 2048 - len(engine.encode(near))
    answer = engine.complete([near], Sampling(max_tokens=5000, ignore_end=True))[0]
    assert left < 600 and (answer.finish_reason, answer.tokens) == ("length", left)


HALF = "a \ud83d b"


def test_half_a_character_is_refused_by_name_on_every_engine(bases: Path, tiny: Path) -> None:
    engines: list[Any] = [HuggingFaceEngine(miniature("llama", bases / "llama")), LlamaCppEngine.open(tiny)]
    for engine in engines:
        for ask in (
            lambda engine=engine: list(engine.stream([{"role": "user", "content": HALF}], Sampling(max_tokens=2))),
            lambda engine=engine: list(engine.stream_text(HALF, Sampling(max_tokens=2))),
            lambda engine=engine: engine.count_tokens(HALF),
        ):
            with pytest.raises(EngineError, match=r"half a character, U\+D83D"):
                ask()
        engine.close()


def test_whoever_stops_iterating_stops_the_reading(bases: Path) -> None:
    engine = HuggingFaceEngine(miniature("llama", bases / "llama"))
    read: list[int] = []
    engine.model.get_decoder().register_forward_hook(lambda *_: read.append(1))
    stream = engine.stream_text(LONG, Sampling())
    assert next(stream).text == ""
    stream.close()
    assert len(read) == 1
    assert engine.complete(["def f(n):"], Sampling(max_tokens=2))[0].tokens


@pytest.fixture
def served(bases: Path, tmp_path: Path) -> Iterator[tuple[str, HuggingFaceEngine]]:
    """A server over one engine of transformers."""
    engine = HuggingFaceEngine(miniature("llama", bases / "llama"))
    with Workspace(tmp_path).store() as store:
        model = store.models.add(Model("one", "one", "base", "m", "a" * 64, 1, "weights"))
        url, stop = run(OneModel(store, model, engine))
        yield url, engine
        stop()


def test_a_server_answers_400_and_names_tokens_and_limit_or_the_half_character(
    served: tuple[str, HuggingFaceEngine],
) -> None:
    url, _ = served
    for text, words in ((LONG * 4, "tokens; llama has a context of 2048"), (HALF, "half")):
        chat = {"model": "one", "messages": [{"role": "user", "content": text}]}
        for path, body in (("chat/completions", chat), ("completions", {"model": "one", "prompt": text})):
            content = json.dumps(body)
            answer = httpx.post(f"{url}/v1/{path}", content=content, headers=JSON, timeout=120)
            assert answer.status_code == 400 and words in answer.json()["error"]["message"]
        answer = httpx.post(f"{url}/v1/chat/completions", content=json.dumps(chat | {"stream": True}), timeout=120,
                            headers=JSON)  # fmt: skip
        assert answer.status_code == 400 and words in answer.text


JSON = {"Content-Type": "application/json"}


def test_a_client_that_has_gone_stops_the_reading_of_its_prompt(served: tuple[str, HuggingFaceEngine]) -> None:
    url, engine = served
    read: list[int] = []
    gone = threading.Event()

    def slowly(*_: Any) -> None:
        read.append(1)
        gone.wait(60)  # the first stretch takes until the client has gone, and its server has noticed
        time.sleep(1)

    hook = engine.model.get_decoder().register_forward_hook(slowly)
    chat = json.dumps({"model": "one", "messages": [{"role": "user", "content": LONG}], "stream": True}).encode()
    host = url.removeprefix("http://")
    with socket.create_connection(host.split(":"), timeout=60) as connection:  # type: ignore[arg-type]
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: {len(chat)}\r\n\r\n".encode() + chat)
        connection.settimeout(0.01)
        while not read:
            with suppress(TimeoutError):
                pytest.fail(f"answered before the prompt was read: {connection.recv(300)!r}")
    gone.set()
    hook.remove()
    again = httpx.post(f"{url}/v1/completions", json={"model": "one", "prompt": "x", "max_tokens": 2}, timeout=120)
    assert again.status_code == 200 and len(read) == 1


def test_closing_a_stream_wakes_who_waits_for_its_first_piece() -> None:
    listener = listening()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    engine = OpenAIEngine(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", "m")
    stream = engine.stream_text("x", Sampling())
    ended: list[int] = []
    waiting = threading.Thread(target=lambda: ended.append(len(list(stream))))
    waiting.start()
    connection, _ = listener.accept()
    connection.sendall(head)
    while stream._response is None:
        time.sleep(0.01)
    stream.close()
    waiting.join(60)
    connection.close()
    listener.close()
    engine.close()
    assert ended == [0] and not waiting.is_alive()
