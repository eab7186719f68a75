"""Prompt sets: one's own prompts, read from a file or typed, kept in the workspace for Arena and Prompt sets alike.

    shelf = PromptShelf(workspace.path / FOLDER)
    shelf.keep(PromptSet("shop", tuple(read(text, "shop.csv").prompts)))
    shelf.find("shop").prompts

A file with right answers is kept as it is too (`source`), so that `bakeoff evaluate --benchmark` measures by the same.
Not here: asking (`dashboard.jobs.batch`), votes (`dashboard.chat.duel`).
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dashboard.errors import NoPrompts
from results import FileUnreadable, digest, parse_json, read_json
from results.errors import BakeoffError

FOLDER = "prompt_sets"
"""The folder of a workspace that holds them."""
ENDINGS = ("txt", "csv", "tsv", "jsonl", "json")
"""Endings of files that are read."""
QUESTIONS = (
    "prompt",
    "question",
    "input",
    "instruction",
    "query",
    "problem",
    "user",
    "text",
    "messages",
    "conversations",
)
"""Columns that a prompt is taken from, the first that a row has."""
RIGHT = ("answer", "target", "ideal", "expected", "label", "gold", "checks", "check", "answers", "output", "solution")
"""Columns that say what is right: a set with one can be measured by."""
MOST_PROMPTS = 10_000
MOST_CHARACTERS = 20_000
"""A prompt is no longer than what the Chat page takes."""
STARTER = "Starter set"
"""The set that everybody has: `STARTING`."""


@dataclass(frozen=True)
class PromptSet:
    """Prompts under a name."""

    name: str
    prompts: tuple[str, ...]
    source: str = ""
    """The file they were read from, where it says what is right: a path."""

    @property
    def digest(self) -> str:
        """12 hex digits: two sets with one are the same prompts."""
        return digest(list(self.prompts))[:12]


@dataclass(frozen=True)
class Reading:
    """What a file or a typed text holds."""

    prompts: tuple[str, ...]
    bad: tuple[str, ...]
    """What could not be read, a line each, with its place."""
    right: bool
    """Whether a column says what is right."""


def read(text: str, name: str = "") -> Reading:
    """Prompts of a text: by the name's ending a table, JSON lines or a JSON list, else one prompt a line.

    Raises: NoPrompts, for a file that cannot be read at all or holds none.
    """
    ending = name.lower().rpartition(".")[2] if "." in name else "txt"
    if ending not in ENDINGS:
        raise NoPrompts(f"{name} is no {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}: save it as one of these")
    prompts, bad, right = [], [], False
    for where, row in _rows(text, name, ending):
        try:
            prompt = _prompt(row)
        except ValueError as error:
            bad.append(f"{where} {error}")
            continue
        right = right or (isinstance(row, Mapping) and any(_named(row, column) for column in RIGHT))
        prompts.append(prompt)
    if not prompts:
        raise NoPrompts(f"{name or 'The text'} holds no prompt" + (f": {bad[0]}" if bad else ""))
    if len(prompts) > MOST_PROMPTS:
        raise NoPrompts(f"{name or 'The text'} holds {len(prompts):,} prompts, more than {MOST_PROMPTS:,}: split it")
    return Reading(tuple(dict.fromkeys(prompts)), tuple(bad), right)


def _rows(text: str, name: str, ending: str) -> Iterator[tuple[str, Any]]:
    """(where it stands, row) of a file. Raises: NoPrompts."""
    if ending in ("csv", "tsv"):
        table = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t" if ending == "tsv" else ",")
        try:
            yield from ((f"line {table.line_num}", row) for row in table)
        except csv.Error as error:
            raise NoPrompts(f"{name}, line {table.line_num}: {error}") from error
    elif ending == "json":
        whole = _value(text, name)
        wrapped = (
            next((one for one in whole.values() if isinstance(one, list)), None) if isinstance(whole, dict) else whole
        )
        if not isinstance(wrapped, list):
            raise NoPrompts(f"{name} must hold a list of prompts, or an object with one")
        yield from ((f"entry {number}", row) for number, row in enumerate(wrapped, 1))
    else:
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                yield f"line {number}", _value(line, name, f", line {number}") if ending == "jsonl" else line


def _value(text: str, name: str, where: str = "") -> Any:
    try:
        return parse_json(text, Path(name), where)
    except FileUnreadable as error:
        raise NoPrompts(f"{name}{where}: {error.reason}") from error


def _named(row: Mapping[str, Any], column: str) -> Any:
    """What a row has under a column, however its name is written."""
    return next((value for key, value in row.items() if isinstance(key, str) and key.strip().lower() == column), None)


def _prompt(row: Any) -> str:
    """Raises: ValueError, in words that follow on where it stands."""
    found = row
    if isinstance(row, Mapping):
        found = next((value for column in QUESTIONS if (value := _named(row, column))), None)
        if found is None:
            raise ValueError(f"has no column {', '.join(QUESTIONS[:4])}; it has {', '.join(map(str, row))[:120]}")
        if str(found).lstrip().startswith("[{"):
            found = _turns(found)
        if isinstance(found, list):
            found = _last_asked(found)
    if not isinstance(found, str) or not found.strip():
        raise ValueError("is neither a text nor an object with a text under 'prompt'")
    if len(found) > MOST_CHARACTERS:
        raise ValueError(f"has {len(found):,} characters, more than {MOST_CHARACTERS:,}")
    return found.strip()


def _turns(found: Any) -> Any:
    """Turns that stand as JSON in a cell of a table."""
    try:
        return json.loads(found) if isinstance(found, str) else found
    except json.JSONDecodeError:
        return found


def _last_asked(turns: list[Any]) -> str:
    """What the person says last: Arena and Prompt sets ask one question. Raises: ValueError."""
    said = [
        one for one in turns if isinstance(one, Mapping) and (one.get("role") or one.get("from")) in ("user", "human")
    ]
    if not said:
        raise ValueError("has no turn of a user")
    return str(said[-1].get("content") or said[-1].get("value") or "")


class PromptShelf:
    """The prompt sets of a workspace, which all its visitors share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def sets(self) -> dict[str, PromptSet]:
        """Every set by its name, the last written first; a file of another kind is none."""
        files = sorted(self.folder.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
        found = [one for one in map(self._read, files) if one is not None]
        return {one.name: one for one in found}

    def keep(self, made: PromptSet, text: str = "", ending: str = "") -> PromptSet:
        """Write a set down, over one of the same name. text, ending: the file it came from, kept where given.

        Raises: OSError.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._path(made.name)
        if text:
            source = path.with_suffix("").with_name(f"{path.stem}.source") / f"{_slug(made.name)}.{ending}"
            source.parent.mkdir(exist_ok=True)
            source.write_text(text, encoding="utf-8")
            made = PromptSet(made.name, made.prompts, str(source))
        part = path.with_suffix(".part")
        told = {"name": made.name, "prompts": list(made.prompts), "source": made.source}
        part.write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8", errors="replace")
        part.replace(path)
        return made

    def remove(self, name: str) -> None:
        """Delete a set; what was answered of it stays. Raises: OSError."""
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self.folder / f"{_slug(name)}-{digest(name)[:8]}.json"

    def _read(self, path: Path) -> PromptSet | None:
        try:
            found = read_json(path)
            prompts = tuple(one for one in found["prompts"] if isinstance(one, str))
            made = PromptSet(str(found["name"]), prompts, str(found.get("source") or ""))
        except (BakeoffError, KeyError, TypeError, AttributeError):
            return None
        return made if prompts else None


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:40] or "set"


STARTING = (
    "Write a Python function that checks whether a string is a palindrome.",
    "Write a Python function that returns the n-th Fibonacci number without recursion.",
    "Write a Python function that merges two sorted lists into one sorted list.",
    "Write a SQL query that lists each customer's latest order from the tables customers and orders.",
    "Write a regular expression for dates like 2026-11-30 and say what each part of it does.",
    "What is wrong with this, and how is it mended? for i in range(len(xs)): xs.remove(xs[i])",
    "Explain what a race condition is to somebody who has programmed for a month.",
    "Explain the Pythagorean theorem.",
    "A shirt costs 24 euros after a discount of 20 percent. What did it cost before? Show the steps.",
    "Three taps fill a tub in 6, 8 and 12 minutes. How long do they take together?",
    "Anna is twice as old as Ben was when Anna was as old as Ben is now. Ben is 18. How old is Anna?",
    "Why is the sky blue?",
    "Why does bread rise, and why does it sometimes not?",
    "What is the difference between weather and climate? Answer in three sentences.",
    "What is the meaning of life?",
    "Give three arguments for and three against working from home.",
    "Sum this up in one sentence: The meeting moved to Friday because the projector broke; bring the draft budget.",
    "Turn this into a polite e-mail: I am not coming tomorrow, the report is late, sort it out without me.",
    "Rewrite more simply: The aforementioned remuneration shall be disbursed subsequent to verification.",
    "Translate into German: The train is late, but we will wait for you at the station.",
    "List five names for a bakery that is open at night, and say why each fits.",
    "Write a short poem about a lighthouse that nobody needs any more.",
    "Write the first paragraph of a detective story that is set in a library.",
    "A customer writes: My parcel came open and the cup is broken. Answer as the shop.",
    "A customer asks whether they can return a swimsuit they have worn once. Answer kindly; returns must be unworn.",
    "Take the facts out as JSON with name, city and age: Maria, who is 34, moved from Porto to Lyon last spring.",
    "Sort these by weight, lightest first, and say how sure you are: a grape, a brick, a bicycle, a laptop.",
    "Which of these is not like the others, and why: trout, dolphin, salmon, perch?",
    "Plan a day in a town you know for somebody who cannot walk far.",
    "My plant has yellow leaves and wet soil. What should I do first?",
    "Who won the football match in my village last Sunday?",
    "Answer with exactly four words: what do bees make?",
)
"""Prompts of many kinds, so many that nobody knows a model by its answers from the last time."""
