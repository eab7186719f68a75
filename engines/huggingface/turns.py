"""What a chat template puts after an answer, and whether generation ends there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engines.interface import TURNS

if TYPE_CHECKING:
    from engines.huggingface.engine import HuggingFaceEngine


def after_an_answer(engine: HuggingFaceEngine, row: str) -> tuple[str, bool]:
    """(text after an answer by the row's template, whether its first token ends generation).

    Raises: WeightsRefused without a template, or where it refuses the conversation.
    """
    text = engine.render(TURNS, row, answer_next=False)
    rest = text[text.rindex(TURNS[-1]["content"]) + len(TURNS[-1]["content"]) :].strip()
    following = engine.tokenizer(rest, add_special_tokens=False).input_ids if rest else []
    return rest, bool(following) and following[0] in engine.end_ids
