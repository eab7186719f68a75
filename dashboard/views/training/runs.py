"""The table of runs as people read it: losses, scores, settings that differ, what was gained on a baseline. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import pandas as pd

from dashboard.views.board import NAMES
from dashboard.views.tables import eta
from dashboard.views.training import kin
from results.records import RunSummary, ScoreRow

HEADLINES = ("pass@1", "accuracy", "bits_per_byte")
"""The metric of a test that a table shows, the first that was measured; of another test the first by the alphabet."""
MOST_SETTINGS = 8
"""Settings that differ which the table shows, those with the fewest values first; all are in the list below it."""
BEST, AGAINST = "Best validation loss", "Against baseline"


def scores(every: Sequence[ScoreRow], tests: Sequence[str]) -> dict[str, dict[str, ScoreRow]]:
    """The score of each run by each test: test → run id → that of the format measured on the most items, the newest."""
    found: dict[str, dict[str, ScoreRow]] = {test: {} for test in tests}
    for row in every:
        if row.benchmark in found and row.run_id:
            known = found[row.benchmark].get(row.run_id)
            if known is None or _worth(row) > _worth(known):
                found[row.benchmark][row.run_id] = row
    return {test: of_runs for test, of_runs in found.items() if of_runs}


def _worth(row: ScoreRow) -> tuple[int, str, int, str]:
    place = HEADLINES.index(row.metric) if row.metric in HEADLINES else len(HEADLINES)
    return (
        -place,
        "" if place < len(HEADLINES) else "".join(chr(0x10FFFF - ord(c)) for c in row.metric),
        row.n,
        str(row.finished_at),
    )


def table(
    rows: Sequence[RunSummary],
    names: Mapping[str, str],
    machines: Mapping[str, str],
    at: datetime,
    *,
    settings: Mapping[str, Mapping[str, str]] | None = None,
    scored: Mapping[str, Mapping[str, ScoreRow]] | None = None,
    baseline: RunSummary | None = None,
) -> pd.DataFrame:
    """One row a run; losses in nats per token, shares in percent. `at`: the present time, for the ETA."""
    held = kin.rows_of(baseline.run) if baseline else ""
    titles = {test: column(test, of_runs) for test, of_runs in (scored or {}).items()}
    uneven = {test for test, of_runs in (scored or {}).items() if len({one.n for one in of_runs.values()}) > 1}
    found = []
    for row in rows:
        run = row.run
        told: dict[str, object] = {
            "Run": names.get(run.id, run.name),
            "Status": run.status + (f": {run.reason}" if run.reason else ""),
            "Progress": 100 * row.steps / run.total_steps if run.total_steps else None,
            "ETA": eta(row, at) if run.status == "running" else None,
            BEST: row.best_validation_loss,
        }
        if baseline is not None:
            both = row.best_validation_loss is not None and baseline.best_validation_loss is not None
            told[AGAINST] = (
                row.best_validation_loss - baseline.best_validation_loss  # type: ignore[operator]
                if both and kin.rows_of(run) == held else None
            )  # fmt: skip
        told |= {"at step": row.best_step, "Last loss": row.last_loss}
        for test, of_runs in (scored or {}).items():
            score = of_runs.get(run.id)
            scale = 1 if score is not None and score.metric == "bits_per_byte" else 100
            told[titles[test]] = None if score is None else score.value * scale
            if test in uneven:  # runs were measured on different items: on how many is said beside the figure
                told[f"{titles[test]}: items"] = None if score is None else score.n
        told |= {name: values.get(run.id, "–") for name, values in list((settings or {}).items())[:MOST_SETTINGS]}
        told |= {
            "Base": run.base, "Experiment": run.experiment, "Seed": run.seed, "Tags": list(run.tags),
            "Machine": machines.get(run.machine_id or "", ""), "Origin": run.origin, "Notes": run.notes,
        }  # fmt: skip
        found.append(told)
    return pd.DataFrame(found)


def column(test: str, of_runs: Mapping[str, ScoreRow]) -> str:
    """A test's heading, with its unit."""
    bits = any(row.metric == "bits_per_byte" for row in of_runs.values())
    return f"{NAMES.get(test, test)}, {'bits per byte' if bits else '%'}"


def effect_of(
    setting: str, settings: Mapping[str, Mapping[str, str]], rows: Sequence[RunSummary], names: Mapping[str, str]
) -> pd.DataFrame:
    """Columns value, result (best validation loss), name, setting (all that differs but the seed), by value.

    rows: of one family (`kin.families`): losses over different rows are not compared.
    """
    found = pd.DataFrame(
        [
            (
                settings[setting].get(row.run.id, "–"),
                row.best_validation_loss,
                names[row.run.id],
                repr([values.get(row.run.id) for name, values in settings.items() if name != "seed"]),
            )
            for row in rows
            if row.best_validation_loss is not None and row.run.id in settings[setting]
        ],
        columns=["value", "result", "name", "setting"],
    )
    return found.sort_values("value", key=_in_order, ignore_index=True)


def _in_order(values: pd.Series[str]) -> pd.Series[float]:
    """Numbers as numbers, words by the alphabet."""
    numbers = pd.to_numeric(values, errors="coerce")
    return numbers if numbers.notna().all() else values.rank(method="dense")
