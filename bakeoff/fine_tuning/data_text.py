"""What `bakeoff data` prints of a source: counts, reasons, and rows with what is trained in ⟦brackets⟧, in green."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

from rich.text import Text

if TYPE_CHECKING:
    from trainer import Preview, Shown

OPENED, CLOSED = "⟦", "⟧"
CHARACTERS = 4000
"""So much of a rendered row is shown; the rest is counted."""


def preview_text(preview: Preview) -> Text:
    """One block: counts, reasons, columns, rows."""
    report = preview.report
    text = Text()
    formats = ", ".join(f"{name} ({rows:,})" for name, rows in report["formats"].items()) or "none"
    text.append(f"{_printable(report['source'])}\n", style="bold")
    text.append(f"  format    {formats}\n")
    text.append(f"  rows      {report['read']:,} read, {report['usable']:,} usable, ")
    text.append(f"{report['read'] - report['usable']:,} unusable\n")
    for line in report["files"]:
        text.append(f"  file      {_printable(line)}\n")
    for reason, found in report["bad"].items():
        text.append(f"  unusable  {_reason(reason, found)}\n", style="red")
    tokens = report.get("tokens", {})
    for reason, found in tokens.get("left_out", {}).items():
        text.append(f"  left out  {_reason(reason, found)}\n", style="red")
    for reason, found in report["notes"].items():
        text.append(f"  note      {_reason(reason, found)}\n", style="yellow")
    if tokens.get("truncated"):
        text.append(f"  cut       {tokens['truncated']:,} rows are longer than training.max_length\n", style="yellow")
    for kind, label in (("used", "used"), ("ignored", "ignored"), ("not_used", "not used")):
        if columns := report["columns"][kind]:
            named = ", ".join(f"{_printable(name)} ({rows:,})" for name, rows in columns.items())
            text.append(f"  {label:<9} {named}\n", style="yellow" if kind == "not_used" else "")
    rendered = f"as {_printable(preview.base)} sees them" if preview.base else "as they are read (--base NAME renders)"
    if preview.shown:
        text.append(f"  rows {rendered}; the trained part is in {OPENED}brackets{CLOSED}\n")
    for row in preview.shown:
        text.append(f"\n  row {row.row:,}\n", style="bold")
        text.append_text(_marked(row))
        text.append("\n")
    return text


def _marked(row: Shown) -> Text:
    text = Text()
    place = 0
    whole = row.text[:CHARACTERS]
    for start, end in row.trained:
        if start >= CHARACTERS:
            break
        text.append(_printable(whole[place:start], lines=True))
        text.append(f"{OPENED}{_printable(whole[start:end], lines=True)}{CLOSED}", style="green")
        place = end
    text.append(_printable(whole[place:], lines=True))
    if len(row.text) > CHARACTERS:
        text.append(f"… {len(row.text) - CHARACTERS:,} characters more", style="dim")
    return text


def _reason(reason: str, found: dict[str, Any]) -> str:
    return f"{found['rows']:,}: {_printable(reason)} ({', '.join(map(_printable, found['examples'][:3]))})"


def _printable(text: str, lines: bool = False) -> str:
    """Text that cannot act on a terminal; whole, unlike a table's cell."""
    kept = "\n\t" if lines else ""
    return "".join(
        letter
        if letter in kept or unicodedata.category(letter)[0] != "C"
        else letter.encode("unicode_escape", "surrogatepass").decode()
        for letter in text
    )
