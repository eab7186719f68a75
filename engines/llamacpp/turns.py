"""What a served model's chat template puts after an answer, and whether generation ends there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engines.interface import TURNS, Message

if TYPE_CHECKING:
    from engines.llamacpp.engine import LlamaCppEngine


def after_a_served_answer(engine: LlamaCppEngine) -> tuple[str, bool]:
    """(text after an answer by the engine's template, whether its first token ends generation).

    llama.cpp renders only what is ready to be answered, so a question follows. Raises: EngineError.
    """
    turns: list[Message] = [*TURNS, {"role": "user", "content": "Why?"}]
    text, answer = engine.render(turns), TURNS[-1]["content"]
    rest = text[text.index(answer) + len(answer) :].lstrip()
    return rest, engine.ends_at(rest)
