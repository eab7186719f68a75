"""`evaluator`: measures models. HumanEval in a sandbox, held-out loss, latency, stopping, contamination.

The room's door: what it offers is imported from here, and loaded when first asked for.
Imports engines and results; knows nothing of the trainer, the dashboard or the command line.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evaluator.errors import BenchmarkUnreadable as BenchmarkUnreadable
    from evaluator.errors import IdentityFailed as IdentityFailed
    from evaluator.errors import ModelUnmeasurable as ModelUnmeasurable
    from evaluator.errors import SamplesUnreadable as SamplesUnreadable
    from evaluator.errors import SandboxUnavailable as SandboxUnavailable
    from evaluator.extraction.extract import Extraction as Extraction
    from evaluator.extraction.extract import extract_code as extract_code
    from evaluator.foretelling import Batch as Batch
    from evaluator.foretelling import Where as Where
    from evaluator.foretelling import export_of as export_of
    from evaluator.foretelling import heldout_of as heldout_of
    from evaluator.foretelling import humaneval_of as humaneval_of
    from evaluator.foretelling import latency_of as latency_of
    from evaluator.foretelling import stopping_of as stopping_of
    from evaluator.humaneval.concluding import rescore as rescore
    from evaluator.humaneval.evaluate import HumanEvalSettings as HumanEvalSettings
    from evaluator.humaneval.evaluate import evaluate_humaneval as evaluate_humaneval
    from evaluator.humaneval.rescoring import SampleScores as SampleScores
    from evaluator.humaneval.rescoring import score_samples as score_samples
    from evaluator.humaneval.rescoring import stored_answers as stored_answers
    from evaluator.humaneval.rescoring import write_results as write_results
    from evaluator.humaneval.scoring import ScoredAnswer as ScoredAnswer
    from evaluator.humaneval.scoring import Scorer as Scorer
    from evaluator.humaneval.scoring import ScoringSettings as ScoringSettings
    from evaluator.humaneval.scoring import calibrate as calibrate
    from evaluator.humaneval.scoring import score_answers as score_answers
    from evaluator.latency.evaluate import LatencySettings as LatencySettings
    from evaluator.latency.evaluate import evaluate_latency as evaluate_latency
    from evaluator.measuring import choose_models as choose_models
    from evaluator.measuring import measure as measure
    from evaluator.measuring import register_endpoint as register_endpoint
    from evaluator.measuring import rescore_stored as rescore_stored
    from evaluator.sandbox.bubblewrap import sandbox_available as sandbox_available
    from evaluator.sandbox.limits import Calibration as Calibration
    from evaluator.sandbox.limits import Limits as Limits
    from evaluator.tasks.benchmarks import Task as Task
    from evaluator.tasks.benchmarks import load_benchmark as load_benchmark
    from evaluator.tasks.samples import Answer as Answer
    from evaluator.tasks.samples import read_samples as read_samples
    from evaluator.tasks.samples import write_samples as write_samples
    from evaluator.text.llm_judge import judge_answers as judge_answers
    from evaluator.text.perplexity import evaluate_heldout as evaluate_heldout
    from evaluator.text.stopping import StoppingSettings as StoppingSettings
    from evaluator.text.stopping import evaluate_stopping as evaluate_stopping

_HOMES = {
    "Answer": "tasks.samples",
    "Batch": "foretelling",
    "BenchmarkUnreadable": "errors",
    "Calibration": "sandbox.limits",
    "Extraction": "extraction.extract",
    "LatencySettings": "latency.evaluate",
    "HumanEvalSettings": "humaneval.evaluate",
    "IdentityFailed": "errors",
    "Limits": "sandbox.limits",
    "ModelUnmeasurable": "errors",
    "SampleScores": "humaneval.rescoring",
    "SamplesUnreadable": "errors",
    "SandboxUnavailable": "errors",
    "ScoredAnswer": "humaneval.scoring",
    "Scorer": "humaneval.scoring",
    "ScoringSettings": "humaneval.scoring",
    "StoppingSettings": "text.stopping",
    "Task": "tasks.benchmarks",
    "Where": "foretelling",
    "calibrate": "humaneval.scoring",
    "choose_models": "measuring",
    "evaluate_latency": "latency.evaluate",
    "evaluate_heldout": "text.perplexity",
    "evaluate_humaneval": "humaneval.evaluate",
    "evaluate_stopping": "text.stopping",
    "export_of": "foretelling",
    "heldout_of": "foretelling",
    "humaneval_of": "foretelling",
    "latency_of": "foretelling",
    "rescore": "humaneval.concluding",
    "extract_code": "extraction.extract",
    "judge_answers": "text.llm_judge",
    "load_benchmark": "tasks.benchmarks",
    "measure": "measuring",
    "read_samples": "tasks.samples",
    "register_endpoint": "measuring",
    "rescore_stored": "measuring",
    "sandbox_available": "sandbox.bubblewrap",
    "score_answers": "humaneval.scoring",
    "score_samples": "humaneval.rescoring",
    "stopping_of": "foretelling",
    "stored_answers": "humaneval.rescoring",
    "write_results": "humaneval.rescoring",
    "write_samples": "tasks.samples",
}
"""Name: the module it is loaded from when first asked for."""

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"evaluator.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
