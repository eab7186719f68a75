"""What a chat template makes of a conversation, and where in it each answer stands.

Templates are rendered whole, as they are at inference. Where an answer starts is found by rendering the turns before
it with the generation prompt: no template needs a generation marker. Where a template reshapes an answer (its thought,
its tool calls), the end is found by rendering the conversation with a mark in the answer's stead. A template that does
not show a part of a row (tools, a thought, the text beside a call) is found out and named: nothing is lost in silence.
Covered by a test for each template family.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from engines import TemplateRefused, rendered
from results.records import Json
from trainer.bases.tokenizer import Tokenizer
from trainer.errors import BaseUnavailable, DataInvalid
from trainer.sources.conversations import Turn

PLAIN_TEMPLATE = (
    "{%- for message in messages %}"
    "{%- if message['role'] == 'system' %}{{ message['content'] + '\n\n' }}"
    "{%- elif message['role'] == 'user' %}{{ '### Instruction:\n' + message['content'] + '\n\n' }}"
    "{%- else %}{{ '### Response:\n' + message['content'] + eos_token + '\n\n' }}{%- endif %}"
    "{%- endfor %}{%- if add_generation_prompt %}{{ '### Response:\n' }}{%- endif %}"
)
"""The template of bases without one: words all models know, since new special tokens would need trained embeddings."""

FIXED_DATE = "26 Jul 2024"
"""Llama 3's template prints today's date, which would change the data's identity overnight; this is its own default."""


MARK = "@@the-answer-stands-here@@"
"""Rendered in an answer's stead; no template changes it."""

TOOLLESS = (
    "The base's chat template does not show {what}: choose a base whose template does (Llama 3.1 or later, Qwen 2.5 or "
    "3), or drop these rows"
)
THOUGHTLESS = (
    "The base's chat template does not show the reasoning: choose a base whose template does (Qwen 3), or write it "
    "into the answer's text"
)

Span = tuple[int, int, int]
"""(start, end of content, end of turn): characters of an answer in the rendered conversation."""


def render(messages: Sequence[Turn], tokenizer: Tokenizer, generation: bool = False, tools: Sequence[Json] = ()) -> str:
    """The template's text. A system turn goes into the first user turn where the template refuses or drops the role.

    Raises: DataInvalid when the template refuses the conversation; BaseUnavailable when it does not end.
    """
    has_system = len(messages) > 1 and messages[0]["role"] == "system"
    try:
        text = _apply(messages, tokenizer, generation, tools)
        if not has_system or _stands(messages[0]["content"], text):
            return text
    except BaseUnavailable:
        raise
    except Exception as error:  # templates are programs: anything may come out
        if not has_system:
            raise _refusal(messages, error) from error
    first: Turn = {"role": "user", "content": f"{messages[0]['content']}\n\n{messages[1]['content']}"}
    try:
        return _apply([first, *messages[2:]], tokenizer, generation, tools)
    except BaseUnavailable:
        raise
    except Exception as error:
        raise _refusal(messages, error) from error


def _refusal(messages: Sequence[Turn], error: Exception) -> DataInvalid:
    """The error that repeats what the template said, and for rows with tools says what to do."""
    said = f"The chat template refuses a conversation: {' '.join(str(error).split())[:200]}"
    calling = any(turn["role"] == "tool" or "tool_calls" in turn for turn in messages)
    return DataInvalid(f"{said}. {TOOLLESS.format(what='these tool calls')}" if calling else said)


def _apply(messages: Sequence[Turn], tokenizer: Tokenizer, generation: bool, tools: Sequence[Json]) -> str:
    shown = [turn if len(turn) == 2 else {key: turn[key] for key in turn if key != "train"} for turn in messages]  # type: ignore[literal-required]
    try:
        return rendered(tokenizer, shown, tools=tools, generation=generation, date_string=FIXED_DATE)
    except TemplateRefused as error:
        raise BaseUnavailable(str(error)) from error


def answer_spans(
    messages: Sequence[Turn], tokenizer: Tokenizer, tools: Sequence[Json] = ()
) -> tuple[str, list[Span], list[int]]:
    """The rendered text, spans of its trained answers, and indices of answers whose thought shows only at the end.

    Raises: DataInvalid when the template refuses the conversation, or does not show all of it.
    """
    text = render(messages, tokenizer, tools=tools)
    if tools and text == render(messages, tokenizer):
        raise DataInvalid(TOOLLESS.format(what="tools"))
    spans: list[Span] = []
    hidden: list[int] = []
    cursor = 0
    for index, message in enumerate(messages):
        if message["role"] != "assistant":
            if not _stands(message["content"], text):
                raise DataInvalid(f"The chat template does not show a {message['role']} turn as it is")
            continue
        span = _plain_span(text, messages, index, cursor, tokenizer, tools)
        span = span or _reshaped_span(text, messages, index, tokenizer, tools)
        cursor = span[2]
        trained = message.get("train", True)
        missing = _missing(text[span[0] : span[1]], message)
        if missing == THOUGHTLESS and not trained:
            missing = ""  # read, not learned: thoughts of earlier turns are left out at inference too
        if (
            missing == THOUGHTLESS
            and index + 1 < len(messages)
            and _shown_at_the_end(messages, index, tokenizer, tools)
        ):
            hidden.append(index)
            missing = ""
        if missing:
            raise DataInvalid(missing)
        if trained:
            spans.append(span)
    return text, spans, hidden


def _plain_span(
    text: str, messages: Sequence[Turn], index: int, cursor: int, tokenizer: Tokenizer, tools: Sequence[Json]
) -> Span | None:
    """Find where an answer of text alone stands as it is; None when the template writes it otherwise."""
    message = messages[index]
    content = message["content"].strip()
    if "reasoning_content" in message or "tool_calls" in message or not content:
        return None
    prefix = render(messages[:index], tokenizer, generation=True, tools=tools)
    # Some templates move things between turns (Mistral's system turn): then the content's own place is the start.
    start = len(prefix) if text.startswith(prefix) else text.find(content, cursor)
    found = text.find(content, max(start, 0))
    if found < 0:
        return None
    content_end = found + len(content)
    return start, content_end, _end_of_turn(text, content_end, tokenizer)


def _reshaped_span(
    text: str, messages: Sequence[Turn], index: int, tokenizer: Tokenizer, tools: Sequence[Json]
) -> Span:
    """Where the template writes an answer in its own way: between what stands before and after a mark in its stead.

    Raises: DataInvalid when it cannot be told from the prompt.
    """
    marked: Turn = {"role": "assistant", "content": MARK}
    other = render([*messages[:index], marked, *messages[index + 1 :]], tokenizer, tools=tools)
    before, _, after = other.partition(MARK)
    prefix = render(messages[:index], tokenizer, generation=True, tools=tools)
    if text.startswith(prefix):
        start = len(prefix)
    else:
        start = next((at for at, pair in enumerate(zip(text, before, strict=False)) if pair[0] != pair[1]), len(before))
    if text.endswith(after):
        content_end = len(text) - len(after)
        end = _end_of_turn(text, content_end, tokenizer)
    else:  # a call may end otherwise than text does: Llama's <|eom_id|>
        content_end = end = len(text) - len(after[_end_of_turn(after, 0, tokenizer) :])
    if MARK not in other or content_end < start or text[end:] != after[len(after) - len(text[end:]) :]:
        raise DataInvalid("The chat template does not show the answer as it is, so it cannot be told from the prompt")
    return start, content_end, end


def _shown_at_the_end(messages: Sequence[Turn], index: int, tokenizer: Tokenizer, tools: Sequence[Json]) -> bool:
    """Whether the template shows an answer's thought where the answer is the conversation's last turn."""
    turns = messages[: index + 1]
    text = render(turns, tokenizer, tools=tools)
    start, content_end, _ = _reshaped_span(text, turns, index, tokenizer, tools)
    return not _missing(text[start:content_end], messages[index])


def _missing(piece: str, message: Turn) -> str:
    """Say what of an answer is missing in the template's text of it; the empty string when nothing is."""
    thought, content = message.get("reasoning_content", ""), message["content"]
    if content.strip() in piece and not thought and "tool_calls" not in message:
        return ""
    inline, closed, answer = content.rpartition("</think>")
    if closed:
        thought, content = thought + inline.replace("<think>", ""), answer
    squeezed = _squeezed(piece)
    if _squeezed(thought) not in squeezed:
        return THOUGHTLESS
    for call in message.get("tool_calls", ()):
        if not all(_squeezed(part) in squeezed for part in _leaves(call["function"])):
            return TOOLLESS.format(what="tool calls")
    if _squeezed(content) not in squeezed:
        what = "the text beside a tool call" if "tool_calls" in message else "the answer"
        return f"The chat template does not show {what} as it is, so it cannot be told from the prompt"
    return ""


def _squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def _leaves(value: Any) -> Iterator[str]:
    """Texts and numbers inside a call, as JSON has them, quotes left off."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key not in ("name", "arguments"):
                yield str(key)
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    elif isinstance(value, str):
        yield json.dumps(value, ensure_ascii=False)[1:-1]
    else:
        yield json.dumps(value)


def _stands(content: str, text: str) -> bool:
    """Whether a turn's content is in the text as it is, or as JSON has it (Llama's results of tools)."""
    content = content.strip()
    return (
        content in text
        or json.dumps(content, ensure_ascii=False)[1:-1] in text
        or _squeezed(content) in _squeezed(text)
    )


def _end_of_turn(text: str, position: int, tokenizer: Tokenizer) -> int:
    """The end of the first special token at `position`, whitespace before it allowed; `position` without one."""
    rest = text[position:]
    stripped = rest.lstrip()
    for token in sorted(map(str, tokenizer.all_special_tokens), key=len, reverse=True):
        if token and stripped.startswith(token):
            return position + len(rest) - len(stripped) + len(token)
    return position
