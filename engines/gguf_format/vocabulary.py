"""A transformers tokenizer in GGUF's terms: tokens, their kinds, merges or scores, pre-tokenizer id, special ids.

Byte-level BPE (Llama 3, Qwen, SmolLM, GPT-2) needs the id of a pre-tokenizer that llama.cpp has built in; it is
recognized by the tokenizer's own split rules, and an unknown one is refused. BPE with byte fallback (Gemma, Mistral,
Llama 2) becomes llama.cpp's SentencePiece tokenizer, whose scores are the merges' ranks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engines.errors import EngineError, ExportRefused, FileRefused
from engines.gguf_format.header import read_header
from engines.gguf_format.safetensors_header import read_model_json

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
"""GGUF's token types."""

_LETTERS = r"[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|"

PRE_TOKENIZERS = {
    _CONTRACTIONS + _LETTERS + r"\p{N}{1,3}" + _REST: "llama-bpe",
    _CONTRACTIONS + _LETTERS + r"\p{N}" + _REST: "qwen2",
}
"""Split pattern → llama.cpp's pre-tokenizer. The patterns are those of the models' tokenizer.json."""


MISTAKEN = frozenset(
    {"</s>", "<eos>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]", "<PRE>", "<SUF>", "<MID>", "<PAD>", "[PAD]", "<REPO>",
     "<reponame>", "<|end|>", "<|endoftext|>", "<|im_end|>", "<end_of_turn>", "<end_of_utterance>", "<turn|>", "[e~["}
)  # fmt: skip
"""Ordinary tokens of these texts llama.cpp takes for control tokens and cuts out of any text (src/llama-vocab.cpp,
"control-looking token"). Qwen2.5 has such a one, `</s>`, which its own splitting can never reach."""


@dataclass(frozen=True)
class Vocabulary:
    """What goes under tokenizer.ggml."""

    model: str
    """gpt2 (byte-level BPE) or llama (SentencePiece)."""
    pre: str
    tokens: Sequence[str]
    kinds: Sequence[int]
    merges: Sequence[str] = ()
    scores: Sequence[float] = ()
    ids: Mapping[str, int] = field(default_factory=dict)
    """bos, eos, eot, unknown, padding → id."""
    add_bos: bool = False
    add_space_prefix: bool = False
    template: str = ""
    normalizer: str = ""
    """NFC where the tokenizer composes characters first, as Qwen's does; llama.cpp does not."""


def read_vocabulary(folder: Path, size: int) -> Vocabulary:
    """The tokenizer of a model folder, padded to the `size` of the embedding.

    Raises: ExportRefused naming what llama.cpp has no counterpart of.
    """
    from transformers import AutoTokenizer

    if not (folder / "tokenizer.json").is_file():
        raise ExportRefused("tokenizer", f"{folder} has no tokenizer.json; save it with a fast tokenizer.")
    data = read_model_json(folder / "tokenizer.json")
    if data["model"].get("type") != "BPE":
        raise ExportRefused("tokenizer", f"A {data['model'].get('type')} tokenizer is not exported; BPE is.")
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    tokens, kinds = _tokens(data, size)
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in data["model"]["merges"]]
    text = tokenizer("a").input_ids
    common: dict[str, Any] = {
        "ids": _special_ids(tokenizer, folder),
        "add_bos": bool(text) and text[0] == tokenizer.bos_token_id,
        "template": tokenizer.chat_template if isinstance(tokenizer.chat_template, str) else "",
        "normalizer": "NFC" if "NFC()" in str(tokenizer.backend_tokenizer.normalizer) else "",
    }
    if data["model"].get("byte_fallback"):
        pairs = [
            tuple(merge) if not isinstance(merge, str) else tuple(merge.split(" ", 1))
            for merge in data["model"]["merges"]
        ]
        kinds = [
            _sentencepiece_kind(token, kind, data["model"].get("unk_token"))
            for token, kind in zip(tokens, kinds, strict=True)
        ]
        return Vocabulary(
            "llama",
            "default",
            tokens,
            kinds,
            scores=_scores(tokens, pairs),
            add_space_prefix=_prefixes_space(data),
            **common,
        )
    return Vocabulary("gpt2", _pre_tokenizer(data), tokens, kinds, merges=merges, **common)


def _tokens(data: Mapping[str, Any], size: int) -> tuple[list[str], list[int]]:
    tokens, kinds = [f"[PAD{index}]" for index in range(size)], [UNUSED] * size
    vocabulary = data["model"]["vocab"]
    for token, index in vocabulary.items():
        if index >= size:
            raise ExportRefused("vocabulary", f"Token {token!r} has id {index}; the embedding has {size} rows.")
        tokens[index], kinds[index] = token, NORMAL
        if token in MISTAKEN and not data["model"].get("byte_fallback"):
            tokens[index] = _unmistakable(token, vocabulary)
    for added in data.get("added_tokens", ()):
        if added["id"] >= size:
            raise ExportRefused(
                "vocabulary", f"Token {added['content']!r} has id {added['id']}; the embedding has {size} rows."
            )
        tokens[added["id"]] = added["content"]
        kinds[added["id"]] = CONTROL if added["special"] else USER_DEFINED
    return tokens, kinds


def _unmistakable(token: str, vocabulary: Mapping[str, int]) -> str:
    """The token with a space behind it (byte-level), so that llama.cpp leaves it alone; the gate checks its ids."""
    while token in vocabulary:
        token += "\u0120"
    return token


def _sentencepiece_kind(token: str, kind: int, unknown: str | None) -> int:
    if token == unknown:
        return UNKNOWN
    if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
        return BYTE
    return kind


def _scores(tokens: Sequence[str], pairs: Sequence[tuple[str, ...]]) -> list[float]:
    """The rank, negated, of the first merge that makes each token: what is merged first scores highest."""
    ranks: dict[str, int] = {}
    for rank, pair in enumerate(pairs):
        ranks.setdefault("".join(pair), rank)
    return [-float(ranks[token]) if token in ranks else -1e6 for token in tokens]


def _prefixes_space(data: Mapping[str, Any]) -> bool:
    """Whether a space is put before the text, as Llama 2 and Mistral do and Gemma does not."""
    normalizer = json.dumps(data.get("normalizer") or {})
    splitter = data.get("pre_tokenizer") or {}
    return '"Prepend"' in normalizer or splitter.get("prepend_scheme") in ("always", "first")


def _pre_tokenizer(data: Mapping[str, Any]) -> str:
    """llama.cpp's pre-tokenizer with the same split rules. Raises: ExportRefused if there is none known."""
    splitter = data.get("pre_tokenizer") or {}
    steps = splitter.get("pretokenizers", [splitter])
    kinds = [step.get("type") for step in steps]
    patterns = [step.get("pattern", {}).get("Regex") for step in steps if step.get("type") == "Split"]
    if kinds == ["Split", "ByteLevel"] and patterns[0] in PRE_TOKENIZERS:
        return PRE_TOKENIZERS[patterns[0]]
    if kinds == ["Digits", "ByteLevel"] and steps[0].get("individual_digits"):
        return "smollm"
    if kinds == ["ByteLevel"] and not steps[0].get("add_prefix_space"):
        return "gpt-2"
    raise ExportRefused(
        "pre-tokenizer", f"The tokenizer splits text by {kinds} {patterns}, which no pre-tokenizer known here does."
    )


def _special_ids(tokenizer: Any, folder: Path) -> dict[str, int]:
    """The ids of special tokens by their role. Where several tokens end an answer, the turn's end is taken first."""
    found = {
        name: getattr(tokenizer, f"{attribute}_token_id")
        for name, attribute in (("bos", "bos"), ("eos", "eos"), ("unknown", "unk"), ("padding", "pad"))
    }
    file = folder / "generation_config.json"
    ends = read_model_json(file).get("eos_token_id") if file.is_file() else None
    others = [end for end in ends if end != found["eos"]] if isinstance(ends, list) else []
    if others:
        found["eot"] = others[0]
    return {name: int(index) for name, index in found.items() if index is not None}


def gguf_tokenizer(path: Path) -> Any:
    """transformers' tokenizer of a GGUF file, built from the file's own tokens and split rules.

    transformers' reading of byte-level tokenizers uses GPT-2's split rules whatever the file says, and adds tokens that
    the model does not have: "½ Ⅷ" in SmolLM2, digits in Llama 3 would be other tokens in training than in llama.cpp.
    Raises: ExportRefused for a pre-tokenizer id not known here; FileRefused for a vocabulary that makes no tokenizer.
    """
    try:
        return _tokenizer(path)
    except EngineError:
        raise
    except Exception as error:  # of a foreign file's making, in a library: anything may come out
        said = " ".join(str(error).split())[:300]
        raise FileRefused(f"{path} has no tokenizer that can be made: {type(error).__name__}: {said}") from error


def _tokenizer(path: Path) -> Any:
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    kept = ("tokenizer.ggml.tokens", "tokenizer.ggml.token_type", "tokenizer.ggml.merges")
    metadata = read_header(path, kept).metadata
    if metadata.get("tokenizer.ggml.model") != "gpt2":
        return AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name, local_files_only=True)
    tokens = metadata["tokenizer.ggml.tokens"]
    named = {
        f"{name}_token": tokens[metadata[f"tokenizer.ggml.{key}_token_id"]]
        for name, key in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding"))
        if f"tokenizer.ggml.{key}_token_id" in metadata
    }
    made = PreTrainedTokenizerFast(tokenizer_object=_byte_level(metadata, path.name), **named)
    made.chat_template = metadata.get("tokenizer.chat_template")
    return made


def _byte_level(metadata: Mapping[str, Any], name: str) -> Any:
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    pre = str(metadata.get("tokenizer.ggml.pre", "default"))
    patterns = {pre_id: pattern for pattern, pre_id in PRE_TOKENIZERS.items()}
    bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pre not in patterns)
    if pre in patterns:
        splitter = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(patterns[pre]), "isolated"), bytes_])
    elif pre == "smollm":
        splitter = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), bytes_])
    elif pre in ("gpt-2", "default"):
        splitter = pre_tokenizers.Sequence([bytes_])
    else:
        raise ExportRefused("pre-tokenizer", f"{name} splits text by {pre!r}, which is not known here.")
    tokens, kinds = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.token_type"]
    merges = [tuple(merge.split(" ", 1)) for merge in metadata["tokenizer.ggml.merges"]]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, ignore_merges=pre == "llama-bpe"))
    made.pre_tokenizer = splitter
    made.decoder = decoders.ByteLevel()
    if metadata.get("bakeoff.normalizer", "NFC" if pre == "qwen2" else "none") == "NFC":
        made.normalizer = normalizers.NFC()
    made.add_special_tokens(
        [
            AddedToken(token, special=True, normalized=False)
            for token, kind in zip(tokens, kinds, strict=True)
            if kind == CONTROL
        ]
    )
    made.add_tokens(
        [AddedToken(token, normalized=False) for token, kind in zip(tokens, kinds, strict=True) if kind == USER_DEFINED]
    )
    begin = metadata.get("tokenizer.ggml.bos_token_id")
    if metadata.get("tokenizer.ggml.add_bos_token") and begin is not None:
        bos = tokens[begin]
        made.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, begin)]
        )
    return made
