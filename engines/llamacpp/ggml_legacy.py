"""GGML files from before GGUF (2023) through ctransformers, which has not been maintained since.

Its llama.cpp is of September 2023: it reads GGML files of Llama 1 and 2, GPT-2, GPT-J, GPT-NeoX, StarCoder, MPT and
their kind, and cannot read Llama 3, Qwen2, SmolLM2 or any other newer file; those are refused by name. GGUF files of
every age go to `engines.llamacpp.engine`.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from engines.errors import EngineCrashed, EngineError, FileRefused
from engines.gguf_format.header import legacy_format, read_header
from engines.gguf_format.safetensors_header import read_model_json
from engines.interface import Chunk, Completion, FinishReason, Message, Sampling
from engines.stops import StopFilter, whole
from results import file_start, needs
from results.records import Progress

KINDS = ("gpt2", "gptj", "gpt_neox", "llama", "mpt", "starcoder", "dolly-v2", "replit", "falcon")
"""What ctransformers can be told that a file is; a GGML file does not say it."""


class CTransformersEngine:
    """One GGML file. Not thread-safe. GGML files carry no chat template: conversations are refused."""

    def __init__(self, path: Path, kind: str = "", *, identity: str = "", threads: int = 0) -> None:
        """Load. `kind` is one of KINDS, else read from `model_type` of a config.json beside the file.

        Raises: FileRefused for GGUF and unknown files; EngineError if ctransformers cannot load it.
        """
        refuse_modern(path)
        kind = kind or _kind_beside(path)
        if kind not in KINDS:
            raise EngineError(
                f"{path.name} does not say which model it is. Put model_type in {path.parent}/config.json: {KINDS}"
            )
        try:
            from ctransformers import LLM, Config
        except ModuleNotFoundError as absent:
            raise EngineError(f"{path.name} is a file from before GGUF: {needs(absent.name or '')}") from absent
        try:
            self._model: Any = LLM(str(path), kind, config=Config(threads=threads or -1))
        except Exception as problem:
            raise EngineError(f"ctransformers cannot load {path.name} as {kind}: {problem}") from None
        self.path = path
        self.identity = identity

    def stream(self, messages: Sequence[Message], sampling: Sampling) -> Generator[Chunk]:
        """Answer a conversation; see `render`."""
        return self.stream_text(self.render(messages), sampling)

    def complete(
        self, prompts: Sequence[str], sampling: Sampling, progress: Progress | None = None
    ) -> list[Completion]:
        """Continue raw prompts, one after the other."""
        answers = []
        for done, prompt in enumerate(prompts, 1):
            began, text, tokens, first = time.perf_counter(), "", 0, None
            finish: FinishReason = "stop"
            for chunk in self.stream_text(prompt, sampling):
                if chunk.text and first is None:
                    first = time.perf_counter() - began
                text, tokens, finish = text + chunk.text, tokens + chunk.tokens, chunk.finish_reason or finish
            total = time.perf_counter() - began
            count = len(self._tokenize(prompt))
            answers.append(Completion(text, count, tokens, finish, self.identity, sampling, first, total))
            if progress:
                progress("answers", done, len(prompts))
        return answers

    def render(self, messages: Sequence[Message]) -> str:
        """Raises: EngineError always, but for a single user message, which is continued as it is."""
        if len(messages) == 1 and messages[0]["role"] == "user":
            return messages[0]["content"]
        raise EngineError(f"{self.path.name} is a GGML file without a chat template; it continues single prompts only.")

    def count_tokens(self, text: str) -> int:
        """Tokens of a text."""
        return len(self._tokenize(text))

    def close(self) -> None:
        """Free the memory."""
        self._model = None

    def _open(self) -> Any:
        if self._model is None:
            raise EngineCrashed(f"{self.path.name} was closed.")
        return self._model

    def _tokenize(self, text: str, beginning: bool = False) -> list[int]:
        """Token ids. The library's own method has room for one a character, and its bytes may be more."""
        data = whole(text).encode()
        if b"\0" in data:
            raise EngineError("The text holds a NUL character, where the library would cut it off. Remove it.")
        ids = (ctypes.c_int * (len(data) + 2))()
        return list(ids[: self._open().ctransformers_llm_tokenize(data, beginning, ids)])

    def stream_text(self, prompt: str, sampling: Sampling) -> Generator[Chunk]:
        """Continue one raw prompt."""
        import torch
        from numpy.ctypeslib import as_array

        from engines.huggingface.sampling import draw, generator_of

        model, filtered = self._open(), StopFilter(sampling.stop)
        ids = self._tokenize(prompt, beginning=model.model_type == "llama")
        if not 0 < len(ids) < model.context_length:
            raise EngineError(f"The prompt has {len(ids)} tokens; {self.path.name} takes 1 to {model.context_length}.")
        most, pending, generator = (
            min(sampling.max_tokens, model.context_length - len(ids)),
            b"",
            generator_of(sampling),
        )
        finish: FinishReason = "length"
        model.eval(model.prepare_inputs_for_generation(ids, reset=True))
        for count in range(1, most + 1):
            # Drawn here: the library starts its random numbers over for every token.
            data = model.ctransformers_llm_logits_data()
            logits = torch.from_numpy(as_array(data, (model.ctransformers_llm_logits_size(),)).copy())
            if sampling.ignore_end and model.eos_token_id >= 0:
                logits[model.eos_token_id] = float("-inf")
            token = draw(logits, sampling, generator) if generator else int(logits.argmax())
            if model.is_eos_token(token) and not sampling.ignore_end:
                finish = "stop"
                break
            pending += model.detokenize([token], decode=False)
            text, pending = _whole_characters(pending)
            yield Chunk(filtered.feed(text))
            if filtered.stopped:
                break
            if count < most:
                model.eval([token])
        yield Chunk(
            filtered.feed(pending.decode("utf-8", "replace")) + filtered.end(),
            0,
            "stop" if filtered.stopped else finish,
        )


def refuse_modern(path: Path) -> None:
    """Raise FileRefused, naming the architecture, unless this is a GGML file from before GGUF."""
    if not path.is_file():
        raise FileRefused(f"{path} is not a file.")
    if legacy_format(path):
        return
    magic = file_start(path, 4)
    if magic == b"GGUF":
        kind = read_header(path).architecture or "unknown"
        raise FileRefused(
            f"{path.name} is a GGUF file of architecture {kind!r}. ctransformers carries a llama.cpp of 2023, which "
            "reads no Llama 3, Qwen2 or newer file; it is for GGML files only. llama.cpp opens this one: format gguf-*."
        )
    raise FileRefused(f"{path.name} begins with {magic!r}: neither GGML nor GGUF.")


def _kind_beside(path: Path) -> str:
    config = path.parent / "config.json"
    if not config.is_file():
        return ""
    try:
        return str(read_model_json(config).get("model_type", ""))
    except FileRefused:
        return ""


def _whole_characters(data: bytes) -> tuple[str, bytes]:
    """(text, rest): the bytes up to the last whole UTF-8 character, and what belongs to the next one."""
    for keep in range(min(3, len(data)), 0, -1):
        tail = data[-keep:]
        wanted = (
            0 if tail[0] > 0xF4 else 4 if tail[0] >= 0xF0 else 3 if tail[0] >= 0xE0 else 2 if tail[0] >= 0xC0 else 0
        )
        if wanted > keep:
            return data[:-keep].decode("utf-8", "replace"), tail
    return data.decode("utf-8", "replace"), b""
