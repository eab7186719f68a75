"""The part of the checklist that needs a GGUF in memory: llama.cpp loads it, an adapter acts, an answer ends."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from engines.adding.checking.inspection import Plan
from engines.errors import EngineError
from engines.interface import PROBE

if TYPE_CHECKING:
    from engines.llamacpp.engine import LlamaCppEngine


def check_served(plan: Plan, file: Path) -> None:
    """Load a GGUF, with its LoRA-GGUF where it is one, and check it; the findings go into the plan's checklist."""
    from engines.llamacpp.engine import LlamaCppEngine
    from engines.llamacpp.server_process import LlamaServer

    base = plan.base.path if plan.base else file
    adapters = [file] if plan.base else []
    try:
        server = LlamaServer(base, adapters, context=512)
    except EngineError as refused:
        return plan.checklist.refused("layout", refused)
    engine, bare = LlamaCppEngine(server, 0 if adapters else None, reuse=False), LlamaCppEngine(server, reuse=False)
    try:
        if adapters and engine.next_tokens(PROBE) == bare.next_tokens(PROBE):
            return plan.checklist.fail(
                "active", "It changes no logit of its base.", "It was never trained, or converted before it was"
            )
        if adapters:
            plan.checklist.ok("active", "the adapter moves the likeliest tokens' logits")
        return _check_turn(plan, engine)
    except EngineError as refused:
        return plan.checklist.refused("active", refused)
    finally:
        engine.close()
        bare.close()


def _check_turn(plan: Plan, engine: LlamaCppEngine) -> None:
    from engines.llamacpp.turns import after_a_served_answer

    if plan.template is not None:
        plan.checklist.turn(*after_a_served_answer(engine))
