"""The lm-eval library, loaded when it is asked for: one line where it is missing, silence where it works.

Templates of tasks are rendered in Jinja's sandbox here, which lm-eval itself does not do.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator
from importlib import metadata, util
from pathlib import Path

from evaluator.errors import BenchmarkUnreadable

PREFIX = "lm-eval:"
"""What the names of lm-eval's tasks have before them, as benchmarks."""

INSTALL = "pip install -c constraints.txt -r requirements-lm-eval.txt"
FEWSHOT_SEED = 1234
"""What lm-eval draws few-shot examples by, unless told."""


def is_lm_eval(benchmark: str) -> bool:
    """Whether a benchmark's name is that of a task of lm-eval."""
    return benchmark.startswith(PREFIX)


def version() -> str:
    """lm-eval's version. Raises: BenchmarkUnreadable saying how to install it."""
    try:
        return metadata.version("lm-eval")
    except metadata.PackageNotFoundError:
        raise BenchmarkUnreadable(f"Tasks of lm-eval need its library, which is not installed: {INSTALL}") from None


def own_tasks() -> Path:
    """The folder of the tasks that come with lm-eval. Raises: BenchmarkUnreadable where it is not installed."""
    version()
    found = util.find_spec("lm_eval")
    assert found is not None and found.submodule_search_locations
    return Path(next(iter(found.submodule_search_locations))) / "tasks"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """lm-eval at work without its log and its progress bars, and with templates that reach no Python."""
    from jinja2 import BaseLoader, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from lm_eval import utils

    bounded = ImmutableSandboxedEnvironment(loader=BaseLoader(), undefined=StrictUndefined, keep_trailing_newline=True)
    bounded.filters["regex_replace"] = utils.regex_replace
    own, utils.env = utils.env, bounded
    log = logging.getLogger("lm_eval")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        log.setLevel(level)
        utils.env = own
