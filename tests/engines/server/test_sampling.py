"""Sampling parameters mean the same on every engine: llama.cpp, transformers and an OpenAI-compatible endpoint."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch

from engines import Engine, HuggingFaceEngine, LlamaCppEngine, Message, Request, Sampling, Threading
from engines.openai_endpoint import NEUTRAL, OpenAIEngine
from engines.server.residency import Residency
from results import Model, Workspace
from tests.engines.server.test_server import run

pytestmark = pytest.mark.slow

PROMPT = "Hello, world! Hello, world! Hello,"
ASK: list[Message] = [{"role": "user", "content": "Why is the sky blue?"}]


@pytest.fixture(scope="module")
def engines(
    tiny: Path, miniature: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """The same weights behind each engine; the endpoint is `serve` itself, as a stranger would ask it."""
    place = Workspace(tmp_path_factory.mktemp("sampling"))
    with place.store() as store:
        store.models.add(Model("b", "base", "base", "tiny", "b" * 64, 1, str(tiny)))
        residency = Residency(store, place, 4 << 30, slots=1, context=256)
        url, stop = run(residency)
        made: dict[str, Engine] = {
            "llama.cpp": LlamaCppEngine.open(tiny, context=256, threading_choice=Threading(1)),
            "transformers": HuggingFaceEngine(miniature("smollm"), dtype=torch.float32),
            "endpoint": OpenAIEngine(f"{url}/v1", "base"),
        }
        yield made
        for engine in made.values():
            engine.close()
        stop()
        residency.close()


def say(engine: Any, raw: bool = False, **settings: Any) -> tuple[str, str | None]:
    """(text, finish reason) of one answer."""
    sampling = Sampling(**{"max_tokens": 12, "ignore_end": True} | settings)
    chunks = list(engine.stream_text(PROMPT, sampling) if raw else engine.stream(ASK, sampling))
    return "".join(chunk.text for chunk in chunks), chunks[-1].finish_reason


@pytest.mark.parametrize("raw", [False, True])
def test_greedy_length_and_stop_are_the_same_everywhere(engines: dict[str, Any], raw: bool) -> None:
    found = {name: say(engine, raw) for name, engine in engines.items()}
    assert len(set(found.values())) == 1, found
    text, finish = found["llama.cpp"]
    assert finish == "length"
    stop = text[4:6]
    for engine in engines.values():
        assert say(engine, raw, stop=(stop, "never")) == (text[: text.index(stop)], "stop")


def test_the_smallest_nucleus_is_the_greedy_answer_everywhere(engines: dict[str, Any]) -> None:
    greedy = say(engines["llama.cpp"])
    for engine in engines.values():
        assert say(engine, temperature=1.5, top_p=1e-6, seed=3) == greedy


def test_seeds_are_honoured_everywhere(engines: dict[str, Any]) -> None:
    for engine in engines.values():
        drawn = [say(engine, temperature=1.0, seed=seed) for seed in range(3)]
        assert len(set(drawn)) == 3
        assert say(engine, temperature=1.0, seed=1) == drawn[1]
    both = [say(engines[name], temperature=1.0, top_p=0.9, seed=5) for name in ("llama.cpp", "endpoint")]
    assert both[0] == both[1]


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.5, 1.0), (2.0, 1.0), (1.0, 0.5), (0.7, 0.8)])
def test_tokens_are_drawn_from_the_same_distribution(engines: dict[str, Any], temperature: float, top_p: float) -> None:
    """The mean log-probability of 400 first tokens is that of softmax(logits / temperature), cut at the nucleus."""
    llama, transformers = engines["llama.cpp"], engines["transformers"]
    logits = transformers.mixed_logits(PROMPT, [transformers.adapter])[0].clone()
    logits[list(transformers.end_ids)] = float("-inf")  # as `ignore_end` has it
    ordered, ids = torch.softmax(logits / temperature, -1).sort(descending=True)
    kept = int((ordered.cumsum(0) < top_p).sum()) + 1 if top_p < 1 else int((ordered > 0).sum())
    shares = ordered[:kept] / ordered[:kept].sum()
    near = kept + 2  # rounding to 16 bits may swap the ranks at the edge
    logs = dict(zip(ids[:near].tolist(), (ordered[:near] / ordered[:kept].sum()).log().tolist(), strict=True))
    mean = float((shares * shares.log()).sum())
    deviation = float((shares * (shares.log() - mean) ** 2).sum()) ** 0.5
    draws = 400
    settings = [Sampling(1, temperature, top_p, seed=seed, ignore_end=True) for seed in range(draws)]
    asked = [Request(transformers.encode(PROMPT), one, transformers.adapter) for one in settings]
    drawn = {"transformers": [answer.ids[0] for _, answer in transformers.answers(asked)], "llama.cpp": []}
    for one in settings:
        stream = llama.stream_text(PROMPT, one)
        stream.prompt = llama.tokens(PROMPT)
        body = {**stream._body(0, 1), "stream": False}  # a whole answer lists the ids of half characters too
        drawn["llama.cpp"] += llama.server.wire().call("/completion", body)["tokens"]
    for name, tokens in drawn.items():
        assert len(tokens) == draws and set(tokens) <= logs.keys(), name
        found = sum(logs[token] for token in tokens) / draws
        assert abs(found - mean) < 4 * deviation / draws**0.5, name


class Endpoint(BaseHTTPRequestHandler):
    """Answers a word; `strict` ones refuse what the protocol does not have, as OpenAI's own does."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append(body)  # type: ignore[attr-defined]
        unknown = sorted(NEUTRAL.keys() & body.keys()) if self.path.startswith("/strict") else []
        content = {"error": {"message": f"Unrecognized request argument: {unknown}"}} if unknown else {
            "choices": [{"text": "sky", "finish_reason": "stop"}], "usage": {"prompt_tokens": 1, "completion_tokens": 1}
        }  # fmt: skip
        data = json.dumps(content).encode()
        self.send_response(400 if unknown else 200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


def test_a_foreign_endpoint_is_told_to_sample_with_nothing_else(tmp_path: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    server.seen = []  # type: ignore[attr-defined]
    seen: list[dict[str, Any]] = server.seen  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    root = f"http://127.0.0.1:{server.server_address[1]}"
    open_, strict = OpenAIEngine(f"{root}/v1", "m"), OpenAIEngine(f"{root}/strict/v1", "m")
    assert open_.complete(["a"], Sampling(1))[0].notes == ()
    assert seen.pop().items() >= NEUTRAL.items() and not seen
    for _ in range(2):
        answer = strict.complete(["a"], Sampling(1))[0]
        assert answer.text == "sky" and "min_p" in answer.notes[0]
    assert [bool(NEUTRAL.keys() & body.keys()) for body in seen] == [True, False, False]  # asked once only
    server.shutdown()
    server.server_close()
