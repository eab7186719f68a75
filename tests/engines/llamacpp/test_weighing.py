"""Continuations weighed by llama.cpp, against transformers over the same weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from engines import EngineError, HuggingFaceEngine, LlamaCppEngine
from engines.llamacpp.server_process import LlamaServer

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

ASKED = [
    ("Is the sky blue? Answer:", [" yes", " no", " maybe", " it is blue on most days"]),
    ("def add(a, b):\n    return ", ["a + b", "a - b"]),
    ("Write a letter that few words have:", [" é", " 日本", " 🙂", " e"]),  # tokens of half characters
    ("x" * 300, ["yes", "yes", "yes and no"]),
]


@pytest.fixture(scope="module")
def engines(tiny: Path, adapters: list[Path]) -> Iterator[list[LlamaCppEngine]]:
    server = LlamaServer(tiny, adapters[:2], context=1024, slots=2)
    found = [LlamaCppEngine(server, place) for place in (None, 0, 1)]
    yield found
    for engine in found:
        engine.close()


def test_llamacpp_finds_continuations_as_likely_as_transformers_does(
    engines: list[LlamaCppEngine], tiny: Path, adapters: list[Path]
) -> None:
    names = ["", "0", "1"]
    other = HuggingFaceEngine(tiny, {name: adapters[int(name)] for name in names[1:]}, dtype=torch.float32)
    for _ in range(2):  # the second time what a slot holds is another adapter's
        for engine, name in zip(engines, names, strict=True):
            questions = [other.choices(prompt, texts, name) for prompt, texts in ASKED]
            wanted = dict(other.likelihoods(questions))
            for place, (prompt, texts) in enumerate(ASKED):
                found = engine.weigh(prompt, texts)
                for one, theirs in zip(found, wanted[place], strict=True):
                    assert one.nats == pytest.approx(theirs.nats, abs=0.05, rel=0.005)


def test_the_likeliest_token_is_known_as_such(engines: list[LlamaCppEngine]) -> None:
    first = engines[0].next_tokens(engines[0].text_of(engines[0].tokens("Hello there")), most=40)
    likeliest = {engines[0].text_of([token]): token for token in list(first)[:1]}
    word = next(iter(likeliest))
    if not word.strip() or "\ufffd" in word:
        pytest.skip("the miniature's likeliest token is no text")
    yes, no = engines[0].weigh("Hello there", [word, " zebra"])
    assert yes.greedy and not no.greedy and yes.nats < no.nats


def test_a_continuation_beyond_the_context_is_refused(engines: list[LlamaCppEngine]) -> None:
    with pytest.raises(EngineError, match="context"):
        engines[0].weigh("a b c " * 2000, [" d"])
    with pytest.raises(EngineError, match="no token of its own"):
        engines[0].weigh("The sky", [" is", ""])
