"""Names of quantized bases, of every kind that people's adapters carry, and the base that each stands for."""

from __future__ import annotations

import pytest

from engines.adding.checking.base_names import same_weights, sixteen_bit


@pytest.mark.parametrize(
    ("quantized", "base", "publisher"),
    [
        ("unsloth/Qwen2.5-7B-Instruct-unsloth-bnb-4bit", "unsloth/Qwen2.5-7B-Instruct", "Qwen/Qwen2.5-7B-Instruct"),
        ("unsloth/llama-3-8b-bnb-4bit", "unsloth/llama-3-8b", "meta-llama/Meta-Llama-3-8B"),
        ("unsloth/llama-2-7b-chat-bnb-4bit", "unsloth/llama-2-7b-chat", "meta-llama/Llama-2-7b-chat-hf"),
        ("unsloth/mistral-7b-bnb-4bit", "unsloth/mistral-7b", "mistralai/Mistral-7B-v0.1"),
        (
            "unsloth/Llama-3.2-1B-Instruct-FP8-Block",
            "unsloth/Llama-3.2-1B-Instruct",
            "meta-llama/Llama-3.2-1B-Instruct",
        ),
        ("unsloth/gemma-3-4b-it-qat-bnb-4bit", "unsloth/gemma-3-4b-it-qat", "unsloth/gemma-3-4b-it-qat"),
        ("Qwen/Qwen2.5-7B-Instruct-AWQ", "Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen2.5-7B-Instruct"),
        ("TheBloke/Llama-2-7B-Chat-GPTQ", "TheBloke/Llama-2-7B-Chat", "meta-llama/Llama-2-7b-chat-hf"),
        ("mlx-community/Qwen3-0.6B-4bit", "mlx-community/Qwen3-0.6B", "Qwen/Qwen3-0.6B"),
    ],
)
def test_a_quantized_name_stands_for_its_base(quantized: str, base: str, publisher: str) -> None:
    assert sixteen_bit(quantized) == base and same_weights(base, publisher) and not same_weights(base, quantized)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("unsloth/Qwen2.5-7B", "Qwen/Qwen2.5-7B-Instruct"),
        ("unsloth/llama-3-8b", "meta-llama/Llama-3.1-8B"),
        ("unsloth/mistral-7b", "mistralai/Mistral-7B-v0.3"),
        ("me/Qwen2.5-7B-Instruct", "Qwen/Qwen2.5-7B-Instruct"),
    ],
)
def test_names_of_other_weights_are_not_taken_for_the_same(one: str, other: str) -> None:
    assert sixteen_bit(one) == "" and not same_weights(one, other)
