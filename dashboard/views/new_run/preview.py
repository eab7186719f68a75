"""What a look at training rows says (`bakeoff data --json`), as a page shows it, and which tests suit them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

Json = Mapping[str, Any]

CODE = re.compile(r"```|^\s*(def |class |import |from \w+ import |function |SELECT |#include )", re.MULTILINE)
SHORT_CHARACTERS = 40
"""Answers up to here can be right or wrong to the letter: a class, a number, a name."""
REMEDIES = {
    "not JSON": "Mend the line: one JSON object a line, quotes doubled; or save the table as CSV",
    "not the header's": "Mend the line: a comma or line break inside a text needs quotes around the text",
    "the line is not a JSON object": 'Write an object a line: {"prompt": "…", "response": "…"}',
    "the item is not a JSON object": 'Write a list of objects: [{"prompt": "…", "response": "…"}]',
    "an empty": "Fill the text in, or drop the row",
    "no assistant turn": "Add the answer that is to be learned, or drop the row",
    "turns do not alternate": "Join neighbouring turns of one speaker, or drop the row",
    "no known format": "Name the columns below, or rename them to prompt and response",
    "column ": "Fill the column in, or drop the row",
    "unknown role": "Use system, user and assistant",
}
"""What to do about reasons that do not say it themselves, by their beginnings."""


def faults(report: Json) -> pd.DataFrame:
    """What cannot be used and what is to be known: columns Rows, Where, What, Remedy; the most rows first.

    report: of one source.
    """
    found = [
        (told["rows"], ", ".join(map(str, told["examples"][:3])), reason, remedy(reason) if bad else "")
        for bad, kind in ((True, "bad"), (True, "left_out"), (False, "notes"))
        for reason, told in (report.get("tokens", {}) if kind == "left_out" else report).get(kind, {}).items()
    ]
    table = pd.DataFrame(found, columns=["Rows", "Where", "What", "Remedy"])
    return table.sort_values("Rows", ascending=False, kind="stable", ignore_index=True)


def remedy(reason: str) -> str:
    """What to do about unusable rows; nothing where the reason says it itself, as most do behind a colon."""
    return next((told for beginning, told in REMEDIES.items() if reason.startswith(beginning)), "")


def summary(report: Json) -> str:
    """One line: how many rows, how many are usable, what format they have, how long they are."""
    formats = ", ".join(f"{name} ({rows:,})" for name, rows in report["formats"].items()) or "no known format"
    said = f"{report['read']:,} rows read, {report['usable']:,} usable · {formats}"
    if tokens := report.get("tokens"):
        said += f" · {tokens['tokens']:,} tokens, of which {tokens['trained_tokens']:,} are trained"
        if tokens["truncated"]:
            said += f" · {tokens['truncated']:,} rows are longer than a sequence and are cut"
    return said


def unnamed(reports: Sequence[Json]) -> bool:
    """Whether rows are left out because nobody said which columns hold prompt and answer."""
    return any("give `columns`" in reason for report in reports for reason in report["bad"])


def columns(reports: Sequence[Json]) -> list[str]:
    """Columns that a reason names where the format is not known."""
    found: dict[str, None] = {}
    for report in reports:
        for reason in report["bad"]:
            if named := re.search(r"columns are ([^:]+)", reason):
                found |= dict.fromkeys(name.strip() for name in named[1].split(","))
    return list(found)


def parts(row: Json, most: int = 4000) -> Iterator[tuple[bool, str]]:
    """(trained, text) of a rendered row, in order; what is beyond `most` characters is counted in the last part."""
    text, place = str(row["text"]), 0
    for start, end in row["trained"]:
        for trained, one in ((False, text[place : min(start, most)]), (True, text[start : min(end, most)])):
            if one:
                yield trained, one
        place = max(place, min(end, most))
    if rest := text[place:most]:
        yield False, rest
    if len(text) > most:
        yield False, f"… {len(text) - most:,} more characters"


def answers(reports: Sequence[Json]) -> list[str]:
    """The trained parts of the rows that are shown."""
    return [row["text"][start:end] for report in reports for row in report["rows"] for start, end in row["trained"]]


def suited(reports: Sequence[Json]) -> tuple[str, ...]:
    """What is worth measuring of fine-tunes on these rows: keys of `experiment.MEASURES`.

    HumanEval where answers are code; the held-out rows as questions where every answer is short enough to be the same
    to the letter. Held-out loss and latency always.
    """
    told = [answer.strip() for answer in answers(reports)]
    found = ["heldout", "latency"]
    if told and any(CODE.search(answer) for answer in told):
        found.append("humaneval")
    elif told and all(0 < len(answer) <= SHORT_CHARACTERS and "\n" not in answer for answer in told):
        found.append("rows")
    return tuple(found)


def why(measures: Sequence[str]) -> str:
    """Why these suit, in one sentence."""
    if "humaneval" in measures:
        return "answers hold code, so HumanEval is asked too"
    if "rows" in measures:
        return "answers are short, so held-out rows can be asked as questions; they hold no code, so HumanEval is not"
    return (
        "answers hold no code, so HumanEval's 164 Python tasks are not asked; a file of questions, beside, tells more"
    )
