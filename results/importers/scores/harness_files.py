"""Results of lm-evaluation-harness (0.3 and 0.4), and the samples that 0.4 writes beside them.

    results_2026-01-02T03-04-05.678901.json               scores of all tasks, and the settings
    samples_arc_easy_2026-01-02T03-04-05.678901.jsonl     each document with its answer and its metrics

With samples an evaluation has outcomes, so that two models can be compared document by document.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from results.errors import ImportRefused
from results.importers.names import Called, absolute, called_after, is_usual, path_names, short, source_of
from results.importers.parcels import (
    ImportedEvaluation,
    Parcel,
    canonical,
    foreign_machine,
    foreign_model,
    former_identity,
)
from results.importers.reading import number, read_json, whole
from results.importers.refusals import refused
from results.importers.scores.harness_samples import Samples, label_of, read_samples
from results.records import Evaluation, Score, digest

Z = 1.959963984540054
"""Half-width of a 95 % interval in standard errors."""

TOOL = "lm-evaluation-harness"

SETTINGS = (
    "num_fewshot", "limit", "description_dict", "gen_kwargs", "apply_chat_template", "fewshot_as_multiturn",
    "system_instruction_sha",
)  # fmt: skip
"""What changes a score, in the harness's configuration or beside it. Devices and batch sizes do not."""

TELLING = (
    "revision", "peft", "delta", "subfolder", "gguf_file", "lora_local_path", "load_in_4bit", "load_in_8bit",
    "autogptq", "gptqmodel", "quantization", "bnb_4bit_quant_type", "tokenizer",
)  # fmt: skip
"""Fields of model_args that make another model of one base."""

DATE = r"_(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(?:\.\d+)?)"
SAMPLES = re.compile(rf"samples_(?P<task>.+){DATE}\.jsonl")
RESULTS = re.compile(rf".+{DATE}\.json")
"""How 0.4 names its files: results_ or what the caller said, and the date."""


def is_harness(value: Any) -> bool:
    """Whether a JSON value is a results file of lm-evaluation-harness."""
    results = value.get("results") if isinstance(value, Mapping) else None
    known = ("versions", "config", "configs", "n-shot", "config_general")
    if not isinstance(results, Mapping) or not any(key in value for key in known):
        return False
    return all(isinstance(one, Mapping) for one in results.values())


def read_harness(path: Path, value: Mapping[str, Any], only: str = "") -> Parcel:
    """One evaluation per task, or of `only`. HumanEval is `humaneval`; others have their name after "lm-eval:"."""
    config = _mapping(value.get("config"))
    version = "0.4" if any("," in key for one in value["results"].values() for key in one) else "0.3"
    lighteval = "config_general" in value
    named = "lighteval" if lighteval else f"{TOOL} {version}"
    tool = named if lighteval else f"{TOOL} {value.get('lm_eval_version') or version}"
    arguments = _arguments(config.get("model_args"))
    called = _called(path, value, arguments)
    base = arguments.get("pretrained") or arguments.get("model") or ""
    model = foreign_model(TOOL, called, base=base, arguments=canonical(arguments))
    at = number(value.get("date"))
    machine = foreign_machine(
        gpu=str(config.get("device") or ""), versions={"lm_eval": str(value.get("git_hash") or version)}
    )
    found, notes = [], []
    for task, metrics in value["results"].items():
        if lighteval and task == "all":
            notes.append(f"{path.name}: 'all' is lighteval's mean of its tasks and no test: left out")
            continue
        n = _samples(value, task)
        scores = tuple(_scores(metrics, n))
        if not scores or (only and task != only):
            continue
        limit = number(config.get("limit"))
        evaluation = Evaluation(
            id="",
            model_id="",
            benchmark=benchmark_of(task),
            settings=canonical(_settings(value, config, task)),
            machine_id="",
            subset=f"limited to {limit:g}" if limit is not None else "",
            finished_at=datetime.fromtimestamp(at, UTC) if at and 0 < at < 2**33 else None,
            origin="imported",
            source=f"{source_of(path)} ({tool})",
        )
        missing = ("how many samples each score rests on",) if n is None else ()
        one = ImportedEvaluation(
            model, evaluation, machine, scores, (), called, former_identity(TOOL, _former_name(path, value, arguments)),
            missing, _rest(value, task),
        )  # fmt: skip
        try:
            one = _with_samples(path, task, one)
        except ImportRefused as error:
            notes.append(f"{error}; the task's scores are imported without its samples")
        found.append(one)
    if not found:
        raise refused(
            path, f"no number for the task {only}" if only else "an lm-evaluation-harness file without a number"
        )
    return Parcel(named, evaluations=tuple(found), notes=tuple(notes))


def read_samples_file(path: Path, rows: Sequence[tuple[int, Any]]) -> Parcel:
    """samples_*.jsonl: with the results file beside it, or alone, with scores that are means of its metrics."""
    beside = results_beside(path)
    named = SAMPLES.fullmatch(path.name)
    if beside is not None and named:
        value = read_json(beside)
        if is_harness(value) and named["task"] in value["results"]:
            return read_harness(beside, value, named["task"])
    task = named["task"] if named else re.sub(r"^samples_|\.jsonl?(\.gz)?$", "", path.name)
    samples = read_samples(path, rows, (), benchmark_of(task) == "humaneval")
    called = called_after(path)
    evaluation = Evaluation(
        id="",
        model_id="",
        benchmark=benchmark_of(task),
        settings={"scored_by": TOOL, "task": task},
        machine_id="",
        origin="imported",
        source=f"{source_of(path)} ({TOOL})",
    )
    missing = ("the results file, with the model and the settings: it is not beside the samples",)
    one = ImportedEvaluation(
        foreign_model(TOOL, called), evaluation, foreign_machine(), samples.scores, samples.outcomes, called,
        missing=missing, rest=samples.digest,
    )  # fmt: skip
    return Parcel(f"{TOOL} samples", evaluations=(one,))


def results_beside(path: Path) -> Path | None:
    """The results file of a samples file, if it is there."""
    named = SAMPLES.fullmatch(path.name)
    if not named:
        return None
    found = (one for one in path.parent.glob(f"*_{named[2]}.json") if RESULTS.fullmatch(one.name))
    return min((one for one in found if one.is_file()), default=None)


def benchmark_of(task: str) -> str:
    """The name that a task's evaluations have in the store."""
    return "humaneval" if re.fullmatch(r"humaneval(_instruct)?", task) else f"lm-eval:{task}"


def _with_samples(path: Path, task: str, one: ImportedEvaluation) -> ImportedEvaluation:
    """The evaluation with the outcomes that stand in the file of its samples, if there is one."""
    named = RESULTS.fullmatch(path.name)
    beside = [path.with_name(f"samples_{each}_{named[1]}.jsonl") for each in (task, re.sub(r"\W", "_", task)) if named]
    found = next((each for each in beside if each.is_file()), None)
    if found is None:
        return one
    samples: Samples = read_samples(
        found, None, [score.metric for score in one.scores], benchmark_of(task) == "humaneval"
    )
    n = len({each.item for each in samples.outcomes})
    scores = tuple(score if score.n else replace(score, n=n) for score in one.scores)
    told = max((score.n for score in one.scores), default=0)
    missing = (f"{told - n} of {told} documents in {found.name}",) if told > n else ()
    return replace(one, outcomes=samples.outcomes, scores=scores, missing=missing, rest=[one.rest, samples.digest])


def _rest(value: Mapping[str, Any], task: str) -> str:
    """Digest of what a file says of one task, and of all its tasks."""
    by_task = ("results", "configs", "versions", "n-shot", "n-samples", "higher_is_better", "group_subtasks")
    own, shared = [], {}
    for key, one in value.items():
        if key in (*by_task, "task_hashes") and isinstance(one, Mapping):
            own.append([key, one.get(task)])
            one = {other: told for other, told in one.items() if other not in value["results"]}
        shared[key] = one
    return digest(canonical([own, shared]))


def _settings(value: Mapping[str, Any], config: Mapping[str, Any], task: str) -> dict[str, Any]:
    """What a task's scores depend on."""
    settings = {key: config.get(key, value.get(key)) for key in SETTINGS}
    settings = {key: one for key, one in settings.items() if one is not None}
    settings |= {"scored_by": TOOL, "task": task, "version": _of(value.get("versions"), task)}
    shots = _of(value.get("n-shot"), task)
    return settings | ({"num_fewshot": shots} if shots is not None else {})


def _called(path: Path, value: Mapping[str, Any], arguments: Mapping[str, str]) -> Called:
    """The model by its Hub id or path, with what makes another of it: revision, adapter, quantization."""
    general = _mapping(value.get("config_general"))
    base = str(
        value.get("model_name")
        or arguments.get("pretrained")
        or arguments.get("model")
        or general.get("model_name")
        or ""
    ).strip()
    if not base:
        return called_after(path)
    telling = {
        key: arguments[key] for key in TELLING if arguments.get(key, "").lower() not in ("", "main", "none", "false")
    }
    if telling.get("tokenizer") == base:
        del telling["tokenizer"]
    sha = _mapping(value.get("config")).get("model_sha")
    telling |= {"sha": sha} if isinstance(sha, str) and sha else {}
    root = absolute(path).parent
    root = root.parent if root.name == str(value.get("model_name_sanitized") or base.replace("/", "__")) else root
    if _relative(base) or (arguments.get("peft") and not _absolute(arguments["peft"])):
        telling["root"] = str(root)  # a relative path is another model's in another place
    name = base + "".join(
        f"@{one}" if key == "revision" else f" + {one}" if key in ("peft", "delta") else f" ({key}={one})"
        for key, one in telling.items()
        if key not in ("sha", "root")
    )
    place = json.dumps(canonical(telling), sort_keys=True) if telling else ""
    if is_usual(path_names(base)[0]) and "peft" not in telling:
        beside = called_after(root / "file")
        names = (f"{beside.names[0]}/{path_names(base)[0]}", *(f"{one} {name}" for one in beside.names))
        return Called(tuple(map(short, names)), place, True)
    apart = [f"{name} {str(sha)[:8]}"] if sha else []
    return Called((short(name), *map(short, [*apart, f"{name} ({root.name})", f"{name} ({root})"])), place)


def _absolute(text: str) -> bool:
    return text.startswith(("/", "~")) or re.match(r"[A-Za-z]:[/\\]", text) is not None


def _relative(base: str) -> bool:
    """Whether a base is no Hub id but a path from where the harness was started."""
    return not _absolute(base) and (base.startswith(".") or base.count("/") > 1 or "\\" in base or is_usual(base))


def _former_name(path: Path, value: Mapping[str, Any], arguments: Mapping[str, str]) -> str:
    """The name that the model had in stores of before."""
    base = arguments.get("pretrained") or arguments.get("model") or ""
    name = str(value.get("model_name") or base or path.parent.name)
    return f"{name} + {arguments['peft']}" if arguments.get("peft") else name


def _scores(metrics: Mapping[str, Any], n: int | None) -> Iterator[Score]:
    """Scores of one task, with 95 % intervals from the standard errors where there are any."""
    for key, raw in metrics.items():
        value = number(raw)
        metric, _, filtered = key.partition(",")
        if value is None or metric.endswith("_stderr") or key in ("alias", "sample_len", "sample_count", "name"):
            continue
        error = number(metrics.get(f"{metric}_stderr,{filtered}" if filtered else f"{metric}_stderr"))
        known = error is not None and math.isfinite(error) and math.isfinite(value)
        low, high = (value - Z * (error or 0.0), value + Z * (error or 0.0)) if known else (None, None)
        if known and metric.startswith(("acc", "exact_match", "pass@", "f1", "em")) and 0 <= value <= 1:
            low, high = max(0.0, low or 0.0), min(1.0, high or 0.0)
        yield Score(label_of(metric, filtered), value, low, high, n or 0)


def _samples(value: Mapping[str, Any], task: str) -> int | None:
    counts = _of(value.get("n-samples"), task)
    found = whole(_of(counts, "effective"))
    return found if found is not None and 0 <= found < 2**62 else None


def _of(found: Any, key: str) -> Any:
    return found.get(key) if isinstance(found, Mapping) else None


def _mapping(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {}


def _arguments(found: Any) -> dict[str, str]:
    """model_args, "pretrained=a/b,dtype=float32" or an object."""
    if isinstance(found, Mapping):
        return {str(key): str(one) for key, one in found.items()}
    pairs = (part.partition("=") for part in str(found or "").split(","))
    return {key.strip(): one for key, equals, one in pairs if equals}
