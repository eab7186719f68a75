"""Findings as JSON: what `--json` prints and what a frozen decision keeps."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any


def plain(record: Any) -> dict[str, Any]:
    """A frozen dataclass as a dict of JSON values: tuples to lists, NaN and ±inf to None, however deep."""
    return {one.name: _value(getattr(record, one.name)) for one in dataclasses.fields(record)}


def _value(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain(value)
    if isinstance(value, Mapping):
        return {str(key): _value(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_value(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
