"""Chat templates to token ids, and which of them are trained: answers and their end-of-turn, nothing else.

Templates are rendered whole, as they are at inference. Where an answer starts is found by rendering the turns before
it with the generation prompt: no template needs a generation marker. Covered by a test for each template family.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from engines import Message
from results.records import Progress
from trainer.conversations import Conversation
from trainer.errors import DataInvalid

IGNORED = -100
"""The label that the loss skips (torch's cross-entropy default)."""

PLAIN_TEMPLATE = (
    "{%- for message in messages %}"
    "{%- if message['role'] == 'system' %}{{ message['content'] + '\n\n' }}"
    "{%- elif message['role'] == 'user' %}{{ '### Instruction:\n' + message['content'] + '\n\n' }}"
    "{%- else %}{{ '### Response:\n' + message['content'] + eos_token + '\n\n' }}{%- endif %}"
    "{%- endfor %}{%- if add_generation_prompt %}{{ '### Response:\n' }}{%- endif %}"
)
"""For bases without a template: words every model knows, since new special tokens would need trained embeddings."""

FIXED_DATE = "26 Jul 2024"
"""Llama 3's template prints today's date, which would change the data's identity overnight; this is its own default."""


@dataclass(frozen=True)
class Masked:
    """The tokenised rows of one part."""

    examples: list[tuple[list[int], list[int], int]] = field(default_factory=list)
    """(input ids, labels, bytes of the trained text)."""
    kept: list[int] = field(default_factory=list)
    """Index of the conversation each example is made of."""
    truncated: int = 0
    """Rows that were cut to max_length."""
    cut_off: int = 0
    """Rows left out because the cut left no answer token."""
    refused: int = 0
    """Rows left out because the template does not take them."""
    refusal: str = ""
    """Why, for the first of them."""

    def report(self) -> dict[str, int]:
        """Counts for the data report."""
        return {
            "rows": len(self.examples),
            "tokens": sum(len(ids) for ids, _, _ in self.examples),
            "trained_tokens": sum(sum(label != IGNORED for label in labels) for _, labels, _ in self.examples),
            "longest": max((len(ids) for ids, _, _ in self.examples), default=0),
            "truncated": self.truncated,
            "left_out_no_answer": self.cut_off,
            "refused_by_template": self.refused,
        }


def mask_conversations(
    rows: Sequence[Conversation], tokenizer: Any, max_length: int, progress: Progress | None = None, what: str = ""
) -> Masked:
    """Tokenise conversations; rows that the template refuses, or that are cut before their answer, are counted."""
    examples: list[tuple[list[int], list[int], int]] = []
    kept: list[int] = []
    truncated = cut_off = refused = 0
    refusal = ""
    for index, row in enumerate(rows):
        if progress and (index % 100 == 99 or index + 1 == len(rows)):
            progress(what, index + 1, len(rows))
        try:
            ids, labels, size = tokenise(row.messages, tokenizer)
        except DataInvalid as error:
            refused += 1
            refusal = refusal or f"{row.source}, row {row.row}: {error}"
            continue
        if len(ids) > max_length:
            truncated += 1
            ids, labels = ids[:max_length], labels[:max_length]
            trained = [label for label in labels if label != IGNORED]
            size = len(tokenizer.decode(trained, skip_special_tokens=True).encode("utf-8"))
        if all(label == IGNORED for label in labels):
            cut_off += 1
        else:
            examples.append((ids, labels, size))
            kept.append(index)
    return Masked(examples, kept, truncated, cut_off, refused, refusal)


def tokenise(messages: Sequence[Message], tokenizer: Any) -> tuple[list[int], list[int], int]:
    """(input ids, labels, bytes of the answers) of one conversation, uncut."""
    text, spans = answer_spans(messages, tokenizer)
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ids: list[int] = list(encoded["input_ids"])
    labels = [IGNORED] * len(ids)
    size = 0
    for start, content_end, end in spans:
        # A token that begins in the prompt is not the model's to produce; one that ends past the turn is.
        for position, (left, right) in enumerate(encoded["offset_mapping"]):
            if start <= left < end and right > left:
                labels[position] = ids[position]
        size += len(text[start:content_end].encode("utf-8"))
    return ids, labels, size


def render(messages: Sequence[Message], tokenizer: Any, generation: bool = False) -> str:
    """The template's text. A system turn goes into the first user turn where the template refuses the role."""
    try:
        return _apply(messages, tokenizer, generation)
    except Exception as error:
        if messages and messages[0]["role"] == "system" and len(messages) > 1:
            first: Message = {"role": "user", "content": f"{messages[0]['content']}\n\n{messages[1]['content']}"}
            return _apply([first, *messages[2:]], tokenizer, generation)
        raise DataInvalid(f"The chat template refuses a conversation: {error}") from error


def _apply(messages: Sequence[Message], tokenizer: Any, generation: bool) -> str:
    text: str = tokenizer.apply_chat_template(
        list(messages), tokenize=False, add_generation_prompt=generation, date_string=FIXED_DATE
    )
    return text


def answer_spans(messages: Sequence[Message], tokenizer: Any) -> tuple[str, list[tuple[int, int, int]]]:
    """(text, [(start, end of content, end of turn)]): characters of each answer in the rendered conversation."""
    text = render(messages, tokenizer)
    spans: list[tuple[int, int, int]] = []
    cursor = 0
    for index, message in enumerate(messages):
        content = message["content"].strip()
        if message["role"] != "assistant":
            continue
        prefix = render(messages[:index], tokenizer, generation=True)
        # Some templates move things between turns (Mistral's system turn): then the content's own place is the start.
        start = len(prefix) if text.startswith(prefix) else text.find(content, cursor)
        found = text.find(content, max(start, 0))
        if found < 0:
            raise DataInvalid(
                "The chat template does not show the answer as it is, so it cannot be told from the prompt"
            )
        content_end = found + len(content)
        end = _end_of_turn(text, content_end, tokenizer)
        spans.append((start, content_end, end))
        cursor = end
    return text, spans


def _end_of_turn(text: str, position: int, tokenizer: Any) -> int:
    """The end of the first special token at `position`, whitespace before it allowed; `position` without one."""
    rest = text[position:]
    stripped = rest.lstrip()
    for token in sorted(map(str, tokenizer.all_special_tokens), key=len, reverse=True):
        if token and stripped.startswith(token):
            return position + len(rest) - len(stripped) + len(token)
    return position
