"""Frozen records: what goes into the store and what comes out. Never rows, never sessions.

The words are those of docs/architecture.md. Quantities carry their unit in the name. This module holds no behaviour
beyond identities; reading and writing is in `results.store.store`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

Json = Mapping[str, Any]
"""A JSON object: string keys; None, bool, int, float, str, list and dict values."""

Progress = Callable[[str, int, int], None]
"""`progress(what, done, total)`: called by long work after each unit; the command line draws it with an ETA."""

RunStatus = Literal["planned", "running", "finished", "stopped", "failed", "diverged"]
"""stopped: interrupted and resumable. failed: ended by an error. diverged: the loss became NaN or infinite."""

Form = Literal[
    "base", "adapter", "merged", "gguf-f16", "gguf-q8_0", "gguf-q4_0", "gguf-other", "lora-gguf", "ggml", "remote"
]
"""How a model's weights are kept, so what is loaded and shipped. lora-gguf: an adapter beside its base's GGUF."""

Origin = Literal["measured", "imported"]
"""measured: by Bakeoff, on the stated machine. imported: from another tool's files. Published figures stand apart."""

Verdict = Literal[
    "passed", "wrong", "no_answer", "syntax_error", "no_code", "timed_out", "truncated", "memory", "forbidden", "error"
]  # fmt: skip
"""What became of one answer. `error` is Bakeoff's own failure: in no numerator and no denominator."""

Winner = Literal["a", "b", "tie", "both_bad"]


def percent(share: float, digits: int = 0) -> str:
    """A share of 1 as pages, charts and sentences write it: "84 %"."""
    return f"{100 * share:.{digits}f} %"


def now() -> datetime:
    """The present time, UTC, with its zone."""
    return datetime.now(UTC)


def digest(value: Any) -> str:
    """SHA-256 (64 hex digits) of a JSON value in canonical form: sorted keys, no spaces, NaN refused."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Machine:
    """Hardware and software fingerprint. Latencies of two machines never share an axis unlabelled."""

    id: str
    """First 12 hex digits of the digest of everything below."""
    cpu: str
    isa: tuple[str, ...]
    """Instruction sets that matter to speed: avx2, avx512f, avx512_bf16, amx_bf16, …; sorted."""
    cores: int
    ram_bytes: int
    gpu: str
    """Name and memory of the GPU; empty without one."""
    system: str
    versions: Json = field(default_factory=dict)
    """Package versions that numbers depend on: python, torch, transformers, peft, trl, xllamacpp."""


@dataclass(frozen=True)
class Run:
    """One training of one variant."""

    id: str
    """Deterministic: the experiment's name, the variant's and the digest of base, data, settings and seed."""
    name: str
    experiment: str
    base: str
    config: Json
    """The variant's whole configuration, flat values under dotted keys allowed: what a difference view compares."""
    seed: int
    status: RunStatus = "planned"
    reason: str = ""
    """Why it stopped, failed or diverged, in one sentence."""
    machine_id: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    total_steps: int | None = None
    """Planned optimizer steps."""
    origin: Origin = "measured"
    source: str = ""
    """The file, tool and version that an imported run came from."""
    tags: tuple[str, ...] = ()
    notes: str = ""
    archived: bool = False


@dataclass(frozen=True)
class RunSummary:
    """A run with what a list shows of its curves."""

    run: Run
    steps: int
    """The last step that has a loss; 0 without one."""
    last_loss: float | None
    best_validation_loss: float | None
    best_step: int | None
    updated_at: datetime | None


class Point(NamedTuple):
    """One value of one metric of a run at one step. (run, metric, step) is the key: written twice, the last holds.

    A named tuple, because training makes many: it takes a quarter of a frozen dataclass's time.
    """

    metric: str
    """loss, validation_loss, learning_rate, gradient_norm, tokens_per_second, elapsed_seconds, tokens_seen, epoch,
    peak_rss_bytes, validation_bits_per_byte, …. Losses are nats per token."""
    step: int
    value: float
    """NaN and ±inf are kept as what they are."""


@dataclass(frozen=True)
class Model:
    """Anything that answers a prompt."""

    id: str
    """A slug of the name and the first 8 hex digits of the identity."""
    name: str
    """Unique in a store; what `serve` answers to and pages show. E.g. demo-rank8, demo-rank8@q8_0."""
    form: Form
    base: str
    """Name of the base: Hub id, local folder or GGUF file name."""
    identity: str
    """SHA-256 over weights, adapter, template and form: two models with one identity answer alike."""
    bytes: int
    """Size of the files that ship, the base included for lora-gguf and adapter."""
    path: str
    """File or folder: relative to the workspace where inside it, else absolute, or a URL for remote."""
    run_id: str | None = None
    base_path: str = ""
    """Where the base's weights are (folder or GGUF), if the model is an adapter or lora-gguf."""
    weights_sha256: str = ""
    adapter_sha256: str = ""
    template_sha256: str = ""
    details: Json = field(default_factory=dict)
    """License, parameters, context length, quantization's own error, parity gate's figures, …"""
    created_at: datetime | None = None
    archived: bool = False
    fine_tune: str = ""
    """Name of the fine-tune, or base, that this is a format of; the store fills in the model's own name."""


@dataclass(frozen=True)
class Score:
    """One aggregate of an evaluation with its interval."""

    metric: str
    """pass@1, loss_nats_per_token, bits_per_byte, ttft_seconds_p50, ttft_seconds_p90, tokens_per_second_p50, …"""
    value: float
    low: float | None
    """Lower end of the 95 % interval; None where none is defined."""
    high: float | None
    n: int
    """Items (tasks, requests, rows) it rests on."""


@dataclass(frozen=True)
class Evaluation:
    """One measurement of one model by one benchmark with fixed settings; `machine_id` says where."""

    id: str
    """Digest of model, benchmark, settings and, for latency, machine: the same measurement again resumes itself."""
    model_id: str
    benchmark: str
    """humaneval, heldout, latency, stopping, …"""
    settings: Json
    machine_id: str
    status: Literal["running", "finished", "failed", "unscored"] = "running"
    """unscored: all answers are stored and none was run, for want of a sandbox; no scores, no verdicts."""
    reason: str = ""
    subset: str = ""
    """Empty for the whole benchmark, else its label, e.g. "40 of 164 tasks": shown wherever a score is."""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    origin: Origin = "measured"
    source: str = ""
    scores: tuple[Score, ...] = ()
    details: Json = field(default_factory=dict)
    """Load average, threads, calibrated limits, contamination, warnings."""


@dataclass(frozen=True)
class Outcome:
    """One item of an evaluation. (evaluation, item, sample) is the key."""

    item: str
    """The task, prompt or row: e.g. HumanEval/0."""
    sample: int = 0
    verdict: Verdict | None = None
    """The verdict; None for timings and losses, which have none."""
    value: float | None = None
    """The item's main number: seconds, nats, …"""
    details: Json = field(default_factory=dict)
    """prompt, answer (raw text), code (extracted), rule (of extraction), message, ttft_seconds, tokens, …"""


@dataclass(frozen=True)
class ScoreRow:
    """A score with everything it can be traced to: what `bakeoff scores` lists."""

    evaluation_id: str
    model_id: str
    model: str
    form: Form
    run_id: str | None
    benchmark: str
    metric: str
    value: float
    low: float | None
    high: float | None
    n: int
    machine_id: str
    subset: str
    """The evaluation's own; and "in 40 groups" where its items are related."""
    settings: Json
    origin: Origin
    finished_at: datetime | None


@dataclass(frozen=True)
class Vote:
    """One preference between two models' answers to one prompt."""

    id: str
    prompt: str
    model_a: str
    model_b: str
    answer_a: str
    answer_b: str
    winner: Winner
    voter: str = ""
    judge: str = ""
    """Empty for a person; else the judging model's name. The two kinds are never pooled."""
    blind: bool = True
    details: Json = field(default_factory=dict)
    created_at: datetime | None = None


@dataclass(frozen=True)
class PublishedResult:
    """A figure from somebody else's study: shown as such, never mixed with a measurement."""

    study: str
    subject: str
    """The variant or model as the study calls it."""
    metric: str
    item: str = ""
    """The prompt or task, where the figure belongs to one."""
    value: float = 0.0
    unit: str = ""
    n: int | None = None
    source: str = ""
    details: Json = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """A JSON finding about a run, model or experiment: data quality, contamination, sweep decisions, self-test."""

    subject: str
    """Id of the run, model or evaluation, or the experiment's name."""
    kind: str
    """data, contamination, sweep, export, …; (subject, kind) is the key."""
    payload: Json = field(default_factory=dict)
    created_at: datetime | None = None


PLACE = "place"
"""Kind of the report on a run that says where it trains, or trained last: host, process, since when."""

RETRIES = "retries"
"""Kind of the report on a run that says when and why it was begun again."""


@dataclass(frozen=True)
class DecisionRecord:
    """A frozen choice: limits, figures and identities, for a later re-check."""

    id: str
    model_id: str
    limits: Json
    payload: Json
    """The whole decision as data, as `results.analysis.deciding.decision` returned it."""
    created_at: datetime | None = None
