"""`serve` over HTTP, asked by the official client, by curl and by our own: queue, memory, crashes, keys."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from engines import Chunk, EngineBusy, EngineError, HuggingFaceEngine, Sampling
from engines.openai_endpoint import OpenAIEngine
from engines.server.address import Address, listening
from engines.server.residency import Residency
from engines.server.run import serve
from engines.server.worker import OneModel
from results import Model, Store, Workspace
from tests.engines.server.running import run

pytestmark = pytest.mark.slow

ASK = {
    "messages": [{"role": "user", "content": "Hello, world!"}],
    "temperature": 0,
    "max_tokens": 12,
    "ignore_eos": True,
}


@dataclass
class Serving:
    """A running server."""

    url: str
    residency: Residency
    store: Store


@pytest.fixture(scope="module")
def workspace(tiny: Path, adapters: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A store with the base, two adapters and a copy of the base as another file."""
    made = Workspace(tmp_path_factory.mktemp("serve"))
    twin = made.folder("models") / "twin.gguf"
    shutil.copy(tiny, twin)
    with made.store() as store:
        store.models.add(Model("base-1", "base", "base", "tiny", "b" * 64, 1, str(tiny)))
        store.models.add(Model("twin-1", "twin", "gguf-f16", "tiny", "c" * 64, 1, "models/twin.gguf"))
        store.models.add(Model("gone-1", "gone", "gguf-f16", "tiny", "d" * 64, 1, "models/gone.gguf"))
        for number, path in enumerate(adapters[:2]):
            store.models.add(
                Model(
                    f"a-{number}",
                    f"tune{number}",
                    "lora-gguf",
                    "tiny",
                    f"{number}" * 64,
                    1,
                    str(path),
                    base_path=str(tiny),
                )
            )
    return made


@pytest.fixture(scope="module")
def serving(workspace: Workspace) -> Iterator[Serving]:
    """A server with room for everything."""
    with workspace.store() as store:
        residency = Residency(store, workspace, 4 << 30, slots=2, context=256)
        url, stop = run(residency)
        yield Serving(url, residency, store)
        stop()
        residency.close()


def stream(url: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of a streamed answer."""
    with httpx.stream("POST", f"{url}/v1/chat/completions", json={**body, "stream": True}, timeout=900) as answer:
        lines = [line[6:] for line in answer.iter_lines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def said(events: list[dict[str, Any]]) -> str:
    assert not any("error" in event for event in events), events[-1]
    return "".join(event["choices"][0]["delta"].get("content") or "" for event in events if event.get("choices"))


def test_the_official_client_is_served(serving: Serving) -> None:
    import openai

    client = openai.OpenAI(base_url=f"{serving.url}/v1", api_key="none", timeout=900)
    assert {model.id for model in client.models.list()} == {"base", "twin", "gone", "tune0", "tune1"}
    answers = {}
    for name in ("base", "tune0", "tune1"):
        whole = client.chat.completions.create(
            model=name, messages=[{"role": "user", "content": "Hello, world!"}], temperature=0, max_tokens=12,
            extra_body={"ignore_eos": True},
        )  # fmt: skip
        pieces = client.chat.completions.create(
            model=name, messages=[{"role": "user", "content": "Hello, world!"}], temperature=0, max_tokens=12,
            stream=True, stream_options={"include_usage": True}, extra_body={"ignore_eos": True},
        )  # fmt: skip
        chunks = list(pieces)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert text == whole.choices[0].message.content
        assert whole.usage and whole.usage.completion_tokens == 12 and whole.usage.prompt_tokens > 5
        assert chunks[-1].usage == whole.usage
        answers[name] = text
    assert len(set(answers.values())) == 3
    raw = client.completions.create(model="base", prompt=["Hello", "def"], max_tokens=4, temperature=0)
    assert [choice.index for choice in raw.choices] == [0, 1]
    one = client.completions.create(model="base", prompt="Hello", max_tokens=4, temperature=0)
    assert one.choices[0].text == raw.choices[0].text and one.usage and one.usage.prompt_tokens >= 1
    assert one.model_extra and one.model_extra["timings"]["predicted_n"] == one.usage.completion_tokens
    flow = client.completions.create(
        model="base", prompt="Hello", max_tokens=4, temperature=0, stream=True, stream_options={"include_usage": True}
    )
    parts = list(flow)
    assert "".join(part.choices[0].text for part in parts if part.choices) == one.choices[0].text
    assert parts[-1].usage == one.usage
    with pytest.raises(openai.NotFoundError, match="no model"):
        client.chat.completions.create(model="nobody", messages=[{"role": "user", "content": "a"}])
    with pytest.raises(openai.BadRequestError, match="tools"):
        client.chat.completions.create(
            model="base", messages=[{"role": "user", "content": "a"}],
            tools=[{"type": "function", "function": {"name": "f"}}],
        )  # fmt: skip


def test_curl_is_served(serving: Serving) -> None:
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    done = subprocess.run(
        ["curl", "-sN", f"{serving.url}/v1/chat/completions", "-H", "Content-Type: application/json",
         "-d", json.dumps({**ASK, "model": "base", "stream": True})],
        capture_output=True, text=True, check=True, timeout=900,
    )  # fmt: skip
    assert done.stdout.startswith("data: {") and done.stdout.rstrip().endswith("data: [DONE]")


def test_no_piece_waits_for_the_next() -> None:
    with listening() as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_waiting_and_the_end_are_told(serving: Serving) -> None:
    events = stream(serving.url, {**ASK, "model": "twin"})
    states = [event["bakeoff"]["state"] for event in events if "bakeoff" in event]
    assert states[-1] == "done" and "loading" in states
    last = next(event for event in events if event.get("bakeoff", {}).get("state") == "done")
    assert last["bakeoff"]["identity"] == "c" * 64
    assert last["bakeoff"]["tokens"] == last["timings"]["predicted_n"] == 12
    assert 0 < last["bakeoff"]["ttft_seconds"] <= last["bakeoff"]["total_seconds"]
    listed = httpx.get(f"{serving.url}/v1/models/twin", timeout=900).json()
    assert listed["bakeoff"]["state"] == "resident"


def test_our_own_client_has_the_same_engine(serving: Serving) -> None:
    engine = OpenAIEngine(f"{serving.url}/v1", "base", identity="b" * 64)
    sampling = Sampling(12, ignore_end=True)
    streamed = engine.stream([{"role": "user", "content": "Hello, world!"}], sampling)
    text = "".join(chunk.text for chunk in streamed)
    assert text == said(stream(serving.url, {**ASK, "model": "base"}))
    assert streamed.tokens == 12
    rendered = engine.render([{"role": "user", "content": "Hello, world!"}])
    completed = engine.complete([rendered], sampling)[0]
    assert completed.text == text and completed.model == "b" * 64 and completed.tokens == 12
    assert engine.count_tokens("Hello") > 0
    engine.close()


def test_an_unreachable_endpoint_is_named() -> None:
    engine = OpenAIEngine("http://127.0.0.1:9/v1", "m")
    with pytest.raises(EngineError, match=r"127\.0\.0\.1:9"):
        list(engine.stream([{"role": "user", "content": "a"}], Sampling(1)))


def test_a_client_that_leaves_stops_its_answer(serving: Serving) -> None:
    body = {**ASK, "model": "base", "stream": True, "max_tokens": 200}
    with httpx.stream("POST", f"{serving.url}/v1/chat/completions", json=body, timeout=900) as answer:
        for line in answer.iter_lines():
            if '"content": "' in line and '"role"' not in line:
                break
    with serving.residency.lease(serving.store.models.find("base")) as engine:
        assert engine is not None
        scheduler = engine.server.scheduler  # type: ignore[attr-defined]
        deadline = time.monotonic() + 900
        while len(scheduler._free) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(scheduler._free) == 2


def test_a_client_that_leaves_stops_whole_answers_too(serving: Serving) -> None:
    """64 prompts, of which none can begin, since the test holds both slots: once the client has left, none does."""
    with serving.residency.lease(serving.store.models.find("base")) as engine:
        assert engine is not None
        scheduler = engine.server.scheduler  # type: ignore[attr-defined]
    slots = [scheduler.take_slot(-1, [], lambda: False) for _ in range(2)]
    before = scheduler._clock
    body = {"model": "base", "prompt": ["Hello"] * 64, "max_tokens": 200, "ignore_eos": True}
    leaving = httpx.Client(timeout=httpx.Timeout(120, read=0.1))
    with pytest.raises(httpx.ReadTimeout):
        leaving.post(f"{serving.url}/v1/completions", json=body)
    leaving.close()
    deadline = time.monotonic() + 900
    while any(one.name == "answer base" for one in threading.enumerate()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert scheduler.waiting == 0 and scheduler._clock == before, "answers were made for nobody"
    for slot in slots:
        scheduler.give_slot(slot, -1, [])


def test_a_missing_file_and_a_crash_fail_one_request(serving: Serving) -> None:
    answer = httpx.post(f"{serving.url}/v1/chat/completions", json={**ASK, "model": "gone"}, timeout=900)
    assert answer.status_code == 400 and "gone" in answer.json()["error"]["message"]
    wanted = said(stream(serving.url, {**ASK, "model": "tune0"}))
    with serving.residency.lease(serving.store.models.find("base")) as engine:
        assert engine is not None
        server = engine.server  # type: ignore[attr-defined]
    body = {**ASK, "model": "base", "stream": True, "max_tokens": 200}
    for _ in range(20):  # until the kill comes before the answer's end, which a late reader has not seen yet
        lines = []
        with httpx.stream("POST", f"{serving.url}/v1/chat/completions", json=body, timeout=900) as streaming:
            for line in streaming.iter_lines():
                lines.append(line)
                if len(lines) == 5:
                    os.kill(server.child().pid, signal.SIGKILL)
        failed = any('"error"' in line and "signal 9" in line for line in lines)
        assert failed != any('"finish_reason": "' in line for line in lines)
        if failed:
            break
    assert failed
    assert said(stream(serving.url, {**ASK, "model": "tune0"})) == wanted


def test_strangers_and_wrong_requests_are_refused(serving: Serving) -> None:
    url = f"{serving.url}/v1/models"
    assert httpx.get(url, headers={"Host": "evil.example"}, timeout=900).status_code == 403
    assert httpx.get(url, headers={"Host": f"{serving.url[7:]}.evil.example"}, timeout=900).status_code == 403
    for origin in ("https://evil.example", "http://127.0.0.1:3000", "null"):
        assert httpx.get(url, headers={"Origin": origin}, timeout=900).status_code == 403
    assert httpx.get(url, headers={"Origin": serving.url}, timeout=900).status_code == 200
    chat = f"{serving.url}/v1/chat/completions"
    wrongs: list[dict[str, Any]] = [
        {"messages": []}, {"temperature": 9}, {"n": 99}, {"max_tokens": 0}, {"messages": [{"role": "wizard"}]},
        {"top_k": 40}, {"min_p": 0.05}, {"repeat_penalty": 1.1}, {"repetition_penalty": 1.1}, {"presence_penalty": 3},
    ]  # fmt: skip
    for wrong in wrongs:
        answer = httpx.post(chat, json={**ASK, "model": "base", **wrong}, timeout=900)
        assert answer.status_code == 400 and answer.json()["error"]["message"]
    harmless = {"top_k": 0, "min_p": 0.0, "repeat_penalty": 1.0, "user": "me"}
    assert httpx.post(chat, json={**ASK, "model": "base", **harmless}, timeout=900).status_code == 200
    pieces = (b"x" * (1 << 20) for _ in range(9))  # sent without saying how long it is
    for content in (b"x" * (9 << 20), pieces):
        big = httpx.post(chat, content=content, headers={"Content-Type": "application/json"}, timeout=900)
        assert big.status_code == 413 and "larger" in big.json()["error"]["message"]


def test_a_key_is_asked_for(workspace: Workspace) -> None:
    with workspace.store() as store:
        residency = Residency(store, workspace, 4 << 30)
        url, stop = run(residency, "secret")
        try:
            assert httpx.get(f"{url}/v1/models", timeout=900).status_code == 401
            assert (
                httpx.get(f"{url}/v1/models", headers={"Authorization": "Bearer wrong"}, timeout=900).status_code == 401
            )
            right = {"Authorization": "Bearer secret", "Host": "any.example"}
            assert httpx.get(f"{url}/v1/models", headers=right, timeout=900).status_code == 200
            assert httpx.get(f"{url}/health", timeout=900).status_code == 200
        finally:
            stop()
        with pytest.raises(EngineError, match="API key"):
            serve(store, workspace, Address("0.0.0.0"), lambda url: None)


def test_the_least_recently_used_leaves_and_too_much_is_refused(workspace: Workspace) -> None:
    with workspace.store() as store:
        one = Residency(store, workspace, slots=1, context=64)
        base, twin = store.models.find("base"), store.models.find("twin")
        with one.lease(base):
            pass
        room = one.used_bytes
        one.close()
        tight = Residency(store, workspace, int(room * 1.5), slots=1, context=64)
        with tight.lease(base), tight.lease(store.models.find("tune0")):
            assert tight.state(base) == "resident"
            waited: list[tuple[str, int]] = []
            with tight.lease(twin, lambda: len(waited) > 0, lambda state, place: waited.append((state, place))) as no:
                assert no is None  # in use: nothing leaves, and the wait was cancelled
            assert waited[0] == ("waiting", 1)
        with tight.lease(twin):
            assert tight.state(base) == "unloaded"
        tight.close()
        small = Residency(store, workspace, 1 << 20)
        with pytest.raises(EngineBusy, match="memory budget"), small.lease(base):
            pass


def test_an_adapter_registered_later_is_served(workspace: Workspace, adapters: list[Path], tiny: Path) -> None:
    with workspace.store() as store:
        residency = Residency(store, workspace, 4 << 30, slots=1, context=64)
        with residency.lease(store.models.find("base")):
            pass
        late = Model("a-9", "late", "lora-gguf", "tiny", "9" * 64, 1, str(adapters[2]), base_path=str(tiny))
        late = store.models.add(late)
        assert residency.state(late) == "unloaded"
        with residency.lease(late) as engine:
            assert engine is not None and engine.complete(["Hello"], Sampling(2))[0].tokens <= 2
        residency.close()


def told_their_places(url: str, model: str, pid: int) -> None:
    """While one answer is made, which a process that is stopped still makes, the next two are told their places."""
    body = {**ASK, "model": model, "max_tokens": 400, "stream": True, "ignore_eos": True}
    with ExitStack() as answers:

        def asked() -> Iterator[dict[str, Any]]:
            answer = answers.enter_context(httpx.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=900))
            return (json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: {"))

        first = asked()  # kept, as all three are: what is dropped is closed, and its answer ended
        next(one for one in first if one["choices"] and one["choices"][0]["delta"].get("content"))
        os.kill(pid, signal.SIGSTOP)
        try:
            second = asked()
            waiting = next(one["bakeoff"] for one in second if one.get("bakeoff", {}).get("state") == "waiting")
            assert waiting["queue_position"] == 1
            third = asked()
            assert any(one.get("bakeoff", {}).get("queue_position") == 2 for one in third)
        finally:
            os.kill(pid, signal.SIGCONT)


def test_transformers_models_are_served_from_a_worker(miniature: Callable[[str], Path], tmp_path: Path) -> None:
    place = Workspace(tmp_path)
    with place.store() as store:
        store.models.add(Model("m-1", "whole", "merged", "mini", "e" * 64, 1, str(miniature("llama"))))
        residency = Residency(store, place, 4 << 30)
        url, stop = run(residency)
        try:
            first = stream(url, {**ASK, "model": "whole", "stream_options": {"include_usage": True}})
            assert first[-2]["choices"][0]["finish_reason"] == "length"
            assert first[-1]["usage"]["prompt_tokens"] > 5 and first[-1]["usage"]["completion_tokens"] == 12
            again = stream(url, {**ASK, "model": "whole"})
            assert said(first) == said(again) != ""
            (resident,) = residency._resident.values()
            told_their_places(url, "whole", resident.host._children.child().pid)  # type: ignore[attr-defined]
            raw = httpx.post(
                f"{url}/v1/completions", json={"model": "whole", "prompt": "Hello", "max_tokens": 4}, timeout=120
            )
            assert raw.status_code == 200 and raw.json()["usage"]["completion_tokens"] <= 4
            os.kill(resident.host._children.child().pid, signal.SIGKILL)  # type: ignore[attr-defined]
            assert said(stream(url, {**ASK, "model": "whole"})) == said(first)  # a new worker answers
        finally:
            stop()
            residency.close()


class Counted(HuggingFaceEngine):
    """transformers, counting what it was asked to make. After the first piece it waits until the client has left."""

    told = 0
    left: Callable[[], bool]

    def stream_text(self, prompt: str, sampling: Sampling) -> Iterator[Chunk]:
        for chunk in super().stream_text(prompt, sampling):
            self.told += chunk.tokens
            yield chunk
            while not self.left():
                time.sleep(0.01)


class Leaving(OneModel):
    """As in a worker process; tells the engine when a request is cancelled."""

    def lease(self, model: Model, cancelled: Callable[[], bool] = lambda: False, on_wait: Any = None) -> Any:
        self._engine.left = cancelled  # type: ignore[attr-defined]
        return super().lease(model, cancelled, on_wait)


def test_a_client_that_leaves_stops_transformers_too(miniature: Callable[[str], Path], tmp_path: Path) -> None:
    """As in a worker process: the engine is a generator that runs while the request is cancelled."""
    model, engine = Model("m-1", "whole", "merged", "mini", "e" * 64, 1, "."), Counted(miniature("llama"))
    with Workspace(tmp_path).store() as store:
        store.models.add(model)
        url, stop = run(Leaving(store, model, engine))
        try:
            body = {**ASK, "model": "whole", "max_tokens": 450, "stream": True}
            with httpx.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=900) as answer:
                next(line for line in answer.iter_lines() if '"content": "' in line and '"role"' not in line)
            deadline = time.monotonic() + 900
            while any(one.name == "answer whole" for one in threading.enumerate()) and time.monotonic() < deadline:
                time.sleep(0.05)
            assert 0 < engine.told < 5
        finally:
            stop()
            engine.close()
