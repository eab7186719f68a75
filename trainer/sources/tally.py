"""What became of the rows of one source: counted with places, for the data report. Nothing is read here."""

from __future__ import annotations

from collections import Counter
from typing import Any

from trainer.sources.fields import Fields

EXAMPLES = 5
"""Rows shown per reason."""


class Counted:
    """Reasons, each with how often it held and where first."""

    def __init__(self) -> None:
        self._rows: Counter[str] = Counter()
        self._places: dict[str, list[str]] = {}

    def add(self, reason: str, place: str) -> None:
        """Count a reason at a place."""
        self._rows[reason] += 1
        shown = self._places.setdefault(reason, [])
        if len(shown) < EXAMPLES:
            shown.append(place)

    def report(self) -> dict[str, dict[str, Any]]:
        """reason → rows and examples, the commonest first."""
        return {reason: {"rows": count, "examples": self._places[reason]} for reason, count in self._rows.most_common()}


class Tally:
    """Counts of one source while it is read."""

    def __init__(self, source: str) -> None:
        self._source = source
        self.read = 0
        """Rows read so far, unusable ones too."""
        self._usable = 0
        self._bad = Counted()
        self._notes = Counted()
        self._kinds: Counter[tuple[Any, ...]] = Counter()
        """(format, columns used, ignored, not used): few of them, whatever the number of rows."""
        self._files: list[str] = []

    def tell(self, line: str) -> None:
        """Hear how a file is read."""
        if line not in self._files:
            self._files.append(line)

    def bad(self, place: str, reason: str) -> None:
        """Count a row that is no conversation. Broken characters in the reason are written as escapes."""
        self.read += 1
        self._bad.add(reason.encode("utf-8", "backslashreplace").decode(), place)

    def usable(self, place: str, row_format: str, fields: Fields) -> None:
        """Count a conversation, its format, its columns and what is to be said of it."""
        self.read += 1
        self._usable += 1
        self._kinds[row_format, frozenset(fields.used), tuple(fields.ignored), tuple(fields.unused)] += 1
        for note in fields.notes:
            self._notes.add(note, place)

    def report(self) -> dict[str, Any]:
        """Return the source's report, as `trainer.sources.reading.examined` describes it."""
        formats: Counter[str] = Counter()
        columns: dict[str, Counter[str]] = {name: Counter() for name in ("used", "ignored", "not_used")}
        for (kind, *named), rows in self._kinds.items():
            formats[kind] += rows
            for counts, names in zip(columns.values(), named, strict=True):
                for name in names:
                    counts[str(name).encode("utf-8", "backslashreplace").decode()] += rows
        return {
            "source": self._source,
            "read": self.read,
            "usable": self._usable,
            "bad": self._bad.report(),
            "formats": dict(formats.most_common()),
            "columns": {name: dict(sorted(counts.items())) for name, counts in columns.items()},
            "notes": self._notes.report(),
            "files": self._files,
        }
