"""What must not be published by accident: keys, tokens, passwords in addresses, paths and account names of a machine.

Every text of a page is looked at, with the place that it stands in, before anything is written. Not covered: names of
people, addresses of their houses, and secrets that look like words; who publishes reads the page.
"""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

SHOWN = 8
"""Characters of a secret that are told: enough to find it, too few to use it."""
LEAST = 4
"""An allowed word is that long at least: a shorter one would allow what nobody looked at."""

SECRETS: Mapping[str, re.Pattern[str]] = {
    "a private key": re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----"),
    "a Hugging Face token": re.compile(r"\bhf_[A-Za-z0-9]{20,}"),
    "a GitHub token": re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,})"),
    "a GitLab token": re.compile(r"\bglpat-[A-Za-z0-9_-]{20,}"),
    "an API key": re.compile(r"\b(?:sk|rk|pk)-(?:[A-Za-z0-9]+-)*[A-Za-z0-9_]{20,}"),
    "an AWS key": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a Google key": re.compile(r"\bAIza[0-9A-Za-z_-]{35}"),
    "a Slack token": re.compile(r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
    "a package index's token": re.compile(r"\b(?:npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{40,})"),
    "a signed token": re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*"),
    "a bearer token": re.compile(r"\b[Bb]earer\s+[A-Za-z0-9._~+/-]{20,}=*"),
    "an address with a password": re.compile(r"\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s/:@\"'<>]*:[^\s/@\"'<>]+@[^\s\"'<>]+"),
}  # fmt: skip
"""What a secret is called → how it looks."""

PATHS = re.compile(
    r"(?<![\w.~/\\-])(?:file://)?(?P<root>/(?:home|Users)/|[A-Za-z]:[\\/]+Users[\\/]+)(?P<who>[^\s/\\\"'<>|:;,)\]}`]+)"
    r"[^\s\"'<>|:;,)\]}`]*"
    r"|(?<![\w.~/\\-])(?:/root/|/var/folders/)[^\s\"'<>|:;,)\]}`]+"
)
"""A path in somebody's home, on Linux, macOS and Windows."""
NOBODY = frozenset(("user", "username", "you", "yourname", "your_name", "your-name", "me", "name", "myuser", "someone"))
"""Accounts that examples have: a path of theirs is nobody's."""
NAMED = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|ACCESS_?KEY|CREDENTIAL", re.IGNORECASE)
"""Environment variables whose values are secrets."""


@dataclass(frozen=True)
class Leak:
    """Something that should not be published."""

    kind: str
    word: str
    """The text itself."""
    place: str
    secret: bool = True

    @property
    def shown(self) -> str:
        """The word as it may be told: of a secret the beginning alone."""
        return f"{self.word[:SHOWN]}… ({len(self.word)} characters)" if self.secret else self.word

    @property
    def sentence(self) -> str:
        """What it is, and where."""
        return f"{self.kind}, {self.shown}, in {self.place}"


@dataclass(frozen=True)
class PrivateWords:
    """What is private on this machine, whatever it looks like."""

    folders: tuple[str, ...] = ()
    secrets: tuple[tuple[str, str], ...] = ()
    """(name of the environment variable, its value)"""
    account: str = ""
    allowed: tuple[str, ...] = ()
    """Words that may be published though they look private, or their beginnings."""

    @classmethod
    def of_this_machine(cls, *folders: Path, allowed: Sequence[str] = ()) -> PrivateWords:
        """The home, the given folders, and the environment's secrets; but for what is allowed."""
        try:
            home, account = str(Path.home()), getpass.getuser()
        except (KeyError, OSError, RuntimeError):
            home, account = "", ""
        every = [home, *(str(folder.resolve()) for folder in folders)]
        secrets = [(name, value) for name, value in os.environ.items() if NAMED.search(name) and len(value) >= 8]
        return cls(
            tuple(dict.fromkeys(one for one in every if len(one) > LEAST)),
            tuple(sorted(secrets)),
            account,
            tuple(allowed),
        )


def leaks(what: Any, own: PrivateWords, place: str = "the page") -> list[Leak]:
    """What in a study, a table or a text must not be published, each once, the allowed too."""
    found: dict[tuple[str, str], Leak] = {}
    for where, text in texts(what, place):
        for one in _in_text(text, where, own):
            found.setdefault((one.kind, one.word), one)
    return list(found.values())


def without(found: Sequence[Leak], allowed: Sequence[str]) -> list[Leak]:
    """Those that no allowed word, of LEAST characters or more, begins."""
    words = [word for word in allowed if len(word) >= LEAST]
    return [one for one in found if not any(one.word.startswith(word) for word in words)]


def texts(what: Any, place: str) -> Iterator[tuple[str, str]]:
    """Every text inside, with the words that lead to it; names of keys are texts, too."""
    if isinstance(what, str):
        yield place, what
    elif is_dataclass(what) and not isinstance(what, type):
        own = next((str(getattr(what, name)) for name in ("item", "model", "name", "title") if hasattr(what, name)), "")
        for field in fields(what):
            yield from texts(getattr(what, field.name), _deeper(place, field.name, own))
    elif isinstance(what, pd.DataFrame):
        yield from texts([what.columns.tolist(), what.index.tolist(), what.to_numpy().ravel().tolist()], place)
    elif isinstance(what, Mapping):
        for key, value in what.items():
            yield place, str(key)
            yield from texts(value, f"{place}, {str(key)[:60]}")
    elif isinstance(what, Iterable) and not isinstance(what, bytes | np.ndarray):
        for one in what:
            yield from texts(one, place)


def _deeper(place: str, field: str, own: str) -> str:
    of = f" of {own[:60]}" if own and field not in ("item", "model", "name", "title") else ""
    return f"{place}, {field.replace('_', ' ')}{of}"


def _in_text(text: str, place: str, own: PrivateWords) -> Iterator[Leak]:
    for kind, pattern in SECRETS.items():
        for one in pattern.finditer(text):
            yield Leak(kind, one[0], place)
    for name, value in own.secrets:
        if value in text:
            yield Leak(f"the value of {name}", value, place)
    for one in PATHS.finditer(text):
        if (one["who"] or "").lower() not in NOBODY or one["who"] == own.account:
            yield Leak("a private path", one[0].rstrip("."), place, secret=False)
    for folder in own.folders:
        if re.search(rf"(?<!\w){re.escape(folder)}(?![\w-])", text):
            yield Leak("a folder of this machine", folder, place, secret=False)
