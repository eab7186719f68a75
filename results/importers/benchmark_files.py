"""Results of other benchmark tools: lm-evaluation-harness (0.3 and 0.4) and llama-bench."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from results.analysis import statistics
from results.importers.parcels import (
    ImportedEvaluation,
    Parcel,
    canonical,
    evaluation_id,
    foreign_machine,
    foreign_model,
    outcomes_content,
)
from results.importers.reading import number, refused, whole
from results.records import Evaluation, Form, Outcome, Score

Z = 1.959963984540054
"""Half-width of a 95 % interval in standard errors."""

HARNESS_SETTINGS = (
    "num_fewshot",
    "limit",
    "description_dict",
    "gen_kwargs",
    "apply_chat_template",
    "fewshot_as_multiturn",
)
"""Of the harness's configuration: what changes a score. Devices and batch sizes do not."""

BENCH_SETTINGS = (
    "n_threads", "n_batch", "n_ubatch", "n_gpu_layers", "type_k", "type_v", "flash_attn", "split_mode", "backends",
)  # fmt: skip


def is_harness(value: Any) -> bool:
    """Whether a JSON value is a results file of lm-evaluation-harness."""
    results = value.get("results") if isinstance(value, Mapping) else None
    known = ("versions", "config", "configs", "n-shot", "config_general")
    if not isinstance(results, Mapping) or not any(key in value for key in known):
        return False
    return all(isinstance(one, Mapping) for one in results.values())


def is_llama_bench(value: Any) -> bool:
    """Whether a JSON value, or a row of JSON Lines, is llama-bench's."""
    rows = value if isinstance(value, list) else [value]
    return bool(rows) and all(isinstance(row, Mapping) and "avg_ts" in row and "model_filename" in row for row in rows)


def read_harness(path: Path, value: Mapping[str, Any]) -> Parcel:
    """One evaluation per task. HumanEval becomes `humaneval`; other tasks keep their name after "lm-eval:"."""
    config = value.get("config") if isinstance(value.get("config"), Mapping) else {}
    assert isinstance(config, Mapping)
    arguments = _arguments(config.get("model_args"))
    base = arguments.get("pretrained") or arguments.get("model") or ""
    name = str(value.get("model_name") or base or path.parent.name)
    if arguments.get("peft"):
        name = f"{name} + {arguments['peft']}"
    version = "0.4" if any("," in key for one in value["results"].values() for key in one) else "0.3"
    tool = f"lm-evaluation-harness {value.get('lm_eval_version') or version}"
    model = foreign_model(tool.split()[0], name, base=base, arguments=canonical(arguments))
    at = number(value.get("date"))
    machine = foreign_machine(
        gpu=str(config.get("device") or ""), versions={"lm_eval": str(value.get("git_hash") or version)}
    )
    found = []
    for task, metrics in value["results"].items():
        n = _samples(value, task)
        scores = tuple(_harness_scores(metrics, n))
        if not scores:
            continue
        settings = {key: canonical(config[key]) for key in HARNESS_SETTINGS if config.get(key) is not None}
        shots = _of(value.get("n-shot"), task)
        settings |= {"scored_by": tool.split()[0], "task": task, "version": _of(value.get("versions"), task)}
        settings |= {"num_fewshot": shots} if shots is not None else {}
        benchmark = "humaneval" if re.fullmatch(r"humaneval(_instruct)?", task) else f"lm-eval:{task}"
        limit = number(config.get("limit"))
        evaluation = Evaluation(
            id=evaluation_id(model, benchmark, settings, machine, outcomes_content((), scores)),
            model_id=model.id,
            benchmark=benchmark,
            settings=canonical(settings),
            machine_id=machine.id,
            subset=f"limited to {limit:g}" if limit is not None else "",
            finished_at=datetime.fromtimestamp(at, UTC) if at and 0 < at < 2**33 else None,
            origin="imported",
            source=f"{path.parent.name}/{path.name} ({tool})",
        )
        missing = ("how many samples each score rests on",) if n is None else ()
        found.append(ImportedEvaluation(model, evaluation, machine, scores, missing=missing))
    if not found:
        raise refused(path, "an lm-evaluation-harness file without a number")
    return Parcel(f"lm-evaluation-harness {version}", evaluations=tuple(found))


def read_llama_bench(path: Path, rows: Sequence[Mapping[str, Any]]) -> Parcel:
    """One evaluation per model and settings; its items are the tests (pp512, tg128, …).

    These speeds are of synthetic tokens without template or server: benchmark `llama-bench`, never `latency`.
    """
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if not is_llama_bench(row):
            raise refused(path, "a row is not llama-bench's")
        settings = {key: canonical(row[key]) for key in BENCH_SETTINGS if row.get(key) is not None}
        groups.setdefault(
            repr((str(row["model_filename"]), row.get("cpu_info"), row.get("gpu_info"), settings)), []
        ).append(row)
    return Parcel("llama-bench", evaluations=tuple(_bench(path, group) for group in groups.values()))


def _bench(path: Path, rows: Sequence[Mapping[str, Any]]) -> ImportedEvaluation:
    first = rows[0]
    file = PurePosixPath(str(first["model_filename"]).replace("\\", "/")).name
    settings = {key: canonical(first[key]) for key in BENCH_SETTINGS if first.get(key) is not None}
    size = whole(first.get("model_size")) or 0
    model = foreign_model(
        "llama-bench", file.removesuffix(".gguf"), base=file, form=_form(str(first.get("model_type", "")), file),
        size=max(0, min(size, 2**62)), parameters=whole(first.get("model_n_params")),
    )  # fmt: skip
    build = f"{first.get('build_commit', '')} ({first.get('build_number', '')})"
    machine = foreign_machine(
        str(first.get("cpu_info") or ""), str(first.get("gpu_info") or ""), versions={"llama.cpp": build}
    )
    scores, outcomes = [], []
    for row in rows:
        test = _test(row)
        average = number(row["avg_ts"])
        if average is None or not math.isfinite(average) or average < 0:
            raise refused(path, f"{test}: avg_ts is {str(row['avg_ts'])[:40]!r}")
        nanoseconds = row.get("samples_ns") if isinstance(row.get("samples_ns"), list) else []
        speeds = row.get("samples_ts") if isinstance(row.get("samples_ts"), list) else []
        values = [found for one in speeds or () if (found := number(one)) is not None and math.isfinite(found)]
        low, high = None, None
        if len(values) > 1:
            spread = statistics.mean_interval(values)
            low, high = max(0.0, spread.low), spread.high
        scores.append(Score(f"tokens_per_second_{test}", average, low, high, max(1, len(values))))
        for sample, one in enumerate(nanoseconds or ()):
            seconds = number(one)
            details = {"tokens_per_second": values[sample]} if sample < len(values) else {}
            outcomes.append(Outcome(test, sample, None, None if seconds is None else seconds / 1e9, details))
    evaluation = Evaluation(
        id=evaluation_id(model, "llama-bench", settings, machine, outcomes_content(outcomes, scores)),
        model_id=model.id,
        benchmark="llama-bench",
        settings=settings,
        machine_id=machine.id,
        finished_at=_iso(first.get("test_time")),
        origin="imported",
        source=f"{path.parent.name}/{path.name} (llama-bench {build})",
    )
    missing = ("time to first token with a chat template: llama-bench has none",)
    return ImportedEvaluation(model, evaluation, machine, _last_of_each(scores), tuple(outcomes), missing)


def _harness_scores(metrics: Mapping[str, Any], n: int | None) -> Iterator[Score]:
    """Scores of one task, with 95 % intervals from the standard errors where there are any."""
    for key, raw in metrics.items():
        value = number(raw)
        metric, _, filtered = key.partition(",")
        if value is None or metric.endswith("_stderr") or key in ("alias", "sample_len", "sample_count", "name"):
            continue
        error = number(metrics.get(f"{metric}_stderr,{filtered}" if filtered else f"{metric}_stderr"))
        label = metric if filtered in ("", "none", "create_test") else f"{metric} ({filtered})"
        known = error is not None and math.isfinite(error) and math.isfinite(value)
        low, high = (value - Z * (error or 0.0), value + Z * (error or 0.0)) if known else (None, None)
        if known and metric.startswith(("acc", "exact_match", "pass@", "f1", "em")) and 0 <= value <= 1:
            low, high = max(0.0, low or 0.0), min(1.0, high or 0.0)
        yield Score(label, value, low, high, n or 0)


def _samples(value: Mapping[str, Any], task: str) -> int | None:
    counts = _of(value.get("n-samples"), task)
    found = whole(_of(counts, "effective"))
    return found if found is not None and 0 <= found < 2**62 else None


def _of(found: Any, key: str) -> Any:
    return found.get(key) if isinstance(found, Mapping) else None


def _arguments(found: Any) -> dict[str, str]:
    """model_args, "pretrained=a/b,dtype=float32" or an object."""
    if isinstance(found, Mapping):
        return {str(key): str(one) for key, one in found.items()}
    pairs = (part.partition("=") for part in str(found or "").split(","))
    return {key.strip(): one for key, equals, one in pairs if equals}


def _test(row: Mapping[str, Any]) -> str:
    """llama-bench's own label of a test: pp512, tg128, pp512+tg128, with @ d4096 for a filled context."""
    prompt, generated, depth = (whole(row.get(key)) or 0 for key in ("n_prompt", "n_gen", "n_depth"))
    parts = [f"pp{prompt}"] * bool(prompt) + [f"tg{generated}"] * bool(generated)
    return "+".join(parts or ["pp0"]) + (f"@d{depth}" if depth else "")


def _form(model_type: str, file: str) -> Form:
    """The quantization from llama-bench's model type ("llama 1B Q4_0") or the file's name."""
    forms: dict[str, Form] = {"Q8_0": "gguf-q8_0", "Q4_0": "gguf-q4_0", "F16": "gguf-f16"}
    for word, form in forms.items():
        if word in model_type.upper().split() or re.search(rf"[.-]{word}\.gguf$", file, re.IGNORECASE):
            return form
    return "gguf-other"


def _last_of_each(scores: Sequence[Score]) -> tuple[Score, ...]:
    return tuple({score.metric: score for score in scores}.values())


def _iso(value: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found and not found.tzinfo else found
