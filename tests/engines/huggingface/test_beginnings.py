"""What prompts of an adapter begin with is read once, and answers are those of each prompt alone (float32)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engines import HuggingFaceEngine, Sampling
from engines.hardware.devices import this_device
from engines.huggingface import batching
from engines.huggingface.requests import LEAST_BEGINNING, Request
from engines.huggingface.room import CACHE_BYTES, Room
from tests.engines.huggingface.test_batching import NAMES, with_two_adapters

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


@pytest.fixture(scope="module", params=["llama", "gemma2", "mistral"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> HuggingFaceEngine:
    """A base of its family with two adapters; Gemma 2 caps its scores, and two look back through short windows."""
    window = {} if request.param == "llama" else {"sliding_window": 8}
    return with_two_adapters(request.param, tmp_path_factory.mktemp(request.param), **window)


@pytest.fixture
def short_stretches() -> Iterator[None]:
    before = batching.STRETCH_TOKENS
    batching.STRETCH_TOKENS = 24
    yield
    batching.STRETCH_TOKENS = before


def tokens_read(engine: HuggingFaceEngine, requests: list[Request], slots: int) -> tuple[dict[int, Any], int]:
    """(the answers, tokens of prompts that went through the model, padding included)."""
    read = 0

    def count(module: torch.nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        nonlocal read
        read += named["input_ids"].numel() if named.get("step") is None else 0

    hook = engine.model.get_decoder().register_forward_pre_hook(count, with_kwargs=True)
    try:
        return dict(engine.answers(requests, slots=slots)), read
    finally:
        hook.remove()


ids = st.integers(3, 250)
prompt = st.tuples(st.lists(ids, min_size=1, max_size=30).map(tuple), st.sampled_from(NAMES), st.integers(1, 6))


@given(
    prompts=st.lists(prompt, min_size=2, max_size=8),
    beginning=st.lists(ids, min_size=LEAST_BEGINNING, max_size=60).map(tuple),
    slots=st.integers(1, 5),
)
@settings(max_examples=12, deadline=None)
@pytest.mark.usefixtures("short_stretches")
def test_rows_that_begin_alike_are_answered_as_each_alone(
    engine: HuggingFaceEngine, prompts: list[tuple[tuple[int, ...], str, int]], beginning: tuple[int, ...], slots: int
) -> None:
    requests = [Request(beginning + rest, Sampling(max_tokens=most), name) for rest, name, most in prompts]
    together = dict(engine.answers(requests, slots=slots))
    for place, request in enumerate(requests):
        alone = dict(engine.answers([request], slots=1))[0]
        agree = min((tie for tie in (together[place].near_tie, alone.near_tie) if tie is not None), default=None)
        assert together[place].ids[:agree] == alone.ids[:agree]


def test_a_beginning_is_read_once_for_all_prompts_of_an_adapter_and_by_each_adapter_itself(
    engine: HuggingFaceEngine,
) -> None:
    beginning = tuple(range(3, 103))
    requests = [Request((*beginning, 200 + n, 7), Sampling(max_tokens=3), name) for n in range(6) for name in NAMES]
    answers, read = tokens_read(engine, requests, slots=4)
    assert read == len(NAMES) * (len(beginning) + 6 * 2)
    assert len({answers[place].ids for place in range(3)}) > 1, "adapters answer otherwise than one another"


def test_a_prompt_that_is_the_beginning_itself_keeps_a_token_to_read(engine: HuggingFaceEngine) -> None:
    whole = tuple(range(3, 60))
    requests = [Request(ids, Sampling(max_tokens=4)) for ids in (whole, whole, (*whole, 9))]
    answers, read = tokens_read(engine, requests, slots=3)
    assert read == len(whole) - 1 + 3 * 2
    assert answers[0].ids == answers[1].ids == dict(engine.answers(requests[:1]))[0].ids


def test_a_short_beginning_or_a_single_prompt_is_read_with_its_row(engine: HuggingFaceEngine) -> None:
    short = tuple(range(3, 3 + LEAST_BEGINNING - 1))
    _, read = tokens_read(engine, [Request((*short, n, 5), Sampling(max_tokens=1)) for n in (201, 202)], slots=2)
    assert read == 2 * (len(short) + 2)


def test_what_is_kept_beside_the_rows_takes_their_room(engine: HuggingFaceEngine) -> None:
    room = Room(engine.model, this_device("cpu"))
    tokens = CACHE_BYTES // room.cache_bytes
    longest = tokens // 10
    assert (room.slots(longest), room.slots(longest, None, 3 * longest), room.slots(longest, None, tokens)) == (
        10,
        7,
        1,
    )
