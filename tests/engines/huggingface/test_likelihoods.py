"""Continuations weighed in one forward a question, against each text read by itself, on miniatures in float32."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engines import EngineError, HuggingFaceEngine
from engines.huggingface import likelihoods
from engines.huggingface.likelihoods import Choices
from tests.engines.huggingface.test_batching import NAMES, with_two_adapters

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


@pytest.fixture(scope="module", params=["llama", "gemma2", "mistral"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> HuggingFaceEngine:
    """A base of its family with two adapters; Gemma 2 caps its scores and looks back through windows."""
    return with_two_adapters(request.param, tmp_path_factory.mktemp(request.param))


def alone(engine: HuggingFaceEngine, question: Choices) -> list[tuple[float, bool]]:
    """Each continuation behind its prompt as a text of its own, by transformers' whole forward."""
    found = []
    for tail in question.continuations:
        ids = [*question.prompt, *tail]
        engine.row_adapters.set([question.adapter])
        with torch.inference_mode():
            logits = engine.model(torch.tensor([ids]), use_cache=False).logits[0].float().log_softmax(-1)
        places = range(len(question.prompt), len(ids))
        nats = -sum(float(logits[place - 1, ids[place]]) for place in places)
        found.append((nats, all(int(logits[place - 1].argmax()) == ids[place] for place in places)))
    return found


def check(engine: HuggingFaceEngine, questions: Sequence[Choices]) -> None:
    found = dict(engine.likelihoods(questions))
    assert sorted(found) == list(range(len(questions)))
    for index, question in enumerate(questions):
        for one, (nats, greedy) in zip(found[index], alone(engine, question), strict=True):
            assert one.nats == pytest.approx(nats, abs=2e-3, rel=1e-4)
            assert one.greedy == greedy or one.nats < 0.5 * len(question.continuations)


ids = st.integers(3, 250)
tails = st.lists(st.lists(ids, min_size=1, max_size=7).map(tuple), min_size=1, max_size=5).map(tuple)
question = st.builds(Choices, st.lists(ids, min_size=1, max_size=60).map(tuple), tails, st.sampled_from(NAMES))


@given(
    questions=st.lists(question, min_size=1, max_size=7),
    beginning=st.one_of(st.just(()), st.lists(ids, min_size=16, max_size=90).map(tuple)),
    budget=st.sampled_from([1, 90, 300, 2048]),
)
@settings(max_examples=12, deadline=None)
def test_a_question_read_once_says_what_each_of_its_texts_says_alone(
    engine: HuggingFaceEngine, questions: list[Choices], beginning: tuple[int, ...], budget: int
) -> None:
    before = likelihoods.CPU_TOKENS
    likelihoods.CPU_TOKENS = budget
    try:
        check(engine, [Choices(beginning + one.prompt, one.continuations, one.adapter) for one in questions])
    finally:
        likelihoods.CPU_TOKENS = before


class Counted:
    """Counts the tokens that a model's decoder reads."""

    def __init__(self, engine: HuggingFaceEngine) -> None:
        self.tokens = 0
        self._hook = engine.model.get_decoder().register_forward_pre_hook(self._count, with_kwargs=True)

    def _count(self, module: object, given: object, named: dict[str, torch.Tensor]) -> None:
        self.tokens += named["input_ids"].numel()

    def of(self, engine: HuggingFaceEngine, questions: Sequence[Choices]) -> int:
        self.tokens = 0
        list(engine.likelihoods(questions))
        return self.tokens


def test_choices_of_one_token_cost_the_prompt_alone_and_others_what_they_do_not_share(
    engine: HuggingFaceEngine,
) -> None:
    counted, prompt = Counted(engine), tuple(range(10, 40))
    assert counted.of(engine, [Choices(prompt, ((5,), (6,), (7,)))]) == 30
    assert counted.of(engine, [Choices(prompt, ((8, 9, 5), (8, 9, 6), (8, 9, 7)))]) == 32
    assert counted.of(engine, [Choices(prompt, ((8, 5, 4), (9, 6), (7,)))]) == 30 + 2 + 1


def test_what_all_prompts_of_an_adapter_begin_with_is_read_once(engine: HuggingFaceEngine) -> None:
    beginning = tuple(range(10, 110))
    questions = [Choices((*beginning, 200 + n, 5, 6), ((7,), (8,)), name) for name in NAMES for n in range(10)]
    assert Counted(engine).of(engine, questions) == 3 * (100 + 10 * 3)
    check(engine, questions)


def test_a_continuation_has_the_tokens_that_stand_behind_its_prompts_own() -> None:
    """As lm-eval cuts them: white space goes with what follows, and a token over the boundary does not take from the
    prompt."""
    text = "Is it so? Answer: "
    from engines.interface import boundary

    assert boundary(text, ["yes", "no"]) == ("Is it so? Answer:", (" yes", " no"))
    assert boundary("a\n", [" b"]) == ("a", ("\n b",)) and boundary("a\n ", ["b"], lines=False) == ("a\n", (" b",))
    assert boundary("  ", ["b"]) == ("  ", ("b",))


def test_choices_are_cut_as_lm_eval_cuts_them(engine: HuggingFaceEngine) -> None:
    for prompt, texts in (
        ("def f(x):\n    ret", ["urn x + y + 1", "urning to the beginning"]),
        ("The sky is", [" blue", " very blue"]),
    ):
        made = engine.choices(prompt, texts, "one")
        assert made.prompt == engine.encode(prompt)
        for text, tail in zip(texts, made.continuations, strict=True):
            assert tail == engine.encode(prompt + text)[len(made.prompt) :]


def test_a_continuation_without_a_token_and_one_beyond_the_context_are_refused(engine: HuggingFaceEngine) -> None:
    with pytest.raises(EngineError, match="no token of its own"):
        engine.choices("The sky", [" is", ""])
    with pytest.raises(EngineError, match="context"):
        engine.choices("x y z " * engine.context, [" is"])
