"""Which runs may be held against each other: those of one base whose held-out rows are the same. Pure.

A loss per token depends on who cuts the text into tokens and on the rows that it is taken over. Where either differs,
neither a mean nor a difference of two losses says anything about training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from results.records import Run, RunSummary, digest


def rows_of(run: Run) -> str:
    """The same for runs whose losses are over the same rows by the same base, as far as their settings say.

    Runs of other tools say nothing of their rows: these are held to be those of their experiment.
    """
    data = run.config.get("data")
    training: Any = run.config.get("training")
    length = training.get("max_length") if isinstance(training, Mapping) else run.config.get("training.max_length")
    return digest([run.base, data if data else ["unknown rows", run.experiment, run.origin], length])[:12]


def families(rows: Sequence[RunSummary]) -> dict[str, list[RunSummary]]:
    """Runs that may be compared, under words that name what they share; the largest family first."""
    found: dict[str, list[RunSummary]] = {}
    for row in rows:
        found.setdefault(rows_of(row.run), []).append(row)
    words: dict[str, list[RunSummary]] = {}
    for members in sorted(found.values(), key=lambda one: -len(one)):
        name = _words(members)
        at = 2
        while name in words:
            name, at = f"{_words(members)} ({at})", at + 1
        words[name] = members
    return words


def _words(members: Sequence[RunSummary]) -> str:
    run = members[0].run
    base = run.base.rstrip("/").rpartition("/")[2]
    data: Any = run.config.get("data")
    sources = data.get("sources", ()) if isinstance(data, Mapping) else ()
    names = [str(one.get("name", one) if isinstance(one, Mapping) else one).rpartition("/")[2] for one in sources]
    on = ", ".join(names[:3]) if names else run.experiment or "rows that its tool does not name"
    return f"{base} on {on}"


def bases(rows: Sequence[RunSummary]) -> dict[str, str]:
    """The base of each run, by its last name: what a crowd is told apart by."""
    return {row.run.id: row.run.base.rstrip("/").rpartition("/")[2] for row in rows}


def groups(rows: Sequence[RunSummary], values: Mapping[str, str], setting: str) -> dict[str, str]:
    """The group of each run by a setting's value, and by what it may not be averaged over where that differs."""
    kept = families(rows)
    of = {row.run.id: name for name, members in kept.items() for row in members}
    told = len(kept) > 1
    return {
        row.run.id: f"{setting} = {values.get(row.run.id, '–')}" + (f" · {of[row.run.id]}" if told else "")
        for row in rows
    }
