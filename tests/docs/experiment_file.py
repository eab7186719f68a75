"""docs/reference/experiment_file.md from the schema: every key with its kind, default, bounds and docstring.

Write it anew: make docs
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from evaluator.humaneval.evaluate import HumanEvalSettings
from evaluator.latency.evaluate import LatencySettings
from evaluator.question_sets.checking.rubric import JudgeSettings
from evaluator.question_sets.lm_eval_tasks.settings import HarnessSettings
from evaluator.question_sets.settings import QuestionSettings
from evaluator.text.stopping import StoppingSettings
from tests.docs.cells import cell, docstrings
from trainer.experiment.schema import (
    Columns,
    Data,
    Decide,
    Distribution,
    Evaluate,
    Experiment,
    Halving,
    Lora,
    MadeElsewhere,
    Quality,
    RandomSearch,
    Source,
    Sweep,
    Training,
)

HEAD = """# The experiment file

One YAML file says what is trained, on what, and how it is measured: bases × data × training × sweep × measurements.
A key that is not here is refused with the keys that it may have meant; `bakeoff plan FILE` reports all mistakes
together and what the rest would take. Begin with a file of `experiments/`. Written from the code by `make docs`.

    name: shop
    bases: [qwen2.5-1.5b-instruct]
    data: {sources: [{name: rows.jsonl}]}
    training: {epochs: 2}
    sweep: {grid: {lora.rank: [8, 32]}}
    evaluate: {tests: [questions.csv], latency: {}, forms: [gguf-q8_0, gguf-q4_0]}
    decide: {by: questions, max_ttft_p90: 0.5}
"""
SECTIONS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("The file", Experiment),
    ("models: …", MadeElsewhere),
    ("data", Data),
    ("data.sources: …", Source),
    ("data.sources: columns", Columns),
    ("data.quality", Quality),
    ("training", Training),
    ("lora", Lora),
    ("sweep", Sweep),
    ("sweep.random", RandomSearch),
    ("sweep.random.space: …", Distribution),
    ("sweep.halving", Halving),
    ("evaluate", Evaluate),
    ("evaluate.humaneval", HumanEvalSettings),
    ("evaluate.tests: how your own and published tests are asked", QuestionSettings),
    ("evaluate.tests: judge", JudgeSettings),
    ("evaluate.tests: how lm-eval's tasks are asked", HarnessSettings),
    ("evaluate.stopping", StoppingSettings),
    ("evaluate.latency", LatencySettings),
    ("decide", Decide),
)
WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false", type(None): "null", Any: "any value"}
BOUNDS = {
    annotated_types.Gt: "above", annotated_types.Ge: "at least",
    annotated_types.Lt: "below", annotated_types.Le: "at most",
}  # fmt: skip


def page() -> str:
    """The whole document."""
    return "\n".join([HEAD, *(line for heading, model in SECTIONS for line in _section(heading, model))])


def _section(heading: str, model: type[BaseModel]) -> Iterator[str]:
    yield f"## {heading}\n"
    if model.__doc__:
        yield inspect.cleandoc(model.__doc__) + "\n"
    yield "| key | takes | default | |\n|---|---|---|---|"
    told = docstrings(model)
    for name, field in model.model_fields.items():
        yield f"| `{name}` | {takes(field)} | {default(field)} | {cell(told.get(name, ''))} |"
    yield ""


def takes(field: FieldInfo) -> str:
    """What a field may be, in words, with its bounds."""
    return ", ".join((_kind(field.annotation), *_bounds(field)))


def _bounds(field: FieldInfo) -> Iterator[str]:
    for bound in field.metadata:
        if word := BOUNDS.get(type(bound)):
            (value,) = (getattr(bound, name) for name in bound.__dataclass_fields__)
            yield f"{word} {value:,}"


def _kind(annotation: Any) -> str:
    """A type in words a reader knows."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation in WORDS:
        return WORDS[annotation]
    if origin is typing.Annotated:
        told = [one for field in inner[1:] if isinstance(field, FieldInfo) for one in _bounds(field)]
        return ", ".join((_kind(inner[0]), *told))
    if origin is typing.Literal:
        return ", ".join(f"`{one}`" if one != "" else '""' for one in inner)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(_kind(one) for one in inner if one is not type(None)))
    if origin is tuple:
        return (
            f"list of {_several(_kind(inner[0]))}"
            if inner[-1] is Ellipsis
            else " and ".join(_kind(one) for one in inner)
        )
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "keys and values"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "its own keys"
    return str(getattr(annotation, "__name__", annotation))


def _several(kind: str) -> str:
    return f"({kind})" if " or " in kind else kind


def default(field: FieldInfo) -> str:
    """What a field is where nothing is said."""
    if field.is_required():
        return "**needed**"
    value = field.get_default(call_default_factory=True)  # type: ignore[call-arg]
    if value is None or value == "" or isinstance(value, BaseModel):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`[{', '.join(str(one) for one in value)}]`" if value else ""
    if isinstance(value, Mapping):
        return "`{}`"
    if "\n" in str(value):
        return "a text of ours"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`".replace("|", "\\|")
