"""Transformers behind the engine interface: one base in memory, any number of its LoRA adapters, batched.

The engine of evaluation: hundreds of prompts of several models at once (`answers`), and the losses of given texts
(`token_losses`). One conversation at a time (`stream`) works too; on a CPU llama.cpp answers one user faster.

A base is a Hugging Face folder, a Hub name, or a GGUF file: its dequantized weights then run through the same code,
which measures the quantization's own error and not another engine's arithmetic.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from engines.errors import EngineError, FileRefused
from engines.gguf_format.header import is_gguf, read_header
from engines.gguf_format.safetensors_header import check_model_folder
from engines.gguf_format.unpacking import model_of, read_directly, silence, unpacked
from engines.hardware.devices import OVERFLOWS, Device, free_bytes, this_device
from engines.hardware.devices import VARIABLE as DEVICE_VARIABLE
from engines.huggingface.batching import head_logits
from engines.huggingface.chat_templates import own_template
from engines.huggingface.decoders import Decoders, chosen
from engines.huggingface.likelihoods import Choices, LikelihoodReader
from engines.huggingface.lora_bank import RowAdapters, install, load_adapter
from engines.huggingface.memory import give_back
from engines.huggingface.requests import BASE, Cut, Generated, Request
from engines.huggingface.slot_attention import IMPLEMENTATION
from engines.interface import Chunk, Completion, Likelihood, Message, Sampling, boundary
from engines.processes.templates import TemplateRefused, rendered
from engines.stops import whole
from results.records import Progress

TURN_ENDS = ("<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<end_of_turn>", "<|end|>", "<|endoftext|>", "</s>")
"""End-of-turn tokens of the families we name: an answer ends there even if the model's files forget to say so."""


class WeightsRefused(FileRefused):
    """A model's weights or tokenizer cannot be loaded."""


def engine_device() -> Device:
    """Where models are loaded to answer: this machine's GPU, else its CPU.

    Apple GPUs train, but neither decoder was ever tried on one.
    """
    device = this_device()
    return device if device.is_cuda else this_device("cpu")


def weights_dtype(base: str | Path) -> torch.dtype:
    """What the device computes best; where that is float16, float32 for an architecture that overflows in it."""
    best = engine_device().dtype
    if best == "float16" and _architecture(base) in OVERFLOWS:
        best = "float32"
    dtype: torch.dtype = getattr(torch, best)
    return dtype


def _architecture(base: str | Path) -> str:
    """The `model_type` of a folder or Hub name, the architecture of a GGUF file; empty where there is none to read."""
    if is_gguf(base):
        return read_header(Path(base)).architecture
    from transformers import AutoConfig

    check_model_folder(Path(base))
    try:
        return str(AutoConfig.from_pretrained(base, trust_remote_code=False).model_type)
    except Exception:
        return ""  # loading it says why


def load_base(base: str | Path, dtype: torch.dtype | None = None) -> tuple[Any, Any]:
    """(model, tokenizer) of a folder, Hub name or GGUF file, ready for inference on `engine_device`.

    A GPU's weights are read straight onto it: no copy of all of them lies in the machine's memory.
    Raises: WeightsRefused, naming the base and what transformers said. Code shipped with weights is never run.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    dtype, device = dtype or weights_dtype(base), engine_device()
    file, named = Path(base), str(dtype).removeprefix("torch.")
    gguf = is_gguf(file)
    direct = gguf and read_directly(file, named)
    if gguf:
        base = unpacked(file, "" if direct else named)
    else:
        check_model_folder(file)
    try:
        with silence():
            tokenizer = AutoTokenizer.from_pretrained(base, trust_remote_code=False)
            if direct:
                with torch.device(device.name):
                    model = model_of(file, Path(base), named, attn_implementation=IMPLEMENTATION)
                return model.eval().requires_grad_(False), tokenizer
            model = AutoModelForCausalLM.from_pretrained(
                base, dtype=dtype, attn_implementation=IMPLEMENTATION, trust_remote_code=False, use_safetensors=True,
                device_map={"": device.name} if device.is_cuda else None,
            )  # fmt: skip
    except torch.OutOfMemoryError as error:
        raise WeightsRefused(
            f"{base} does not fit the {device.label}'s memory in {str(dtype).removeprefix('torch.')} "
            f"({free_bytes(device) / 1e9:.1f} of {device.memory_bytes / 1e9:.1f} GB are free): measure its gguf-q8_0 "
            f"or gguf-q4_0 format, or compute on the CPU with {DEVICE_VARIABLE}=cpu"
        ) from error
    except Exception as error:  # of a foreign file's making, in a library: anything may come out
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise WeightsRefused(f"Cannot load {base}: {reason}") from error
    return model.eval().requires_grad_(False), tokenizer


class HuggingFaceEngine:
    """One base and its adapters. Implements `engines.interface.Engine` for `adapter`; `answers` mixes them all."""

    def __init__(
        self,
        base: str | Path,
        adapters: Mapping[str, Path] | None = None,
        adapter: str = BASE,
        identity: str = "",
        dtype: torch.dtype | None = None,
        decoder: str | None = None,
    ) -> None:
        """Load the base, then each adapter folder under its name; `adapter` answers `stream` and `complete`.

        decoder: batched or generate_batch, else `engines.huggingface.decoders.chosen`. Raises: WeightsRefused,
        AdapterRefused.
        """
        choice = chosen(engine_device(), decoder)
        self.base = Path(base)
        self.model, self.tokenizer = load_base(base, dtype)
        self.adapter = adapter
        self.identity = identity
        self.row_adapters = RowAdapters()
        self.layers = install(self.model, self.row_adapters)
        self.templates: dict[str, str] = {}
        """Chat templates that adapters bring with them, where these are not the base's."""
        for name, folder in (adapters or {}).items():
            self.add_adapter(name, folder)
        self.end_ids = self._end_ids()
        self.decoders = Decoders(self.model, self.tokenizer, self.row_adapters, self.end_ids, engine_device(), choice)

    def details(self) -> dict[str, Any]:
        """What a record keeps: the device, the dtype, which decoder answered, what went otherwise than planned."""
        device = engine_device()
        dtype = str(self.model.dtype).removeprefix("torch.")
        return {"device": device.label, "dtype": dtype, **self.decoders.record}

    def add_adapter(self, name: str, folder: Path) -> None:
        """Put a PEFT folder or a LoRA-GGUF into the bank. Raises AdapterRefused."""
        load_adapter(self.layers, name, folder, self.base if is_gguf(self.base) else None)
        if (template := own_template(folder)) is not None:
            self.templates[name] = template

    def _end_ids(self) -> frozenset[int]:
        declared = getattr(self.model.generation_config, "eos_token_id", None)
        ids = set(declared) if isinstance(declared, list) else {declared}
        ids.add(self.tokenizer.eos_token_id)
        added = self.tokenizer.get_added_vocab()  # not every `</s>` ends: Qwen2.5's is an ordinary token
        ids |= {added[token] for token in TURN_ENDS if token in added}
        return frozenset(int(token) for token in ids if token is not None)

    def encode(self, prompt: str) -> tuple[int, ...]:
        """Token ids of a prompt, with the beginning-of-text token where the model has one and the text lacks it."""
        start = self.tokenizer.bos_token
        special = not (start and prompt.startswith(start))
        ids = tuple(self.tokenizer(whole(prompt), add_special_tokens=special).input_ids)
        if not ids:
            raise WeightsRefused("An empty prompt has no tokens; give at least one character")
        return ids

    @property
    def context(self) -> int | None:
        """Tokens that a prompt and its answer may have together, by the model's own files; None where they say none."""
        most = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        return int(most) if most else None

    def request(self, prompt: str, sampling: Sampling, adapter: str | None = None, cut: Cut | None = None) -> Request:
        """A prompt as the decoders take it, its answer no longer than the context leaves room for.

        Raises: EngineError for a prompt that fills the context, or holds what no tokenizer takes.
        """
        self._open()
        ids, context = self.encode(prompt), self.context
        if context is not None and len(ids) >= context:
            raise EngineError(
                f"The prompt has {len(ids)} tokens; {self.base.name} has a context of {context}. Shorten it.",
                code="context_length_exceeded",
            )
        if context is not None and sampling.max_tokens > context - len(ids):
            sampling = replace(sampling, max_tokens=context - len(ids))
        return Request(ids, sampling, self.adapter if adapter is None else adapter, cut)

    def answers(self, requests: Sequence[Request], slots: int | None = None) -> Iterator[tuple[int, Generated]]:
        """Answer requests of any mixture of adapters; yields (index, answer) as they finish.

        Raises: EngineError where a GPU's memory does not hold one row.
        """
        self._open()
        return self.decoders.answers(requests, slots)

    def choices(self, prompt: str, continuations: Sequence[str], adapter: str = BASE, lines: bool = True) -> Choices:
        """A prompt and its continuations as `likelihoods` takes them, cut as `engines.interface.boundary` says.

        Raises: EngineError for what is longer than the context, or a continuation without a token of its own.
        """
        kept, texts = boundary(prompt, continuations, lines)
        ids, context = self.encode(kept), self.context
        tails = tuple(self.encode(kept + text)[len(ids) :] for text in texts)
        if not all(tails):
            empty = continuations[tails.index(())]
            raise EngineError(f"{empty[:40]!r} has no token of its own behind its prompt", code="invalid_value")
        longest = len(ids) + max(map(len, tails))
        if context is not None and longest > context:
            raise EngineError(
                f"The prompt and its longest continuation have {longest} tokens; {self.base.name} has a context of "
                f"{context}. Shorten them.",
                code="context_length_exceeded",
            )
        return Choices(ids, tails, adapter)

    def likelihoods(self, questions: Sequence[Choices]) -> Iterator[tuple[int, tuple[Likelihood, ...]]]:
        """Weigh continuations of any mixture of adapters; yields (index, each one's) batch by batch.

        Raises: EngineError where a GPU's memory does not hold one question.
        """
        self._open()
        decoders = self.decoders
        return LikelihoodReader(self.model, self.row_adapters, decoders.room, decoders.note).read(questions)

    @torch.inference_mode()
    def token_losses(self, texts: Sequence[Sequence[int]], adapter: str = BASE) -> list[torch.Tensor]:
        """Nats of every token but the first, given those before it: one (n - 1,) float32 tensor per text."""
        self._open()
        losses: list[torch.Tensor] = [torch.zeros(0)] * len(texts)
        waiting = sorted(range(len(texts)), key=lambda i: (len(texts[i]), i))
        budget = self.decoders.room.loss_tokens()
        while waiting:
            batch = _first_batch(waiting, texts, budget)
            try:
                for i, nats in zip(batch, self._batch_losses([texts[i] for i in batch], adapter), strict=True):
                    losses[i] = nats
            except torch.OutOfMemoryError as error:
                if len(batch) == 1:
                    raise EngineError(
                        f"A text of {len(texts[batch[0]])} tokens does not fit the GPU: {error}"
                    ) from error
                budget = len(batch) // 2 * len(texts[batch[-1]])
                self.decoders.note(f"the GPU's memory ran out over {len(batch)} texts at once; half from there on")
            else:
                del waiting[: len(batch)]
                continue
            torch.cuda.empty_cache()
        return losses

    def _batch_losses(self, texts: Sequence[Sequence[int]], adapter: str) -> list[torch.Tensor]:
        """The same for texts that fit one forward."""
        ids = torch.zeros(len(texts), max(map(len, texts)), dtype=torch.int64)
        for place, text in enumerate(texts):
            ids[place, : len(text)] = torch.tensor(text)
        self.row_adapters.set([adapter] * len(texts))
        hidden = self.model.get_decoder()(input_ids=ids.to(self.model.device), use_cache=False).last_hidden_state
        self.row_adapters.set([adapter])
        return [
            self._row_losses(hidden[place, : len(text) - 1], ids[place, 1 : len(text)])
            for place, text in enumerate(texts)
        ]

    def _row_losses(self, states: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """states (n, width), targets (n,) -> nats (n,), the vocabulary's logits a few hundred positions at a time."""
        parts = []
        for start in range(0, len(targets), 256):
            logits = head_logits(self.model, states[None, start : start + 256])[0].float()
            chosen = logits.gather(1, targets[start : start + 256, None].to(logits.device))[:, 0]
            parts.append((torch.logsumexp(logits, -1) - chosen).cpu())
        return torch.cat(parts) if parts else torch.zeros(0)

    @torch.inference_mode()
    def mixed_logits(self, prompt: str, rows: Sequence[str]) -> torch.Tensor:
        """(rows, vocabulary) float32 logits after one prompt, each row of one batch with its own adapter."""
        self._open()
        ids = torch.tensor([self.encode(prompt)] * len(rows), device=self.model.device)
        self.row_adapters.set(rows)
        hidden = self.model.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state
        return head_logits(self.model, hidden[:, -1:])[:, 0].float().cpu()

    def stream(self, messages: Sequence[Message], sampling: Sampling) -> Generator[Chunk]:
        """Answer one conversation as it is generated; the last chunk has the reason and no text.

        Chunks without text come while a long prompt is read: there whoever iterates may stop.
        """
        return self.stream_text(self.render(messages), sampling)

    def stream_text(self, prompt: str, sampling: Sampling) -> Generator[Chunk]:
        """Continue one raw prompt as it is generated."""
        self._open()
        request = self.request(prompt, sampling)
        told = 0
        for _, event in self.decoders.one().events([request]):
            if isinstance(event, Generated):
                yield Chunk("", event.tokens - told, event.finish_reason)
            else:
                told += event.tokens
                yield Chunk(event.text, event.tokens)

    def complete(
        self, prompts: Sequence[str], sampling: Sampling, progress: Progress | None = None
    ) -> list[Completion]:
        """Continue raw prompts, batched; results in the order of the prompts."""
        requests = [self.request(prompt, sampling) for prompt in prompts]
        started = time.perf_counter()
        results: dict[int, Completion] = {}
        for index, answer in self.answers(requests):
            results[index] = Completion(
                text=answer.text,
                prompt_tokens=len(requests[index].ids),
                tokens=answer.tokens,
                finish_reason=answer.finish_reason,
                model=self.identity,
                sampling=sampling,
                total_seconds=time.perf_counter() - started,
            )
            if progress is not None:
                progress("answers", len(results), len(prompts))
        return [results[i] for i in range(len(prompts))]

    def render(self, messages: Sequence[Message], adapter: str | None = None, answer_next: bool = True) -> str:
        """The text that an adapter's (by default this engine's) chat template makes of a conversation.

        answer_next: ready to be answered. Raises WeightsRefused without a template, or if it refuses the conversation.
        """
        template = self.chat_template_of(self.adapter if adapter is None else adapter)
        if not template:
            raise WeightsRefused("This model has no chat template: it is a base model. Use raw prompting")
        try:
            return rendered(self.tokenizer, messages, template=template, generation=answer_next)
        except TemplateRefused:
            raise
        except Exception as error:  # templates are programs: anything may come out
            said = " ".join(str(error).split())[:300]
            raise WeightsRefused(f"The chat template refuses the conversation: {said}") from error

    def chat_template_of(self, adapter: str = BASE) -> str:
        """The template that an adapter brings, else the base's; empty without one."""
        return self.templates.get(adapter) or str(self.tokenizer.chat_template or "")

    def count_tokens(self, text: str) -> int:
        """Tokens of a text, special tokens not added."""
        return len(self.tokenizer(whole(text), add_special_tokens=False).input_ids)

    def token_ids(self, text: str, add_special: bool = False, parse_special: bool = True) -> list[int]:
        """Token ids of a text, as `engines.demands.TokenizingEngine` has it."""
        asked = self.tokenizer(whole(text), add_special_tokens=add_special, split_special_tokens=not parse_special)
        return [int(one) for one in asked.input_ids]

    def text_of(self, ids: Sequence[int]) -> str:
        """The text of these token ids. Raises: EngineError if there is none of an id."""
        unknown = [one for one in ids if not 0 <= one < len(self.tokenizer)]
        if unknown:
            said = f"There is no token {unknown[0]}: this model has {len(self.tokenizer)}."
            raise EngineError(said, code="invalid_value", parameter="tokens")
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def close(self) -> None:
        """Free the memory; afterwards every call raises."""
        self.model = None
        self.layers = {}
        del self.decoders
        give_back()

    def _open(self) -> None:
        if self.model is None:
            raise RuntimeError("The engine is closed")


def _first_batch(waiting: Sequence[int], texts: Sequence[Sequence[int]], budget: int) -> list[int]:
    """The first of the texts that wait, shortest first: at most `budget` tokens with their padding, at least one."""
    batch: list[int] = []
    for i in waiting:
        if batch and len(texts[i]) * (len(batch) + 1) > budget:
            break
        batch.append(i)
    return batch
