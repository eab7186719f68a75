"""A data report in words: which rows are not trained, why and where, and what a person should know of the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from results import Json

REASONS = 3
"""Reasons named, the commonest first; of the others the number."""


def data_words(report: Json) -> list[str]:
    """One line a matter: rows that cannot be read, that template or length lose, that were changed; columns not used.

    Every row that was read and is not trained is in one of them, or in the filters' own counts; empty for a data set
    that is used whole.
    """
    sources = report.get("sources", [])
    words = [line for source in sources for line in source.get("files", [])]
    unusable = [(reason, found) for source in sources for reason, found in source.get("bad", {}).items()]
    words += _counted(unusable, "cannot be read")
    words += _counted(_masked(report), "are left out")
    notes = [(reason, found) for source in sources for reason, found in source.get("notes", {}).items()]
    words += [f"{_rows(found['rows'])}: {reason} ({_places(found)})" for reason, found in notes]
    words += [line for source in sources if (line := _columns(source))]
    return words


def removed_words(report: Json) -> str:
    """`removed: 3 unreadable, 2 exact duplicates; 5 cut at max_length`, or that nothing was removed."""
    sources = report.get("sources", [])
    parts = [part for part in report.get("tokens", {}).values() if isinstance(part, Mapping)]
    beyond = sum(part.get("left_out_no_answer", 0) for part in parts)
    cut = sum(part.get("truncated", 0) for part in parts) - beyond
    counts = {
        "unreadable": sum(source["read"] - source["usable"] for source in sources),
        **{name.replace("_", " "): found["removed"] for name, found in report.get("filters", {}).items()},
        "contaminated": report.get("contaminating_rows", {}).get("removed", 0),
        "not shown by the template": sum(part.get("refused_by_template", 0) for part in parts),
        "answered beyond max_length": beyond,
    }
    named = [f"{count:,} {name}" for name, count in counts.items() if count]
    removed = f"removed: {', '.join(named)}" if named else "nothing removed"
    return f"{removed}; {cut:,} cut at max_length" if cut > 0 else removed


def _masked(report: Json) -> list[tuple[str, Mapping[str, Any]]]:
    """The rows that template and length left out of both parts, one entry a reason."""
    rows: Counter[str] = Counter()
    places: dict[str, list[str]] = {}
    for part in report.get("tokens", {}).values():
        for reason, found in part.get("left_out", {}).items():
            rows[reason] += found["rows"]
            places.setdefault(reason, []).extend(found["examples"])
    return [(reason, {"rows": count, "examples": places[reason]}) for reason, count in rows.items()]


def _counted(found: Iterable[tuple[str, Mapping[str, Any]]], what: str) -> list[str]:
    """`5 rows cannot be read: reason (3: places); reason (2: places)`; nothing without rows."""
    ordered = sorted(found, key=lambda pair: -pair[1]["rows"])
    total = sum(one["rows"] for _, one in ordered)
    if not total:
        return []
    named = [f"{reason} ({one['rows']:,}: {_places(one)})" for reason, one in ordered[:REASONS]]
    more = f"; {len(ordered) - REASONS} reasons more" if len(ordered) > REASONS else ""
    verb = what if total > 1 else what.replace("are ", "is ")
    return [f"{_rows(total)} {verb}: {'; '.join(named)}{more}"]


def _columns(source: Mapping[str, Any]) -> str:
    unused = source.get("columns", {}).get("not_used", {})
    named = [f"{name} ({_rows(rows)})" for name, rows in sorted(unused.items(), key=lambda pair: -pair[1])]
    more = f" and {len(named) - 6} more" if len(named) > 6 else ""
    return f"columns of {source['source']} not used: {', '.join(named[:6])}{more}" if named else ""


def _rows(count: int) -> str:
    return f"{count:,} row{'s' if count != 1 else ''}"


def _places(found: Mapping[str, Any]) -> str:
    return ", ".join(found["examples"][:2])
