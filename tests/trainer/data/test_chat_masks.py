"""Answers and their end-of-turn are trained, nothing else: for every template family, and for templates of users."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines import Message
from trainer import Conversation, TrainerError, base_tokenizer
from trainer.bases.miniature_tokenizers import STYLES, miniature_tokenizer
from trainer.bases.templates import PLAIN_TEMPLATE, render
from trainer.data.chat_masks import IGNORED, mask_conversations, tokenise

END = {"llama": "<|eot_id|>", "gemma": "<end_of_turn>", "mistral": "</s>", "phi3": "<|end|>"}
"""What ends a turn; the others' is <|im_end|>."""

TWO_TURNS: tuple[Message, ...] = (
    {"role": "user", "content": "first question"},
    {"role": "assistant", "content": "first answer"},
    {"role": "user", "content": "what of Größe, 日本?"},
    {"role": "assistant", "content": "second\n\nanswer: naïve 日本"},
)


tokenizer_of = cache(miniature_tokenizer)
"""Each made once; a test that changes one makes its own."""


@pytest.fixture(params=sorted(STYLES))
def styled(request: pytest.FixtureRequest) -> tuple[str, Any]:
    return request.param, tokenizer_of(request.param)


def trained_pieces(messages: tuple[Message, ...], tokenizer: Any) -> list[str]:
    """The runs of trained tokens, as text."""
    ids, labels, _ = tokenise(messages, tokenizer)
    runs: list[list[int]] = []
    previous = IGNORED
    for token, label in zip(ids, labels, strict=True):
        assert label in (IGNORED, token)
        if label != IGNORED:
            runs = [*runs[:-1], [*runs[-1], token]] if previous != IGNORED else [*runs, [token]]
        previous = label
    return [tokenizer.decode(run, skip_special_tokens=False) for run in runs]


@pytest.mark.slow
def test_answers_with_their_end_and_nothing_else(styled: tuple[str, Any]) -> None:
    style, tokenizer = styled
    end = END.get(style, "<|im_end|>")
    first, second = (piece.strip() for piece in trained_pieces(TWO_TURNS, tokenizer))
    assert first == f"first answer{end}"
    # Qwen 3 writes an empty thought before the last answer, after its generation prompt: the model's to produce.
    thought = "<think>\n\n</think>\n\n" if style == "qwen3" else ""
    assert second == f"{thought}second\n\nanswer: naïve 日本{end}"


def test_the_whole_text_is_the_templates_own(styled: tuple[str, Any]) -> None:
    _, tokenizer = styled
    ids, _, size = tokenise(TWO_TURNS, tokenizer)
    assert ids == tokenizer.apply_chat_template(list(TWO_TURNS), tokenize=True, return_dict=False)
    answers = sum(len(message["content"].encode()) for message in TWO_TURNS if message["role"] == "assistant")
    assert answers <= size <= answers + len("<think>\n\n</think>\n\n  ")


def test_the_prompt_at_inference_is_the_untrained_start(styled: tuple[str, Any]) -> None:
    _, tokenizer = styled
    ids, labels, _ = tokenise(TWO_TURNS[:2], tokenizer)
    start = next(index for index, label in enumerate(labels) if label != IGNORED)
    text = render(TWO_TURNS[:1], tokenizer, generation=True)
    assert tokenizer(text, add_special_tokens=False)["input_ids"] == ids[:start]


def test_a_system_turn_survives(styled: tuple[str, Any]) -> None:
    style, tokenizer = styled
    messages: tuple[Message, ...] = ({"role": "system", "content": "be brief"}, *TWO_TURNS)
    ids, _, _ = tokenise(messages, tokenizer)
    assert "be brief" in tokenizer.decode(ids)
    pieces = trained_pieces(messages, tokenizer)
    assert len(pieces) == 2 and all("be brief" not in piece for piece in pieces), style


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.text(min_size=1, max_size=12), st.text(min_size=1, max_size=12)).filter(
            lambda pair: bool(pair[0].strip() and pair[1].strip())
        ),
        min_size=1,
        max_size=3,
    )
)
def test_any_text_trains_its_answers(pairs: list[tuple[str, str]]) -> None:
    messages: list[Message] = []
    for question, answer in pairs:
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    tokenizer = tokenizer_of("llama")
    pieces = trained_pieces(tuple(messages), tokenizer)
    assert len(pieces) == len(pairs)
    for piece, (_, answer) in zip(pieces, pairs, strict=True):
        assert piece.replace("�", "").endswith("<|eot_id|>")
        assert piece.removesuffix("<|eot_id|>").strip() == answer.strip()


def test_an_answer_that_stands_in_its_question_is_found_in_its_own_place() -> None:
    messages: tuple[Message, ...] = (
        {"role": "user", "content": "say yes, yes?"},
        {"role": "assistant", "content": "yes"},
        {"role": "user", "content": "yes"},
        {"role": "assistant", "content": "yes"},
    )
    for style in STYLES:
        tokenizer = tokenizer_of(style)
        _, labels, _ = tokenise(messages, tokenizer)
        assert len(trained_pieces(messages, tokenizer)) == 2
        last = tokenizer(render(messages[:3], tokenizer, generation=True), add_special_tokens=False)["input_ids"]
        assert labels[len(last)] != IGNORED and labels[len(last) - 1] == IGNORED, style


def test_a_template_with_generation_markers_gives_the_same_mask() -> None:
    """transformers' own mask for a marked template is the reference."""
    tokenizer = miniature_tokenizer("qwen2")
    marked = (
        "{%- for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
        "{%- if message['role'] == 'assistant' %}"
        "{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}"
        "{%- else %}{{ message['content'] + '<|im_end|>' }}{%- endif %}{{ '\n' }}{%- endfor %}"
        "{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{%- endif %}"
    )
    tokenizer.chat_template = marked
    reference = tokenizer.apply_chat_template(
        list(TWO_TURNS), tokenize=True, return_dict=True, return_assistant_tokens_mask=True
    )
    ids, labels, _ = tokenise(TWO_TURNS, tokenizer)
    assert ids == reference["input_ids"]
    assert [int(label != IGNORED) for label in labels] == reference["assistant_masks"]


def test_bases_without_a_template_get_a_plain_one(small: Callable[[str], Path], tmp_path: Path) -> None:
    import shutil

    folder = shutil.copytree(small("llama"), tmp_path / "bare")
    (folder / "chat_template.jinja").unlink()
    tokenizer = base_tokenizer(str(folder))
    assert tokenizer.chat_template == PLAIN_TEMPLATE
    assert [piece.strip() for piece in trained_pieces(TWO_TURNS, tokenizer)] == [
        "first answer<|eot_id|>", "second\n\nanswer: naïve 日本<|eot_id|>",
    ]  # fmt: skip


def test_truncation_is_counted_and_answers_lost_to_it_are_left_out() -> None:
    tokenizer = tokenizer_of("llama")
    rows = [
        Conversation(
            ({"role": "user", "content": "q " * long}, {"role": "assistant", "content": "word " * answer}), "s", n
        )
        for n, (long, answer) in enumerate([(1, 1), (1, 500), (500, 1)])
    ]
    masked = mask_conversations(rows, tokenizer, 64)
    assert (masked.kept, masked.truncated, masked.cut_off) == ([0, 1], 2, 1)
    (_, _, whole), (ids, labels, size) = masked.examples
    assert whole == len("word ".strip().encode())
    assert len(ids) == len(labels) == 64
    trained = tokenizer.decode([label for label in labels if label != IGNORED])
    assert size == len(trained.encode()) and trained.startswith("word word")


def test_a_template_that_refuses_says_so() -> None:
    tokenizer = miniature_tokenizer("qwen2")
    tokenizer.chat_template = "{{ raise_exception('only on Sundays') }}"
    with pytest.raises(TrainerError, match="only on Sundays"):
        tokenise(TWO_TURNS, tokenizer)
    masked = mask_conversations([Conversation(TWO_TURNS, "s", 0)], tokenizer, 64)
    assert masked.examples == [] and masked.report()["refused_by_template"] == 1
    assert "only on Sundays" in masked.refusal


def test_a_template_that_rewrites_an_answer_loses_the_row_not_the_data_set() -> None:
    tokenizer = miniature_tokenizer("qwen2")
    tokenizer.chat_template = tokenizer.chat_template.replace(
        "message['content']", "message['content'] | replace('x', 'y')"
    )
    rows = [
        Conversation(({"role": "user", "content": "q"}, {"role": "assistant", "content": answer}), "s", number)
        for number, answer in enumerate(["xxx", "fine"])
    ]
    masked = mask_conversations(rows, tokenizer, 64)
    assert (masked.kept, masked.refused) == ([1], 1)
    assert "does not show the answer as it is" in masked.refusal
