"""How models are asked: each in the engine of its form, those that share weights together.

    Together   weights in this process (transformers): one batch for a base and its adapters, near ties known
    Served     GGUF through llama.cpp, which is what will answer (`evaluator.asking.llamacpp_backend`)
    Apart      endpoints and GGML files, which are only spoken to (`evaluator.asking.text_backend`)

Greedy decoding, the end of an answer at the end of the function and everything after the text are the same for all.

Not here: what is asked (`evaluator.asking.prompts`), verdicts (`evaluator.humaneval.scoring`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Literal, Protocol

from engines import EngineError, FileRefused, Generated, Request, chat_template, is_gguf
from evaluator.asking.llamacpp_backend import Served
from evaluator.asking.prompts import Prompting
from evaluator.asking.questions import Asked, Question
from evaluator.asking.text_backend import Apart
from evaluator.errors import ModelUnmeasurable
from evaluator.loading.bases import SPOKEN_TO, Family, families, opened, reached_by
from evaluator.loading.self_test import check_identity
from results import Model, Workspace

if TYPE_CHECKING:
    from engines import Choices, HuggingFaceEngine

Way = Literal["llamacpp", "huggingface"]
"""Engines that GGUF models can be asked through: the one that will answer, or transformers over their dequantized
weights."""


class Group(Protocol):
    """Models that are asked together."""

    engine: str
    """Name for the record."""

    @property
    def members(self) -> tuple[Model, ...]: ...

    def prompting(self, wanted: Prompting | None) -> Mapping[str, Prompting]:
        """How each model is asked, by id: what it is for unless told. Raises ModelUnmeasurable where it cannot be."""
        ...

    def details(self) -> dict[str, Any]:
        """What the evaluation's details say of how the models were reached; after `opened`."""
        ...

    def opened(self, questions: Sequence[Question]) -> AbstractContextManager[Asked]:
        """Loaded or connected for these questions while the block runs. Raises FileRefused, EngineError and kinds."""
        ...


def groups(models: Sequence[Model], workspace: Workspace, way: Way | None = None) -> list[Group]:
    """Families in transformers first, then those in llama.cpp, then every model that is only spoken to.

    `way`: the engine for GGUF models; without it llama.cpp, but for a GGUF base whose company here are adapters alone:
    only transformers runs those, and like is measured with like.
    Raises: ModelUnmeasurable for a model that the engine that is asked for does not run.
    """
    near = [model for model in models if model.form not in SPOKEN_TO]
    found: list[Group] = []
    served: list[Group] = []
    for family in families(near, workspace):
        chosen: dict[str, list[Model]] = {"huggingface": [], "llamacpp": []}
        for model in family.members:
            chosen[_engine(model, family, way)].append(model)
        if chosen["huggingface"]:
            found.append(Together(Family(family.weights, tuple(chosen["huggingface"])), workspace))
        if chosen["llamacpp"]:
            served.append(Served(Family(family.weights, tuple(chosen["llamacpp"])), workspace))
    spoken = [model for model in models if model.form in SPOKEN_TO]
    if way and spoken:
        raise ModelUnmeasurable(f"{spoken[0].name} is a {spoken[0].form}: it has one way to be asked; leave engine out")
    return [*found, *served, *(Apart(model, workspace) for model in spoken)]


def asked_of_llamacpp(model: Model, family: Family) -> bool:
    """Whether llama.cpp answers for a member of a family: a GGUF file, or a LoRA-GGUF beside one."""
    return model.form != "adapter" and is_gguf(family.weights)


def _engine(model: Model, family: Family, way: Way | None) -> Way:
    if not asked_of_llamacpp(model, family):
        if way == "llamacpp":
            raise ModelUnmeasurable(
                f"{model.name} is a {model.form}, which llama.cpp does not run. Export it: "
                f"bakeoff export {model.name} --form gguf-q8_0. Or leave engine out"
            )
        return "huggingface"
    company = [other for other in family.members if other.form != "base"]
    if way is None and model.form == "base" and company and all(other.form == "adapter" for other in company):
        return "huggingface"
    return way or "llamacpp"


class Together:
    """The members of a family, loaded once."""

    engine = "huggingface"

    def __init__(self, family: Family, workspace: Workspace) -> None:
        self._family, self._workspace = family, workspace
        self._engine: dict[str, Any] = {}

    @property
    def members(self) -> tuple[Model, ...]:
        return self._family.members

    def prompting(self, wanted: Prompting | None) -> Mapping[str, Prompting]:
        """Needs the tokenizers only."""
        found: dict[str, Prompting] = {}
        for model in self.members:
            template = wanted or model.details.get("chat_template")
            template = template or chat_template(self._family.weights, self._workspace.resolve(model.path))
            found[model.id] = wanted or ("chat" if template else "raw")
        return found

    def details(self) -> dict[str, Any]:
        return {"reached": {**reached_by(self._family), **self._engine}}

    @contextmanager
    def opened(self, questions: Sequence[Question]) -> Iterator[Asked]:
        del questions  # the whole family is loaded, whoever is asked
        with opened(self._family, self._workspace) as engine:
            self._engine = engine.details()
            yield _Batch(engine, self._family)
            self._engine = engine.details()


class _Batch:
    def __init__(self, engine: HuggingFaceEngine, family: Family) -> None:
        self._engine, self._family = engine, family

    def check(self, model: Model) -> None:
        check_identity(self._engine, self._family.row(model), model)

    def prompt(self, question: Question) -> str:
        if not question.turns:
            return question.text
        return self._engine.render(list(question.turns), self._family.row(question.model))

    def answers(self, questions: Sequence[Question], slots: int | None) -> Iterator[tuple[int, Generated]]:
        requests: dict[int, Request] = {}
        weighed: dict[int, Choices] = {}
        for place, one in enumerate(questions):
            try:
                row = self._family.row(one.model)
                if one.continuations:
                    weighed[place] = self._engine.choices(self.prompt(one), one.continuations, row, lines=False)
                else:
                    requests[place] = self._engine.request(self.prompt(one), one.sampling, row, one.end)
            except FileRefused:
                raise
            except EngineError as error:  # too long for it, as a rule
                yield place, Generated(str(error), 0, "error", None)
        places = list(requests)
        for number, answer in self._engine.answers(list(requests.values()), slots) if requests else ():
            yield places[number], answer
        places = list(weighed)
        for number, found in self._engine.likelihoods(list(weighed.values())):
            yield places[number], Generated("", 0, "stop", None, weighed=found)
