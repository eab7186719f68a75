"""Tokenizers for miniature models: a few hundred tokens, in the style of each family, with its chat template's shape.

Trained in a second on the standard library's docstrings. Byte-level BPE as in Llama 3 and Qwen, or SentencePiece-like
BPE with byte fallback as in Gemma and Mistral: both can spell any text.
"""

from __future__ import annotations

import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.sources.stdlib import module_rows

VOCABULARY = 768
"""Tokens, special ones included; a multiple of 64."""

CORPUS = ("argparse", "datetime", "fractions", "heapq", "random", "statistics", "textwrap")
"""Modules whose documented functions the tokenizers are trained on."""

CHATML = (
    "{%- for message in messages %}"
    "{%- if loop.first and message['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou answer.<|im_end|>\n' }}{%- endif %}"
    "{{- '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
)

TOOLS_IN_SYSTEM = (
    "{%- if tools %}{{- '<|im_start|>system\n' }}"
    "{{- (messages[0]['content'] if messages[0]['role'] == 'system' else 'You answer.') + '\n\n<tools>' }}"
    "{%- for tool in tools %}{{- '\n' + (tool | tojson) }}{%- endfor %}{{- '\n</tools><|im_end|>\n' }}{%- endif %}"
)
CALLS = (
    "{%- if message['tool_calls'] %}{%- for call in message['tool_calls'] %}"
    "{%- if message['content'] or not loop.first %}{{- '\n' }}{%- endif %}"
    "{{- '<tool_call>\n' + ({'name': call['function']['name'], 'arguments': call['function']['arguments']} | tojson) }}"
    "{{- '\n</tool_call>' }}{%- endfor %}{%- endif %}"
)
RESULT = "{{- '<|im_start|>user\n<tool_response>\n' + message['content'] + '\n</tool_response><|im_end|>\n' }}"

CALLING = (
    TOOLS_IN_SYSTEM + "{%- if not tools and messages[0]['role'] != 'system' %}"
    "{{- '<|im_start|>system\nYou answer.<|im_end|>\n' }}{%- endif %}"
    "{%- for message in messages %}"
    "{%- if message['role'] == 'tool' %}" + RESULT + "{%- elif not (tools and message['role'] == 'system') %}"
    "{{- '<|im_start|>' + message['role'] + '\n' + message['content'] }}" + CALLS + "{{- '<|im_end|>\n' }}{%- endif %}"
    "{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
)
"""CHATML with tools, in the shape of Qwen 2.5's."""

THINKING = (
    TOOLS_IN_SYSTEM + "{%- set place = namespace(question=-1) %}"
    "{%- for message in messages %}{%- if message['role'] == 'user' %}"
    "{%- set place.question = loop.index0 %}{%- endif %}{%- endfor %}"
    "{%- for message in messages %}"
    "{%- if message['role'] == 'tool' %}" + RESULT + "{%- elif not (tools and message['role'] == 'system') %}"
    "{{- '<|im_start|>' + message['role'] + '\n' }}"
    "{%- set content = message['content'] %}{%- set thought = '' %}"
    "{%- if message['role'] == 'assistant' %}"
    "{%- if message['reasoning_content'] %}{%- set thought = message['reasoning_content'] %}"
    "{%- elif '</think>' in content %}"
    "{%- set thought = content.split('</think>')[0].split('<think>')[-1] %}"
    "{%- set content = content.split('</think>')[-1].lstrip('\n') %}{%- endif %}"
    "{%- if loop.index0 > place.question and (loop.last or thought) %}"
    "{{- '<think>\n' + thought.strip('\n') + '\n</think>\n\n' }}{%- endif %}{%- endif %}"
    "{{- content }}" + CALLS + "{{- '<|im_end|>\n' }}{%- endif %}"
    "{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
)
"""The shape of Qwen 3's: thoughts stand after the last question alone, earlier ones are left out."""

HEADERS = (
    "{{- bos_token }}{%- set place = namespace(listed=false) %}{%- for message in messages %}"
    "{%- if message['role'] == 'tool' %}"
    "{{- '<|start_header_id|>ipython<|end_header_id|>\n\n' + (message['content'] | tojson) + '<|eot_id|>' }}"
    "{%- elif message['tool_calls'] %}"
    "{%- if message['tool_calls'] | length != 1 %}{{- raise_exception('Only single tool calls') }}{%- endif %}"
    "{%- set call = message['tool_calls'][0]['function'] %}"
    "{{- '<|start_header_id|>assistant<|end_header_id|>\n\n{\"name\": \"' + call['name'] + '\", \"parameters\": ' }}"
    "{{- (call['arguments'] | tojson) + '}<|eot_id|>' }}"
    "{%- else %}{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}"
    "{%- if tools and message['role'] == 'user' and not place.listed %}{%- set place.listed = true %}"
    "{%- for tool in tools %}{{- (tool | tojson) + '\n\n' }}{%- endfor %}{%- endif %}"
    "{{- message['content'] | trim + '<|eot_id|>' }}{%- endif %}"
    "{%- endfor %}{%- if add_generation_prompt %}"
    "{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{%- endif %}"
)
"""The shape of Llama 3.1's: tools in the first question, one call a turn, and no text beside it."""

TURNS = (
    "{{- bos_token }}{%- for message in messages %}"
    "{%- if message['role'] == 'system' %}{{- raise_exception('System role not supported') }}{%- endif %}"
    "{%- set role = 'model' if message['role'] == 'assistant' else message['role'] %}"
    "{{- '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}"
    "{%- endfor %}{%- if add_generation_prompt %}{{- '<start_of_turn>model\n' }}{%- endif %}"
)

INSTRUCTIONS = (
    "{%- if messages[0]['role'] == 'system' %}{%- set system = messages[0]['content'] + '\n\n' %}"
    "{%- set turns = messages[1:] %}{%- else %}{%- set system = '' %}{%- set turns = messages %}{%- endif %}"
    "{{- bos_token }}{%- for message in turns %}"
    "{%- if message['role'] == 'user' %}"
    "{%- set last = loop.last or (loop.index0 == turns | length - 2 and turns[-1]['role'] == 'assistant') %}"
    "{{- '[INST] ' + (system if last else '') + message['content'] + '[/INST]' }}"
    "{%- else %}{{- ' ' + message['content'] | trim + eos_token }}{%- endif %}{%- endfor %}"
)

BARS = (
    "{%- for message in messages %}"
    "{{- '<|' + message['role'] + '|>\n' + message['content'] + '<|end|>\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|assistant|>\n' }}{%- endif %}"
)


@dataclass(frozen=True)
class Style:
    """How a family writes a conversation."""

    template: str
    eos: str
    """The end-of-turn token."""
    bos: str | None = None
    pad: str | None = None
    others: tuple[str, ...] = ()
    """Further special tokens."""
    sentencepiece: bool = False
    words: str = ""
    """The pre-tokenizer's regular expression, as the family's tokenizer.json has it; byte-level styles only. Empty:
    GPT-2's, digits apart."""


GPT4_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{%s}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
LLAMA_WORDS = GPT4_WORDS.replace("{%s}", "{1,3}")
QWEN_WORDS = GPT4_WORDS.replace("{%s}", "")

STYLES = {
    "llama": Style(
        HEADERS,
        "<|eot_id|>",
        "<|begin_of_text|>",
        "<|finetune_right_pad_id|>",
        ("<|start_header_id|>", "<|end_header_id|>", "<|end_of_text|>"),
        words=LLAMA_WORDS,
    ),
    "smollm2": Style(
        CHATML, words="", bos="<|im_start|>", eos="<|im_end|>", pad="<|im_end|>", others=("<|endoftext|>",)
    ),
    "qwen2": Style(CALLING, "<|im_end|>", None, "<|endoftext|>", ("<|im_start|>",), words=QWEN_WORDS),
    "qwen3": Style(
        THINKING, "<|im_end|>", None, "<|endoftext|>", ("<|im_start|>", "<think>", "</think>"), words=QWEN_WORDS
    ),
    "gemma": Style(TURNS, "<end_of_turn>", "<bos>", "<pad>", ("<eos>", "<start_of_turn>"), sentencepiece=True),
    "mistral": Style(INSTRUCTIONS, "</s>", "<s>", "<pad>", ("[INST]", "[/INST]"), sentencepiece=True),
    "phi3": Style(
        BARS, "<|end|>", "<s>", "<|endoftext|>", ("<|user|>", "<|assistant|>", "<|system|>"), sentencepiece=True
    ),
}


def miniature_tokenizer(style_name: str) -> Any:
    """A trained transformers tokenizer of a family's style, with its chat template. The same on every call."""
    from transformers import PreTrainedTokenizerFast

    style = STYLES[style_name]
    named = {"bos_token": style.bos, "eos_token": style.eos, "pad_token": style.pad}
    special = list(dict.fromkeys(token for token in (style.bos, style.eos, style.pad, *style.others) if token))
    root = Path(sysconfig.get_paths()["stdlib"])
    rows = [row for module in CORPUS for row in module_rows(root / f"{module}.py", module)]
    corpus = [f"{row['prompt']}\n{row['answer']}" for row in rows]
    backend = _sentencepiece(corpus, special) if style.sentencepiece else _byte_level(corpus, special, style.words)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        **{key: token for key, token in named.items() if token},
        **({"unk_token": "<unk>"} if style.sentencepiece else {}),
        additional_special_tokens=[token for token in special if token not in named.values()],
    )
    tokenizer.chat_template = style.template
    return tokenizer


def _byte_level(corpus: list[str], special: list[str], words: str) -> Any:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    first = pre_tokenizers.Split(Regex(words), "isolated") if words else pre_tokenizers.Digits(individual_digits=True)
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not words)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([first, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(corpus, trainer)
    return tokenizer


def _sentencepiece(corpus: list[str], special: list[str]) -> Any:
    """BPE as SentencePiece does it: spaces are ▁, unknown characters become bytes, any two pieces that make a third
    may merge (so that llama.cpp, which merges by score, splits texts alike)."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    learner = Tokenizer(models.BPE())
    learner.normalizer = normalizers.Replace(" ", "▁")
    learner.pre_tokenizer = pre_tokenizers.Split(Regex(r"▁*[^▁\n]+|▁+|\n+"), "isolated")
    reserved = ["<unk>", *special, *(f"<0x{byte:02X}>" for byte in range(256))]
    learner.train_from_iterator(corpus, trainers.BpeTrainer(vocab_size=VOCABULARY - len(reserved), show_progress=False))
    learned = sorted(learner.get_vocab().items(), key=lambda item: item[1])
    vocabulary = {token: index for index, token in enumerate([*reserved, *(token for token, _ in learned)])}
    merges = [
        (token[:cut], token[cut:])
        for token, _ in learned
        for cut in range(1, len(token))
        if token[:cut] in vocabulary and token[cut:] in vocabulary
    ]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in ("<unk>", *special)])
    return tokenizer
