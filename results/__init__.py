"""results: remembers and judges. `Workspace.open().store()` opens the store; records go in and come out.

Records and errors are here at once; what loads a library (SQLAlchemy, numpy, scipy) is loaded when first asked for,
so that `bakeoff --help` answers at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from results.errors import (
    BakeoffError,
    Immutable,
    ImportRefused,
    NotFound,
    StoreBusy,
    StoreError,
    StoreTooNew,
)
from results.records import (
    DecisionRecord,
    Evaluation,
    Form,
    Json,
    Machine,
    Model,
    Origin,
    Outcome,
    Point,
    Progress,
    PublishedResult,
    Report,
    Run,
    RunStatus,
    RunSummary,
    Score,
    ScoreRow,
    Verdict,
    Vote,
    Winner,
    digest,
    now,
)
from results.workspace import Workspace

if TYPE_CHECKING:
    from results.analysis.comparison import compare, contrast_counts
    from results.analysis.decision import contenders, decide, decide_counts
    from results.analysis.findings import (
        Candidate,
        Change,
        Comparison,
        Contrast,
        Decision,
        Figure,
        LatencyRatio,
        Limit,
        Limits,
        Tie,
    )
    from results.analysis.form_costs import FormCost, form_costs
    from results.analysis.freezing import Finding, Recheck, find_record, freeze, recheck
    from results.analysis.measurements import contaminated_items, engine_words
    from results.analysis.ratings import PairRating, Rating, Ratings, rate, uncertain_pairs
    from results.analysis.snapshot import Reading
    from results.analysis.wording import comparison_markdown, decision_markdown, verdict
    from results.artifacts import Artifacts
    from results.curves.curves import CurveOverview
    from results.curves.writer import CurveWriter
    from results.export import FORMATS, export_table
    from results.importers import ImportedItem, ImportReport, import_path
    from results.published import decide_published, load_published, read_published
    from results.store.machines import this_machine
    from results.store.merge import MergeReport, merge
    from results.store.store import Store

_LATER = {
    "Artifacts": "results.artifacts",
    "Candidate": "results.analysis.findings",
    "Change": "results.analysis.findings",
    "Comparison": "results.analysis.findings",
    "Contrast": "results.analysis.findings",
    "CurveOverview": "results.curves.curves",
    "CurveWriter": "results.curves.writer",
    "Decision": "results.analysis.findings",
    "FORMATS": "results.export",
    "Figure": "results.analysis.findings",
    "Finding": "results.analysis.freezing",
    "FormCost": "results.analysis.form_costs",
    "ImportReport": "results.importers",
    "ImportedItem": "results.importers",
    "LatencyRatio": "results.analysis.findings",
    "Limit": "results.analysis.findings",
    "Limits": "results.analysis.findings",
    "MergeReport": "results.store.merge",
    "PairRating": "results.analysis.ratings",
    "Rating": "results.analysis.ratings",
    "Ratings": "results.analysis.ratings",
    "Reading": "results.analysis.snapshot",
    "Recheck": "results.analysis.freezing",
    "Store": "results.store.store",
    "Tie": "results.analysis.findings",
    "compare": "results.analysis.comparison",
    "comparison_markdown": "results.analysis.wording",
    "contaminated_items": "results.analysis.measurements",
    "contenders": "results.analysis.decision",
    "contrast_counts": "results.analysis.comparison",
    "decide": "results.analysis.decision",
    "decide_counts": "results.analysis.decision",
    "decide_published": "results.published",
    "decision_markdown": "results.analysis.wording",
    "engine_words": "results.analysis.measurements",
    "export_table": "results.export",
    "find_record": "results.analysis.freezing",
    "form_costs": "results.analysis.form_costs",
    "freeze": "results.analysis.freezing",
    "import_path": "results.importers",
    "load_published": "results.published",
    "merge": "results.store.merge",
    "rate": "results.analysis.ratings",
    "read_published": "results.published",
    "recheck": "results.analysis.freezing",
    "this_machine": "results.store.machines",
    "uncertain_pairs": "results.analysis.ratings",
    "verdict": "results.analysis.wording",
}
"""Name → the module it is loaded from when first asked for."""

__all__ = [
    "Artifacts",
    "BakeoffError",
    "Candidate",
    "Change",
    "Comparison",
    "Contrast",
    "CurveOverview",
    "CurveWriter",
    "Decision",
    "DecisionRecord",
    "Evaluation",
    "FORMATS",
    "Figure",
    "Finding",
    "Form",
    "FormCost",
    "Immutable",
    "ImportRefused",
    "ImportReport",
    "ImportedItem",
    "Json",
    "LatencyRatio",
    "Limit",
    "Limits",
    "Machine",
    "MergeReport",
    "Model",
    "NotFound",
    "Origin",
    "Outcome",
    "PairRating",
    "Point",
    "Progress",
    "PublishedResult",
    "Rating",
    "Ratings",
    "Reading",
    "Recheck",
    "Report",
    "Run",
    "RunStatus",
    "RunSummary",
    "Score",
    "ScoreRow",
    "Store",
    "StoreBusy",
    "StoreError",
    "StoreTooNew",
    "Tie",
    "Verdict",
    "Vote",
    "Winner",
    "Workspace",
    "compare",
    "comparison_markdown",
    "contaminated_items",
    "contenders",
    "contrast_counts",
    "decide",
    "decide_counts",
    "decide_published",
    "decision_markdown",
    "digest",
    "engine_words",
    "export_table",
    "find_record",
    "form_costs",
    "freeze",
    "import_path",
    "load_published",
    "merge",
    "now",
    "rate",
    "read_published",
    "recheck",
    "this_machine",
    "uncertain_pairs",
    "verdict",
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'results' has no attribute {name!r}")
    value = getattr(import_module(_LATER[name]), name)
    globals()[name] = value
    return value
