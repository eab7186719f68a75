"""Tests made of inputs and a reference solution: EvalPlus's HumanEval+ as its package keeps it, without a `test`.

Such a row has `base_input` and `plus_input` (lists of arguments), a `canonical_solution` and `atol`. The test made of
it calls the reference, in the judge's sandbox, and asks the candidate for the same: equal, or of the same type and
close where the reference gives floats. All inputs count, so a pass is a pass of HumanEval+.

MBPP+ is refused: its file keeps tuples, sets and complex numbers as lists, and only EvalPlus's code knows which.
Source of the comparison: evalplus 0.3.1, `evalplus/eval/__init__.py`, `unsafe_execute`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from evaluator.errors import BenchmarkUnreadable

FIELDS = ("base_input", "plus_input", "canonical_solution")

_TEST = """
import copy, json

INPUTS = json.loads({inputs!r})
ATOL = {atol!r}
REFERENCE = {{}}
exec(compile({reference!r}, "<reference>", "exec"), REFERENCE)


def floats(value):
    if isinstance(value, (list, tuple)) and value:
        return all(isinstance(item, float) for item in value)
    return isinstance(value, float)


def close(found, expected, atol):
    if isinstance(expected, (list, tuple)):
        return len(found) == len(expected) and all(close(a, b, atol) for a, b in zip(found, expected))
    return found == expected or abs(found - expected) <= atol + 1e-07 * abs(expected)


def check(candidate):
    for arguments in INPUTS:
        expected = REFERENCE[{entry_point!r}](*copy.deepcopy(arguments))
        found = candidate(*arguments)
        if {entry_point!r} == "find_zero":
            assert abs(sum(factor * found**power for power, factor in enumerate(arguments[0]))) <= ATOL
        atol = 1e-06 if ATOL == 0 and floats(expected) else ATOL
        if atol and found != expected:
            assert type(found) == type(expected)
            assert close(found, expected, atol)
        else:
            assert found == expected
"""


def is_inputs(row: Mapping[str, Any]) -> bool:
    """Whether a row has inputs where others have a test."""
    return "test" not in row and "test_list" not in row and any(field in row for field in FIELDS[:2])


def test_of(row: Mapping[str, Any], where: str) -> str:
    """The source of `check(candidate)` of a row with inputs. Raises BenchmarkUnreadable naming the field and a way."""
    if str(row.get("task_id", "")).lower().startswith("mbpp/"):
        raise BenchmarkUnreadable(
            f"{where}: base_input and plus_input of MBPP+ say nothing of tuples and sets, so they cannot be rebuilt. "
            "Take the MBPP+ file whose rows have a 'test' or 'test_list' field"
        )
    for field in FIELDS:
        wanted = str if field == "canonical_solution" else list
        if not isinstance(row.get(field), wanted):
            raise BenchmarkUnreadable(
                f"{where}: a row without 'test' needs base_input and plus_input (lists of argument lists) and "
                f"canonical_solution (a string); {field!r} is {type(row.get(field)).__name__}. "
                "Take EvalPlus's HumanEvalPlus.jsonl as it is, or a file whose rows have 'test'"
            )
    inputs = [*row["base_input"], *row["plus_input"]]
    if not inputs or not all(isinstance(arguments, list) for arguments in inputs):
        raise BenchmarkUnreadable(f"{where}: base_input and plus_input must hold lists of arguments, at least one")
    atol = row.get("atol", 0)
    if isinstance(atol, bool) or not isinstance(atol, int | float) or not atol >= 0:
        raise BenchmarkUnreadable(f"{where}: 'atol' must be a number of at least 0, found {atol!r}")
    reference = f"{row['prompt']}{row['canonical_solution']}\n"
    return _TEST.format(inputs=json.dumps(inputs), atol=atol, reference=reference, entry_point=row["entry_point"])
