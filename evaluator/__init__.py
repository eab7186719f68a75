"""`evaluator`: measures models. HumanEval in a sandbox, held-out loss, latency, stopping, contamination.

The room's door: what it offers is imported from here, and loaded when first asked for.
Imports engines and results; knows nothing of the trainer, the dashboard or the command line.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evaluator.benchmarks import Task as Task
    from evaluator.benchmarks import load_benchmark as load_benchmark
    from evaluator.concluding import rescore as rescore
    from evaluator.errors import BenchmarkUnreadable as BenchmarkUnreadable
    from evaluator.errors import IdentityFailed as IdentityFailed
    from evaluator.errors import ModelUnmeasurable as ModelUnmeasurable
    from evaluator.errors import SamplesUnreadable as SamplesUnreadable
    from evaluator.errors import SandboxUnavailable as SandboxUnavailable
    from evaluator.extraction import Extraction as Extraction
    from evaluator.extraction import extract_code as extract_code
    from evaluator.foretelling import Batch as Batch
    from evaluator.foretelling import Where as Where
    from evaluator.foretelling import export_of as export_of
    from evaluator.foretelling import heldout_of as heldout_of
    from evaluator.foretelling import humaneval_of as humaneval_of
    from evaluator.foretelling import latency_of as latency_of
    from evaluator.foretelling import stopping_of as stopping_of
    from evaluator.heldout import evaluate_heldout as evaluate_heldout
    from evaluator.humaneval import HumanEvalSettings as HumanEvalSettings
    from evaluator.humaneval import evaluate_humaneval as evaluate_humaneval
    from evaluator.judging import judge_answers as judge_answers
    from evaluator.latency import LatencySettings as LatencySettings
    from evaluator.latency import evaluate_latency as evaluate_latency
    from evaluator.limits import Calibration as Calibration
    from evaluator.limits import Limits as Limits
    from evaluator.measuring import choose_models as choose_models
    from evaluator.measuring import measure as measure
    from evaluator.measuring import register_endpoint as register_endpoint
    from evaluator.measuring import rescore_stored as rescore_stored
    from evaluator.rescoring import SampleScores as SampleScores
    from evaluator.rescoring import score_samples as score_samples
    from evaluator.rescoring import stored_answers as stored_answers
    from evaluator.rescoring import write_results as write_results
    from evaluator.samples import Answer as Answer
    from evaluator.samples import read_samples as read_samples
    from evaluator.samples import write_samples as write_samples
    from evaluator.sandbox import sandbox_available as sandbox_available
    from evaluator.scoring import ScoredAnswer as ScoredAnswer
    from evaluator.scoring import Scorer as Scorer
    from evaluator.scoring import ScoringSettings as ScoringSettings
    from evaluator.scoring import calibrate as calibrate
    from evaluator.scoring import score_answers as score_answers
    from evaluator.stopping import StoppingSettings as StoppingSettings
    from evaluator.stopping import evaluate_stopping as evaluate_stopping

_HOMES = {
    "Answer": "samples",
    "Batch": "foretelling",
    "BenchmarkUnreadable": "errors",
    "Calibration": "limits",
    "Extraction": "extraction",
    "LatencySettings": "latency",
    "HumanEvalSettings": "humaneval",
    "IdentityFailed": "errors",
    "Limits": "limits",
    "ModelUnmeasurable": "errors",
    "SampleScores": "rescoring",
    "SamplesUnreadable": "errors",
    "SandboxUnavailable": "errors",
    "ScoredAnswer": "scoring",
    "Scorer": "scoring",
    "ScoringSettings": "scoring",
    "StoppingSettings": "stopping",
    "Task": "benchmarks",
    "Where": "foretelling",
    "calibrate": "scoring",
    "choose_models": "measuring",
    "evaluate_latency": "latency",
    "evaluate_heldout": "heldout",
    "evaluate_humaneval": "humaneval",
    "evaluate_stopping": "stopping",
    "export_of": "foretelling",
    "heldout_of": "foretelling",
    "humaneval_of": "foretelling",
    "latency_of": "foretelling",
    "rescore": "concluding",
    "extract_code": "extraction",
    "judge_answers": "judging",
    "load_benchmark": "benchmarks",
    "measure": "measuring",
    "read_samples": "samples",
    "register_endpoint": "measuring",
    "rescore_stored": "measuring",
    "sandbox_available": "sandbox",
    "score_answers": "scoring",
    "score_samples": "rescoring",
    "stopping_of": "foretelling",
    "stored_answers": "rescoring",
    "write_results": "rescoring",
    "write_samples": "samples",
}
"""Name: the module it is loaded from when first asked for."""

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"evaluator.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
