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
    from results.artifacts import Artifacts
    from results.comparison import Comparison, Contrast, LatencyRatio, compare, contrast_counts
    from results.curves import CurveOverview
    from results.decision import contenders, decide, decide_counts
    from results.decision_records import Candidate, Change, Decision, Figure, Limit, Limits, Tie
    from results.export import FORMATS, export_table
    from results.forms import FormCost, form_costs
    from results.importers import ImportedItem, ImportReport, import_path
    from results.machines import this_machine
    from results.measurements import contaminated_items
    from results.merge import MergeReport, merge
    from results.published import decide_published, load_published, read_published
    from results.ratings import PairRating, Rating, Ratings, rate, uncertain_pairs
    from results.reading import Reading
    from results.shipping import Finding, Recheck, find_record, freeze, recheck
    from results.store import Store
    from results.writer import CurveWriter

_LATER = {
    "Artifacts": "results.artifacts",
    "Candidate": "results.decision_records",
    "Change": "results.decision_records",
    "Comparison": "results.comparison",
    "Contrast": "results.comparison",
    "CurveOverview": "results.curves",
    "CurveWriter": "results.writer",
    "Decision": "results.decision_records",
    "FORMATS": "results.export",
    "Figure": "results.decision_records",
    "Finding": "results.shipping",
    "FormCost": "results.forms",
    "ImportReport": "results.importers",
    "ImportedItem": "results.importers",
    "LatencyRatio": "results.comparison",
    "Limit": "results.decision_records",
    "Limits": "results.decision_records",
    "MergeReport": "results.merge",
    "PairRating": "results.ratings",
    "Rating": "results.ratings",
    "Ratings": "results.ratings",
    "Reading": "results.reading",
    "Recheck": "results.shipping",
    "Store": "results.store",
    "Tie": "results.decision_records",
    "compare": "results.comparison",
    "contaminated_items": "results.measurements",
    "contenders": "results.decision",
    "contrast_counts": "results.comparison",
    "decide": "results.decision",
    "decide_counts": "results.decision",
    "decide_published": "results.published",
    "export_table": "results.export",
    "find_record": "results.shipping",
    "form_costs": "results.forms",
    "freeze": "results.shipping",
    "import_path": "results.importers",
    "load_published": "results.published",
    "merge": "results.merge",
    "rate": "results.ratings",
    "read_published": "results.published",
    "recheck": "results.shipping",
    "this_machine": "results.machines",
    "uncertain_pairs": "results.ratings",
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
    "contaminated_items",
    "contenders",
    "contrast_counts",
    "decide",
    "decide_counts",
    "decide_published",
    "digest",
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
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'results' has no attribute {name!r}")
    value = getattr(import_module(_LATER[name]), name)
    globals()[name] = value
    return value
