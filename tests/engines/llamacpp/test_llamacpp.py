"""llama.cpp behind the interface, on miniature weights in its real child process."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from engines import EngineCrashed, EngineError, FileRefused, LlamaCppEngine, Message, Sampling, Threading
from engines.llamacpp import engine as llamacpp_engine
from engines.llamacpp.server_process import LlamaServer
from engines.processes import templates
from engines.processes.child_process import ChildProcess
from tests.processes import dying

pytestmark = pytest.mark.slow

ONE = Threading(1)
HELLO: list[Message] = [{"role": "user", "content": "Hello, world! Why is the sky blue?"}]
GREEDY = Sampling(max_tokens=24, ignore_end=True)


def text(engine: LlamaCppEngine, messages: list[Message] = HELLO, sampling: Sampling = GREEDY) -> str:
    return "".join(chunk.text for chunk in engine.stream(messages, sampling))


def plain(answer: str) -> str:
    """The ASCII of an answer."""
    return answer.encode("ascii", "ignore").decode()


@pytest.fixture(scope="module")
def engines(tiny: Path, adapters: list[Path]) -> Iterator[list[LlamaCppEngine]]:
    """The base and three adapters over one process with three slots."""
    server = LlamaServer(tiny, adapters, context=256, slots=3, threading_choice=ONE)
    made = [LlamaCppEngine(server, place) for place in (None, 0, 1, 2)]
    yield made
    for engine in made:
        engine.close()


@pytest.fixture(scope="module")
def alone(tiny: Path, adapters: list[Path]) -> list[str]:
    """What each says in a process of its own, asked once: nothing can have leaked into it."""
    answers = []
    for adapter in (None, *adapters):
        engine = LlamaCppEngine.open(tiny, adapter=adapter, context=256, threading_choice=ONE)
        answers.append(text(engine))
        engine.close()
    assert len(set(answers)) == 4
    return answers


def test_adapters_never_leak_through_the_prompt_cache(engines: list[LlamaCppEngine], alone: list[str]) -> None:
    for place in (0, 1, 0, 2, 2, 0, 3, 1, 0):
        assert text(engines[place]) == alone[place]


def test_every_request_lists_every_adapter(engines: list[LlamaCppEngine]) -> None:
    server = engines[0].server
    assert [one["scale"] for one in server.scales(None)] == [0.0, 0.0, 0.0]
    assert [one["scale"] for one in server.scales(1)] == [0.0, 1.0, 0.0]


def test_several_at_once_take_turns_and_answer_as_alone(engines: list[LlamaCppEngine], alone: list[str]) -> None:
    got, _ = at_once(engines[:3], GREEDY)
    # random weights write broken UTF-8, whose halves are shown by where the pieces end: the rest must be equal
    assert [plain(one) for one in got] == [plain(one) for one in alone[:3]]
    # So long that a request whose thread is late on a busy machine still meets the others.
    _, order = at_once(engines[:3], replace(GREEDY, max_tokens=200))
    changes = sum(one != other for one, other in itertools.pairwise(order))
    assert changes > 2, "one adapter's whole answer came after another's"


def test_an_answer_is_the_same_wherever_another_adapter_interrupts_it(
    engines: list[LlamaCppEngine], alone: list[str]
) -> None:
    scheduler = engines[0].server.scheduler
    for place, read in itertools.product((1, 2, 3), range(1, 16, 2)):
        stream = engines[place].stream(HELLO, GREEDY)
        pieces = [chunk.text for chunk in itertools.islice(stream, read)]
        with ThreadPoolExecutor() as pool:
            other = pool.submit(text, engines[0])
            while not scheduler.contested(place - 1) and not other.done():
                time.sleep(0.001)
            pieces += [chunk.text for chunk in stream]
        assert plain("".join(pieces)) == plain(alone[place]), f"adapter {place - 1} interrupted after {read} pieces"
        assert other.result() == alone[0]


def at_once(engines: Sequence[LlamaCppEngine], sampling: Sampling) -> tuple[list[str], list[int]]:
    """All are asked the same at once: (the answers, whose pieces came in which order)."""
    answers, order = [""] * len(engines), list[int]()

    def ask(place: int) -> None:
        for chunk in engines[place].stream(HELLO, sampling):
            answers[place] += chunk.text
            order.append(place)

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(len(engines))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers, order


def test_sampling_means_the_same_again(engines: list[LlamaCppEngine]) -> None:
    seeded = Sampling(max_tokens=16, temperature=1.0, seed=7, ignore_end=True)
    assert text(engines[0], sampling=seeded) == text(engines[0], sampling=seeded)
    others = {text(engines[0], sampling=Sampling(16, 1.0, seed=seed, ignore_end=True)) for seed in range(4)}
    assert len(others) > 1


def test_a_stop_string_ends_the_answer_before_it(engines: list[LlamaCppEngine], alone: list[str]) -> None:
    stop = alone[0][5:8]
    stream = engines[0].stream(HELLO, Sampling(24, stop=(stop,), ignore_end=True))
    answer = "".join(chunk.text for chunk in stream)
    assert answer == alone[0][: alone[0].index(stop)]
    assert stream.finish_reason == "stop"


def test_tokens_and_times_are_counted(engines: list[LlamaCppEngine]) -> None:
    stream = engines[0].stream(HELLO, GREEDY)
    for _ in stream:
        pass
    assert stream.tokens == GREEDY.max_tokens
    assert stream.finish_reason == "length"
    assert stream.prompt == engines[0].tokens(engines[0].render(HELLO))
    assert stream.ttft_seconds and stream.total_seconds and stream.ttft_seconds <= stream.total_seconds


def test_completions_come_in_the_order_of_the_prompts(engines: list[LlamaCppEngine]) -> None:
    prompts = ["Hello", "def add(a, b):", "The quick brown", "0123", "Why is"]
    seen: list[int] = []
    answers = engines[0].complete(prompts, Sampling(8, ignore_end=True), lambda what, done, total: seen.append(done))
    singles = [engines[0].complete([prompt], Sampling(8, ignore_end=True))[0] for prompt in prompts]
    assert [answer.text for answer in answers] == [single.text for single in singles]
    assert sorted(seen) == [1, 2, 3, 4, 5]


def test_the_oldest_turns_leave_a_full_context_and_it_is_said(engines: list[LlamaCppEngine]) -> None:
    long: list[Message] = [{"role": "system", "content": "Be kind."}]
    for number in range(20):
        long.append({"role": "user", "content": f"question {number} about the sky"})
        long.append({"role": "assistant", "content": "blue"})
    long.append({"role": "user", "content": "and now?"})
    stream = engines[0].stream(long, Sampling(8, ignore_end=True))
    notes = [chunk.note for chunk in stream if chunk.note]
    assert len(notes) == 1 and "left out" in notes[0]
    assert len(stream.prompt) < engines[0].server.context
    kept = engines[0].render([long[0], long[-1]])
    assert engines[0].tokens(kept)[:8] == stream.prompt[:8]  # the system message stays
    with pytest.raises(EngineError, match="context"):
        text(engines[0], [{"role": "user", "content": "word " * 2000}])


def test_closing_stops_the_generation(engines: list[LlamaCppEngine]) -> None:
    stream = engines[0].stream(HELLO, Sampling(200, ignore_end=True))
    next(stream)
    stream.close()
    assert stream.finish_reason == "cancelled" and stream.tokens < 200
    assert list(stream) == []
    assert engines[0].server.scheduler.waiting == 0


def test_closing_from_another_thread_stops_it_too(engines: list[LlamaCppEngine], alone: list[str]) -> None:
    stream = engines[1].stream(HELLO, Sampling(200, ignore_end=True))
    first = threading.Event()
    done = threading.Event()

    def read() -> None:
        for _ in stream:
            first.set()
        done.set()

    threading.Thread(target=read).start()
    assert first.wait(120)
    stream.close()
    assert done.wait(120)
    assert text(engines[1]) == alone[1]


@contextmanager
def in_turns(engine: LlamaCppEngine) -> Iterator[None]:
    """As if another adapter's request waited: the answer comes in slices of a few tokens, none before it is wanted."""
    scheduler = engine.server.scheduler
    scheduler.contested = lambda _: True  # type: ignore[method-assign]
    try:
        yield
    finally:
        del scheduler.contested  # type: ignore[misc]


def test_a_crash_costs_one_request(engines: list[LlamaCppEngine], alone: list[str]) -> None:
    server = engines[0].server
    before = server.children.restarts
    stream = engines[2].stream(HELLO, Sampling(200, ignore_end=True))
    with in_turns(engines[2]):
        next(stream)
        with dying(server.child().pid, signal.SIGSEGV), pytest.raises(EngineCrashed, match="signal 11"):
            list(stream)
    assert text(engines[2]) == alone[2]
    assert server.children.restarts == before + 1


def test_a_closed_engine_says_so(tiny: Path) -> None:
    engine = LlamaCppEngine.open(tiny, context=64, threading_choice=ONE)
    pid = engine.server.child().pid
    engine.close()
    with pytest.raises(EngineCrashed, match="closed"):
        engine.count_tokens("a")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_nul_characters_and_wrong_files_are_refused(tiny: Path, adapters: list[Path], tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="adapter"):
        LlamaServer(adapters[0])
    with pytest.raises(FileRefused, match="no LoRA"):
        LlamaServer(tiny, [tiny])
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(tiny.read_bytes()[:-1000])
    with pytest.raises(FileRefused, match=r"cut\.gguf"):
        LlamaServer(cut)


LOOP = "{% for n in range(100000) %}" * 3 + "x" + "{% endfor %}" * 3
BOMBS = {
    "with tools": "{% if tools %}" + LOOP + "{% endif %}{{ messages[0].content }}",
    "after an answer": "{% for m in messages %}{% if m.role == 'assistant' %}" + LOOP + "{% endif %}{% endfor %}",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_template_bomb_is_named_before_llamacpp_renders_it(
    tiny: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What llama.cpp renders while it loads a file nobody could stop, short of ending the process after a minute."""
    from engines.gguf_format.writer import GgufSource, write_model

    monkeypatch.setattr(templates, "TEMPLATE_SECONDS", 1.0)
    bomb = tmp_path / "bomb.gguf"
    write_model(bomb, GgufSource(tiny), "gguf-f16", template=BOMBS[name])
    with pytest.raises(FileRefused, match=r"bomb\.gguf: The chat template takes more than 1 s") as told:
        LlamaServer(bomb, context=64, threading_choice=ONE)
    assert "\n" not in str(told.value)


def test_a_template_bomb_of_one_conversation_ends_its_engine_not_ours(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engines.gguf_format.writer import GgufSource, write_model

    monkeypatch.setattr(llamacpp_engine, "TEMPLATE_SECONDS", 1.0)
    bomb = tmp_path / "bomb.gguf"
    template = "{{ messages[0].content }}{% if messages[0].content == 'boom' %}" + LOOP + "{% endif %}"
    write_model(bomb, GgufSource(tiny), "gguf-f16", template=template)
    engine = LlamaCppEngine(LlamaServer(bomb, context=64, threading_choice=ONE))
    try:
        assert HELLO[0]["content"] in engine.render(HELLO)
        with pytest.raises(EngineError, match=r"bomb\.gguf did not finish within 1 s"):
            engine.render([{"role": "user", "content": "boom"}])
        assert HELLO[0]["content"] in engine.render(HELLO), "and the next process answers"
    finally:
        engine.close()


def test_a_template_that_refuses_a_conversation_is_none_that_overruns(tiny: Path, tmp_path: Path) -> None:
    from engines.gguf_format.writer import GgufSource, write_model

    picky = tmp_path / "picky.gguf"
    refusing = "{% macro said(m) %}{{ m.content }}{% endmacro %}{% if messages|length > 1 or tools %}"
    refusing += "{{ raise_exception('one turn') }}{% endif %}{{ said(messages[0]) }}"
    write_model(picky, GgufSource(tiny), "gguf-f16", template=refusing)
    engine = LlamaCppEngine(LlamaServer(picky, context=64, threading_choice=ONE))
    try:
        assert HELLO[0]["content"] in engine.render(HELLO[:1])
    finally:
        engine.close()


GPU_BUILD = """
import importlib.util, pathlib, sys, types
place = pathlib.Path(REAL)
spec = importlib.util.spec_from_file_location("xllamacpp", place, submodule_search_locations=[str(place.parent)])
real = importlib.util.module_from_spec(spec)
sys.modules["xllamacpp"] = real
spec.loader.exec_module(real)
own, free = real.get_device_info, iter((9_000_000_000, 8_000_000_000))


def get_device_info():
    gpu = types.SimpleNamespace(name="GGML_BACKEND_DEVICE_TYPE_GPU")
    return [*own(), {"description": "Tesla T4", "type": gpu, "memory_free": next(free)}]


real.get_device_info = get_device_info
"""
"""xllamacpp as a CUDA build shows itself: the real one, with a GPU in its list of devices."""


def test_a_gpu_build_gets_no_bound_on_its_address_space_and_names_its_gpu(tiny: Path, tmp_path: Path) -> None:
    import xllamacpp

    (tmp_path / "xllamacpp.py").write_text(GPU_BUILD.replace("REAL", repr(xllamacpp.__file__)))
    task = {"path": str(tiny), "adapters": [], "context": 64, "slots": 1, "threads": 1, "memory_bytes": 2**33}
    bounds, said = [], []
    for environment in ({}, {"PYTHONPATH": str(tmp_path)}):
        process = ChildProcess("engines.llamacpp.child_main", task, 60, environment)
        limits = Path(f"/proc/{process.pid}/limits").read_text().splitlines()
        bounds.append(next(line for line in limits if line.startswith("Max address space")).split()[3])
        said.append((process.details["device"], process.details["gpu_bytes"]))
        process.stop()
    assert bounds == [str(2**33), "unlimited"]
    assert said == [("CPU", 0), ("Tesla T4", 1_000_000_000)]
