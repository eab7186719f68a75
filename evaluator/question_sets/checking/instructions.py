"""IFEval's instructions, checked by lm-eval's copy of Google's own code: whether a reply follows all of them, strictly.

    {"key": 1, "prompt": "…", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}

Source: Zhou et al. 2023, arXiv 2311.07911: prompt-level strict accuracy.
Not here: the loose reading, which forgives first and last lines: `--benchmark lm-eval:ifeval` gives both.
"""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Callable, Mapping
from typing import Any

from evaluator.errors import BenchmarkUnreadable

Followed = Callable[[Mapping[str, Any], str], list[bool]]


@functools.cache
def checker() -> tuple[frozenset[str], Followed]:
    """(names of all instructions, what says which of an item's a reply follows).

    Raises: BenchmarkUnreadable where lm-eval or what its checks stand on is not installed.
    """
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            import langdetect
            from lm_eval.tasks.ifeval import utils
            from lm_eval.tasks.ifeval.instructions_registry import INSTRUCTION_DICT
    except ImportError as error:
        raise BenchmarkUnreadable(
            f"IFEval's checks need packages that are not installed ({error.name}): "
            "pip install -c constraints.txt -r requirements-lm-eval.txt"
        ) from error
    langdetect.DetectorFactory.seed = 0  # else it draws, and a reply's language may be another each time

    def followed(wanted: Mapping[str, Any], reply: str) -> list[bool]:
        ids = list(wanted["instruction_id_list"])
        asked = utils.InputExample(key=0, instruction_id_list=ids, prompt=wanted["prompt"], kwargs=wanted["kwargs"])
        found: list[bool] = utils.test_instruction_following_strict(asked, reply).follow_instruction_list
        return found

    return frozenset(INSTRUCTION_DICT), followed


def why_not(wanted: Mapping[str, Any]) -> str:
    """Why an item's instructions cannot be checked; empty where they can. Raises: BenchmarkUnreadable."""
    names, followed = checker()
    ids, values = wanted["instruction_id_list"], wanted["kwargs"]
    if not isinstance(ids, list) or not ids or not isinstance(values, list) or len(ids) != len(values):
        return "instruction_id_list and kwargs are no lists of the same length"
    if strange := [one for one in ids if one not in names]:
        return f"there is no instruction {str(strange[0])[:60]!r}"
    if not all(isinstance(one, Mapping) for one in values):
        return "an entry of kwargs is no object"
    try:
        followed(wanted, "Any reply will do.")
    except LookupError:
        return "it counts sentences, for which nltk's data is missing: python -m nltk.downloader punkt_tab"
    except Exception as error:  # others' code over a file's values: anything may come out
        return f"its instructions cannot be checked: {' '.join(str(error).split())[:120] or type(error).__name__}"
    return ""
