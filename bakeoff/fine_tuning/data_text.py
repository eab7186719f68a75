"""What `bakeoff data` prints of a source: counts, reasons, and rows with what is trained in ⟦brackets⟧, in green."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from bakeoff.listing import spelt_out

if TYPE_CHECKING:
    from trainer import Preview, Shown

OPENED, CLOSED = "⟦", "⟧"
LINES = "\n\t"
"""What a row's text keeps of its control characters."""

CHARACTERS = 4000
"""So much of a rendered row is shown; the rest is counted."""


def preview_text(preview: Preview) -> Text:
    """One block: counts, reasons, columns, rows."""
    report = preview.report
    text = Text()
    formats = ", ".join(f"{name} ({rows:,})" for name, rows in report["formats"].items()) or "none"
    text.append(f"{spelt_out(report['source'])}\n", style="bold")
    text.append(f"  format    {formats}\n")
    text.append(f"  rows      {report['read']:,} read, {report['usable']:,} usable, ")
    text.append(f"{report['read'] - report['usable']:,} unusable\n")
    for line in report["files"]:
        text.append(f"  file      {spelt_out(line)}\n")
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
            named = ", ".join(f"{spelt_out(name)} ({rows:,})" for name, rows in columns.items())
            text.append(f"  {label:<9} {named}\n", style="yellow" if kind == "not_used" else "")
    rendered = f"as {spelt_out(preview.base)} sees them" if preview.base else "as they are read (--base NAME renders)"
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
        text.append(spelt_out(whole[place:start], LINES))
        text.append(f"{OPENED}{spelt_out(whole[start:end], LINES)}{CLOSED}", style="green")
        place = end
    text.append(spelt_out(whole[place:], LINES))
    if len(row.text) > CHARACTERS:
        text.append(f"… {len(row.text) - CHARACTERS:,} characters more", style="dim")
    return text


def _reason(reason: str, found: dict[str, Any]) -> str:
    return f"{found['rows']:,}: {spelt_out(reason)} ({', '.join(map(spelt_out, found['examples'][:3]))})"
