"""Latency of the file that ships: time to first token, time per further token, cold start, memory.

Definitions: TTFT is from submission to the first non-empty piece of text, template and tokenization included;
TPOT = (total - TTFT) / (tokens - 1); ITL the gaps between pieces. Requests of models are interleaved A B A B, in turned
order each round, so that drift of the machine hits all alike; each model's first request of each prompt is dropped.
As many are open beside each other as a quarter of the memory holds; who was measured beside whom is recorded.
The grid's answers have equal length: the end-of-turn token is suppressed. Natural answers end where the model ends
them, which tells its length from its speed. Prompts are never taken from a cache.

Try: bakeoff latency --model demo-rank8@lora · bakeoff latency --prompt sky --prompt life --concurrency 4
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from engines import (
    DEFAULT_CONTEXT,
    EngineCrashed,
    LlamaCppEngine,
    Message,
    Sampling,
    Threading,
    calibrated,
    expected_bytes,
    llamacpp_gpus,
    memory_bandwidth,
    open_engines,
    prove,
    read_header,
    this_device,
    unserved,
)
from evaluator.latency.prompts import GRID, NATURAL
from results import (
    BakeoffError,
    Evaluation,
    Machine,
    Model,
    Outcome,
    Progress,
    Score,
    Store,
    Workspace,
    digest,
    load_average,
    this_machine,
)
from results.analysis.statistics import percentile_interval

BENCHMARK = "latency"

SHARE = 4
"""Models are open together in one part of so many of the memory, or one file alone that takes more."""

Open = tuple[Model, Evaluation]
"""A model and its evaluation under way."""
PROMPTS = {**GRID, **NATURAL}


class LatencySettings(BaseModel, frozen=True, extra="forbid"):
    """What is asked of each model. The defaults take about 10 s a model for 135M parameters on two cores."""

    prompts: tuple[str, ...] = ("short", "medium")
    """The prompts by name: short, medium, long of the grid; pythagoras, sky, life, and those of `own`, are answered at
    natural length."""
    own: Mapping[str, tuple[Mapping[str, str], ...]] = Field(default_factory=dict)
    """Prompts of one's own by name: the turns of each."""
    repetitions: int = Field(5, ge=1, le=1000)
    """Timed requests per prompt."""
    tokens: int = Field(24, ge=2, le=4096)
    """Tokens of every answer of the grid."""
    natural_tokens: int = Field(256, ge=2, le=8192)
    """Tokens of a natural answer at most."""
    concurrency: int = Field(1, ge=1, le=64)
    """Requests to one model at a time; each is timed, and so is the whole."""
    threads: int = Field(0, ge=0)
    """0: found by calibration."""
    seconds: float = Field(60.0, gt=0)
    """Seconds of all models' timed requests together: after two rounds, no further one begins beyond this. A machine
    that is busy with other work would take many times as long; how many rounds were made is recorded."""


def evaluate_latency(
    models: Sequence[Model],
    store: Store,
    workspace: Workspace,
    settings: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> list[Evaluation]:
    """Measure GGUF models side by side; finished measurements of this machine are returned as they are.

    settings: the fields of `LatencySettings`. Nothing else heavy should run meanwhile; the load is recorded.
    Raises: BakeoffError for wrong settings or a model that llama.cpp does not serve.
    """
    chosen = _settings(settings or {})
    if refused := [words for model in models if (words := unserved(model, workspace))]:
        raise BakeoffError(" ".join(refused))  # before anything is begun or calibrated
    machine = this_machine()
    store.machines.add(machine)
    begun = [store.evaluations.begin(_evaluation(model, chosen, machine)) for model in models]
    open_ones = [(model, one) for model, one in zip(models, begun, strict=True) if one.status != "finished"]
    if open_ones:
        try:
            _measure(open_ones, store, workspace, chosen, progress)
        except BaseException as problem:
            for _, evaluation in open_ones:
                if store.evaluations.get(evaluation.id).status != "finished":
                    store.evaluations.fail(evaluation.id, str(problem) or type(problem).__name__)
            raise
    return [store.evaluations.get(evaluation.id) for evaluation in begun]


def _settings(given: Mapping[str, Any]) -> LatencySettings:
    try:
        chosen = LatencySettings.model_validate(dict(given))
    except ValidationError as problem:
        said = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in problem.errors())
        raise BakeoffError(f"Wrong latency settings: {said}") from None
    if taken := [name for name in chosen.own if name in PROMPTS]:
        raise BakeoffError(f"A latency prompt of your own cannot be called {taken[0]!r}: that is one of ours")
    unknown = [name for name in chosen.prompts if name not in PROMPTS and name not in chosen.own]
    if unknown or not chosen.prompts:
        raise BakeoffError(f"Unknown latency prompts {unknown}; there are {', '.join(PROMPTS)}")
    return chosen


def _evaluation(model: Model, chosen: LatencySettings, machine: Machine) -> Evaluation:
    settings = chosen.model_dump(mode="json", exclude=None if chosen.own else {"own"})
    key = digest({"model": model.id, "benchmark": BENCHMARK, "settings": settings, "machine": machine.id})
    return Evaluation(key[:16], model.id, BENCHMARK, settings, machine.id)


@dataclass(frozen=True)
class _Start:
    """One model alone in a fresh process."""

    cold_start_seconds: float
    """Seconds from starting the process to the first token, files in the page cache."""
    peak_rss_bytes: int
    """Highest resident memory after an answer to the longest prompt."""


def _measure(
    open_ones: Sequence[tuple[Model, Evaluation]],
    store: Store,
    workspace: Workspace,
    chosen: LatencySettings,
    progress: Progress | None,
) -> None:
    models = [model for model, _ in open_ones]
    bandwidth = memory_bandwidth()
    choices: dict[str, Threading] = {}
    starts: dict[str, _Start] = {}
    for place, model in enumerate(models):
        prove(model, workspace)  # now, not within a cold start that is timed
        choices[model.id] = _threading(model, workspace, chosen)
        if progress:
            progress("latency: trying threads", place + 1, len(models))
    for place, model in enumerate(models):
        starts[model.id] = _start(model, workspace, chosen, choices[model.id])
        if progress:
            progress("latency: cold starts", place + 1, len(models))
    total = len(models) * len(chosen.prompts) * chosen.repetitions * chosen.concurrency
    done = 0

    def told(made: int) -> None:
        nonlocal done
        done += made
        if progress:
            progress("latency", done, total)

    for group in groups_that_fit(open_ones, workspace, chosen.concurrency):
        share = chosen.model_copy(update={"seconds": chosen.seconds * len(group) / len(open_ones)})
        load_before = load_average()
        outcomes, builds = _interleaved(group, store, workspace, share, choices, told)
        for model, evaluation in group:
            details = {
                "threads": choices[model.id].threads,
                "patient_threads": choices[model.id].patient,
                "engine": builds[model.id]["build"],
                "engine_system": builds[model.id]["system"],
                "device": builds[model.id]["device"],
                "gpu_bytes": builds[model.id]["gpu_bytes"],
                "isa": list(this_machine().isa),
                "load_average_before": load_before,
                "load_average_after": load_average(),
                "memory_bandwidth_bytes_per_second": bandwidth,
                "measured_beside": [other.id for other, _ in group if other.id != model.id],
                "warm_up_dropped": len(chosen.prompts),
                "rounds": len(outcomes[model.id]) // (len(chosen.prompts) * chosen.concurrency),
            }
            scores = _scores(model, workspace, outcomes[model.id], starts[model.id], bandwidth)
            store.evaluations.finish(evaluation.id, scores, details)


def groups_that_fit(
    open_ones: Sequence[Open], workspace: Workspace, slots: int, room: int | None = None
) -> list[list[Open]]:
    """Models that are open together, in their order: those of one base file always, others as far as they fit `room`.

    room: bytes; by default a part of the memory where llama.cpp computes (`SHARE`).
    """
    if room is None:
        room = (this_device() if llamacpp_gpus() else this_device("cpu")).memory_bytes // SHARE
    by_file: dict[Path, list[Open]] = {}
    for model, evaluation in open_ones:
        by_file.setdefault(workspace.resolve(model.base_path or model.path), []).append((model, evaluation))
    groups: list[list[Open]] = []
    taken = 0
    for file, members in by_file.items():
        size = expected_bytes(read_header(file), DEFAULT_CONTEXT * slots)
        if not groups or taken + size > room:
            groups.append([])
            taken = 0
        groups[-1] += members
        taken += size
    return groups


def _interleaved(
    group: Sequence[Open],
    store: Store,
    workspace: Workspace,
    chosen: LatencySettings,
    choices: Mapping[str, Threading],
    told: Callable[[int], None],
) -> tuple[dict[str, list[Outcome]], dict[str, dict[str, Any]]]:
    """(timed requests, what their processes said of themselves) of models that are open together, by model id."""
    models = [model for model, _ in group]
    outcomes: dict[str, list[Outcome]] = {model.id: [] for model in models}
    with ExitStack() as stack:
        engines = _opened(models, workspace, choices, chosen.concurrency, stack)
        pool = stack.enter_context(ThreadPoolExecutor(chosen.concurrency))
        for prompt in chosen.prompts:
            for model in models:
                ask_at_once(engines[model.id], prompt, 0, chosen, pool)
        began = time.perf_counter()
        for repetition in range(chosen.repetitions):
            if repetition >= 2 and time.perf_counter() - began > chosen.seconds:
                break
            for number, prompt in enumerate(chosen.prompts):
                turned = (repetition + number) % len(models)
                for model, evaluation in [*group[turned:], *group[:turned]]:
                    made = ask_at_once(engines[model.id], prompt, repetition, chosen, pool)
                    outcomes[model.id] += made
                    store.evaluations.add_outcomes(evaluation.id, made)
                    told(len(made))
        return outcomes, {model.id: engines[model.id].server.child().details for model in models}


def _threading(model: Model, workspace: Workspace, chosen: LatencySettings) -> Threading:
    if chosen.threads:
        return Threading(chosen.threads)
    return calibrated(workspace.resolve(model.base_path or model.path))


def _start(model: Model, workspace: Workspace, chosen: LatencySettings, choice: Threading) -> _Start:
    began = time.perf_counter()
    engine = open_engines([model], workspace, threading_choice=choice, reuse=False)[model.id]
    try:
        stream = engine.stream(_conversation(chosen.prompts[0], chosen), Sampling(max_tokens=2, ignore_end=True))
        next(stream)
        cold = time.perf_counter() - began
        stream.close()
        for _ in engine.stream(_conversation(chosen.prompts[-1], chosen), Sampling(max_tokens=2, ignore_end=True)):
            pass
        return _Start(cold, engine.server.child().memory_bytes(peak=True))
    finally:
        engine.close()


def _opened(
    models: Sequence[Model], workspace: Workspace, choices: Mapping[str, Threading], slots: int, stack: ExitStack
) -> dict[str, LlamaCppEngine]:
    """Engines by model id; models with the same base and thread choice share a process."""
    engines: dict[str, LlamaCppEngine] = {}
    for choice in dict.fromkeys(choices.values()):
        group = [model for model in models if choices[model.id] == choice]
        opened = open_engines(group, workspace, threading_choice=choice, slots=slots, reuse=False)
        for engine in opened.values():
            stack.callback(engine.close)
        engines.update(opened)
    return engines


def _conversation(prompt: str, chosen: LatencySettings) -> list[Message]:
    if prompt in chosen.own:
        return [cast(Message, dict(turn)) for turn in chosen.own[prompt]]
    return [{"role": "user", "content": PROMPTS[prompt]}]


def ask_at_once(
    engine: LlamaCppEngine, prompt: str, repetition: int, chosen: LatencySettings, pool: ThreadPoolExecutor
) -> list[Outcome]:
    """The same request as often as `concurrency` says, at once; each knows how long all took together."""
    first = repetition * chosen.concurrency
    began = time.perf_counter()
    made = list(pool.map(lambda place: _answer(engine, prompt, first + place, chosen), range(chosen.concurrency)))
    seconds = time.perf_counter() - began
    if chosen.concurrency == 1:
        return made
    rate = sum(one.details["tokens"] for one in made) / seconds
    return [replace(one, details={**one.details, "tokens_per_second_together": rate}) for one in made]


def _answer(engine: LlamaCppEngine, prompt: str, sample: int, chosen: LatencySettings) -> Outcome:
    """One timed request: value is the total seconds."""
    natural = prompt not in GRID
    sampling = Sampling(chosen.natural_tokens if natural else chosen.tokens, ignore_end=not natural)
    restarts = engine.server.restarts
    stream = engine.stream(_conversation(prompt, chosen), sampling)
    text = "".join(chunk.text for chunk in stream)
    if engine.server.restarts != restarts:
        raise EngineCrashed(
            f"The engine of {engine.server.path.name} ended during a timed request and was started again: the time "
            "would be of that, not of the model. Measure again."
        )
    if stream.ttft_seconds is None or stream.total_seconds is None:
        raise BakeoffError(f"{engine.server.path.name} answered the prompt {prompt!r} without any text.")
    tpot = (stream.total_seconds - stream.ttft_seconds) / max(1, stream.tokens - 1)
    gaps = np.diff(stream.token_seconds)
    return Outcome(
        item=prompt,
        sample=sample,
        value=stream.total_seconds,
        details={
            "ttft_seconds": stream.ttft_seconds,
            "tpot_seconds": tpot,
            "total_seconds": stream.total_seconds,
            "tokens": stream.tokens,
            "prompt_tokens": len(stream.prompt),
            "tokens_per_second": 1 / tpot if tpot > 0 else None,
            "itl_seconds_p50": float(np.percentile(gaps, 50)) if len(gaps) else None,
            "itl_seconds_p99": float(np.percentile(gaps, 99)) if len(gaps) else None,
            "answer": text,
        },
    )


def _scores(
    model: Model, workspace: Workspace, outcomes: Sequence[Outcome], start: _Start, bandwidth: float
) -> list[Score]:
    scores = []
    for metric, percentiles in (("ttft_seconds", (50, 90)), ("tpot_seconds", (50, 90)), ("tokens_per_second", (50,))):
        timed = [(one.item, one.details[metric]) for one in outcomes if one.details[metric] is not None]
        scores += [_percentile(f"{metric}_p{percentile}", timed, percentile) for percentile in percentiles]
    gaps = [(one.item, one.details["itl_seconds_p99"]) for one in outcomes]
    scores.append(_percentile("itl_seconds_p99", [(item, gap) for item, gap in gaps if gap is not None], 50))
    natural = [one for one in outcomes if one.item not in GRID]
    if natural:
        scores.append(_percentile("answer_seconds_p50", [(one.item, float(one.value or 0.0)) for one in natural], 50))
        lengths = [(one.item, float(one.details["tokens"])) for one in natural]
        scores.append(_percentile("answer_tokens_p50", lengths, 50))
    together = [(one.item, float(one.details.get("tokens_per_second_together", 0.0))) for one in outcomes]
    if any(rate for _, rate in together):
        scores.append(_percentile("tokens_per_second_together_p50", together, 50))
    weights = read_header(workspace.resolve(model.base_path or model.path)).weights_bytes
    speed = next(score.value for score in scores if score.metric == "tokens_per_second_p50")
    single = {
        "cold_start_seconds": start.cold_start_seconds,
        "peak_rss_bytes": float(start.peak_rss_bytes),
        "memory_bandwidth_utilisation": weights * speed / bandwidth,
    }
    return [*scores, *(Score(metric, value, None, None, 1) for metric, value in single.items())]


def _percentile(metric: str, timed: Sequence[tuple[str, float]], percentile: int) -> Score:
    """A percentile of (prompt, value) of each request; its interval is of prompts, where there are several."""
    values = [value for _, value in timed]
    found = percentile_interval(values, percentile, groups=[prompt for prompt, _ in timed])
    low = found.low if np.isfinite(found.low) else None
    high = found.high if np.isfinite(found.high) else None
    return Score(metric, found.value, low, high, len(values))
