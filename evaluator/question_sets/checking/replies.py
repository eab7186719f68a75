"""What of a reply is its answer: without thoughts, tokens of a template and marks of emphasis; its choice; its JSON.

Not here: numbers (`numerals`), programs (`evaluator.extraction`), whether it is right (`verdicts`).
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evaluator.extraction.markup import bare, blocks
from evaluator.question_sets.items import LETTERS
from results import FileUnreadable, parse_json

MOST_CHARACTERS = 200_000
"""What is searched of a reply: of a longer one the end, where answers stand."""

MOST_OPENINGS = 200
"""Places of a reply at which JSON may begin that are tried."""

_MARKS = " \t\n*_`\"'“”‘’«»"
_THOUGHTS = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL | re.IGNORECASE)
_SAYS = re.compile(
    r"\b(?:[Aa]nswer|ANSWER|[Cc]hoice|[Oo]ption)\b(?:\s+(?:is|would be|should be)\b\s*:?|\s*[:=])[\s*_`\"'(\[]*"
    r"(?:([A-Z])\b(?![’'])|([a-z])(?=[)\].*_`]|\s*\Z))",
)
"""`The answer is (B)`, `ANSWER: B`, `**Answer: B**`."""
_BOLD = re.compile(r"(?:\(|\*\*\(?|\\boxed\{)([A-Z])\)?(?:\*\*|\)|\}|[.:)])")
_ARTICLE = re.compile(r"\s+(?!(?:because|since|as|and|or|for|is|which)\b)[a-z]")
"""What follows an A that is no letter but a word."""
_LETTER = re.compile(r"[(\[]?([A-Za-z])(?:[)\].:]|\Z|\s*[-–—:.)]\s)")
_CALL = re.compile(r"<tool_call>(.*?)(?:</tool_call>|\Z)", re.DOTALL)


def answer_in(reply: str) -> str:
    """A reply without thoughts (also those that never ended), the template's own tokens and white space around."""
    text = bare(reply[-MOST_CHARACTERS:])
    return _THOUGHTS.sub("", text).strip()


def plain(text: str, case: bool = False) -> str:
    """A text as texts in it are looked for: NFKC, runs of white space one space, in lower case unless case matters."""
    text = " ".join(unicodedata.normalize("NFKC", text).split())
    return text if case else text.casefold()


def normal(text: str, case: bool = False) -> str:
    """A text as exact compares it: `plain`, without quotes, emphasis and a final stop around it; but for one that is
    nothing else."""
    text = whole = plain(text, case)
    while text and (shorter := text.strip(_MARKS).removesuffix(".")) != text:
        text = shorter
    return text or whole


def words(text: str) -> list[str]:
    """Words in lower case for overlaps: runs of letters and digits, as rouge-score has them, of any script."""
    return re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", text).lower())


def choice_in(reply: str, choices: Sequence[str]) -> int | None:
    """The place of the choice that a reply names; None where it names none, or several.

    In this order: the whole reply is a choice's text; behind `answer is` or `answer:` stands a letter (the last
    counts); it begins with a letter and a mark; one single letter stands in brackets or bold; one single choice's text
    occurs in it.
    """
    text = reply.strip()
    folded = [normal(choice) for choice in choices]
    if normal(text) in folded:
        return folded.index(normal(text))
    letters = LETTERS[: len(choices)]
    said = [
        (found[1] or found[2]).upper()
        for found in _SAYS.finditer(text)
        if not (found[1] in ("A", "I") and _ARTICLE.match(text, found.end()))
    ]
    begins = _LETTER.match(text.lstrip(_MARKS))
    for letter in (*said[-1:], *([begins[1].upper()] if begins else [])):
        if letter in letters:
            return letters.index(letter)
    marked = {letter for letter in _BOLD.findall(text) if letter in letters}
    if len(marked) == 1:
        return letters.index(marked.pop())
    return _mentioned(normal(text), folded)


def _mentioned(text: str, choices: Sequence[str]) -> int | None:
    """The one choice whose text occurs, as whole words; a choice inside of a longer one that occurs does not count."""
    found: dict[int, str] = {}
    for place, choice in sorted(enumerate(choices), key=lambda one: -len(one[1])):
        pattern = rf"(?<!\w){re.escape(choice)}(?!\w)"
        if choice and re.search(pattern, text):
            found[place] = choice
            text = re.sub(pattern, "\x00", text)
    return next(iter(found)) if len(found) == 1 else None


@dataclass(frozen=True)
class Found:
    """A JSON value of a reply."""

    value: Any


def json_in(reply: str) -> Found | None:
    """The JSON of a reply: all of it, else its last block that is JSON, else the first object or list that begins in
    it; None without any. A lone number or word is none."""
    for text in (reply, *(block.code for block in reversed(blocks(reply)))):
        if (found := parsed(text)) is not None:
            return found
    return next(values_in(reply), None)


def parsed(text: str) -> Found | None:
    """A text that is an object or a list of JSON and nothing else; None for any other."""
    try:
        value = parse_json(text.strip(), _REPLY)
    except FileUnreadable:
        return None
    return Found(value) if isinstance(value, dict | list) else None


def values_in(text: str) -> Iterator[Found]:
    """Objects and lists that begin in a text, outermost ones."""
    decoder, place, tried = json.JSONDecoder(), 0, 0
    while tried < MOST_OPENINGS and (opening := re.compile(r"[{\[]").search(text, place)):
        tried += 1
        try:
            _, end = decoder.raw_decode(text, opening.start())
        except (ValueError, RecursionError):
            place = opening.end()
            continue
        if (found := parsed(text[opening.start() : end])) is not None:
            yield found
        place = end


def call_in(reply: str) -> list[dict[str, Any]]:
    """The tool calls of a reply, each {"name", "arguments"}: in `<tool_call>` tags, or as JSON; empty without any."""
    tagged = [parsed(text) for text in _CALL.findall(reply)]
    values = [found.value for found in tagged if found] or [found.value for found in [json_in(reply)] if found]
    calls: list[dict[str, Any]] = []
    for value in values:
        listed = value.get("tool_calls", [value]) if isinstance(value, dict) else value
        for one in listed if isinstance(listed, list) else []:
            if (call := _call(one)) is not None:
                calls.append(call)
    return calls


def _call(value: Any) -> dict[str, Any] | None:
    told = value.get("function", value) if isinstance(value, Mapping) else None
    if not isinstance(told, Mapping) or not isinstance(told.get("name"), str):
        return None
    arguments = told.get("arguments", told.get("parameters", {}))
    if isinstance(arguments, str):
        found = parsed(arguments)
        arguments = found.value if found else None
    return {"name": told["name"], "arguments": arguments} if isinstance(arguments, Mapping) else None


def entries_in(reply: str) -> list[str]:
    """The entries of a reply that lists: of a JSON list, else its lines or what commas part, without marks of lists."""
    found = json_in(reply)
    if found is not None and isinstance(found.value, list):
        return [normal(str(one)) for one in found.value if words(str(one))]
    lines = [re.sub(r"^\s*(?:[-*•]|\d{1,3}[.)])\s+", "", line) for line in reply.splitlines() if line.strip()]
    parts = lines if len(lines) > 1 else re.split(r"[,;]", reply)
    parts = [piece for part in parts for piece in (re.split(r"[,;]", part) if len(lines) > 1 else [part])]
    return [normal(part) for part in parts if words(part)]


class _Reply:
    """What a refusal calls the text; nobody reads it."""

    def __str__(self) -> str:
        return "reply"


_REPLY: Any = _Reply()
