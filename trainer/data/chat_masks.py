"""Conversations to token ids, and which of them are trained: answers and their end-of-turn, nothing else.

Where answers stand in what a chat template writes is found in `trainer.bases.templates`. A row whose earlier thoughts
the template leaves out, as at inference, becomes an example for each of them; rows that are lost are counted by reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from results.records import Progress
from trainer.bases.templates import answer_spans
from trainer.bases.tokenizer import Tokenizer
from trainer.errors import DataInvalid
from trainer.sources.conversations import Conversation, Turn
from trainer.sources.tally import Counted

IGNORED = -100
"""The label that the loss skips (torch's cross-entropy default)."""

Tokens = tuple[list[int], list[int], int]
"""(input ids, labels, bytes of the trained text)."""


@dataclass(frozen=True)
class Masked:
    """The tokenised rows of one part."""

    examples: list[Tokens] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    """Index of the conversation each example is made of."""
    truncated: int = 0
    """Examples that were cut to max_length."""
    cut_off: int = 0
    """Examples left out because the cut left no answer token."""
    refused: int = 0
    """Rows left out because the template does not take them, or does not show all of them."""
    refusal: str = ""
    """Why, for the first of them."""
    left_out: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Reason → rows and examples, of what is left out."""
    apart: int = 0
    """Rows that became several examples: the template leaves earlier thoughts out of later prompts."""

    def report(self) -> dict[str, Any]:
        """Counts for the data report."""
        return {
            "rows": len(self.examples),
            "tokens": sum(len(ids) for ids, _, _ in self.examples),
            "trained_tokens": sum(sum(label != IGNORED for label in labels) for _, labels, _ in self.examples),
            "longest": max((len(ids) for ids, _, _ in self.examples), default=0),
            "truncated": self.truncated,
            "left_out_no_answer": self.cut_off,
            "refused_by_template": self.refused,
            "left_out": self.left_out,
            "rows_of_several_examples": self.apart,
        }


def mask_conversations(
    rows: Sequence[Conversation],
    tokenizer: Tokenizer,
    max_length: int,
    progress: Progress | None = None,
    what: str = "",
) -> Masked:
    """Tokenise conversations; rows that the template refuses, or that are cut before their answer, are counted."""
    examples: list[Tokens] = []
    kept: list[int] = []
    left_out = Counted()
    truncated = cut_off = refused = apart = 0
    refusal = ""
    for index, row in enumerate(rows):
        if progress and (index % 100 == 99 or index + 1 == len(rows)):
            progress(what, index + 1, len(rows))
        place = f"{row.source}, row {row.row}"
        try:
            made = [tokenise(turns, tokenizer, row.tools) for turns in prompts(row, tokenizer)]
        except DataInvalid as error:
            refused += 1
            refusal = refusal or f"{place}: {error}"
            left_out.add(str(error)[:300], place)
            continue
        apart += len(made) > 1
        for ids, labels, size in made:
            if len(ids) > max_length:
                truncated += 1
                ids, labels = ids[:max_length], labels[:max_length]
                trained = [label for label in labels if label != IGNORED]
                size = len(tokenizer.decode(trained, skip_special_tokens=True).encode("utf-8"))
            if all(label == IGNORED for label in labels):
                cut_off += 1
                left_out.add(f"the answer begins beyond {max_length} tokens: raise training.max_length", place)
            else:
                examples.append((ids, labels, size))
                kept.append(index)
    return Masked(examples, kept, truncated, cut_off, refused, refusal, left_out.report(), apart)


def prompts(row: Conversation, tokenizer: Tokenizer) -> Iterator[Sequence[Turn]]:
    """The conversation; and, for each answer whose thought it would lose there, the conversation up to that answer."""
    if all(len(turn) == 2 and "</think>" not in turn["content"] for turn in row.messages):
        yield row.messages
        return
    _, _, hidden = answer_spans(row.messages, tokenizer, row.tools)
    for index in hidden:
        yield [*(_untrained(turn) for turn in row.messages[:index]), row.messages[index]]
    rest = [_untrained(turn) if index in hidden else turn for index, turn in enumerate(row.messages)]
    if any(turn["role"] == "assistant" and turn.get("train", True) for turn in rest):
        yield rest


def _untrained(turn: Turn) -> Turn:
    return {**turn, "train": False} if turn["role"] == "assistant" else turn


def tokenise(messages: Sequence[Turn], tokenizer: Tokenizer, tools: Sequence[Any] = ()) -> Tokens:
    """Tokenise one conversation, uncut: its input ids, its labels, and the bytes of its answers.

    Raises: DataInvalid when the template refuses it or does not show all of it.
    """
    text, spans, _ = answer_spans(messages, tokenizer, tools)
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
