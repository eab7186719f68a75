"""The objects inside a request of the OpenAI protocol: messages, tools, schemas. What they hold and we do not know is
refused by name, as `engines.server.requests` does with parameters; what changes no answer is `harmless`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field, model_validator
from pydantic_core import PydanticCustomError

from engines.interface import Message


def refusal(kind: str, message: str, parameter: str) -> PydanticCustomError:
    """The error of a parameter; `kind` becomes the protocol's error code. Braces in the message stay as they are."""
    return PydanticCustomError("refused", "{said}", {"said": message, "code": kind, "param": parameter})


def is_empty(value: Any) -> bool:
    """Whether a value asks for nothing."""
    return value is None or value is False or value in (0, "", [], {})


def none_is(default: Any) -> BeforeValidator:
    """Clients send null for what they do not set."""
    return BeforeValidator(lambda value: default if value is None else value)


class Inside(BaseModel):
    """An object inside a request."""

    model_config = ConfigDict(frozen=True, extra="allow")
    place: ClassVar[str] = ""
    """The parameter that it belongs to."""
    harmless: ClassVar[frozenset[str]] = frozenset()
    """Keys that change no answer: taken, and not used."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        for name, value in (self.model_extra or {}).items():
            if name not in self.harmless and not is_empty(value):
                raise unsupported(name, self.place)
        return self


def unsupported(name: str, place: str) -> PydanticCustomError:
    """The error of a key inside a parameter."""
    return refusal("unsupported_parameter", f"{name[:60]!r} in {place} is not supported here: leave it out.", place)


NOTES_OF_PARTS = frozenset(("type", "text", "cache_control", "annotations"))
"""Keys of a text part: what is said, and what changes no answer."""


def _parts(value: Any) -> Any:
    """Content as text. Raises: PydanticCustomError for a part that is none."""
    if isinstance(value, str) or value is None:
        return value or ""
    if not isinstance(value, list):
        raise refusal("invalid_type", "content is text, or a list of text parts.", "messages")
    for part in value:
        kind = part.get("type") if isinstance(part, dict) else type(part).__name__
        if kind not in ("text", "input_text") or not isinstance(part.get("text"), str):
            raise refusal("invalid_value", f"Parts of type {str(kind)[:40]!r} are not taken: text only.", "messages")
        if more := [name for name, one in part.items() if name not in NOTES_OF_PARTS and not is_empty(one)]:
            raise unsupported(more[0], "messages")
    return "".join(part["text"] for part in value)


class CalledFunction(Inside):
    """The function of an earlier call."""

    place = "messages"
    name: str
    arguments: str


class Called(Inside):
    """A call that an earlier answer made."""

    place = "messages"
    harmless = frozenset(("index",))
    id: str = ""
    type: Literal["function"] = "function"
    function: CalledFunction

    def shown(self) -> dict[str, Any]:
        """The call as engines have it."""
        return {
            "id": self.id,
            "type": self.type,
            "function": {"name": self.function.name, "arguments": self.function.arguments},
        }


class Turn(Inside):
    """One message."""

    place = "messages"
    harmless = frozenset(("id", "annotations", "weight", "timestamp"))
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Annotated[str, BeforeValidator(_parts)] = ""
    tool_calls: Annotated[list[Called], FailFast(), none_is(())] = []
    tool_call_id: str | None = None
    name: str | None = None
    reasoning_content: str | None = None

    def message(self) -> Message:
        """The message as the engines have it; a name and thoughts are shown by templates that know them."""
        made: Message = {"role": "system" if self.role == "developer" else self.role, "content": self.content}
        if self.tool_calls:
            made["tool_calls"] = [call.shown() for call in self.tool_calls]
        if self.tool_call_id is not None:
            made["tool_call_id"] = self.tool_call_id
        if self.name:
            made["name"] = self.name
        if self.reasoning_content:
            made["reasoning_content"] = self.reasoning_content
        return made


class StreamOptions(Inside):
    """Options of a streamed answer."""

    place = "stream_options"
    harmless = frozenset(("include_obfuscation",))
    include_usage: Annotated[bool, none_is(False)] = False


class JsonSchema(Inside):
    """A schema with the name that the protocol wants."""

    model_config = ConfigDict(populate_by_name=True)
    place = "response_format"
    harmless = frozenset(("name",))
    form: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None
    """Every schema here is held strictly."""
    description: Annotated[str, none_is("")] = ""


class ResponseFormat(Inside):
    """The form of an answer."""

    model_config = ConfigDict(populate_by_name=True)
    place = "response_format"
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None
    form: dict[str, Any] | None = Field(None, alias="schema")
    """llama-server's: a schema beside json_object."""

    @model_validator(mode="after")
    def _given(self) -> Self:
        if self.type == "json_schema" and self.json_schema is None:
            raise refusal("missing_required_parameter", "json_schema.schema is missing.", "response_format")
        if self.type == "text" and (self.json_schema or self.form):
            raise refusal("invalid_value", "response_format has a schema, and its type is text.", "response_format")
        if self.json_schema and self.form:
            raise refusal("invalid_value", "response_format has two schemas: send one.", "response_format")
        return self

    def schema_of(self) -> Mapping[str, Any] | None:
        """The schema that an answer must match; None: none."""
        if self.type == "text":
            return None
        return self.json_schema.form if self.json_schema else self.form or {"type": "object"}


class ToolFunction(Inside):
    """A function that may be called."""

    place = "tools"
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    description: Annotated[str, none_is("")] = ""
    parameters: Annotated[dict[str, Any], none_is({})] = {}
    strict: Annotated[bool, none_is(False)] = False
    """Whether its arguments must match `parameters` where the model itself decides to call it."""


class Tool(Inside):
    """A tool: functions are the only kind."""

    place = "tools"
    harmless = frozenset(("cache_control",))
    type: Literal["function"]
    function: ToolFunction

    def shown(self) -> dict[str, Any]:
        """The tool as the engines have it."""
        one = self.function
        made = {"name": one.name, "description": one.description, "parameters": one.parameters}
        return {"type": self.type, "function": {**made, "strict": True} if one.strict else made}


class ChosenFunction(Inside):
    """The function that is to be called."""

    place = "tool_choice"
    name: str


class Chosen(Inside):
    """The tool that is to be called."""

    place = "tool_choice"
    type: Literal["function"] = "function"
    function: ChosenFunction
