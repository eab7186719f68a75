"""The part of the checklist that needs weights in memory: does the adapter do anything, does an answer end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from engines.adding.checking.checks import OTHER_TEMPLATE
from engines.adding.checking.inspection import Plan
from engines.errors import EngineError
from engines.interface import PROBE

if TYPE_CHECKING:
    from engines.huggingface.engine import HuggingFaceEngine

SMALL = 1_000_000_000
"""Parameters of a model of which one pass over a few words is over before a second thread is of use."""

BASE = ""
"""The row of the bare base (`engines.huggingface.lora_bank.BASE`)."""


def check_adapters(plans: Sequence[Plan]) -> None:
    """Load one base with all its adapters and check each; the findings go into the plans' checklists."""
    from engines.huggingface.engine import HuggingFaceEngine

    base = plans[0].base
    assert base is not None
    with _few_threads(plans[0].parameters):
        try:
            engine = HuggingFaceEngine(base.path)
        except EngineError as refused:
            for plan in plans:
                plan.checklist.refused("base", refused)
            return
        try:
            for place, plan in enumerate(plans):
                _check_adapter(engine, plan, str(place))
        finally:
            engine.close()


@contextmanager
def _few_threads(parameters: int) -> Iterator[None]:
    """One thread for a small model: on a machine with other work, threads that wait for each other take most time."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1 if parameters < SMALL else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _check_adapter(engine: HuggingFaceEngine, plan: Plan, row: str) -> None:

    try:
        engine.add_adapter(row, plan.path)
    except EngineError as refused:
        return plan.checklist.refused("active", refused)
    base, adapted = engine.mixed_logits(PROBE, [BASE, row])
    shift = float((adapted - base).abs().max())
    if not shift > 0:  # NaN is no shift either
        return plan.checklist.fail(
            "active", "It changes no logit of its base.", "It was never trained, or saved before it was: save it again"
        )
    plan.checklist.ok("active", f"the adapter moves a logit by {shift:.2g}")
    return _check_turn(engine, plan, row)


def check_whole(plan: Plan, folder: Path) -> None:
    """Load a whole model and check that it answers and that its answers end."""
    from engines.huggingface.engine import HuggingFaceEngine

    with _few_threads(plan.parameters):
        try:
            engine = HuggingFaceEngine(folder)
        except EngineError as refused:
            return plan.checklist.refused("layout", refused)
        try:
            if not bool(engine.mixed_logits(PROBE, [BASE]).isfinite().all()):
                return plan.checklist.fail("active", "Its logits are not finite.", "Save it in bfloat16 or float32")
            return _check_turn(engine, plan, BASE)
        finally:
            engine.close()


def _check_turn(engine: HuggingFaceEngine, plan: Plan, row: str) -> None:
    if plan.template is None:
        return None
    from engines.huggingface.turns import after_an_answer

    engine.templates[row] = plan.template.text
    try:
        rest, ends = after_an_answer(engine, row)
    except (EngineError, ValueError) as refused:
        said = " ".join(str(refused).split())
        return plan.checklist.fail("end-of-turn", f"Its template does not show an answer: {said}.", OTHER_TEMPLATE)
    return plan.checklist.turn(rest, ends)
