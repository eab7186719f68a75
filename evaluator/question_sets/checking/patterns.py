"""Regular expressions of files, searched in bounded time: one that runs for ever is ended, and is nobody's answer."""

from __future__ import annotations

import functools

import regex

MOST_SECONDS = 0.5
"""How long one search may take; a pattern that needs longer goes over its text again and again."""

MOST_CHARACTERS = 10_000
"""How long a pattern may be."""


class PatternOverran(Exception):
    """A search took longer than any needs."""


@functools.lru_cache(maxsize=512)
def _compiled(pattern: str) -> regex.Pattern[str]:
    return regex.compile(pattern)


def check_pattern(pattern: str) -> str:
    """Why a pattern cannot be used; empty for one that can."""
    if len(pattern) > MOST_CHARACTERS:
        return f"longer than {MOST_CHARACTERS:,} characters"
    try:
        _compiled(pattern)
    except (regex.error, RecursionError, MemoryError, OverflowError, ValueError, IndexError) as error:
        return " ".join(str(error).split())[:200] or type(error).__name__
    return ""


def searched(pattern: str, text: str) -> regex.Match[str] | None:
    """The first place where the pattern is found. Raises: PatternOverran."""
    try:
        return _compiled(pattern).search(text, timeout=MOST_SECONDS)
    except TimeoutError as error:
        raise PatternOverran(f"the pattern {pattern[:60]!r} was searched for longer than {MOST_SECONDS:g} s") from error
