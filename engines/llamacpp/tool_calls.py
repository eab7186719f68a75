"""How a model's chat template writes the calls of tools, learned from the template, and such calls read from answers.

The template is given a conversation in which a function of an unmistakable name was called. What stands before the name
and between it and its arguments is how the model was taught to write calls. Read are calls that are a JSON object with
the name and the arguments (Hermes, Qwen, Llama 3, Mistral, Granite); any other way is refused by name.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from engines.demands import Demands, ToolCall
from engines.errors import EngineError
from engines.interface import AnswerStream, Chunk, FinishReason, Message
from engines.stops import StopFilter

NAME, KEY, VALUE, QUESTION, RESULT = "qvcname", "qvckey", "qvcvalue", "qvcquestion", "qvcresult"
"""Words that no template holds."""
OPENING = re.compile(r'"(?P<key>\w+)"\s*:\s*"\Z')
BETWEEN = re.compile(r'"\s*,\s*"(?P<key>\w+)"\s*:\s*')

Render = Callable[[Sequence[Message], Sequence[Mapping[str, Any]]], str]


@dataclass(frozen=True)
class CallStyle:
    """How calls are written."""

    opening: str
    """What stands between the beginning of an answer and the function's name."""
    between: str
    """What stands between the name and the arguments."""
    name_key: str
    arguments_key: str

    @property
    def marker(self) -> str:
        """What a call begins with in an answer."""
        return re.split(r"[\[{]\s*[\"{]", self.opening)[0].strip() or "{"


def learned(render: Render) -> CallStyle:
    """How calls are written. Raises: EngineError, saying why there is none that is read here."""
    properties = {KEY: {"type": "string", "description": "a word"}}
    tool = {
        "type": "function",
        "function": {
            "name": NAME, "description": "a function", "parameters": {"type": "object", "properties": properties},
        },
    }  # fmt: skip
    question: Message = {"role": "user", "content": QUESTION}
    call = {"id": "qvccall01", "type": "function", "function": {"name": NAME, "arguments": json.dumps({KEY: VALUE})}}
    made: Message = {"role": "assistant", "content": "", "tool_calls": [call]}
    result: Message = {"role": "tool", "content": RESULT, "tool_call_id": "qvccall01"}
    shown = render([question], [tool])
    if NAME not in shown:
        raise EngineError("it does not show them to the model.")
    called = render([question, made, result], [tool])
    if RESULT not in called:
        raise EngineError("it does not show the model what a tool answered.")
    begin = shown if called.startswith(shown) else shown.rstrip()
    if not called.startswith(begin):
        raise EngineError("a conversation with a call does not begin as one without.")
    return _between(called[len(begin) :].removeprefix(shown[len(begin) :]))


def _between(written: str) -> CallStyle:
    """How a call was written."""
    name, key = written.find(NAME), written.find(f'"{KEY}"')
    if not 0 <= name < key:
        raise EngineError("the way in which it writes calls is not read here.")
    begin = written.rindex("{", 0, key)
    opening, between = written[:name], written[name + len(NAME) : begin]
    keys = OPENING.search(opening), BETWEEN.fullmatch(between)
    if keys[0] is None or keys[1] is None:
        raise EngineError("the way in which it writes calls is not read here.")
    return CallStyle(opening, between, keys[0]["key"], keys[1]["key"])


def calls_in(text: str, style: CallStyle, names: Sequence[str]) -> list[tuple[str, str]]:
    """(name, arguments) of the calls that a text is made of; none where one of them is not of these functions."""
    found, at, decoder = [], 0, json.JSONDecoder()
    while (at := text.find("{", at)) >= 0:
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return []
        arguments = value.get(style.arguments_key)
        if value.get(style.name_key) not in names or not isinstance(arguments, dict):
            return []
        found.append((str(value[style.name_key]), json.dumps(arguments, ensure_ascii=False)))
    return found


def _call(number: int, name: str, arguments: str) -> ToolCall:
    made: ToolCall = {
        "id": f"call_{secrets.token_hex(12)}",
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }
    made["index"] = number
    return made


class Underlying(AnswerStream, Protocol):
    """The answer in which calls are read: an `engines.llamacpp.stream.LlamaStream`."""

    on_wait: Callable[[int], None] | None

    @property
    def waited_seconds(self) -> float:
        """Seconds until a slot was free."""
        ...

    @property
    def tokens(self) -> int:
        """Tokens of the answer so far."""
        ...

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the prompt, once it is tokenized."""
        ...


class _Reading(Iterator[Chunk]):
    """An answer of llama.cpp in which calls are read. Iterate it once; `close` from any thread stops it."""

    def __init__(self, stream: Underlying, style: CallStyle) -> None:
        self._stream = stream
        self._form = style
        self._pieces = self._read()

    def __iter__(self) -> _Reading:
        return self

    def __next__(self) -> Chunk:
        return next(self._pieces)

    def close(self) -> None:
        """Stop the generation."""
        self._stream.close()

    @property
    def tokens(self) -> int:
        """Tokens of the answer so far."""
        return self._stream.tokens

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the prompt, once it is tokenized."""
        return self._stream.prompt_tokens

    @property
    def waited_seconds(self) -> float:
        """Seconds until a slot was free."""
        return self._stream.waited_seconds

    @property
    def on_wait(self) -> Callable[[int], None] | None:
        """Called with the place in the queue while no slot is free."""
        return self._stream.on_wait

    @on_wait.setter
    def on_wait(self, told: Callable[[int], None] | None) -> None:
        self._stream.on_wait = told

    def _read(self) -> Iterator[Chunk]:
        raise NotImplementedError


class ForcedCall(_Reading):
    """An answer that a grammar holds to one call, from the function's name on."""

    def _read(self) -> Iterator[Chunk]:
        text, notes, finish = "", "", None
        chances: list[Any] = []
        for chunk in self._stream:
            text, notes = text + chunk.text, f"{notes} {chunk.note}".strip()
            finish = chunk.finish_reason or finish
            chances += chunk.chances
        if finish is None:
            return
        name, _, arguments = text.partition(self._form.between)
        ended: FinishReason = "tool_calls" if finish == "stop" else finish
        yield Chunk("", 0, ended, notes, tuple(chances), (_call(0, name, arguments),))


class ToolStream(_Reading):
    """An answer in which the model may call tools; what is written like a call and is none stays text.

    Where a function is strict, a call is generated anew from where it began, held to the functions' schemas.
    """

    def __init__(
        self,
        stream: Underlying,
        style: CallStyle,
        demands: Demands,
        held: Callable[[str, int], ForcedCall] | None = None,
    ) -> None:
        """`held`: what begins a held call after a text and so many tokens; None: no function is strict."""
        super().__init__(stream, style)
        self._names = [str(tool["function"]["name"]) for tool in demands.tools]
        self._parallel = demands.parallel
        self._held = held
        self._before = 0
        self._closed = False

    @property
    def tokens(self) -> int:
        """Tokens of the answer so far, of a call that was generated anew too."""
        return self._before + self._stream.tokens

    def close(self) -> None:
        """Stop the generation."""
        self._closed = True
        super().close()

    def _read(self) -> Iterator[Chunk]:
        filtered, whole, shown, note = StopFilter([self._form.marker]), "", 0, ""
        for chunk in self._stream:
            whole += chunk.text
            text = filtered.feed(chunk.text)
            shown += len(text)
            sure = filtered.stopped and self._form.marker != "{"  # else it may be text yet
            if chunk.finish_reason is None and not (sure and self._held):
                if text or chunk.chances or chunk.note:
                    yield Chunk(text, chunk.tokens, None, chunk.note, chunk.chances)
                continue
            rest = whole[shown:]
            body = rest.removeprefix(self._form.marker) if self._form.marker != "{" else rest
            found = calls_in(body, self._form, self._names) if filtered.stopped else []
            if self._held and (sure or found):
                yield Chunk(text, chunk.tokens, None, chunk.note, chunk.chances)
                yield from self._again(whole[:shown], self._held)
                return
            if not self._parallel and len(found) > 1:
                note, found = f"{len(found) - 1} further calls were left out: parallel_tool_calls is false.", found[:1]
            calls = tuple(_call(number, *one) for number, one in enumerate(found))
            told = f"{chunk.note} {note}".strip()
            ended = chunk.finish_reason or "stop"
            if calls:
                ended = "tool_calls" if ended == "stop" else ended
                yield Chunk(text, chunk.tokens, ended, told, chunk.chances, calls)
            else:
                yield Chunk(text + rest, chunk.tokens, ended, told, chunk.chances)

    def _again(self, said: str, held: Callable[[str, int], ForcedCall]) -> Iterator[Chunk]:
        """The call that follows a text, held to the schemas."""
        self._stream.close()
        self._before = self._stream.tokens
        self._stream = stream = held(said, self._before)
        if self._closed:  # whoever did so did not find this stream yet
            stream.close()
        yield Chunk("", 0, None, STRICT_NOTE)
        yield from stream


STRICT_NOTE = "A strict function was called: the call is held to its schema, and is the only one of this answer."
