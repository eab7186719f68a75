"""What `bakeoff import` says: a line for each model and run, however many evaluations a file holds."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from bakeoff.listing import printable, spelt_out

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from results import ImportedItem, ImportReport

LINES = 12
"""Most lines of one sort without --verbose."""


def items_text(report: ImportReport, verbose: bool = False) -> list[str]:
    """Lines on what was found: every item, or one line for all evaluations of a model."""
    if verbose:
        return [line for item in report.items for line in (_line([item], report.dry_run), *_missing([item], verbose))]
    groups: dict[tuple[str, ...], list[ImportedItem]] = {}
    for item in report.items:
        key = (item.id,) if item.kind == "run" else (item.kind, item.name, item.format)
        groups.setdefault(key, []).append(item)
    lines = [_line(group, report.dry_run) for group in groups.values()]
    if len(lines) > LINES:
        counts = Counter(_state(item, report.dry_run) for item in report.items)
        told = ", ".join(f"{count} {state}" for state, count in counts.items())
        lines = [*lines[: LINES - 1], f"… and {len(lines) - LINES + 1} more: --verbose lists them. Altogether {told}"]
    return [*lines, *_missing(report.items, verbose)]


def remarks(report: ImportReport, verbose: bool = False) -> list[str]:
    """Sentences on what was noticed, left out and refused."""
    lines = _few(report.notes, "", "notes", verbose)
    if report.unnamed:
        lines.append("To say whose results they are: bakeoff import PATH --model NAME")
    lines += _few(report.passed_over, "not read: ", "files that were not read", verbose)
    return lines + _few(report.refused, "refused: ", "refused files", verbose)


def _line(group: Sequence[ImportedItem], dry_run: bool) -> str:
    """One item, or all evaluations of one model in one format."""
    first = group[0]
    if first.kind == "run":
        what = f"{first.points} points"
    elif len(group) == 1:
        what = f"{printable(first.benchmark)}, {first.outcomes} outcomes"
    else:
        what = f"{len(group)} evaluations, {sum(item.outcomes for item in group)} outcomes"
    counts = Counter(_state(item, dry_run) for item in group)
    states = next(iter(counts)) if len(counts) == 1 else ", ".join(f"{n} {state}" for state, n in counts.items())
    return f"{first.kind} {printable(first.name)} ({printable(first.format)}): {what}; {states}"


def _state(item: ImportedItem, dry_run: bool) -> str:
    if item.change == "there":
        return "was there already"
    if item.change == "further":
        return "would go on from what was there" if dry_run else "goes on from what was there: now whole"
    return "would be imported" if dry_run else "imported"


def _missing(items: Iterable[ImportedItem], verbose: bool) -> list[str]:
    """What the files do not say, each sentence once."""
    counts = Counter(missing for item in items for missing in item.missing)
    lines = [f"{missing}{f' ({count} times)' if count > 1 else ''}" for missing, count in counts.items()]
    return _few(lines, "  not in the file: ", "things that are not in the files", verbose)


def _few(sentences: Sequence[str], before: str, what: str, verbose: bool) -> list[str]:
    shown = sentences if verbose or len(sentences) <= LINES else sentences[: LINES - 1]
    lines = [before + spelt_out(sentence) for sentence in shown]
    more = len(sentences) - len(shown)
    return [*lines, f"{before}… and {more} more {what}: --verbose lists them"] if more else lines
