"""GGUF models asked through llama.cpp, the engine that people will be answered by.

One base file is in memory once, with all its LoRA-GGUFs beside it, in a process of its own. The questions of one
adapter are asked together, adapter after adapter: llama.cpp batches only requests of one adapter. What a slot holds of
a prompt's beginning by the same adapter is not read again, if it is `LEAST_REUSED` tokens or more. An engine that dies
is started again and asked again once; what it cannot answer is an error of ours.

Not here: the same weights, dequantized, through transformers (`evaluator.asking.backends.Together`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engines import (
    LEAST_REUSED,
    Demands,
    EngineCrashed,
    EngineError,
    FileRefused,
    Generated,
    LlamaCppEngine,
    cache_bytes,
    llamacpp_gpus,
    open_engines,
    read_header,
    this_device,
)
from evaluator.asking.prompts import Prompting
from evaluator.asking.questions import Question, at_once, until_the_end
from evaluator.loading.bases import Family
from evaluator.loading.self_test import check_served
from results import Model, Workspace

SLOTS = 8
"""Answers at a time on a CPU. SmolLM2-135M on two cores: see docs/benchmarks.md."""
SLOTS_ON_A_GPU = 32
CACHE_BYTES = 1 << 30
"""Most memory for keys and values; large models get fewer slots."""

BYTES_A_TOKEN = 2.5
"""What a token of a prompt with code stands for; a tokenizer that needs more is noticed, and gets more room."""
FEW_MERGES = 8192
"""A tokenizer of fewer merges, as test models have, is taken to need a token for each byte."""
TEMPLATE_TOKENS = 64
"""What a chat template adds to a conversation, about."""
ROUND = 128
"""Tokens that a context is a multiple of."""


class Served:
    """Models on one GGUF file: the file itself, its LoRA-GGUFs."""

    engine = "llamacpp"

    def __init__(self, family: Family, workspace: Workspace) -> None:
        self._family, self._workspace = family, workspace
        self._reached: dict[str, Any] = {}

    @property
    def members(self) -> tuple[Model, ...]:
        return self._family.members

    def prompting(self, wanted: Prompting | None) -> Mapping[str, Prompting]:
        """Needs the file's header only."""
        template = read_header(Path(self._family.weights)).metadata.get("tokenizer.chat_template")
        return {model.id: wanted or ("chat" if template else "raw") for model in self.members}

    def details(self) -> dict[str, Any]:
        return {"reached": self._reached}

    @contextmanager
    def opened(self, questions: Sequence[Question]) -> Iterator[_Slots]:
        """The file with the adapters that are asked. Raises FileRefused, EngineError and their kinds."""
        merges = read_header(Path(self._family.weights)).metadata.get("tokenizer.ggml.merges")
        count = len(merges) if isinstance(merges, list) else getattr(merges, "items", FEW_MERGES)
        bytes_a_token = 1.0 if count < FEW_MERGES else BYTES_A_TOKEN
        needed = max((_estimate(question, bytes_a_token) for question in questions), default=ROUND)
        asked = self._open(questions, needed)
        try:
            exact = asked.context_needed(questions)
            if exact > asked.context < asked.trained_context:
                asked.close()
                asked = self._open(questions, exact)
            self._reached = asked.details()
            yield asked
        finally:
            asked.close()

    def _open(self, questions: Sequence[Question], context: int) -> _Slots:
        ids = {question.model.id for question in questions}
        models = [model for model in self.members if model.id in ids]
        context = -(-context // ROUND) * ROUND
        room = CACHE_BYTES // max(1, cache_bytes(read_header(Path(self._family.weights)), context))
        most = SLOTS_ON_A_GPU if this_device().is_cuda and llamacpp_gpus() else SLOTS
        slots = max(1, min(most, room, len(questions)))
        return _Slots(open_engines(models, self._workspace, context=context, slots=slots, reuse=LEAST_REUSED))


def _estimate(question: Question, bytes_a_token: float) -> int:
    """Tokens of a prompt and its answer, about."""
    text = "".join(turn["content"] for turn in question.turns) or question.text
    return int(len(text.encode()) / bytes_a_token) + TEMPLATE_TOKENS + question.sampling.max_tokens


class _Slots:
    """The engines of one process by model id."""

    def __init__(self, engines: Mapping[str, LlamaCppEngine]) -> None:
        self._engines = engines
        self._server = next(iter(engines.values())).server
        self._base = LlamaCppEngine(self._server, reuse=False)
        self._prompts: dict[tuple[str, ...], str] = {}

    @property
    def context(self) -> int:
        """Tokens of one slot."""
        return self._server.context

    @property
    def trained_context(self) -> int:
        """Tokens that the model was trained for."""
        return int(self._server.header.hyperparameter("context_length", 1 << 20))

    def context_needed(self, questions: Sequence[Question]) -> int:
        """Tokens of the longest prompt with its answer."""
        longest = {self.prompt(question): question.sampling.max_tokens for question in questions}
        return max((len(self._base.tokens(prompt)) + most + 1 for prompt, most in longest.items()), default=0)

    def details(self) -> dict[str, Any]:
        """What answers, for the record."""
        return {
            "engine": Served.engine,
            "build": self._server.child().details.get("build", ""),
            "device": self._server.child().details.get("device", ""),
            "slots": self._server.slots,
            "context": self.context,
            "threads": self._server.threading.threads,
            "near_ties": "not known: llama.cpp's answers come without their logits",
        }

    def check(self, model: Model) -> None:
        """The self-test. Raises IdentityFailed."""
        check_served(self._engines[model.id], self._base, model)

    def prompt(self, question: Question) -> str:
        """The prompt as the file's own template renders it; adapters beside one file share its template."""
        if not question.turns:
            return question.text
        key = tuple(part for turn in question.turns for part in (turn["role"], turn["content"]))
        if key not in self._prompts:
            self._prompts[key] = self._base.render(question.turns)
        return self._prompts[key]

    def answers(self, questions: Sequence[Question], slots: int | None) -> Iterator[tuple[int, Generated]]:
        """One adapter's after another's; at most so many at a time, and never more than there are slots."""
        by_model: dict[str, list[int]] = {}
        for place, question in enumerate(questions):
            by_model.setdefault(question.model.id, []).append(place)
        for places in by_model.values():

            def answer(number: int, places: list[int] = places) -> Generated:
                return self._answer(questions[places[number]])

            for number, found in at_once(len(places), answer, min(slots or self._server.slots, self._server.slots)):
                yield places[number], found

    def _answer(self, question: Question) -> Generated:
        try:
            return self._ask(question)
        except EngineCrashed:  # greedy or seeded, it means the same again
            return self._ask(question)

    def _ask(self, question: Question) -> Generated:
        engine = self._engines[question.model.id]
        try:
            if question.continuations:
                weighed = engine.weigh(self.prompt(question), question.continuations, lines=False)
                return Generated("", 0, "stop", None, weighed=weighed)
            if question.schema is not None:
                formed = engine.answer(self.prompt(question), question.sampling, Demands(question.schema))
                return until_the_end(formed, question.end)
            return until_the_end(engine.stream_text(self.prompt(question), question.sampling), question.end)
        except (EngineCrashed, FileRefused):
            raise
        except EngineError as error:  # the engine lives and refuses this one: too long for it, as a rule
            return Generated(str(error), 0, "error", None)
        except OSError as error:  # its process died and its file has been taken away meanwhile
            raise FileRefused(f"{self._server.path} cannot be read any more: {error}") from error

    def close(self) -> None:
        """End the process. Idempotent."""
        for engine in (self._base, *self._engines.values()):
            engine.close()
