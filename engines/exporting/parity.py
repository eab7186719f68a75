"""The gate every export passes: the file must answer as the transformers model it came from.

Checks, by the name under which an export is refused:
  token-ids   the same ids for every text of a stress corpus, special tokens written as text included
  template    the same prompt text for every shape of conversation, and the same ids for it
  end-ids     generation stops at every token at which transformers stops
  logits      next-token distributions agree: within rounding for F16, within the quantization's usual cost otherwise
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engines.errors import EngineError, ExportRefused
from engines.exporting.parity_corpus import CONVERSATIONS, PREFIXES, TEXTS
from engines.gguf_format.vocabulary import MISTAKEN
from engines.interface import Message
from engines.llamacpp.engine import LlamaCppEngine

TOP = 40
"""Tokens of the reference's distribution that are compared; they hold nearly all its mass."""

LIMITS = {"gguf-f16": 0.001, "gguf-q8_0": 0.03, "gguf-q4_0": 0.6, "lora-gguf": 0.06}
"""Form → highest accepted loss increase, nats per token. A broken layout costs whole nats; small models suffer most.
lora-gguf: beside a GGUF that was the base from the start; beside an exported one, that file's own limit holds."""


@dataclass(frozen=True)
class Parity:
    """What the gate measured."""

    texts: int
    conversations: int
    end_ids: tuple[int, ...]
    loss_increase_nats: float
    """KL divergence from the transformers model, mean over prefixes: how much loss the form adds, in expectation."""
    same_top_token: float
    """Share of prefixes whose most likely next token is the same."""

    def details(self) -> Mapping[str, Any]:
        """What the model's record keeps of it."""
        return {
            "texts": self.texts,
            "conversations": self.conversations,
            "loss_increase_nats_per_token": self.loss_increase_nats,
            "same_top_token": self.same_top_token,
        }


@dataclass(frozen=True)
class Expected:
    """What a transformers model makes of the gate's corpus: all that its exports are compared with, without weights."""

    tokenizer: Any
    renderings: tuple[tuple[str, tuple[int, ...]] | None, ...]
    """The text of each conversation and its ids; None where the template refuses such a conversation."""
    end_ids: frozenset[int]
    likeliest: tuple[tuple[tuple[float, ...], tuple[int, ...]], ...]
    """After each prefix: log probabilities of the `TOP` likeliest next tokens, falling, and their ids."""


def expected(reference: Any, adapter: str) -> Expected:
    """Ask a `HuggingFaceEngine` with one of its adapters ("" for the bare base)."""
    import torch

    likeliest = []
    for prefix in PREFIXES:
        logits = torch.log_softmax(reference.mixed_logits(prefix, [adapter])[0], -1)
        values, ids = logits.topk(min(TOP, len(logits)))
        likeliest.append((tuple(values.tolist()), tuple(ids.tolist())))
    renderings = tuple(_rendered(reference, adapter, conversation) for conversation in CONVERSATIONS)
    return Expected(reference.tokenizer, renderings, reference.end_ids, tuple(likeliest))


def _rendered(reference: Any, adapter: str, conversation: tuple[Message, ...]) -> tuple[str, tuple[int, ...]] | None:
    try:
        text = reference.render(conversation, adapter)
    except Exception:
        return None  # e.g. Gemma's template refuses system messages
    return text, reference.encode(text)


def check(reference: Any, engine: LlamaCppEngine, form: str) -> Parity:
    """Compare an export with its `HuggingFaceEngine`. Raises: ExportRefused with the failed check's name."""
    return compare(expected(reference, reference.adapter), engine, form)


def compare(wanted: Expected, engine: LlamaCppEngine, form: str) -> Parity:
    """Compare an export with what its transformers model makes of the corpus; the limit is that of a key of `LIMITS`.

    Raises: ExportRefused with the failed check's name.
    """
    for text in TEXTS:
        compare_ids(wanted.tokenizer, engine, text)
    for conversation, rendering in zip(CONVERSATIONS, wanted.renderings, strict=True):
        if rendering is not None:
            _compare_rendering(wanted, rendering, engine, conversation)
    ends = tuple(sorted(wanted.end_ids))
    for end in ends:
        _check_end(engine, end)
    distances, same = [], 0
    for prefix, (values, ids) in zip(PREFIXES, wanted.likeliest, strict=True):
        distance, agrees = _distance(values, ids, engine, prefix)
        distances.append(distance)
        same += agrees
    increase = sum(distances) / len(distances)
    if not increase <= LIMITS[form]:
        raise ExportRefused(
            "logits",
            f"{form} adds {increase:.3f} nats per token to the model's loss; at most {LIMITS[form]} is accepted.",
        )
    shapes = sum(rendering is not None for rendering in wanted.renderings)
    return Parity(len(TEXTS), shapes, ends, increase, same / len(PREFIXES))


def compare_ids(tokenizer: Any, engine: LlamaCppEngine, text: str) -> None:
    """One text through both tokenizers. Raises: ExportRefused("token-ids") naming the text and where they part."""
    wanted = list(tokenizer(text, add_special_tokens=False).input_ids)
    body = {"content": engine.normalized(text), "add_special": False, "parse_special": True}
    got = list(engine.server.wire().call("/tokenize", body)["tokens"])
    if wanted != got:
        known = tokenizer.get_vocab()
        cut = next((one for one in sorted(MISTAKEN) if one in text and known.get(one) in set(got) - set(wanted)), None)
        if cut is not None:  # llama.cpp's own reading of a base file that is not ours to change
            for part in filter(None, text.split(cut)):
                compare_ids(tokenizer, engine, part)
            return
        first = next(
            (i for i, (a, b) in enumerate(zip(wanted, got, strict=False)) if a != b), min(len(wanted), len(got))
        )
        raise ExportRefused(
            "token-ids", f"{text[:60]!r}: transformers has {wanted[first : first + 4]} at token {first}, "
            f"llama.cpp {got[first : first + 4]}."
        )  # fmt: skip


def _compare_rendering(
    reference: Expected, rendering: tuple[str, tuple[int, ...]], engine: LlamaCppEngine, conversation: Sequence[Message]
) -> None:
    wanted, ids = rendering
    try:
        got = engine.render(conversation)
    except EngineError as problem:
        raise ExportRefused("template", f"llama.cpp cannot render it: {problem}") from None
    begin = reference.tokenizer.bos_token or ""
    if wanted.removeprefix(begin) != got.removeprefix(begin):
        place = next(
            (i for i, (a, b) in enumerate(zip(wanted, got, strict=False)) if a != b), min(len(wanted), len(got))
        )
        raise ExportRefused(
            "template", f"Renderings part at character {place}: transformers {wanted[place : place + 40]!r}, "
            f"llama.cpp {got[place : place + 40]!r}."
        )  # fmt: skip
    if list(ids) != engine.tokens(got):
        raise ExportRefused("template", f"The same rendering has other token ids in llama.cpp: {wanted[:60]!r}.")


def _check_end(engine: LlamaCppEngine, end: int) -> None:
    body = {
        "prompt": engine.tokens("Hello"),
        "n_predict": 2,
        "temperature": 0,
        "logit_bias": [[end, 1000.0]],
        "lora": engine.server.scales(engine.adapter),
        "cache_prompt": False,
    }
    if engine.server.wire().call("/completion", body).get("stop_type") != "eos":
        raise ExportRefused("end-ids", f"transformers ends an answer at token {end}; llama.cpp would go on after it.")


def _distance(wanted: Sequence[float], ids: Sequence[int], engine: LlamaCppEngine, prefix: str) -> tuple[float, bool]:
    """(KL divergence in nats over the reference's likeliest tokens, whether the likeliest is the same).

    wanted: the reference's log probabilities of `ids`, falling.
    """
    body = {
        "prompt": engine.tokens(prefix),
        "n_predict": 1,
        "temperature": 0,
        "n_probs": 10 * TOP,
        # the probabilities are those before this bias; without it a token that is half a character comes without any
        "logit_bias": [[engine.tokens("a")[-1], 1000.0]],
        "lora": engine.server.scales(engine.adapter),
        "cache_prompt": False,
    }
    found = engine.server.wire().call("/completion", body)["completion_probabilities"][0]["top_logprobs"]
    theirs = {one["id"]: one["logprob"] for one in found}
    least = min(theirs.values())
    total = sum(math.exp(value) * (value - theirs.get(index, least)) for value, index in zip(wanted, ids, strict=True))
    return max(0.0, total), found[0]["id"] == ids[0]
