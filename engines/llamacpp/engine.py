"""GGUF models through llama.cpp (xllamacpp): the engine for one user's latency, chat and the file that ships.

    engine = LlamaCppEngine.open(Path("model.gguf"))
    for chunk in engine.stream([{"role": "user", "content": "Why is the sky blue?"}], Sampling(max_tokens=64)):
        print(chunk.text, end="")

Several adapters of one base share a `LlamaServer`. Thread-safe: streams of one adapter are batched, streams of
different adapters get slices of time (`engines.llamacpp.scheduler`).
"""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from engines.demands import Demands
from engines.errors import EngineCrashed, EngineError, EngineOverdue
from engines.gguf_format.header import NORMALIZER
from engines.interface import AnswerStream, Completion, Likelihood, Message, Sampling
from engines.llamacpp.server_process import LlamaServer, Threading
from engines.llamacpp.shaping import answered
from engines.llamacpp.stream import LlamaStream
from engines.llamacpp.weighing import weigh
from engines.stops import whole
from results.records import Progress

TEMPLATE_SECONDS = 5.0
"""A chat template that takes longer, on the clock and in CPU time, to render is a bomb; its process is ended."""


class LlamaCppEngine:
    """The base (adapter None) or one adapter of a `LlamaServer`."""

    def __init__(self, server: LlamaServer, adapter: int | None = None, identity: str = "", reuse: int = 1) -> None:
        """`reuse`: tokens that an earlier prompt's keys and values must share with a prompt, by the same adapter, to be
        used for it (0 for latency measurements: never)."""
        self.server = server
        self.adapter = adapter
        self.identity = identity
        self.reuse = reuse
        self._closed = False
        server.acquire()

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        adapter: Path | None = None,
        context: int | None = None,
        slots: int = 1,
        threading_choice: Threading | None = None,
        identity: str = "",
        reuse: int = 1,
    ) -> LlamaCppEngine:
        """Load a GGUF, with one adapter if given, in a process of its own."""
        adapters = [adapter] if adapter else []
        server = LlamaServer(path, adapters, context=context, slots=slots, threading_choice=threading_choice)
        return cls(server, 0 if adapter else None, identity, reuse)

    def stream(self, messages: Sequence[Message], sampling: Sampling) -> LlamaStream:
        """Answer a conversation. The iterator's `close` may be called from any thread."""
        return LlamaStream(self, lambda: self.fit(messages, sampling.max_tokens), sampling)

    def stream_text(self, prompt: str, sampling: Sampling) -> LlamaStream:
        """Continue a raw prompt, token by token."""
        return LlamaStream(self, lambda: self.fitted(prompt), sampling)

    def answer(self, asked: Sequence[Message] | str, sampling: Sampling, demands: Demands) -> AnswerStream:
        """Answer as demanded: held to a schema, with tools, log-probabilities, a bias (`engines.llamacpp.shaping`)."""
        return answered(self, asked, sampling, demands)

    def complete(
        self, prompts: Sequence[str], sampling: Sampling, progress: Progress | None = None
    ) -> list[Completion]:
        """Continue raw prompts, as many at once as there are slots. Special tokens in the text are special."""
        done = 0

        def one(prompt: str) -> Completion:
            nonlocal done
            answer = self._complete_one(prompt, sampling)
            done += 1
            if progress:
                progress("answers", done, len(prompts))
            return answer

        with ThreadPoolExecutor(max_workers=self.server.slots) as pool:
            return list(pool.map(one, prompts))

    def _complete_one(self, prompt: str, sampling: Sampling) -> Completion:
        try:
            stream = self.stream_text(prompt, sampling)
            text = "".join(chunk.text for chunk in stream)
        except EngineCrashed:
            raise
        except EngineError as problem:
            return Completion("", 0, 0, "error", self.identity, sampling, notes=(str(problem),))
        return stream.completion(text)

    def render(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()) -> str:
        """The prompt text by the file's own chat template, rendered in the engine's process within 5 s."""
        body = {"messages": list(messages), **({"tools": list(tools)} if tools else {})}
        whole(json.dumps(body, ensure_ascii=False))
        try:
            rendered = self._call("/apply-template", body, TEMPLATE_SECONDS)
        except EngineOverdue:
            self.server.child().stop()
            raise EngineError(
                f"The chat template of {self.server.path.name} did not finish within {TEMPLATE_SECONDS:.0f} s. "
                "Its engine was ended; export the model with a sound template."
            ) from None
        return str(rendered["prompt"])

    def tokens(self, text: str) -> list[int]:
        """Token ids of a prompt as the model gets it: special tokens parsed, beginning-of-text once if at all."""
        ids = self._tokenize(text, special=True)
        return ids[1:] if len(ids) > 1 and ids[0] == ids[1] == self._beginning else ids

    @property
    def _beginning(self) -> int | None:
        return self.server.header.metadata.get("tokenizer.ggml.bos_token_id")

    def count_tokens(self, text: str) -> int:
        """Tokens of a text, special tokens not added."""
        return len(self._tokenize(text, special=False))

    def token_ids(self, text: str, add_special: bool = False, parse_special: bool = True) -> list[int]:
        """Token ids of a text, as `engines.demands.TokenizingEngine` has it."""
        return self._tokenize(text, parse_special, add_special)

    def text_of(self, ids: Sequence[int]) -> str:
        """The text of these token ids. Raises: EngineError if there is none of an id."""
        try:
            return str(self._call("/detokenize", {"tokens": list(ids)})["content"])
        except EngineCrashed:
            raise
        except EngineError:
            raise EngineError(
                f"There is no token of one of these ids: {str(list(ids))[:60]}.",
                code="invalid_value",
                parameter="tokens",
            ) from None

    def ids_of(self, text: str) -> list[int]:
        """Token ids of a piece of an answer: nothing added, nothing special."""
        return self._tokenize(text, special=False)

    def next_tokens(self, prompt: str, most: int = 64) -> dict[int, float]:
        """Log-probabilities (nats) of the likeliest next tokens after a raw prompt, by token id, at most so many."""
        answer = self._probe(self.tokens(prompt), n_predict=1, n_probs=most, forced=self.ids_of("a")[-1])
        return {int(one["id"]): float(one["logprob"]) for one in answer["completion_probabilities"][0]["top_logprobs"]}

    def ends_at(self, text: str) -> bool:
        """Whether the first token of a text, special where it can be, ends an answer."""
        ids = self.tokens(text)
        ids = ids[1:] if len(ids) > 1 and ids[0] == self._beginning else ids
        return bool(ids) and self._probe(self.tokens("Hello"), n_predict=2, forced=ids[0]).get("stop_type") == "eos"

    def weigh(self, prompt: str, continuations: Sequence[str], lines: bool = True) -> tuple[Likelihood, ...]:
        """How likely each continuation of a raw prompt is (`engines.llamacpp.weighing`)."""
        return weigh(self, prompt, continuations, lines)

    def ask(self, path: str, body: Any) -> Any:
        """POST to the engine's process, and the JSON of its answer. Raises: EngineError and its kinds."""
        return self._call(path, body)

    def _probe(self, prompt: list[int], forced: int, **settings: int) -> Any:
        """A greedy answer that begins with the `forced` token, nothing reused: what llama.cpp says of it.

        The probabilities are those before the token is forced; one that is half a character would come without any.
        """
        body = {
            "prompt": prompt, "temperature": 0, "logit_bias": [[forced, 1000.0]], "cache_prompt": False,
            "lora": self.server.scales(self.adapter), **settings,
        }  # fmt: skip
        return self._call("/completion", body)

    def _tokenize(self, text: str, special: bool, add: bool | None = None) -> list[int]:
        if "\0" in text:
            raise EngineError("The text holds a NUL character, where llama.cpp would cut it off. Remove it.")
        body = {
            "content": self.normalized(whole(text)),
            "add_special": special if add is None else add,
            "parse_special": special,
        }
        return list(self._call("/tokenize", body)["tokens"])

    def normalized(self, text: str) -> str:
        """The text in NFC where the model's tokenizer wants it (Qwen), which llama.cpp leaves out."""
        metadata = self.server.header.metadata
        assumed = "NFC" if metadata.get("tokenizer.ggml.pre") == "qwen2" else ""
        form = metadata.get(NORMALIZER, assumed)
        return unicodedata.normalize("NFC", text) if form == "NFC" else text

    def fit(self, messages: Sequence[Message], max_tokens: int) -> tuple[list[int], str]:
        """(token ids, note): the conversation within the context, its oldest turns left out where it is too long.

        A system message stays. Room for the answer is kept: `max_tokens`, at most a quarter of the context.
        Raises: EngineError if the last turn alone is too long.
        """
        room = self.server.context - min(max_tokens, self.server.context // 4)
        kept = list(messages)
        ids = self.tokens(self.render(kept))
        while len(ids) > room:
            first = 1 if kept and kept[0]["role"] == "system" else 0
            drop = 2 if len(kept) > first + 2 and kept[first + 1]["role"] == "assistant" else 1
            if len(kept) - drop <= first:
                break
            del kept[first : first + drop]
            ids = self.tokens(self.render(kept))
        dropped = len(messages) - len(kept)
        note = (
            f"The oldest {dropped} turns were left out: the context holds {self.server.context} tokens."
            if dropped
            else ""
        )
        return self.checked(ids), note

    def fitted(self, prompt: str) -> tuple[list[int], str]:
        """(token ids, ""): a raw prompt. Raises: EngineError if it is longer than the context."""
        return self.checked(self.tokens(prompt)), ""

    def checked(self, ids: list[int]) -> list[int]:
        """The token ids. Raises: EngineError if they are more than the context holds."""
        if len(ids) >= self.server.context:
            raise EngineError(
                f"The prompt has {len(ids)} tokens; {self.server.path.name} is open with a context of "
                f"{self.server.context}. Shorten it or open the model with a larger context.",
                code="context_length_exceeded",
            )
        return ids

    def _call(self, path: str, body: Any, seconds: float = math.inf) -> Any:
        if self._closed:
            raise EngineCrashed(f"{self.server.path.name} was closed.")
        return self.server.call(path, body, seconds)

    def close(self) -> None:
        """Leave the process; the last engine ends it."""
        if not self._closed:
            self._closed = True
            self.server.release()
