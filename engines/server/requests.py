"""The requests of the OpenAI protocol that `serve` takes, and what it refuses by name instead of ignoring it.

A parameter that is not known here is refused, since it may change the answer; those that change none are `HARMLESS`.
What some engines can do and others cannot (`engines.demands`) is taken here and refused by the engine's own name later.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field, model_validator

from engines.demands import Demands
from engines.interface import Message, Sampling
from engines.server.request_parts import (
    Chosen,
    ResponseFormat,
    StreamOptions,
    Tool,
    Turn,
    is_empty,
    none_is,
    refusal,
)

DEFAULT_TOKENS = 512
"""max_tokens where a request has none."""
MOST_CHOICES = 16
"""`n` at most."""
MOST_PROMPTS = 1024
MOST_TURNS = 10_000
MOST_BIASES = 1024
MOST_VALUES = 1 << 18
"""Values of a request's JSON: what takes longer to read than to send would keep all others waiting."""
DEEPEST = 64
"""Levels of a request's JSON."""

HARMLESS = frozenset((
    "user", "metadata", "store", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "service_tier",
    "prediction", "timings_per_token", "return_progress", "cache_prompt", "return_tokens",
))  # fmt: skip
"""Parameters that change no answer: taken, and not used."""

NEUTRAL: dict[str, tuple[Any, ...]] = {
    "best_of": (1,), "echo": (), "suffix": ("",), "functions": (), "function_call": ("none", "auto"),
    "modalities": (["text"],), "audio": (), "reasoning_effort": ("none",), "verbosity": ("medium",),
    "web_search_options": (), "chat_template_kwargs": (), "add_generation_prompt": (True,),
    "continue_final_message": (), "skip_special_tokens": (True,), "spaces_between_special_tokens": (True,),
    "top_k": (-1,), "min_p": (), "typical_p": (1,), "top_a": (), "repeat_penalty": (1,), "repetition_penalty": (1,),
    "length_penalty": (1,), "mirostat": (), "tfs_z": (1,), "grammar": ("",), "json_schema": (), "guided_json": (),
    "min_tokens": (), "n_keep": (), "options": (), "use_beam_search": (),
}  # fmt: skip
"""What no engine here does, with its neutral values beside None, False, 0 and what is empty: these are taken."""

INSTEAD = {
    "functions": "send tools", "function_call": "send tool_choice", "json_schema": "send response_format",
    "guided_json": "send response_format", "grammar": "send response_format with a JSON schema",
    "max_new_tokens": "send max_tokens", "num_predict": "send max_tokens", "n_predict": "send max_tokens",
    "options": "send temperature, top_p, seed, stop and max_tokens themselves",
}  # fmt: skip
"""What to send for a refused parameter, where there is something."""


def _broken_text(value: Any, place: str = "") -> Iterator[str]:
    """Places of strings that are no text (half of a surrogate pair)."""
    if isinstance(value, str):
        if any("\ud800" <= character <= "\udfff" for character in value):
            yield place
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from _broken_text(name, f"{place}.(a name)".lstrip("."))
            yield from _broken_text(one, f"{place}.{name}".lstrip("."))
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from _broken_text(one, f"{place}.{number}".lstrip("."))


def _depth(value: Any) -> int:
    """Levels of a JSON value, counted to one more than is taken. Raises: PydanticCustomError for too many values."""
    level, depth, count = [value], 0, 0
    while level and depth <= DEEPEST:
        count += sum(len(one) for one in level if isinstance(one, dict | list))
        if count > MOST_VALUES:
            raise refusal("invalid_value", f"The request holds more than {MOST_VALUES} values.", "")
        lists = [one for one in level if isinstance(one, list)]
        lists += [list(one.values()) for one in level if isinstance(one, dict)]
        level = [one for values in lists for one in values if isinstance(one, dict | list)]
        depth += 1
    return depth


class _Body(BaseModel):
    """A request's JSON object: text that is text, and no parameter that is not known."""

    model_config = ConfigDict(frozen=True, extra="allow")

    @model_validator(mode="before")
    @classmethod
    def _text(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value  # it is no JSON object, which is told by whoever expects one
        if _depth(value) > DEEPEST:
            deep = next((str(name)[:60] for name, one in value.items() if _depth(one) >= DEEPEST), "body")
            raise refusal("invalid_value", f"{deep!a} is nested more than {DEEPEST} deep.", ascii(deep)[1:-1])
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            place = next(_broken_text(value), "").encode("ascii", "backslashreplace").decode()[:200]
            said = f"{place}: holds half of a surrogate pair, which is no character."
            raise refusal("invalid_value", said, place) from None
        return value

    @model_validator(mode="after")
    def _known(self) -> Self:
        for name, value in (self.model_extra or {}).items():
            if name in HARMLESS or value is None:
                continue
            hint = f": {INSTEAD[name]}" if name in INSTEAD else ""
            if name not in NEUTRAL:
                raise refusal("unknown_parameter", f"{name[:60]!r} is not known here{hint}.", name[:60])
            if not (is_empty(value) or value in NEUTRAL[name]):
                raise refusal("unsupported_parameter", f"{name} is not supported here{hint}.", name)
        return self


def _few(value: Any) -> Any:
    """A bias that is looked at. Raises: PydanticCustomError for one of too many tokens."""
    if isinstance(value, dict) and len(value) > MOST_BIASES:
        raise refusal("invalid_value", f"logit_bias names {len(value)} tokens; at most {MOST_BIASES}.", "logit_bias")
    return {} if value is None else value


Bias = Annotated[dict[Annotated[int, Field(ge=0)], Annotated[float, Field(ge=-100, le=100)]], BeforeValidator(_few)]
Penalty = Annotated[float, Field(ge=-2, le=2), none_is(0.0)]
Turns = Annotated[list[Turn], Field(min_length=1, max_length=MOST_TURNS), FailFast()]


class _SamplingRequest(_Body):
    """What both kinds of request share. Defaults are the protocol's."""

    model: str
    """A model's name in the store, one that it had, or its id."""
    max_tokens: Annotated[int, Field(ge=1, le=1 << 20)] | None = None
    """Tokens of an answer at most; 512 without it."""
    max_completion_tokens: Annotated[int, Field(ge=1, le=1 << 20)] | None = None
    """The newer name of max_tokens; it goes before it."""
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    """0 is greedy; 1 without it."""
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    """The likeliest tokens that have this share together are drawn from; 1 without it."""
    seed: int | None = None
    """Repeats an answer; of `n` answers each next one has the next seed."""
    stop: str | Annotated[list[str], Field(max_length=64)] | None = None
    """Texts before which an answer ends."""
    n: Annotated[int, Field(ge=1, le=MOST_CHOICES), none_is(1)] = 1
    """Answers to each prompt."""
    stream: Annotated[bool, none_is(False)] = False
    """Whether tokens are sent as they come, as server-sent events."""
    stream_options: StreamOptions | None = None
    """`include_usage`: a last chunk with the tokens that were used."""
    logit_bias: Bias = {}
    """Token id → what is added to its logit. llama.cpp and endpoints."""
    presence_penalty: Penalty = 0.0
    """Taken from the logit of each token that the answer has. llama.cpp and endpoints."""
    frequency_penalty: Penalty = 0.0
    """The same for each time that the answer has it. llama.cpp and endpoints."""
    ignore_eos: Annotated[bool, none_is(False)] = False
    """Go on past the end of the turn, to max_tokens: beyond the protocol, as vLLM and llama-server have it."""

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with its usage."""
        return bool(self.stream_options and self.stream_options.include_usage)

    def given(self) -> dict[str, Any]:
        """The parameters that the request names, by name."""
        return {name: getattr(self, name) for name in self.model_fields_set}

    def sampling(self, number: int = 0) -> Sampling:
        """The sampling parameters of the answer with this number, as the engines have them."""
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        return Sampling(
            max_tokens=self.max_completion_tokens or self.max_tokens or DEFAULT_TOKENS,
            temperature=1.0 if self.temperature is None else self.temperature,
            top_p=1.0 if self.top_p is None else self.top_p,
            seed=None if self.seed is None else (self.seed + number) % (1 << 32),
            stop=stop,
            ignore_end=self.ignore_eos,
        )


class ChatRequest(_SamplingRequest):
    """POST /v1/chat/completions."""

    messages: Turns
    """The conversation: `role` and `content`, text or text parts; tool calls and their results."""
    response_format: ResponseFormat | None = None
    """`json_object`, or `json_schema` with a schema. llama.cpp and endpoints."""
    tools: Annotated[list[Tool], Field(max_length=128), FailFast(), none_is([])] = []
    """Functions that the model may call. llama.cpp, where the template writes calls as JSON, and endpoints."""
    tool_choice: Literal["none", "auto", "required", "any"] | Chosen | None = None
    """Whether one of them is called; a function's name: that one."""
    parallel_tool_calls: bool | None = None
    """false: one call in an answer."""
    logprobs: Annotated[bool, none_is(False)] = False
    """Log-probabilities (nats) of the answer's tokens. llama.cpp and endpoints."""
    top_logprobs: Annotated[int, Field(ge=0, le=20), none_is(0)] = 0
    """So many of the likeliest tokens beside each."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        names = {tool.function.name for tool in self.tools}
        if isinstance(self.tool_choice, Chosen) and self.tool_choice.function.name not in names:
            raise refusal("invalid_value", "tool_choice names a function that is not among the tools.", "tool_choice")
        if self.tool_choice in ("required", "any") and not names:
            raise refusal("invalid_value", "tool_choice asks for a call, and there are no tools.", "tool_choice")
        if self.top_logprobs and not self.logprobs:
            raise refusal("invalid_value", "top_logprobs needs logprobs: true.", "top_logprobs")
        return self

    def turns(self) -> list[Message]:
        """The conversation."""
        return [turn.message() for turn in self.messages]

    def notes(self) -> list[str]:
        """What of the request is taken and shown to no model, a sentence each."""
        schema = self.response_format.json_schema if self.response_format else None
        described = schema is not None and bool(schema.description)
        return ["The description of response_format is not shown to the model."] if described else []

    def demands(self) -> Demands:
        """What is asked beyond sampling. tool_choice "none": the model is not shown the tools."""
        chosen = self.tool_choice.function.name if isinstance(self.tool_choice, Chosen) else self.tool_choice or "auto"
        shown = () if chosen == "none" else tuple(tool.shown() for tool in self.tools)
        return Demands(
            schema=self.response_format.schema_of() if self.response_format else None,
            tools=shown,
            tool_choice="required" if chosen == "any" else chosen if shown else "auto",
            parallel=self.parallel_tool_calls is not False,
            logprobs=self.top_logprobs if self.logprobs else None,
            logit_bias=self.logit_bias,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
        )


def _texts(value: Any) -> Any:
    """Prompts. Raises: PydanticCustomError for token ids."""
    if isinstance(value, list) and value and all(isinstance(one, int | list) for one in value):
        raise refusal("invalid_type", "Token ids are not taken as a prompt: send text.", "prompt")
    return [value] if isinstance(value, str) else value


class CompletionRequest(_SamplingRequest):
    """POST /v1/completions."""

    prompt: Annotated[list[str], Field(min_length=1, max_length=MOST_PROMPTS), FailFast(), BeforeValidator(_texts)]
    """A text or several, with no chat template around them; token ids are not taken."""
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    """Log-probabilities of the answer's tokens, beside each so many of the likeliest."""

    @model_validator(mode="after")
    def _few(self) -> Self:
        if len(self.prompt) * self.n > MOST_PROMPTS:
            raise refusal("invalid_value", f"n times the prompts are more than {MOST_PROMPTS} answers.", "n")
        return self

    def demands(self) -> Demands:
        """What is asked beyond sampling."""
        return Demands(
            logprobs=self.logprobs,
            logit_bias=self.logit_bias,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
        )


class TemplateRequest(_Body):
    """POST /apply-template: the prompt that a conversation becomes."""

    model: str
    """A model's name."""
    messages: Turns
    """The conversation."""

    def turns(self) -> list[Message]:
        """The conversation."""
        return [turn.message() for turn in self.messages]


class TokenizeRequest(_Body):
    """POST /tokenize, with the names of llama-server (`content`) or vLLM (`prompt`)."""

    model: str
    """A model's name."""
    content: str | None = None
    """The text."""
    prompt: str | None = None
    """The text, as vLLM calls it."""
    add_special: bool | None = None
    """Whether the tokens that begin a prompt are added."""
    add_special_tokens: bool | None = None
    """The same, as vLLM calls it."""
    parse_special: Annotated[bool, none_is(True)] = True
    """Whether names of special tokens in the text become those tokens."""

    @model_validator(mode="after")
    def _given(self) -> Self:
        if self.content is None and self.prompt is None:
            raise refusal("missing_required_parameter", "content is missing: the text to tokenize.", "content")
        return self

    @property
    def text(self) -> str:
        """What is tokenized."""
        return self.prompt or "" if self.content is None else self.content

    @property
    def special(self) -> bool:
        """Whether the tokens that begin a prompt are added."""
        return bool(self.add_special or self.add_special_tokens)


class DetokenizeRequest(_Body):
    """POST /detokenize: the text of token ids."""

    model: str
    """A model's name."""
    tokens: Annotated[list[Annotated[int, Field(ge=0, lt=1 << 31)]], Field(max_length=1 << 17), FailFast()]
    """Token ids."""
