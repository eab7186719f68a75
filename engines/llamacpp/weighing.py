"""How likely llama.cpp finds continuations of a prompt: the probabilities of the tokens themselves, from all logits.

A prompt is read once; each further place where a continuation's token is foretold costs one step behind it in the same
slot, and places that continuations share cost one together. llama.cpp tells the likeliest tokens of a place; one that
is not among them is forced, and its probability told with it. What it tells is of the logits as they are, before a
forced token's bias.

Not here: the same through transformers (`engines.huggingface.likelihoods`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

from engines.errors import EngineError
from engines.interface import Likelihood, boundary
from engines.llamacpp.scheduler import BASE, LEAST_REUSED, Scheduler, shared_tokens

LIKELIEST = 64
"""Tokens of a place whose probabilities come at once."""

NO_NUMBER = 1e30
"""Nats beyond which llama.cpp means a probability of zero in its arithmetic."""


class Server(Protocol):
    """What weighing needs of the server that computes it: an `engines.llamacpp.server_process.LlamaServer`."""

    scheduler: Scheduler

    @property
    def vocabulary(self) -> int:
        """Tokens that the model knows."""
        ...

    def scales(self, adapter: int | None) -> list[dict[str, Any]]:
        """The complete adapter list of a request."""
        ...


class Weigher(Protocol):
    """What weighing needs of the engine: an `engines.llamacpp.engine.LlamaCppEngine`."""

    adapter: int | None

    @property
    def server(self) -> Server: ...

    def tokens(self, text: str) -> list[int]:
        """Token ids of a prompt."""
        ...

    def ids_of(self, text: str) -> list[int]:
        """Token ids of a piece of an answer."""
        ...

    def checked(self, ids: list[int]) -> list[int]:
        """The token ids. Raises: EngineError if they are more than the context holds."""
        ...

    def ask(self, path: str, body: Any) -> Any:
        """POST to the engine's process. Raises: EngineError and its kinds."""
        ...


def weigh(engine: Weigher, prompt: str, continuations: Sequence[str], lines: bool = True) -> tuple[Likelihood, ...]:
    """Each continuation's likelihood behind a raw prompt, cut into tokens as `engines.interface.boundary` says.

    Raises: EngineError for what is longer than the context, or a continuation without a token of its own.
    """
    kept, texts = boundary(prompt, continuations, lines)
    ids = engine.tokens(kept)
    tails = [tuple(engine.tokens(kept + text)[len(ids) :]) for text in texts]
    if not all(tails):
        empty = continuations[tails.index(())]
        raise EngineError(f"{empty[:40]!r} has no token of its own behind its prompt", code="invalid_value")
    engine.checked(ids + [0] * max(map(len, tails)))
    wanted: dict[tuple[int, ...], set[int]] = {}
    for tail in tails:
        for depth, token in enumerate(tail):
            wanted.setdefault(tail[:depth], set()).add(token)
    scheduler = engine.server.scheduler
    adapter = BASE if engine.adapter is None else engine.adapter
    slot = scheduler.take_slot(adapter, ids, bool)
    assert slot is not None  # nobody cancels
    try:
        scheduler.enter(adapter, False, bool)
        try:
            places = {}
            reuse = shared_tokens(slot, adapter, ids) >= LEAST_REUSED
            for place in sorted(wanted):
                places[place] = _chances(engine, (slot.number, reuse), ids + list(place), wanted[place])
                reuse = True
        finally:
            scheduler.leave()
    finally:
        scheduler.give_slot(slot, adapter, ids)
    return tuple(
        Likelihood(
            sum(places[tail[:depth]][token][0] for depth, token in enumerate(tail)),
            all(places[tail[:depth]][token][1] for depth, token in enumerate(tail)),
        )
        for tail in tails
    )


def _chances(
    engine: Weigher, slot: tuple[int, bool], ids: list[int], wanted: set[int]
) -> dict[int, tuple[float, bool]]:
    """Wanted token → (nats, whether it is the likeliest) behind these. slot: its number, and whether what it holds of
    them is used."""
    plain = engine.ids_of("a")[-1]  # a token that is half a character would come without probabilities
    likeliest = _asked(engine, slot, ids, plain, LIKELIEST)["top_logprobs"]
    slot = (slot[0], True)  # it has just read them
    found = {int(one["id"]): float(one["logprob"]) for one in likeliest}
    for token in sorted(wanted - found.keys()):
        told = _asked(engine, slot, ids, token, 1)
        if told and int(told["id"]) == token:
            found[token] = float(told["logprob"])
    if wanted - found.keys():
        every = _asked(engine, slot, ids, plain, engine.server.vocabulary)["top_logprobs"]
        found |= {int(one["id"]): float(one["logprob"]) for one in every}
    best = int(likeliest[0]["id"])
    return {token: (_nats(found.get(token, -math.inf)), token == best) for token in wanted}


def _nats(chance: float) -> float:
    return -chance if chance > -NO_NUMBER else math.inf


def _asked(engine: Weigher, slot: tuple[int, bool], ids: list[int], forced: int, likeliest: int) -> dict[str, Any]:
    """What llama.cpp says of the forced token behind these; empty where it says nothing."""
    body = {
        "prompt": ids, "n_predict": 1, "n_probs": likeliest, "temperature": 0, "logit_bias": [[forced, 1000.0]],
        "cache_prompt": slot[1], "id_slot": slot[0], "lora": engine.server.scales(engine.adapter),
    }  # fmt: skip
    told = engine.ask("/completion", body).get("completion_probabilities") or [{}]
    found: dict[str, Any] = told[0]
    return found
