"""Calls of strict functions are held to their schemas where the model itself decides to call."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engines import LlamaCppEngine, Sampling
from engines.demands import Demands
from engines.errors import EngineError
from engines.interface import Chunk
from engines.llamacpp.server_process import LlamaServer, Threading
from engines.llamacpp.tool_calls import STRICT_NOTE, CallStyle, ForcedCall, ToolStream
from tests.engines.server.recorded import HELLO, TOOLS
from tests.engines.server.test_clients import TOOL_TEMPLATE

STRICT = tuple({**tool, "function": {**tool["function"], "strict": True}} for tool in TOOLS)
HERMES = CallStyle('<tool_call>\n{"name": "', '", "arguments": ', "name", "arguments")
LLAMA = CallStyle('{"name": "', '", "parameters": ', "name", "parameters")


class Said:
    """An answer of llama.cpp's that says these pieces: a model that calls a function when a test wants it to."""

    def __init__(self, *pieces: str) -> None:
        self._pieces = pieces
        self.tokens = 0
        self.prompt_tokens, self.waited_seconds = 3, 0.0
        self.closed = False
        self.on_wait: Callable[[int], None] | None = None

    def __iter__(self) -> Iterator[Chunk]:
        for piece in self._pieces:
            if self.closed:
                return
            self.tokens += 1
            yield Chunk(piece, 1)
        self.tokens += 1
        yield Chunk("", 1, "stop")

    __next__ = None  # type: ignore[assignment]

    def close(self) -> None:
        self.closed = True


def answered(style: CallStyle, *pieces: str, strict: bool = True) -> tuple[str, list[Any], list[str], list[Any]]:
    """(text, calls, notes, what was asked of the held call) of an answer of these pieces."""
    asked: list[Any] = []

    def held(said: str, tokens: int) -> ForcedCall:
        asked.append((said, tokens))
        return ForcedCall(Said(f"see{style.between}", '{"sky": "blue", "stars": 3}'), style)  # type: ignore[arg-type]

    stream = ToolStream(Said(*pieces), style, Demands(tools=STRICT), held if strict else None)  # type: ignore[arg-type]
    chunks = list(stream)
    calls = [call["function"] for chunk in chunks for call in chunk.calls]
    assert chunks[-1].finish_reason == ("tool_calls" if calls else "stop")
    return "".join(one.text for one in chunks), calls, [one.note for one in chunks if one.note], asked


HELD = {"name": "see", "arguments": '{"sky": "blue", "stars": 3}'}


def test_a_strict_call_is_generated_anew_from_where_it_began() -> None:
    pieces = ("Let me look.\n", "<tool", "_call>\n", '{"name": "see", ', '"arguments": {"sky": 7}}\n</tool_call>')
    text, calls, notes, asked = answered(HERMES, *pieces)
    assert (text, calls, notes, asked) == ("Let me look.\n", [HELD], [STRICT_NOTE], [("Let me look.\n", 3)])
    text, calls, notes, asked = answered(HERMES, *pieces, strict=False)
    assert calls == [{"name": "see", "arguments": '{"sky": 7}'}] and not notes


def test_a_brace_that_is_no_call_stays_text_and_one_that_is_is_held() -> None:
    assert answered(LLAMA, "A set: ", "{1, 2}")[:2] == ("A set: {1, 2}", [])
    assert answered(LLAMA, '{"name": "see", "parameters": {"sky": 7}}')[1:] == ([HELD], [STRICT_NOTE], [("", 2)])


@pytest.mark.slow
def test_llamacpp_holds_a_strict_call_to_its_schema(tiny: Path, tmp_path: Path) -> None:
    """The mark of a call is made a word that this miniature says by itself."""
    from engines.gguf_format.writer import GgufSource, write_model

    def engine(name: str, mark: str) -> LlamaCppEngine:
        path = tmp_path / name
        write_model(path, GgufSource(tiny), "gguf-f16", template=TOOL_TEMPLATE.replace("<tool_call>", mark))
        return LlamaCppEngine(LlamaServer(path, context=512, threading_choice=Threading(1)))

    plain = engine("plain.gguf", "<tool_call>")
    try:
        for seed in range(100):
            sampling = Sampling(max_tokens=120, temperature=1.0, seed=seed)
            said = "".join(chunk.text for chunk in plain.answer(HELLO, sampling, Demands(tools=(TOOLS[1],))))
            if words := re.findall("(?<=[^A-Za-z])[A-Za-z]{3,}", said):
                break
    finally:
        plain.close()
    word = words[0]
    calling = engine("calling.gguf", word)
    try:
        chunks = list(calling.answer(HELLO, sampling, Demands(tools=STRICT[1:])))
        (call,) = [call for chunk in chunks for call in chunk.calls]
        found = json.loads(call["function"]["arguments"])
        assert found["sky"] in ("blue", "grey") and found["stars"] <= 9
        assert "".join(chunk.text for chunk in chunks) == said[: said.index(word)]
        loose = list(calling.answer(HELLO, sampling, Demands(tools=(TOOLS[1],))))
        assert not any(chunk.calls for chunk in loose) and word in "".join(chunk.text for chunk in loose)
        bad = {"type": "object", "properties": {"a": {"not": {"type": "string"}}}}
        unheld = {"type": "function", "function": {"name": "see", "parameters": bad, "strict": True}}
        with pytest.raises(EngineError, match="cannot hold an answer to the schema of tools"):
            calling.answer(HELLO, sampling, Demands(tools=(unheld,)))
    finally:
        calling.close()
