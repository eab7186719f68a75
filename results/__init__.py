"""results: remembers and judges. `Workspace.open().store()` opens the store; records go in and come out.

Records and errors are here at once; what loads a library (SQLAlchemy, numpy, scipy) is loaded when it is first asked for,
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
    from results.curves import CurveOverview
    from results.machines import this_machine
    from results.store import Store
    from results.writer import CurveWriter

_LATER = {
    "CurveOverview": "results.curves",
    "CurveWriter": "results.writer",
    "Store": "results.store",
    "this_machine": "results.machines",
}
"""Name → the module it is loaded from when first asked for."""

__all__ = [
    "BakeoffError",
    "CurveOverview",
    "CurveWriter",
    "DecisionRecord",
    "Evaluation",
    "Form",
    "Immutable",
    "ImportRefused",
    "Json",
    "Machine",
    "Model",
    "NotFound",
    "Origin",
    "Outcome",
    "Point",
    "Progress",
    "PublishedResult",
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
    "Verdict",
    "Vote",
    "Winner",
    "Workspace",
    "digest",
    "now",
    "this_machine",
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'results' has no attribute {name!r}")
    value = getattr(import_module(_LATER[name]), name)
    globals()[name] = value
    return value
