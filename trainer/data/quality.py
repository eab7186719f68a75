"""Filters between reading and training: lengths, scores, language, repetition, exact and near-duplicates.

Every filter reports how many rows it removed, with examples a person can judge it by. Cheap filters come first.
"""

from __future__ import annotations

import unicodedata
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from results.records import Progress, percent
from trainer.data.near_duplicates import near_duplicates
from trainer.data.words import words
from trainer.errors import DataInvalid
from trainer.experiment.schema import Quality
from trainer.sources.conversations import Conversation, uncollected
from trainer.sources.shelf import Picked

EXAMPLES = 3
"""Removed rows shown per filter."""

REPEATED_WORDS = 4
MIN_WORDS_FOR_REPETITION = 40
"""Short answers repeat themselves by chance."""

SCRIPTS = ("latin", "cyrillic", "greek", "arabic", "hebrew", "devanagari", "cjk", "hangul", "hiragana", "thai")


@dataclass
class Removal:
    """The rows that one filter removed, counted, with examples."""

    rows: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list)

    def add(self, row: Conversation, reason: str) -> None:
        """Count a row; the first few are kept as examples."""
        self.rows += 1
        if len(self.examples) < EXAMPLES:
            answer = " ".join(" ".join(row.answers).split())
            self.examples.append({"source": row.source, "row": row.row, "reason": reason, "answer": answer[:160]})


def filtered(
    rows: Sequence[Conversation], quality: Quality, progress: Progress | None = None
) -> tuple[Sequence[Conversation], dict[str, Any]]:
    """Return the rows that stay, in order, and a report: filter → rows removed and examples.

    Raises: DataInvalid when a filter needs a column that no row has, or nothing is left.
    """
    checks = _checks(rows, quality)
    removed = {name: Removal() for name, _ in checks}
    with uncollected():
        places, keys = _passing(rows, [(reason_of, removed[name]) for name, reason_of in checks])
        if quality.deduplicate:
            removed["exact_duplicates"] = Removal()
            places = _first_of_equals(rows, places, keys, removed["exact_duplicates"])
    kept = Picked(rows, places)
    if quality.near_duplicates is not None:
        removed["near_duplicates"] = Removal()
        near = near_duplicates(kept, quality.near_duplicates, progress)
        for place, reason in near.items():
            removed["near_duplicates"].add(kept[place], reason)
        kept = Picked(kept, (place for place in range(len(kept)) if place not in near))
    report = {name: {"removed": one.rows, "examples": one.examples} for name, one in removed.items()}
    if not kept:
        counts = ", ".join(f"{name} removed {one.rows}" for name, one in removed.items() if one.rows)
        raise DataInvalid(f"The quality filters left none of {len(rows)} rows: {counts}. Loosen data.quality")
    return kept, report


Reason = Callable[[Conversation], str]
"""Says why a row goes; the empty string when it stays."""


def _passing(rows: Sequence[Conversation], checks: Sequence[tuple[Reason, Removal]]) -> tuple[array[int], array[int]]:
    """Places of the rows that pass every check, and a number for each that equal rows share.

    A row that fails is counted by the first check that it fails.
    """
    places, keys = array("q"), array("q")
    for place, row in enumerate(rows):
        for reason_of, removal in checks:
            if reason := reason_of(row):
                removal.add(row, reason)
                break
        else:
            places.append(place)
            keys.append(hash(row.key))
    return places, keys


def _first_of_equals(
    rows: Sequence[Conversation], places: array[int], keys: array[int], removal: Removal
) -> array[int]:
    """The places without those of rows that equal an earlier one. Rows of one key are read again and compared."""
    numbers = np.frombuffer(keys, np.int64)
    order = np.argsort(numbers, kind="stable")
    shared = numbers[order[1:]] == numbers[order[:-1]]
    suspects = np.unique(np.concatenate([order[1:][shared], order[:-1][shared]]))
    first: dict[int, list[Conversation]] = {}
    gone: set[int] = set()
    for suspect in suspects.tolist():
        row = rows[places[suspect]]
        alike = first.setdefault(keys[suspect], [])
        if earlier := next((one for one in alike if one.key == row.key), None):
            removal.add(row, f"equals row {earlier.row} of {earlier.source}")
            gone.add(suspect)
        else:
            alike.append(row)
    return array("q", (place for number, place in enumerate(places) if number not in gone)) if gone else places


def _checks(rows: Sequence[Conversation], quality: Quality) -> list[tuple[str, Reason]]:
    checks: list[tuple[str, Reason]] = [("length", lambda row: _length_reason(row, quality))]
    if quality.min_score is not None:
        _need_column(rows, quality.score_column, "data.quality.score_column")
        checks.append(("score", lambda row: _score_reason(row, quality)))
    if quality.language is not None:
        checks.append(("language", _language_check(rows, quality)))
    if quality.max_repetition is not None:
        limit = quality.max_repetition
        checks.append(("repetition", lambda row: _repetition_reason(row, limit)))
    return checks


def _need_column(rows: Sequence[Conversation], column: str, key: str) -> None:
    if not any(column in row.extra for row in rows):
        found = sorted({name for row in rows[:1000] for name in row.extra})
        raise DataInvalid(
            f"{key} is {column!r}, but no row has that column; short columns are {', '.join(found) or 'none'}"
        )


def _length_reason(row: Conversation, quality: Quality) -> str:
    size = 0
    for answer in row.answers:
        size += len(answer)
    if size < quality.min_answer_characters:
        return f"{size} answer characters, fewer than {quality.min_answer_characters}"
    if quality.max_answer_characters is not None and size > quality.max_answer_characters:
        return f"{size} answer characters, more than {quality.max_answer_characters}"
    return ""


def _score_reason(row: Conversation, quality: Quality) -> str:
    found = row.extra.get(quality.score_column)
    try:
        score = float(found)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return f"{quality.score_column} is {found!r}, not a number"
    if quality.min_score is not None and not score >= quality.min_score:
        return f"{quality.score_column} {score:g}, below {quality.min_score:g}"
    return ""


def _language_check(rows: Sequence[Conversation], quality: Quality) -> Reason:
    wanted = str(quality.language).lower()
    if any(quality.language_column in row.extra for row in rows):

        def by_column(row: Conversation) -> str:
            found = str(row.extra.get(quality.language_column, "")).lower()
            return "" if found == wanted else f"{quality.language_column} is {found!r}"

        return by_column
    if wanted not in SCRIPTS:
        raise DataInvalid(
            f"data.quality.language is {wanted!r}, but no row has a column {quality.language_column!r}; without one a "
            f"script can be asked for: {', '.join(SCRIPTS)}"
        )

    def by_script(row: Conversation) -> str:
        found = script(" ".join(row.answers))
        return "" if found in (wanted, "") else f"mostly {found}"

    return by_script


def script(text: str) -> str:
    """The script of most letters of the first 2,000 characters, as Unicode names it in lower case; empty if none."""
    names = Counter(unicodedata.name(letter, "?").split(" ")[0].lower() for letter in text[:2000] if letter.isalpha())
    return names.most_common(1)[0][0] if names else ""


def repetition(text: str) -> float:
    """Share of words, in [0, 1], that lie in a 4-gram seen before in the text."""
    return _repeated(words(text))


def _repeated(found: Sequence[str]) -> float:
    shifted = [found[start:] for start in range(REPEATED_WORDS)]
    if len(set(zip(*shifted, strict=False))) == len(shifted[-1]):  # most texts: nothing comes twice
        return 0.0
    seen: set[tuple[str, ...]] = set()
    repeated = [False] * len(found)
    for start, gram in enumerate(zip(*shifted, strict=False)):
        if gram in seen:
            repeated[start : start + REPEATED_WORDS] = [True] * REPEATED_WORDS
        seen.add(gram)
    return sum(repeated) / len(found)


def _repetition_reason(row: Conversation, limit: float) -> str:
    for answer in row.answers:
        found = words(answer)
        if len(found) >= MIN_WORDS_FOR_REPETITION and (share := _repeated(found)) > limit:
            return f"{percent(share)} of the words repeat earlier ones"
    return ""
