"""What a task's YAML that did not come with lm-eval may say: nothing that runs Python.

lm-eval imports the module that `!function` or `class` names, loads metrics that it does not know from the Hub and runs
them, and runs programs of tasks that are marked unsafe. Here each is refused by name, in the file itself and in all
that it includes. Its templates are rendered in a sandbox (`evaluator.question_sets.lm_eval_tasks.installed`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evaluator.errors import BenchmarkUnreadable
from results import FileUnreadable, read_yaml, short_repr

RUNS: Mapping[str, str] = {
    "class": "names a Python class",
    "unsafe_code": "has programs run outside of a sandbox",
    "use_prompt": "loads prompts by Python",
    "hf_evaluate": "loads a metric's Python from the Hub",
}
"""Keys that have Python run."""

MOST_FILES = 1000


def check_foreign(path: Path, own: Path) -> Mapping[str, Any]:
    """A task's or a group's YAML, proven to run no Python. own: the folder of lm-eval's tasks, which are trusted.

    Raises: BenchmarkUnreadable naming the file and the key.
    """
    return _checked(path, own, set())


def _checked(path: Path, own: Path, seen: set[Path]) -> Mapping[str, Any]:
    path = path.resolve()
    if len(seen) >= MOST_FILES:
        raise BenchmarkUnreadable(f"{path} is one of more than {MOST_FILES:,} files that include each other")
    if path in seen:
        return {}
    seen.add(path)
    try:
        value = read_yaml(path)
    except FileUnreadable as error:
        raise BenchmarkUnreadable.of_file(path, error) from error
    if not isinstance(value, Mapping):
        raise BenchmarkUnreadable(f"{path} is no task of lm-eval but {short_repr(value)}")
    for key, said in _entries(value):
        _check(path, key, said)
        for one in (said if isinstance(said, list) else [said]) if key == "include" else ():
            inner = (path.parent / str(one)).resolve()
            if not inner.is_relative_to(own.resolve()):
                _checked(inner, own, seen)
    return value


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    """(key, what it says) of a mapping and all inside of it."""
    if isinstance(value, Mapping):
        for key, said in value.items():
            yield str(key), said
            yield from _entries(said)
    elif isinstance(value, list):
        for one in value:
            yield from _entries(one)


def _check(path: Path, key: str, said: Any) -> None:
    from lm_eval.api import metrics, registry  # noqa: F401  (metrics fills the registry)

    if key in RUNS and said:
        raise BenchmarkUnreadable(f"{path}: {key} {RUNS[key]}, and is refused")
    if key == "metric" and str(said) not in registry.METRIC_REGISTRY:
        known = ", ".join(sorted(registry.METRIC_REGISTRY))
        raise BenchmarkUnreadable(
            f"{path}: lm-eval would load the metric {short_repr(said)} from the Hub and run it: refused; it has {known}"
        )
