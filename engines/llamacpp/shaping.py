"""What `engines.demands` asks, in llama.cpp's words: grammars that are proven to bind, biases, penalties, tools.

llama.cpp answers without any grammar, and without a word, where it cannot compile one. So each is proven before it is
used: a token that it forbids is forced, and must not come. Not here: which calls a template writes (`tool_calls`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from engines.demands import Demands
from engines.errors import EngineError
from engines.interface import AnswerStream, Message, Sampling
from engines.llamacpp.stream import Answerer, LlamaStream, Server
from engines.llamacpp.tool_calls import CallStyle, ForcedCall, ToolStream, learned

MOST_NODES = 4000
"""Values in a schema."""
MOST_REPEATS = 2000
"""Items, characters or properties that a schema may count to: llama.cpp's library ends its process at millions."""
LONGEST_PATTERN = 400
COUNTED = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
FORMATS = frozenset((
    "date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri",
))  # fmt: skip
"""Formats that hold; any other would be passed over in silence."""
UNKNOWN = frozenset((
    "not", "if", "then", "else", "uniqueItems", "contains", "minContains", "maxContains", "dependentRequired",
    "dependentSchemas", "propertyNames", "unevaluatedProperties", "unevaluatedItems", "$dynamicRef", "$recursiveRef",
))  # fmt: skip
"""Keywords that no grammar here holds an answer to."""
REMEMBERED = 256
"""Grammars that a process is known to bind or not; then it is found out anew."""
GUIDANCE = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""JSON on one line: where white space is free, small models write it until their answer is cut off."""
PENALTY_NOTE = "Penalties count the prompt's tokens, too: llama.cpp's do."
FORBIDDEN = ")"
"""Begins no JSON and no function's name."""


class LearningServer(Server, Protocol):
    """The process: an `engines.llamacpp.server_process.LlamaServer`."""

    path: Path
    learned: dict[str, Any]
    """What was found out by trying."""

    def call(self, path: str, body: Any) -> Any:
        """POST, and the JSON of the answer."""
        ...


class ShapedAnswerer(Answerer, Protocol):
    """The engine whose answers are shaped: an `engines.llamacpp.engine.LlamaCppEngine`."""

    @property
    def server(self) -> LearningServer:
        """Shared by all engines over one base."""
        ...

    def text_of(self, ids: Sequence[int]) -> str:
        """The text of these token ids. Raises: EngineError if there is none of an id."""
        ...

    def render(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()) -> str:
        """The prompt text of a conversation."""
        ...

    def fit(self, messages: Sequence[Message], max_tokens: int) -> tuple[list[int], str]:
        """(token ids, note) of a conversation, within the context."""
        ...

    def fitted(self, prompt: str) -> tuple[list[int], str]:
        """(token ids, "") of a raw prompt. Raises: EngineError if it is longer than the context."""
        ...


def answered(
    engine: ShapedAnswerer, asked: Sequence[Message] | str, sampling: Sampling, demands: Demands
) -> AnswerStream:
    """The answer as demanded. Raises: EngineError, naming the parameter, before anything is generated."""
    shape, note = _settings(engine, demands), ""
    if demands.presence_penalty or demands.frequency_penalty:
        note = PENALTY_NOTE
    if demands.schema is not None:
        _alone(demands, sampling)
        shape["grammar"] = proven(engine, json_grammar(demands.schema, "response_format"), "response_format")
    if isinstance(asked, str):
        return LlamaStream(engine, _noted(lambda: engine.fitted(asked), note), sampling, shape)
    if not demands.tools and not any(one["role"] == "tool" or one.get("tool_calls") for one in asked):
        return LlamaStream(engine, _noted(lambda: engine.fit(asked, sampling.max_tokens), note), sampling, shape)
    style = _style(engine)
    if not demands.tools or demands.tool_choice == "auto":
        shape["preserved_tokens"] = [style.marker]
        prepare = _noted(lambda: engine.fitted(engine.render(asked, demands.tools)), note)
        stream = LlamaStream(engine, prepare, sampling, shape)
        if not demands.tools:
            return stream
        return ToolStream(stream, style, demands, _held(engine, asked, sampling, demands, shape))
    _alone(demands, sampling, "tool_choice")
    chosen = [tool for tool in demands.tools if demands.tool_choice in ("required", tool["function"]["name"])]
    shape["grammar"] = proven(engine, _call_grammar(chosen, style), "tools")
    prepare = _noted(lambda: engine.fitted(engine.render(asked, demands.tools) + style.opening), note)
    return ForcedCall(LlamaStream(engine, prepare, sampling, shape), style)


def _held(
    engine: ShapedAnswerer,
    asked: Sequence[Message],
    sampling: Sampling,
    demands: Demands,
    shape: Mapping[str, Any],
) -> Callable[[str, int], ForcedCall] | None:
    """What begins a call that is held to its schema, after a text and so many tokens; None: no function is strict.

    Raises: EngineError where llama.cpp cannot hold a call to the schemas.
    """
    if not any(tool["function"].get("strict") for tool in demands.tools):
        return None
    _alone(demands, sampling, "tools")
    style = _style(engine)
    grammar = proven(engine, _call_grammar(demands.tools, style), "tools")

    def begin(said: str, tokens: int) -> ForcedCall:
        rest = replace(sampling, max_tokens=max(1, sampling.max_tokens - tokens))
        prompt = engine.render(asked, demands.tools) + said + style.opening
        stream = LlamaStream(engine, lambda: engine.fitted(prompt), rest, {**shape, "grammar": grammar})
        return ForcedCall(stream, style)

    return begin


def _noted(prepare: Callable[[], tuple[list[int], str]], note: str) -> Callable[[], tuple[list[int], str]]:
    def prepared() -> tuple[list[int], str]:
        ids, said = prepare()
        return ids, f"{said} {note}".strip()

    return prepared


def _alone(demands: Demands, sampling: Sampling, name: str = "response_format") -> None:
    """Raise EngineError where a style of the answer meets what cannot be had with it."""
    if sampling.ignore_end:
        raise _refused(f"{name} and ignore_eos cannot be had together.", name)
    if demands.schema is not None and demands.tools:
        raise _refused("response_format and tools cannot be had together here: send one of them.", "response_format")


def _refused(said: str, parameter: str) -> EngineError:
    return EngineError(said, code="unsupported_parameter", parameter=parameter)


def _settings(engine: ShapedAnswerer, demands: Demands) -> dict[str, Any]:
    """llama.cpp's settings for what needs no grammar."""
    made: dict[str, Any] = {}
    if demands.logprobs is not None:
        made["n_probs"] = demands.logprobs
    if demands.logit_bias:
        engine.text_of(list(demands.logit_bias))  # raises for an id that there is not
        made["logit_bias"] = [[one, False if bias <= -100 else bias] for one, bias in demands.logit_bias.items()]
    if demands.presence_penalty or demands.frequency_penalty:
        made |= {
            "presence_penalty": demands.presence_penalty, "frequency_penalty": demands.frequency_penalty,
            "repeat_last_n": engine.server.context, "samplers": ["penalties"],
        }  # fmt: skip
    return made


def json_grammar(schema: Mapping[str, Any], parameter: str) -> str:
    """The grammar of the JSON texts that match a schema. Raises: EngineError for one that is too large."""
    return f"%llguidance {{}}\nstart: {_json(schema, parameter)}\n"


def _json(schema: Mapping[str, Any], parameter: str) -> str:
    checked(schema, parameter)
    return f"%json {json.dumps({**schema, 'x-guidance': GUIDANCE})}"


def _call_grammar(tools: Sequence[Mapping[str, Any]], style: CallStyle) -> str:
    """The grammar of one call, from the function's name to the end of its arguments."""
    rules = []
    for tool in tools:
        function = tool["function"]
        parameters = {"type": "object", **(function.get("parameters") or {})}
        rules.append(f"{json.dumps(function['name'] + style.between)} {_json(parameters, 'tools')}")
    names = [f"call{number}" for number in range(len(rules))]
    lines = [f"start: {' | '.join(names)}", *(f"{name}: {rule}" for name, rule in zip(names, rules, strict=True))]
    return "%llguidance {}\n" + "\n".join(lines) + "\n"


def checked(schema: Mapping[str, Any], parameter: str) -> None:
    """Raise EngineError for a schema that is too large, or says what no grammar holds an answer to."""
    for number, (name, value) in enumerate(_nodes(schema)):
        if number > MOST_NODES:
            raise _refused(f"The schema of {parameter} has more than {MOST_NODES} values.", parameter)
        if name in COUNTED and isinstance(value, int | float) and value > MOST_REPEATS:
            raise _refused(f"{name} is {value:.9g} in the schema of {parameter}; at most {MOST_REPEATS}.", parameter)
        if name == "pattern" and isinstance(value, str) and (len(value) > LONGEST_PATTERN or _repeats(value)):
            raise _refused(f"The pattern {value[:40]!r} in the schema of {parameter} is too large.", parameter)
        if name == "format" and isinstance(value, str) and value not in FORMATS:
            raise _refused(
                f"The format {value[:40]!r} is not held here: one of {', '.join(sorted(FORMATS))}.", parameter
            )


def _repeats(pattern: str) -> bool:
    """Whether a pattern counts further than `MOST_REPEATS`, alone or by brackets in brackets."""
    product = 1
    for part in pattern.split("{")[1:]:
        counts = [int(one) for one in part.split("}")[0].split(",") if one.isascii() and one.isdigit() and len(one) < 9]
        long = any(len(one) >= 9 and one.isdigit() for one in part.split("}")[0].split(","))
        product *= max([1, *counts, *([MOST_REPEATS + 1] if long else [])])
    return product > MOST_REPEATS


def _nodes(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    yield name, value
    if isinstance(value, Mapping):
        plain = name in ("properties", "$defs", "definitions", "patternProperties")
        for key, one in value.items():
            yield from _nodes(one, "" if plain else key)
    elif isinstance(value, list):
        for one in value:
            yield from _nodes(one)


def proven(engine: ShapedAnswerer, grammar: str, parameter: str) -> str:
    """The grammar, once it is known to bind. Raises: EngineError where llama.cpp cannot compile it."""
    known = engine.server.learned
    if grammar not in known:
        if len(known) >= REMEMBERED:
            known.clear()
        forbidden = engine.ids_of(FORBIDDEN)[-1]
        body = {
            "prompt": engine.ids_of("a"), "n_predict": 1, "temperature": 0, "logit_bias": [[forbidden, 1000.0]],
            "cache_prompt": False, "return_tokens": True, "grammar": grammar,
            "lora": engine.server.scales(engine.adapter),
        }  # fmt: skip
        known[grammar] = engine.server.call("/completion", body)["tokens"] != [forbidden]
    if not known[grammar]:
        why = sorted(word for word in UNKNOWN if f'"{word}"' in grammar)
        named = f"; nothing here knows: {', '.join(why)}" if why else ""
        raise _refused(f"llama.cpp cannot hold an answer to the schema of {parameter}{named}.", parameter)
    return grammar


def _style(engine: ShapedAnswerer) -> CallStyle:
    """How the file's own template writes calls. Raises: EngineError where it has no way to."""
    known = engine.server.learned
    if "call style" not in known:
        try:
            known["call style"] = learned(engine.render)
        except EngineError as problem:
            known["call style"] = str(problem)
    found = known["call style"]
    if isinstance(found, CallStyle):
        return found
    raise _refused(f"The chat template of {engine.server.path.name} takes no tools: {found}", "tools")
