"""Column types that keep every value a record can hold, alike on SQLite and PostgreSQL.

What the databases themselves would lose or refuse: NaN (SQLite makes it NULL) and the sign of zero (SQLite drops it),
NUL and lone surrogates in text (PostgreSQL refuses them), time zones (SQLite drops them), NaN in JSON (JSONB refuses
it), index entries over 2.7 kB.
"""

# ruff: noqa: ARG002 (the signatures are SQLAlchemy's)
from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator

from results.errors import StoreError

KEY_BYTES = 1000
"""Longest key in UTF-8 bytes. A PostgreSQL index entry holds 2,704 bytes, and a key has up to two texts."""

INT64 = 2**63 - 1

_ESCAPED = re.compile("\x1a(s|0|u[0-9a-f]{4})")
_TO_ESCAPE = re.compile("[\x00\x1a\ud800-\udfff]")


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    return {"\x1a": "\x1as", "\x00": "\x1a0"}.get(character) or f"\x1au{ord(character):04x}"


def _unescape(match: re.Match[str]) -> str:
    code = match.group(1)
    return {"s": "\x1a", "0": "\x00"}.get(code) or chr(int(code[1:], 16))


ESCAPE = "\x1a"
"""What stands before everything that is escaped in a stored text."""


def unescaped(text: str) -> str:
    """A text as it was before it was stored, of one that was read past `Words`."""
    return _ESCAPED.sub(_unescape, text)


class Words(TypeDecorator[str]):
    """Any Python string. NUL, SUB and lone surrogates (a model's answer may hold them) are escaped behind SUB."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        return None if value is None else _TO_ESCAPE.sub(_escape, value)

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> str | None:
        return None if value is None else _ESCAPED.sub(_unescape, value)


class Key(Words):
    """A string that identifies: at most `KEY_BYTES`, on either database, else StoreError naming it."""

    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        text = super().process_bind_param(value, dialect)
        if text is not None and len(text) * 4 > KEY_BYTES and len(text.encode()) > KEY_BYTES:
            raise StoreError(
                f"{text[:40]!r}… is {len(text):,} characters long; a name or id has {KEY_BYTES} bytes at most"
            )
        return text


class Whole(TypeDecorator[int]):
    """A 64-bit integer; a larger one is a StoreError and never wraps or turns into a float."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: sa.Dialect) -> int | None:
        if value is not None and not -INT64 - 1 <= value <= INT64:
            raise StoreError(f"{value} does not fit into 64 bits")
        return None if value is None else int(value)


class Real(TypeDecorator[float]):
    """A float of 64 bits. Zero has no minus sign, which SQLite would drop: both databases hold the same."""

    impl = sa.Double
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: sa.Dialect) -> float | None:
        return None if value is None else float(value) + 0.0


class JsonText(TypeDecorator[Any]):
    """A JSON value as ASCII text. Not JSONB: it refuses NaN, NUL and lone surrogates, which answers contain."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        return None if value is None else json_text(value)

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> Any:
        return None if value is None else json.loads(value)


class Strings(JsonText):
    """A tuple of strings, as JSON text."""

    cache_ok = True

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> Any:
        return None if value is None else tuple(json.loads(value))


class Moment(TypeDecorator[datetime]):
    """A time in UTC. A time without a zone is taken as UTC."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def json_text(value: Any) -> str:
    """A JSON value as the store keeps it. Raises StoreError for what is none."""
    try:
        return json.dumps(value, separators=(",", ":"), default=_plain)
    except (TypeError, ValueError) as error:
        raise StoreError(f"not a JSON value: {error}") from error


def _plain(value: Any) -> Any:
    """Mappings and tuples of records, and numbers of numpy, as plain JSON."""
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if hasattr(value, "items"):
        return dict(value.items())
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} {str(value)[:40]!r}")


def kind_of(value: float | None) -> str:
    """ "" for a finite value or none, else "nan", "inf" or "-inf": the column beside a value that may be no number."""
    if value is None or math.isfinite(value):
        return ""
    return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")


def finite_of(value: float | None) -> float | None:
    """The value for the value column: NULL where `kind_of` says what it is."""
    return value if value is not None and math.isfinite(value) else None


def value_of(value: float | None, kind: str) -> float | None:
    """The float that `kind_of` and `finite_of` took apart."""
    return float(kind) if kind else value
