"""EvalPlus's HumanEval+ and MBPP+: the benchmark's own test and EvalPlus's additional one, of every published form.

Its package's files have `base_input` and `plus_input` (lists of arguments), a reference solution and `atol`; a `test`
that they have besides is HumanEval's own. The two tests made of them call the reference, in the judge's sandbox, and
ask the candidate for the same: equal, or of the same type and close where the reference gives floats; a few tasks have
a rule of their own. The files of the Hub (`OriginFmt`) have the additional test written out: as `check(candidate)` for
HumanEval+, as statements that call the function for MBPP+.

JSON has no tuples, sets and complex numbers: which arguments of MBPP+ are such is in `ARGUMENTS`.
Source of rules and types: evalplus 0.3.1, `eval/__init__.py` (unsafe_execute), `eval/_special_oracle.py` and
`data/mbpp.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from evaluator.errors import BenchmarkUnreadable
from evaluator.tasks.task import LARGE_CHARACTERS, Task, parsed, string

INPUTS = ("base_input", "plus_input")

ARGUMENTS: dict[str, tuple[int, ...]] = {
    "tuple": (2, 116, 132, 143, 222, 261, 273, 394, 399, 421, 424, 429, 470, 560, 579, 596, 616, 630, 726, 740, 744,
              809),
    "list-of-tuples": (63, 64, 70, 94, 120, 237, 272, 299, 400, 409, 417, 438, 473, 614, 780),
    "list-of-tuples same": (75, 413, 444, 753),
    "same tuple": (106, 750),
    "list-of-sets": (115,),
    "float complex": (124,),
    "tuple same": (250, 307, 405, 446, 617, 720, 763, 808),
    "complex": (252,),
    "tuple-of-tuples": (259, 278, 401, 445),
    "tuples-throughout": (580, 615, 791),
    "dict-of-tuples same": (722,),
}  # fmt: skip
"""The arguments' types, the last one's for all further arguments: numbers of the MBPP tasks that have them."""

_EXACT = {
    "Mbpp/are_equivalent": "True",
    "Mbpp/sum_div": "found == expected or found == 0",
    "Mbpp/surface_Area": "found == expected or abs(found - by_height(*arguments)) <= atol",
    "Mbpp/digit_distance_nums": "found == expected or found == digit_by_digit(*arguments)",
    **{
        f"Mbpp/{name}": "set(found) == set(expected)"
        for name in ("similar_elements", "find_char_long", "common_in_nested_lists", "extract_singly", "larg_nnum",
                     "intersection_array", "find_dissimilar", "Diff")
    },
    **{
        f"Mbpp/{name}": "(found if isinstance(found, bool) else found is not None) == (expected is not None)"
        for name in ("check_str", "text_match_three", "text_starta_endb")
    },
}  # fmt: skip
"""When a result counts as equal, where `==` does not say."""

_TEST = """
import copy, json, math

INPUTS = json.loads({inputs!r})
REFERENCE = {{}}
exec(compile({reference!r}, "<reference>", "exec"), REFERENCE)


def tuples(value):
    return tuple(tuples(item) for item in value) if isinstance(value, list) else value


MAKE = {{
    "same": lambda value: value,
    "tuple": tuple,
    "list-of-tuples": lambda value: [tuple(item) for item in value],
    "list-of-sets": lambda value: [set(item) if item and isinstance(item, list) else {{}} for item in value],
    "tuple-of-tuples": lambda value: tuple(tuple(item) if isinstance(item, list) else item for item in value),
    "tuples-throughout": tuples,
    "dict-of-tuples": lambda value: {{key: tuple(item) for key, item in value.items()}},
    "float": float,
    "complex": complex,
}}


def typed(arguments):
    kinds = {kinds!r}
    return [MAKE[kinds[min(place, len(kinds) - 1)]](value) for place, value in enumerate(arguments)]


def by_height(edge, height):
    return round(edge**2 + 2 * edge * math.sqrt((edge / 2) ** 2 + height**2))


def digit_by_digit(one, other):
    width = max(len(str(one)), len(str(other)))
    return sum(abs(int(a) - int(b)) for a, b in zip(str(one).zfill(width), str(other).zfill(width)))


def floats(value):
    if isinstance(value, (list, tuple)) and value:
        return all(isinstance(item, float) for item in value)
    return isinstance(value, float)


def check(candidate):
    atol = {atol!r}
    for arguments in map(typed, INPUTS):
        expected = REFERENCE[{entry_point!r}](*copy.deepcopy(arguments))
        found = candidate(*arguments)
        if {roots!r}:
            assert abs(sum(factor * math.pow(found, power) for power, factor in enumerate(arguments[0]))) <= atol
            continue
        exact = {exact}
        if atol == 0 and floats(expected):
            atol = 1e-06
        if not exact and atol != 0:
            import numpy

            assert type(found) == type(expected)
            assert not isinstance(expected, (list, tuple)) or len(found) == len(expected)
            assert numpy.allclose(found, expected, rtol=1e-07, atol=atol)
        else:
            assert exact
"""

_WRITTEN = re.compile(r"^def assertion\(out, exp, atol\):|^def _poly\(xs: list, x: float\):", re.MULTILINE)
_ROOTS = "_poly(*candidate(*inp), inp)"
"""What HumanEval/32's test does as it is published: it takes the root for the polynomial, and every program fails."""


def has_inputs(row: Mapping[str, Any]) -> bool:
    """Whether a row has EvalPlus's inputs, with or without a test besides."""
    return any(row.get(field) is not None for field in INPUTS) or (
        not {"test", "test_list"} & row.keys() and any(field in row for field in INPUTS)
    )


def is_written_out(test: str) -> bool:
    """Whether a test is EvalPlus's, written out."""
    return _WRITTEN.search(test) is not None


def with_added_test(task: Task, test: object, where: str) -> Task:
    """A task with EvalPlus's test, written out, beside its own: MBPP+'s are statements that call the function by its
    name, and HumanEval/32's is mended.

    Raises: BenchmarkUnreadable where the two do not go together.
    """
    if not isinstance(test, str):
        raise BenchmarkUnreadable(f"{where}: 'test' must be a string, found {type(test).__name__}")
    if task.driver:
        raise BenchmarkUnreadable(
            f"{where}: 'test' hands over values, 'test_list' objects of the answer's. Drop one of the two"
        )
    test = test.replace(_ROOTS, "abs(_poly(*inp, candidate(*inp)))")
    if not re.search(r"^def check\(", test, re.MULTILINE):
        test = f'{test}\n\n\ndef check(candidate):\n    """What stands above has called it by its name."""\n'
    if len(test) < LARGE_CHARACTERS:
        parsed(test, f"{where}: test")
    return replace(task, test=test, base_test=task.test)


def task_of(row: Mapping[str, Any], where: str) -> Task:
    """The task of a row with inputs. Raises: BenchmarkUnreadable naming the field and a way."""
    identity, prompt, entry_point = (string(row, field, where) for field in ("task_id", "prompt", "entry_point"))
    # Where EvalPlus has added nothing to a task (Mbpp/793), its file has an empty object for the list.
    given = {field: row[field] if row[field] != {} else [] for field in INPUTS if field in row}
    for field in (*given, "canonical_solution"):
        wanted = str if field == "canonical_solution" else list
        if not isinstance(given.get(field, row.get(field)), wanted):
            raise BenchmarkUnreadable(
                f"{where}: a row with inputs needs base_input and plus_input (lists of argument lists) and "
                f"canonical_solution (a string); {field!r} is {type(row.get(field)).__name__}. "
                "Take EvalPlus's HumanEvalPlus.jsonl or MbppPlus.jsonl as it is, or a file whose rows have 'test'"
            )
    if not any(given.values()) or not all(isinstance(one, list) for inputs in given.values() for one in inputs):
        raise BenchmarkUnreadable(f"{where}: base_input and plus_input must hold lists of arguments, at least one")
    atol = row.get("atol", 0)
    if isinstance(atol, bool) or not isinstance(atol, int | float) or not atol >= 0:
        raise BenchmarkUnreadable(f"{where}: 'atol' must be a number of at least 0, found {atol!r}")
    base, plus = (_test_of(row, inputs, atol) if (inputs := given.get(field)) else "" for field in INPUTS)
    if "plus_input" not in given:
        base, plus = "", base
    identity = re.sub(r"(?i)\Ambpp/", "MBPP/", identity)
    return Task(identity, prompt, entry_point, plus or base, row["canonical_solution"], base)


def _test_of(row: Mapping[str, Any], inputs: Sequence[Any], atol: float) -> str:
    """The source of `check(candidate)` over some inputs."""
    mbpp = re.fullmatch(r"(?i)mbpp/(\d+)", str(row["task_id"]))
    kinds = next((kinds for kinds, tasks in ARGUMENTS.items() if mbpp and int(mbpp[1]) in tasks), "same")
    name = row["entry_point"]
    return _TEST.format(
        inputs=json.dumps(inputs),
        reference=f"{row['prompt']}{row['canonical_solution']}\n",
        kinds=kinds.split(),
        atol=atol,
        entry_point=name,
        roots=not mbpp and name == "find_zero",
        exact=_EXACT.get(f"Mbpp/{name}", "found == expected") if mbpp else "found == expected",
    )
