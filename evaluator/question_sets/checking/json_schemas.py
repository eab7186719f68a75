"""JSON against a schema, by the jsonschema library: no schema is fetched, and its patterns run in bounded time."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema
from jsonschema import validators
from referencing import Registry

from evaluator.question_sets.checking.patterns import PatternOverran, check_pattern, searched
from results import short_repr

MOST_ERRORS_WORDS = 200


def _pattern(validator: Any, pattern: Any, instance: Any, schema: Any) -> Iterator[jsonschema.ValidationError]:
    """The keyword `pattern`, in bounded time."""
    del validator, schema
    if isinstance(instance, str) and isinstance(pattern, str) and not searched(pattern, instance):
        yield jsonschema.ValidationError(f"{short_repr(instance)} does not match {short_repr(pattern)}")


@functools.lru_cache(maxsize=256)
def _validator(text: str) -> Any:
    schema = json.loads(text)
    usual = validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    bounded = validators.extend(usual, {"pattern": _pattern})
    registry: Any = Registry()  # without a way to fetch any: a reference outwards is an error
    return bounded(schema, registry=registry)


def check_schema(schema: Any) -> str:
    """Why a schema cannot be used; empty for one that can."""
    if not isinstance(schema, Mapping | bool):
        return f"it is no object but {short_repr(schema)}"
    try:
        validator = _validator(json.dumps(schema, sort_keys=True))
        type(validator).check_schema(validator.schema)
    except jsonschema.SchemaError as error:
        return " ".join(error.message.split())[:MOST_ERRORS_WORDS]
    except (RecursionError, ValueError, TypeError, AttributeError, KeyError) as error:
        return " ".join(str(error).split())[:MOST_ERRORS_WORDS] or type(error).__name__
    for one in _walk(schema):
        if "patternProperties" in one:
            return (
                "patternProperties is not read, for its patterns cannot be searched in bounded time; use propertyNames"
            )
        if isinstance(pattern := one.get("pattern"), str) and (said := check_pattern(pattern)):
            return f"pattern {short_repr(pattern)}: {said}"
    outwards = [one for one in _references(schema) if not one.startswith("#")]
    return f"$ref {short_repr(outwards[0])} leads out of it; no schema is fetched" if outwards else ""


def invalid(value: Any, schema: Any) -> str:
    """Why a value is not valid; empty for one that is. Raises: PatternOverran."""
    try:
        error = next(iter(_validator(json.dumps(schema, sort_keys=True)).iter_errors(value)), None)
    except PatternOverran:
        raise
    except RecursionError:
        return "nested too deeply"
    if error is None:
        return ""
    place = "".join(f"[{part!r}]" for part in error.absolute_path)
    return f"{place or 'the whole'}: {' '.join(error.message.split())[:MOST_ERRORS_WORDS]}"


def _walk(value: Any) -> Iterator[Mapping[str, Any]]:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            yield one
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


def _references(schema: Any) -> Iterator[str]:
    for one in _walk(schema):
        for key in ("$ref", "$dynamicRef"):
            if isinstance(reference := one.get(key), str):
                yield reference
