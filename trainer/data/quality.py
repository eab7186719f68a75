"""Filters between reading and training: lengths, scores, language, repetition, exact and near-duplicates.

Every filter reports how many rows it removed, with examples a person can judge it by. Cheap filters come first.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from results.records import Progress
from trainer.errors import DataInvalid
from trainer.experiment.schema import Quality
from trainer.sources.conversations import Conversation, uncollected

EXAMPLES = 3
"""Removed rows shown per filter."""

SHINGLE_WORDS = 5
REPEATED_WORDS = 4
MIN_WORDS_FOR_REPETITION = 40
"""Short answers repeat themselves by chance."""

PERMUTATIONS = 128
"""MinHash permutations: a standard error of 0.09 at most (1/√128); candidates are then compared exactly."""

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
) -> tuple[list[Conversation], dict[str, Any]]:
    """Return the rows that stay, in order, and a report: filter → rows removed and examples.

    Raises: DataInvalid when a filter needs a column that no row has, or nothing is left.
    """
    checks = _checks(rows, quality)
    if quality.deduplicate:
        checks.append(("exact_duplicates", _seen(lambda row: row.key)))
    removed = {name: Removal() for name, _ in checks}
    with uncollected():
        kept = _without(rows, [(reason_of, removed[name]) for name, reason_of in checks])
    if quality.near_duplicates is not None:
        near = _near_duplicates(kept, quality.near_duplicates, progress)
        removed["near_duplicates"] = Removal()
        kept = _without(kept, [(lambda row: near.get(id(row), ""), removed["near_duplicates"])])
    report = {name: {"removed": one.rows, "examples": one.examples} for name, one in removed.items()}
    if not kept:
        counts = ", ".join(f"{name} removed {one.rows}" for name, one in removed.items() if one.rows)
        raise DataInvalid(f"The quality filters left none of {len(rows)} rows: {counts}. Loosen data.quality")
    return kept, report


Reason = Callable[[Conversation], str]
"""Says why a row goes; the empty string when it stays."""


def _without(rows: Sequence[Conversation], checks: Sequence[tuple[Reason, Removal]]) -> list[Conversation]:
    """The rows that pass every check; one that fails is counted by the first that it fails."""
    kept = []
    for row in rows:
        for reason_of, removal in checks:
            if reason := reason_of(row):
                removal.add(row, reason)
                break
        else:
            kept.append(row)
    return kept


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
    grams = list(zip(*(found[start:] for start in range(REPEATED_WORDS)), strict=False))
    if len(set(grams)) == len(grams):  # most texts: nothing comes twice
        return 0.0
    seen: set[tuple[str, ...]] = set()
    repeated = [False] * len(found)
    for start, gram in enumerate(grams):
        if gram in seen:
            repeated[start : start + REPEATED_WORDS] = [True] * REPEATED_WORDS
        seen.add(gram)
    return sum(repeated) / len(found)


def _repetition_reason(row: Conversation, limit: float) -> str:
    for answer in row.answers:
        found = words(answer)
        if len(found) >= MIN_WORDS_FOR_REPETITION and (share := _repeated(found)) > limit:
            return f"{share:.0%} of the words repeat earlier ones"
    return ""


def words(text: str) -> list[str]:
    """Lower-case words: runs of letters, digits and underscores."""
    return re.findall(r"\w+", text.lower())


def _seen(key_of: Callable[[Conversation], Hashable]) -> Reason:
    first: dict[Hashable, Conversation] = {}

    def reason(row: Conversation) -> str:
        earlier = first.setdefault(key_of(row), row)
        return "" if earlier is row else f"equals row {earlier.row} of {earlier.source}"

    return reason


def shingles(row: Conversation) -> frozenset[str]:
    """Word 5-grams over all turns but the system's; the whole text when it is shorter."""
    found = words(row.text)
    if len(found) <= SHINGLE_WORDS:
        return frozenset([" ".join(found)])
    return frozenset(" ".join(found[at : at + SHINGLE_WORDS]) for at in range(len(found) - SHINGLE_WORDS + 1))


def _near_duplicates(rows: Sequence[Conversation], threshold: float, progress: Progress | None) -> dict[int, str]:
    """id(row) → reason, for rows whose shingles' Jaccard similarity to an earlier kept row reaches the threshold.

    MinHash-LSH proposes (Broder 1997; datasketch); every proposal is compared exactly, so none is removed by estimate.
    """
    from datasketch import MinHash, MinHashLSH

    # A looser index than the threshold, since a candidate that it misses is never compared.
    index = MinHashLSH(threshold=max(0.5, threshold - 0.15), num_perm=PERMUTATIONS)
    kept: dict[int, tuple[Conversation, frozenset[str]]] = {}
    found: dict[int, str] = {}
    permutations = MinHash(num_perm=PERMUTATIONS, seed=1, scheme="affine32").permutations
    for number, row in enumerate(rows):
        pieces = shingles(row)
        sketch = MinHash(num_perm=PERMUTATIONS, seed=1, permutations=permutations, scheme="affine32")
        sketch.update_batch([piece.encode("utf-8", "surrogatepass") for piece in pieces])
        for candidate in sorted(index.query(sketch)):
            earlier, theirs = kept[candidate]
            similarity = len(pieces & theirs) / len(pieces | theirs)
            if similarity >= threshold:
                found[id(row)] = f"{similarity:.0%} like row {earlier.row} of {earlier.source}"
                break
        else:
            index.insert(number, sketch, check_duplication=False)
            kept[number] = (row, pieces)
        if progress and (number % 500 == 499 or number + 1 == len(rows)):
            progress("looking for near-duplicates", number + 1, len(rows))
    return found
