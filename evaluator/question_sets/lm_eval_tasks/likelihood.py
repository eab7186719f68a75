"""Log-likelihoods that lm-eval asks for, of continuations and of whole texts, as its own `hf` model encodes them.

A context and its continuation are encoded together, white space at the context's end with the continuation; what is
longer than the model's context loses its beginning. All formats are read through transformers, GGUF files with their
dequantized weights, adapters of one base beside one another.

Source: lm-evaluation-harness 0.4.13, `TemplateLM._encode_pair`, `HFLM._loglikelihood_tokens`, docs/model_guide.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engines import Choices, HuggingFaceEngine
from evaluator.question_sets.lm_eval_tasks.documents import turns_of

USUAL_CONTEXT = 2048
"""Tokens that a model is taken to see whose files say none, as in lm-eval."""


def likelihoods(engine: HuggingFaceEngine, row: str, requests: Sequence[Any]) -> list[tuple[float, bool]]:
    """(log-likelihood, whether greedy decoding gives it) of each request's continuation behind its context.

    A context that several continuations share is read once. row: what `Family.row` gives for the model.
    """
    context = (engine.context or USUAL_CONTEXT) + 1
    found: list[tuple[float, bool]] = [(0.0, True)] * len(requests)  # of a continuation without tokens
    asked: dict[tuple[int, ...], dict[tuple[int, ...], list[int]]] = {}
    for place, one in enumerate(requests):
        first, second = _pair(engine, row, str(one.args[0]), str(one.args[1]))
        text = tuple(first + second)[-context:]
        count = min(len(second), len(text) - 1)
        if count > 0:
            asked.setdefault(text[:-count], {}).setdefault(text[-count:], []).append(place)
    questions = [Choices(prompt, tuple(texts), row) for prompt, texts in asked.items()]
    places = [list(texts.values()) for texts in asked.values()]
    for number, weighed in engine.likelihoods(questions):
        for same, one in zip(places[number], weighed, strict=True):
            for place in same:
                found[place] = -one.nats, one.greedy
    return found


def rolling(engine: HuggingFaceEngine, row: str, texts: Sequence[str]) -> list[float]:
    """Nats of each whole text, each token given as many before it as the context has room for."""
    from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

    found = []
    for text in texts:
        ids = list(engine.encode(text)) if text else []
        windows = map(
            make_disjoint_window,
            get_rolling_token_windows(
                token_list=ids, prefix_token=_prefix(engine), max_seq_len=engine.context or USUAL_CONTEXT,
                context_len=1,
            ),
        )  # fmt: skip
        pieces = [([*first, *second], len(second)) for first, second in windows]
        losses = engine.token_losses([ids for ids, _ in pieces], row)
        found.append(-sum(float(nats[-count:].double().sum()) for nats, (_, count) in zip(losses, pieces, strict=True)))
    return found


def _pair(engine: HuggingFaceEngine, row: str, context: str, continuation: str) -> tuple[list[int], list[int]]:
    turns, begun = turns_of(context)
    context = engine.render(list(turns), row) + begun if turns else begun
    if not context:
        ids, prefix = engine.token_ids(continuation), _prefix(engine)
        return (ids[:1], ids[1:]) if ids[:1] == [prefix] else ([prefix], ids)
    kept = context.rstrip()
    continuation, context = context[len(kept) :] + continuation, kept
    first = list(engine.encode(context)) if context else []
    return first, list(engine.encode(context + continuation))[len(first) :]


def _prefix(engine: HuggingFaceEngine) -> int:
    """The token that a text without a context is begun with."""
    start = engine.tokenizer.bos_token_id
    return int(engine.tokenizer.eos_token_id if start is None else start)
