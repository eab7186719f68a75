"""How models are asked: those of one family in one batch, and those behind an engine's interface one by one.

A family (`evaluator.families`) is loaded here, so its answers come out of one batch and its identity is proven. A
remote endpoint or a GGML file is only spoken to: no logits are seen, so nothing shows that it is what it is called, and
near ties are not known; the evaluation's details say so. Greedy decoding, the end of an answer at the end of the
function and everything after the text are the same for both.

Not here: what is asked (`evaluator.prompting`), verdicts (`evaluator.scoring`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from engines import (
    AT_ONCE,
    Answer,
    Engine,
    HuggingFaceEngine,
    Message,
    Request,
    Sampling,
    chat_template,
    masked,
    open_engine,
)
from evaluator.benchmarks import Task
from evaluator.errors import ModelUnmeasurable
from evaluator.families import SPOKEN_TO, Family, families, opened
from evaluator.identity import check_identity
from evaluator.prompting import Prompting, end_of_chat, end_of_completion
from results import Model, Workspace


@dataclass(frozen=True)
class Question:
    """One task for one model."""

    model: Model
    task: Task
    turns: tuple[Message, ...]
    """The conversation; empty where the task's prompt is continued as it is."""
    sampling: Sampling

    @property
    def end(self) -> Callable[[str], int | None]:
        """Where the answer is over: its length to keep, or None."""
        return end_of_chat(self.task.entry_point) if self.turns else end_of_completion


class Asked(Protocol):
    """Loaded or connected models."""

    def check(self, model: Model) -> None:
        """The self-test. Raises IdentityFailed."""
        ...

    def prompt(self, question: Question) -> str:
        """The text that the model is given, for the record."""
        ...

    def answers(self, questions: Sequence[Question], slots: int) -> Iterator[tuple[int, Answer]]:
        """(place of the question, answer), as they are complete. Raises EngineError and its kinds."""
        ...


class Group(Protocol):
    """Models that are asked together."""

    engine: str
    """Name for the record."""

    @property
    def members(self) -> tuple[Model, ...]: ...

    def prompting(self, wanted: Prompting | None) -> Mapping[str, Prompting]:
        """By model id; what each is for unless told. Raises ModelUnmeasurable where it cannot be."""
        ...

    def details(self) -> dict[str, Any]:
        """What the evaluation's details say of how the models were reached."""
        ...

    def opened(self) -> AbstractContextManager[Asked]:
        """Loaded or connected while the block runs. Raises FileRefused, EngineError and their kinds."""
        ...


def groups(models: Sequence[Model], workspace: Workspace) -> list[Group]:
    """Families first, then every model that is only spoken to."""
    found: list[Group] = [
        Together(family, workspace)
        for family in families([model for model in models if model.form not in SPOKEN_TO], workspace)
    ]
    return [*found, *(Apart(model, workspace) for model in models if model.form in SPOKEN_TO)]


class Together:
    """The members of a family, loaded once."""

    engine = "huggingface"

    def __init__(self, family: Family, workspace: Workspace) -> None:
        self._family, self._workspace = family, workspace

    @property
    def members(self) -> tuple[Model, ...]:
        return self._family.members

    def prompting(self, wanted: Prompting | None) -> Mapping[str, Prompting]:
        """Needs the tokenizers only."""
        found: dict[str, Prompting] = {}
        for model in self.members:
            template = wanted or chat_template(self._family.weights, self._workspace.resolve(model.path))
            found[model.id] = wanted or ("chat" if template else "raw")
        return found

    def details(self) -> dict[str, Any]:
        return {}

    @contextmanager
    def opened(self) -> Iterator[Asked]:
        with opened(self._family, self._workspace) as engine:
            yield _Batch(engine, self._family)


class _Batch:
    def __init__(self, engine: HuggingFaceEngine, family: Family) -> None:
        self._engine, self._family = engine, family

    def check(self, model: Model) -> None:
        check_identity(self._engine, self._family.row(model), model)

    def prompt(self, question: Question) -> str:
        if not question.turns:
            return question.task.prompt
        return self._engine.render(list(question.turns), self._family.row(question.model))

    def answers(self, questions: Sequence[Question], slots: int) -> Iterator[tuple[int, Answer]]:
        requests = [
            Request(self._engine.encode(self.prompt(one)), one.sampling, self._family.row(one.model), one.end)
            for one in questions
        ]
        yield from self._engine.answers(requests, slots)


class Apart:
    """A model that is only spoken to."""

    def __init__(self, model: Model, workspace: Workspace) -> None:
        self._model, self._workspace = model, workspace
        self.engine = "openai" if model.form == "remote" else "ctransformers"

    @property
    def members(self) -> tuple[Model, ...]:
        return (self._model,)

    def prompting(self, wanted: Prompting | None) -> Mapping[str, Prompting]:
        if self._model.form == "ggml" and wanted == "chat":
            raise ModelUnmeasurable(
                f"{self._model.name} is a GGML file, which carries no chat template, so it can only continue: "
                "--prompting raw. To have it chat, serve it with a template and register that endpoint"
            )
        return {self._model.id: wanted or ("chat" if self._model.form == "remote" else "raw")}

    def details(self) -> dict[str, Any]:
        said = "only its answers are seen: neither its identity nor near ties were checked"
        if self._model.form != "remote":
            return {"reached": {"engine": self.engine, "self_test": said}}
        name = str(self._model.details.get("model", self._model.name))
        return {"reached": {"engine": self.engine, "url": masked(self._model.path), "model": name, "self_test": said}}

    @contextmanager
    def opened(self) -> Iterator[Asked]:
        engine = open_engine(self._model, self._workspace)
        try:
            yield _Interface(engine, self._model)
        finally:
            engine.close()


class _Interface:
    def __init__(self, engine: Engine, model: Model) -> None:
        self._engine = engine
        self._at_once = 1 if model.form == "ggml" else AT_ONCE

    def check(self, model: Model) -> None:
        """Nothing: an interface shows no logits. The details say so."""

    def prompt(self, question: Question) -> str:
        """The template is the endpoint's, so what it makes of the turns is not known."""
        return "\n\n".join(turn["content"] for turn in question.turns) or question.task.prompt

    def answers(self, questions: Sequence[Question], slots: int) -> Iterator[tuple[int, Answer]]:
        with ThreadPoolExecutor(min(slots, self._at_once)) as pool:
            futures = {pool.submit(self._answer, question): place for place, question in enumerate(questions)}
            try:
                for future in as_completed(futures):
                    yield futures[future], future.result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _answer(self, question: Question) -> Answer:
        sampling = question.sampling
        if sampling.temperature == 0:
            sampling = replace(sampling, seed=None)  # nothing is drawn, and some endpoints refuse a seed
        if question.turns:
            return _until_the_end(self._engine.stream(list(question.turns), sampling), question.end)
        return _until_the_end(self._engine.stream_text(question.task.prompt, sampling), question.end)


def _until_the_end(chunks: Any, end: Callable[[str], int | None]) -> Answer:
    """The answer of a stream, closed at the end of the function: what would still come is neither waited nor paid for.

    Tokens are the endpoint's own count where it gives one, else the pieces of the stream.
    """
    text, tokens, finish = "", 0, None
    try:
        for chunk in chunks:
            text, tokens, finish = text + chunk.text, tokens + chunk.tokens, chunk.finish_reason or finish
            kept = end(text)
            if kept is not None:
                return Answer(text[:kept], tokens, "stop", None)
    finally:
        chunks.close()
    return Answer(text, getattr(chunks, "tokens", 0) or tokens, finish or "stop", None)
