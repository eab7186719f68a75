"""Models that are only spoken to: a remote endpoint, and a GGML file of 2023.

Only answers are seen, no logits: nothing shows that such a model is what it is called, and near ties are not known; the
evaluation's details say so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from engines import DemandingEngine, Demands, Engine, EngineError, Generated, masked, open_engine
from evaluator.asking.pace import Pace
from evaluator.asking.prompts import Prompting
from evaluator.asking.questions import Question, at_once, until_the_end
from evaluator.errors import ModelUnmeasurable
from results import Model, Workspace

FORM_REFUSED = ("response_format", "json_schema", "schema", "grammar")
"""What the refusal of an endpoint names that can hold no answer to a schema."""


class Apart:
    """A model that is only spoken to."""

    def __init__(self, model: Model, workspace: Workspace) -> None:
        self._model, self._workspace = model, workspace
        self.engine = "openai" if model.form == "remote" else "ctransformers"
        self._interface: _Interface | None = None

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
        reached = {"engine": self.engine, "url": masked(self._model.path), "model": name, "self_test": said}
        pace = self._interface.pace if self._interface else None
        unformed = {"schema_refused": self._interface.unformed} if self._interface and self._interface.unformed else {}
        reached |= unformed
        return {"reached": {**reached, **({"in_flight": pace.level, "refusals": pace.refusals} if pace else {})}}

    @contextmanager
    def opened(self, questions: Sequence[Question]) -> Iterator[_Interface]:
        del questions  # how much room they need is the endpoint's affair
        self._interface = _Interface(open_engine(self._model, self._workspace), self._model)
        try:
            yield self._interface
        finally:
            self._interface.close()


class _Interface:
    def __init__(self, engine: Engine, model: Model) -> None:
        self._engine = engine
        self._single = model.form == "ggml"
        self.pace: Pace | None = None
        self.unformed = ""
        """Why answers are not held to a schema, where the endpoint refuses one."""

    def check(self, model: Model) -> None:
        """Check nothing: an interface shows no logits. The details say so."""

    def prompt(self, question: Question) -> str:
        """The template is the endpoint's, so what it makes of the turns is not known."""
        return "\n\n".join(turn["content"] for turn in question.turns) or question.text

    def answers(self, questions: Sequence[Question], slots: int | None) -> Iterator[tuple[int, Generated]]:
        pace = self.pace = Pace(1 if self._single else slots)

        def answer(place: int) -> Generated:
            return pace.ask(lambda: self._answer(questions[place]))

        yield from at_once(len(questions), answer, pace.most)

    def _answer(self, question: Question) -> Generated:
        sampling = question.sampling
        if sampling.temperature == 0:
            sampling = replace(sampling, seed=None)  # nothing is drawn, and some endpoints refuse a seed
        if question.schema is not None and isinstance(self._engine, DemandingEngine) and not self.unformed:
            try:
                asked = list(question.turns) or question.text
                return until_the_end(self._engine.answer(asked, sampling, Demands(question.schema)), question.end)
            except EngineError as refused:
                if not any(word in f"{refused} {refused.parameter}" for word in FORM_REFUSED):
                    raise
                self.unformed = str(refused)
        if question.turns:
            return until_the_end(self._engine.stream(list(question.turns), sampling), question.end)
        return until_the_end(self._engine.stream_text(question.text, sampling), question.end)

    def close(self) -> None:
        """Hang up; whoever still waits for room is sent away."""
        if self.pace is not None:
            self.pace.close()
        self._engine.close()
