"""Reading an experiment file: every problem at once, each with its key, its value and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError

from results import FileUnreadable, Run, read_yaml, short_repr
from trainer.errors import ExperimentInvalid
from trainer.experiment.schema import Distribution, Experiment

LOCAL_SUFFIXES = (".json", ".jsonl", ".csv", ".tsv", ".parquet", ".txt", ".yaml", ".yml", ".gguf")

LM_EVAL = "lm-eval:"
"""What a test is called by that is a task of lm-eval, or a file or folder of one's own tasks."""


def load_experiment(path: Path | str) -> Experiment:
    """Read and check an experiment file. Relative paths in it become paths from the file's folder.

    Raises: ExperimentInvalid with every problem, one a line.
    """
    path = Path(path)
    try:
        raw = read_yaml(path)
    except FileUnreadable as error:
        raise ExperimentInvalid(
            f"Cannot read the experiment file {path}: {error.reason}. Ready ones: experiments/"
        ) from error
    if not isinstance(raw, dict):
        raise ExperimentInvalid(f"{path} holds {short_repr(raw)}, not keys; start from experiments/demo.yaml")
    return _from_folder(experiment_of(raw, str(path)), path.parent)


def experiment_of(raw: Mapping[str, Any], origin: str) -> Experiment:
    """Check a mapping as read from YAML. `origin` names it in the message.

    Raises: ExperimentInvalid with every problem, one a line.
    """
    experiment = None
    try:
        experiment = Experiment.model_validate(raw)
        problems = []
    except ValidationError as error:
        problems = [_sentence(dict(item)) for item in error.errors(include_url=False)]
    problems += [*_lacking(raw), *_sweep_problems(raw)]
    if problems or experiment is None:
        count = f"{len(problems)} problem{'s' if len(problems) != 1 else ''}"
        raise ExperimentInvalid(f"{origin} has {count}:\n" + "\n".join(f"  {problem}" for problem in problems))
    return experiment


def recorded_experiment(run: Run) -> Experiment:
    """The experiment of a run as its record has it: base and data, and nothing that training alone needs.

    Raises: ExperimentInvalid for a run whose data are not recorded, as of one that another tool trained.
    """
    data: dict[str, Any] = {}
    for key, value in run.config.items():
        if key.startswith("data."):
            (_, *parents, last), section = key.split("."), data
            for parent in parents:
                section = section.setdefault(parent, {})
            section[last] = value
    if not data.get("sources"):
        raise ExperimentInvalid(f"Run {run.name} has no record of its data. Name the experiment file instead")
    return experiment_of({"name": run.experiment, "bases": [run.base], "data": data}, f"The record of run {run.name}")


def _lacking(raw: Mapping[str, Any]) -> list[str]:
    """What is missing, or has nothing to work on, by what the file is for: training, or measuring what there is."""
    bases, data = raw.get("bases"), raw.get("data")
    problems = []
    if not bases and not raw.get("models"):
        given = f"{bases!r} names none" if "bases" in raw else "missing; it has no default"
        problems.append(f"bases: {given}; what is only to be measured goes under models")
    elif not bases:
        for key in ("training", "lora", "sweep"):
            untouched = Experiment.model_fields[key].default.model_dump(mode="json")
            if raw.get(key) and raw[key] != untouched:
                problems.append(f"{key}: nothing is trained without bases; name some, or leave it out")
    if bases and not data:
        problems.append("data: missing; it has no default")
    if isinstance(data, Mapping) and not data.get("sources") and (bases or raw.get("models")):
        untouched = Experiment.model_fields["data"].default.model_dump(mode="json")
        if bases or dict(data) != untouched:
            problems.append("data.sources: missing; it has no default")
    return problems


def with_settings(experiment: Experiment, settings: Mapping[str, Any]) -> Experiment:
    """A copy with dotted keys replaced, validated again: `{"lora.rank": 8}`.

    Raises: ExperimentInvalid naming every key that does not exist and every value that does not fit.
    """
    raw = experiment.model_dump(mode="json")
    for key, value in settings.items():
        *parents, last = key.split(".")
        section = raw
        for parent in parents:
            if not isinstance(section.get(parent), dict):
                section[parent] = {}
            section = section[parent]
        section[last] = value
        if key in ("lora.alpha", "lora.alpha_ratio"):  # two ways to say one thing: the newer one holds
            raw["lora"]["alpha_ratio" if last == "alpha" else "alpha"] = None
    return experiment_of(raw, f"{experiment.name} with {dict(settings)}")


def _sentence(problem: Mapping[str, Any]) -> str:
    """One pydantic problem as `key: value: what would be right`."""
    location = [str(part) for part in problem["loc"]]
    # Members of a union appear in the location as their type's name; a person wrote none of them.
    key = ".".join(part for part in location if "[" not in part and part not in ("str", "int", "float", "tuple"))
    message = str(problem["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    if problem["type"] == "missing":
        return f"{key}: missing; it has no default"
    if problem["type"] == "extra_forbidden":
        return f"{key}: no such key{_suggestion(location)}"
    if problem["type"] == "value_error":
        return f"{key or 'experiment'}: {message}"
    return f"{key}: {short_repr(problem['input'])} is not right; it should be {message.removeprefix('a valid ')}"


def _suggestion(location: list[str]) -> str:
    keys = _keys(location[:-1])
    close = difflib.get_close_matches(location[-1], keys, n=1)
    return f"; did you mean {close[0]}?" if close else f"; there are {', '.join(keys)}" if keys else ""


def _keys(parents: list[str]) -> list[str]:
    section: type[BaseModel] | None = Experiment
    for parent in parents:
        if parent.isdigit() or section is None:
            continue
        field = section.model_fields.get(parent)
        section = _section_of(field.annotation) if field else None
    return list(section.model_fields) if section else []


def _section_of(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section_of(part))), None)


def _swept(raw: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield place, dotted key and value of everything a sweep sets; wrong shapes are pydantic's to report."""
    sweep = raw.get("sweep")
    if not isinstance(sweep, Mapping):
        return
    grid = sweep.get("grid")
    for key, values in grid.items() if isinstance(grid, Mapping) else ():
        for value in values if isinstance(values, list | tuple) else ():
            yield f"sweep.grid.{key}", key, value
    search = sweep.get("random")
    space = search.get("space") if isinstance(search, Mapping) else None
    for key, drawn in space.items() if isinstance(space, Mapping) else ():
        try:
            distribution = Distribution.model_validate(drawn)
        except ValidationError:
            continue
        for value in distribution.choice or distribution.log_uniform or distribution.uniform or ():
            yield f"sweep.random.space.{key}", key, value
    variants = sweep.get("variants")
    for number, variant in enumerate(variants if isinstance(variants, list | tuple) else ()):
        for key, value in variant.items() if isinstance(variant, Mapping) else ():
            if key != "name":
                yield f"sweep.variants.{number}.{key}", key, value


def _sweep_problems(raw: Mapping[str, Any]) -> list[str]:
    """Problems of swept keys and values, found before the first run rather than at the seventh."""
    problems: list[str] = []
    for where, key, value in _swept(raw):
        parents, _, last = str(key).rpartition(".")
        section: type[BaseModel] | None = Experiment
        for parent in filter(None, parents.split(".")):
            field = section.model_fields.get(parent) if section else None
            section = _section_of(field.annotation) if field else None
        if section is None or last not in section.model_fields or key in ("name", "bases", "models", "sweep"):
            known = [f"{top}.{name}" for top in ("data", "training", "lora") for name in _keys([top])]
            close = difflib.get_close_matches(str(key), known, n=1)
            problem = f"{where}: no such setting{f'; did you mean {close[0]}?' if close else ''}"
            if problem not in problems:
                problems.append(problem)
            continue
        try:
            validated = section.model_fields[last]
            TypeAdapter(_annotated(validated)).validate_python(value)
        except ValidationError as error:
            problems += [_sentence({**item, "loc": (where, *item["loc"])}) for item in error.errors(include_url=False)]
    return problems


def _annotated(field: Any) -> Any:
    """A field's annotation with its limits (gt, le, …), for checking one value alone."""
    from typing import Annotated

    return Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation


def _from_folder(experiment: Experiment, folder: Path) -> Experiment:
    """Local paths that exist beside the experiment file, as paths that hold from anywhere."""

    def resolved(name: str) -> str:
        looks_local = name.startswith((".", "/", "~")) or name.endswith(LOCAL_SUFFIXES)
        beside = folder / Path(name).expanduser()
        return str(beside.resolve()) if looks_local and beside.exists() else name

    def placed(name: str) -> str:  # also what is not there: the message then says where it was looked for
        return str((folder / name).resolve()) if name.startswith(("./", "../")) else resolved(name)

    data = experiment.data
    sources = tuple(source.model_copy(update={"name": resolved(source.name)}) for source in data.sources)
    benchmarks = tuple(resolved(name) for name in data.decontaminate)
    data = data.model_copy(update={"sources": sources, "decontaminate": benchmarks})
    models = tuple(
        one.model_copy(update={key: placed(getattr(one, key)) for key in ("source", "base", "template")})
        for one in experiment.models
    )
    bases = tuple(resolved(base) for base in experiment.bases)
    tests = tuple(
        _judged({**test, "file": _test(str(test["file"]), folder)} if "file" in test else test, folder)
        for test in experiment.evaluate.tests
    )
    latency = experiment.evaluate.latency
    if latency is not None and isinstance(latency.get("like"), str):
        latency = {**latency, "like": _test(latency["like"], folder)}
    evaluate = experiment.evaluate.model_copy(update={"tests": tests, "latency": latency})
    return experiment.model_copy(update={"data": data, "bases": bases, "models": models, "evaluate": evaluate})


def _judged(test: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    """A test whose judge finds its rubric, where that is a file, and people's labels beside the experiment file."""
    judge = test.get("judge")
    if not isinstance(judge, Mapping):
        return test
    files = {key: judge[key] for key in ("rubric", "labels") if isinstance(judge.get(key), str)}
    placed = {
        key: str((folder / Path(said).expanduser()).resolve())
        for key, said in files.items()
        if said and (key == "labels" or ("\n" not in said and said.endswith((".txt", ".md"))))
    }
    return {**test, "judge": {**judge, **placed}}


def _test(said: str, folder: Path) -> str:
    """The path of a test's file, also behind `lm-eval:`; the name of a published test or a task, which has no ending,
    as it is."""
    if said.startswith(LM_EVAL):
        named = said.removeprefix(LM_EVAL)
        own = "/" in named or Path(named).suffix in (".yaml", ".yml")
        return LM_EVAL + (str((folder / Path(named).expanduser()).resolve()) if own else named)
    path = (folder / Path(said).expanduser()).resolve()
    return str(path) if Path(said).suffix or "/" in said or path.exists() else said
