"""Answers inside other objects: responses of OpenAI's, Anthropic's and Gemini's servers, messages, lists.

{"choices": [{"message": {"content": "…"}, "finish_reason": "stop"}]}      chat completions (text: completions)
{"output": [{"type": "message", "content": [{"text": "…"}]}]}              responses
{"response": {"status_code": 200, "body": {…}}, "error": null}             a line of a batch
{"content": [{"type": "text", "text": "…"}], "stop_reason": "end_turn"}     Anthropic's message
{"result": {"type": "succeeded", "message": {…}}}                          a line of its batches
{"candidates": [{"content": {"parts": [{"text": "…"}]}}]}                  Gemini's response
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

AnswerKind = Literal["completion", "solution"]
"""completion: goes on where the prompt ends. solution: a program that stands by itself."""

ANSWER_FIELDS: dict[str, AnswerKind] = {
    "solution": "solution", "completion": "completion", "solutions": "solution", "completions": "completion",
    "samples": "completion", "response": "completion",
}  # fmt: skip
"""Fields of a row that hold its answers, the one that counts first."""

MODEL_FIELDS = ("model", "model_name", "model_id")
"""Fields that name a row's model."""

PLAIN = ("text", "generated_text", "completion", "solution")
"""Fields of an object that hold a text and nothing of a chat."""


@dataclass(frozen=True)
class AnswerText:
    """One answer's text."""

    text: str
    chat: bool = False
    """Whether a chat model wrote it, so that a program stands somewhere in prose."""
    finish_reason: str = ""
    model: str = ""
    failed: str = ""
    """Why the server gave no answer: its failure, not the model's."""


CUT = ("length", "max_tokens", "MAX_TOKENS")
"""How servers say that an answer was cut off."""


def as_openais(row: Any) -> Any:
    """A line of Anthropic's batches as one of OpenAI's; any other row as it is."""
    if isinstance(row, Mapping) and "custom_id" in row and isinstance(row.get("result"), Mapping):
        return {**{key: value for key, value in row.items() if key != "result"}, "response": row["result"]}
    return row


def named_model(row: Mapping[str, Any]) -> str:
    """Who gave a row's answers, where it says so; else empty."""
    return next((row[name] for name in MODEL_FIELDS if isinstance(row.get(name), str) and row[name].strip()), "")


def answer_texts(value: Any) -> list[AnswerText]:
    """The answers in a value of any known shape, in order. Raises: ValueError where there are none."""
    found = list(_texts(value))
    if not found:
        raise ValueError(f"no text in {str(value)[:60]!r}")
    return found


def _texts(value: Any) -> Iterator[AnswerText]:
    if isinstance(value, str):
        yield AnswerText(value)
    elif isinstance(value, list):
        conversation = bool(value) and all(isinstance(one, Mapping) and "role" in one for one in value)
        for one in value[-1:] if conversation else value:
            yield from _texts(one)
    elif isinstance(value, Mapping):
        yield from _of_object(value)


def _of_object(value: Mapping[str, Any]) -> Iterator[AnswerText]:
    model = str(value.get("model") or value.get("modelVersion") or "")
    error = value.get("error")
    if error or (isinstance(value.get("status_code"), int) and value["status_code"] >= 400):
        told = error.get("message") if isinstance(error, Mapping) else error
        yield AnswerText("", failed=str(told or f"status {value.get('status_code')}")[:300], model=model)
    elif isinstance(value.get("body"), Mapping):
        yield from _of_object(value["body"])
    elif isinstance(value.get("choices"), list):
        for choice in value["choices"]:
            yield _choice(choice, model)
    elif isinstance(value.get("candidates"), list):
        for one in value["candidates"]:
            reason = str(_field(one, "finishReason") or "")
            told = _content(_field(_field(one, "content"), "parts"))
            yield AnswerText(told or "", True, "length" if reason in CUT else reason, model)
    elif isinstance(value.get("output"), list):
        parts = [_content(one.get("content")) for one in value["output"] if isinstance(one, Mapping)]
        cut = _field(value.get("incomplete_details"), "reason") == "max_output_tokens"
        yield AnswerText("".join(part or "" for part in parts), True, "length" if cut else "stop", model)
    elif value.get("type") in ("errored", "expired", "canceled"):
        yield AnswerText("", failed=str(value["type"]), model=model)
    elif isinstance(message := value.get("message"), Mapping):
        yield from _of_object(message) if "stop_reason" in message else [_choice(value, model)]
    elif (text := _content(value.get("content"))) is not None:
        reason = str(value.get("stop_reason") or "")
        yield AnswerText(text, True, "length" if reason in CUT else reason, model)
    elif (plain := next((value[key] for key in PLAIN if isinstance(value.get(key), str)), None)) is not None:
        yield AnswerText(plain, False, str(value.get("finish_reason") or ""), model)


def _choice(choice: Any, model: str) -> AnswerText:
    """A choice of a chat's or of a plain completion."""
    if not isinstance(choice, Mapping):
        raise ValueError(f"a choice is {str(choice)[:60]!r}")
    reason = str(choice.get("finish_reason") or "")
    if isinstance(choice.get("text"), str):
        return AnswerText(choice["text"], False, reason, model)
    message = choice.get("message")
    text = _content(_field(message, "content"))
    return AnswerText(text if text is not None else str(_field(message, "refusal") or ""), True, reason, model)


def _content(content: Any) -> str | None:
    """A message's content: text, or parts of which some are text; None for none."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(str(_field(part, "text") or "") for part in content)
    return None


def _field(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, Mapping) else None
