"""The requests of the OpenAI protocol that `serve` takes, and what it refuses by name instead of ignoring it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from engines.interface import Message, Sampling

DEFAULT_TOKENS = 512
"""max_tokens where a request has none."""

REFUSED: dict[str, tuple[Any, ...]] = {
    "tools": (), "functions": (), "logprobs": (), "top_logprobs": (), "logit_bias": (), "best_of": (1,), "n": (1,),
    "echo": (), "suffix": ("",), "presence_penalty": (), "frequency_penalty": (),
    "response_format": ({"type": "text"},),
    "top_k": (-1,), "min_p": (), "typical_p": (1,), "repeat_penalty": (1,), "repetition_penalty": (1,), "mirostat": (),
    "grammar": ("",), "json_schema": (), "min_tokens": (),
}  # fmt: skip
"""What no engine here does, with its harmless values beside None, False, 0 and what is empty: sampling is temperature,
top_p and seed, the same on every engine."""


class TextPart(BaseModel, frozen=True, extra="ignore"):
    """One part of a message's content; text is the only kind."""

    type: Literal["text"]
    text: str


class Turn(BaseModel, frozen=True, extra="ignore"):
    """One message."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart] | None = ""

    def message(self) -> Message:
        """The message as the engines have it."""
        content = self.content or ""
        text = content if isinstance(content, str) else "".join(part.text for part in content)
        return {"role": "system" if self.role == "developer" else self.role, "content": text}


class StreamOptions(BaseModel, frozen=True, extra="ignore"):
    """Options of a streamed answer."""

    include_usage: bool = False


class _SamplingRequest(BaseModel):
    """What both kinds of request share. Defaults are the protocol's."""

    model_config = ConfigDict(frozen=True, extra="allow")

    model: str
    max_tokens: Annotated[int, Field(ge=1, le=1 << 20)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1, le=1 << 20)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    ignore_eos: bool = False
    """Beyond the protocol, as vLLM and llama-server have it."""

    @model_validator(mode="after")
    def _refuse(self) -> _SamplingRequest:
        given = [name for name, value in (self.model_extra or {}).items()
                 if name in REFUSED and value not in (None, False, [], {}, *REFUSED[name])]  # fmt: skip
        if given:
            raise ValueError(f"not supported here: {', '.join(sorted(given))}")
        return self

    def sampling(self) -> Sampling:
        """The sampling parameters as the engines have them."""
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        return Sampling(
            max_tokens=self.max_completion_tokens or self.max_tokens or DEFAULT_TOKENS,
            temperature=1.0 if self.temperature is None else self.temperature,
            top_p=1.0 if self.top_p is None else self.top_p,
            seed=None if self.seed is None else self.seed % (1 << 32),
            stop=stop,
            ignore_end=self.ignore_eos,
        )


class ChatRequest(_SamplingRequest):
    """POST /v1/chat/completions."""

    messages: Annotated[list[Turn], Field(min_length=1)]

    def turns(self) -> list[Message]:
        """The conversation."""
        return [turn.message() for turn in self.messages]


class CompletionRequest(_SamplingRequest):
    """POST /v1/completions. Several prompts only without streaming."""

    prompt: str | Annotated[list[str], Field(min_length=1, max_length=1024)]

    @model_validator(mode="after")
    def _one_stream(self) -> CompletionRequest:
        if self.stream and not isinstance(self.prompt, str):
            raise ValueError("several prompts cannot be streamed; send stream: false")
        return self


class TemplateRequest(BaseModel, frozen=True, extra="ignore"):
    """POST /apply-template."""

    model: str
    messages: Annotated[list[Turn], Field(min_length=1)]

    def turns(self) -> list[Message]:
        """The conversation."""
        return [turn.message() for turn in self.messages]


class TokenizeRequest(BaseModel, frozen=True, extra="ignore"):
    """POST /tokenize."""

    model: str
    content: str


def error_body(message: str, status: int) -> dict[str, Any]:
    """The protocol's error object."""
    kind = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error"}
    return {"error": {"message": message, "type": kind.get(status, "server_error"), "code": status, "param": None}}
