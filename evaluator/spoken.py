"""Models that are only spoken to: a remote endpoint, and a GGML file of 2023.

Only answers are seen, no logits: nothing shows that such a model is what it is called, and near ties are not known; the
evaluation's details say so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from engines import AT_ONCE, Answer, Engine, masked, open_engine
from evaluator.errors import ModelUnmeasurable
from evaluator.prompting import Prompting
from evaluator.questions import Question, at_once, until_the_end
from results import Model, Workspace


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
    def opened(self, questions: Sequence[Question]) -> Iterator[_Interface]:
        del questions  # how much room they need is the endpoint's affair
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
        return "\n\n".join(turn["content"] for turn in question.turns) or question.text

    def answers(self, questions: Sequence[Question], slots: int) -> Iterator[tuple[int, Answer]]:
        def answer(place: int) -> Answer:
            return self._answer(questions[place])

        yield from at_once(len(questions), answer, min(slots, self._at_once))

    def _answer(self, question: Question) -> Answer:
        sampling = question.sampling
        if sampling.temperature == 0:
            sampling = replace(sampling, seed=None)  # nothing is drawn, and some endpoints refuse a seed
        if question.turns:
            return until_the_end(self._engine.stream(list(question.turns), sampling), question.end)
        return until_the_end(self._engine.stream_text(question.text, sampling), question.end)
