"""bigcode-evaluation-harness: `generations.json` (a list of programs for each task) and `evaluation_results.json`.

The generations name neither their tasks nor their model: tasks are taken in the benchmark's order, which the first
program must confirm, and that is said.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from results.importers.names import Called, absolute, called_after, is_usual, path_names, short, source_of
from results.importers.parcels import ImportedEvaluation, Parcel, canonical, foreign_machine, foreign_model
from results.importers.reading import number
from results.importers.refusals import refused
from results.importers.scores.answers import TASKS, answer_details, evaluation_of
from results.records import Evaluation, Outcome, Score

TOOL = "bigcode-evaluation-harness"

FIRST = {"humaneval": ("has_close_elements", "HumanEval", 0), "mbpp": ("remove_Occ", "MBPP", 11)}
"""Benchmark → (the function that its first task asks for, how task ids begin, the first task's number)."""

WHOLE = {"humaneval": 164, "mbpp": 500}
"""Tasks that the harness asks; MBPP's test split."""

_NO_SETTINGS = """
    allow_code_execution batch_size check_references generation_only limit_start load_generations_intermediate_paths
    load_generations_path max_memory_per_gpu metric_output_path model peft_model postprocess revision
    save_every_k_tasks save_generations save_generations_path save_references save_references_path task_name tasks
    trust_remote_code use_auth_token
"""
HARMLESS = frozenset(_NO_SETTINGS.split())
"""Fields of the configuration that change no score, or stand in the model's name."""


def is_generations(value: Any) -> bool:
    """Whether a JSON value is a list of lists of programs."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(row, list) and row and all(isinstance(one, str) for one in row) for row in value)
    )


def is_results(value: Any) -> bool:
    """Whether a JSON value is evaluation_results.json: figures by task, and the configuration."""
    config = value.get("config") if isinstance(value, Mapping) else None
    tasks = [one for key, one in value.items() if key != "config"] if isinstance(config, Mapping) else []
    known = isinstance(config, Mapping) and ("tasks" in config or "model" in config)
    return known and bool(tasks) and all(isinstance(one, Mapping) for one in tasks)


def read_generations(path: Path, value: list[list[str]]) -> Parcel:
    """Programs by task, to be scored here. Raises: ImportRefused if they are no benchmark's that is known."""
    benchmark = _benchmark(path, value)
    _, prefix, first = FIRST[benchmark]
    outcomes = [
        Outcome(f"{prefix}/{first + place}", sample, None, None, answer_details(text, "solution"))
        for place, row in enumerate(value)
        for sample, text in enumerate(row)
    ]
    stem = re.sub(r"(generations?|_?(humaneval|mbpp)(plus|\+)?|\.json|\.gz)", "", path.name).strip("_-.")
    called = called_after(path, stem or "generations")
    note = (
        f"{source_of(path)}: generations do not name their tasks; they are taken for those of {benchmark} "
        f"in order, {prefix}/{first} to {prefix}/{first + len(value) - 1}"
    )
    return Parcel("bigcode generations", evaluations=(evaluation_of(path, TOOL, outcomes, called),), notes=(note,))


def read_results(path: Path, value: Mapping[str, Any]) -> Parcel:
    """Scores by task. They come without intervals: the file does not say on how many tasks they rest."""
    config = value["config"]
    called = _called(path, config)
    model = foreign_model(TOOL, called, base=str(config.get("model") or ""))
    settings = {key: one for key, one in config.items() if key not in HARMLESS and one is not None}
    found = []
    for task, figures in value.items():
        scores = tuple(_scores(figures)) if task != "config" else ()
        if not scores:
            continue
        evaluation = Evaluation(
            id="",
            model_id="",
            benchmark=task if task in TASKS else f"bigcode:{task}",
            settings=canonical({"scored_by": TOOL, "task": task, **settings}),
            machine_id="",
            origin="imported",
            source=f"{source_of(path)} ({TOOL})",
        )
        missing = ("on how many tasks the scores rest", "outcomes by task")
        found.append(
            ImportedEvaluation(
                model,
                evaluation,
                foreign_machine(),
                scores,
                (),
                called,
                missing=missing,
                rest=canonical([config, figures]),
            )
        )
    if not found:
        raise refused(path, "an evaluation of bigcode's without a number")
    return Parcel("bigcode results", evaluations=tuple(found))


def _benchmark(path: Path, value: list[list[str]]) -> str:
    """The benchmark that a file's name and its first program agree on."""
    named = next((one for one in FIRST if one in path.name.lower()), "")
    for benchmark, (function, _, _) in FIRST.items():
        if named in ("", benchmark) and f"def {function}(" in value[0][0] and len(value) <= WHOLE[benchmark]:
            return benchmark
    raise refused(
        path,
        f"{len(value)} lists of programs, but the first is for no first task of HumanEval or MBPP; generations do not "
        "name their tasks: write them as JSON Lines with task_id and solution",
    )


def _scores(figures: Mapping[str, Any]) -> list[Score]:
    found = ((metric, number(one)) for metric, one in figures.items())
    return [Score(str(metric), one, None, None, 0) for metric, one in found if one is not None and math.isfinite(one)]


def _called(path: Path, config: Mapping[str, Any]) -> Called:
    """The model by the configuration: Hub id or path, revision and adapter."""
    base = str(config.get("model") or "").strip()
    names = path_names(base) if base.count("/") != 1 or base.startswith(".") else (base,)
    beside = called_after(path, "evaluation_results")
    if not base or is_usual(names[0]):
        return beside
    peft, revision = config.get("peft_model"), config.get("revision")
    told = f"{names[0]}{f'@{revision}' if revision else ''}{f' + {peft}' if peft else ''}"
    local = base.startswith((".", "/")) or base.count("/") > 1 or bool(peft)
    place = f"{base} {revision or ''} {peft or ''} {absolute(path).parent if local else ''}"
    return Called((short(told), *(short(f"{told} ({one})") for one in beside.names)), place)
