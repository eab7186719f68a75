"""The fixed prompts of the latency measurement: lengths of a grid, and natural questions.

Texts, not token counts, are the same for every model: a tokenizer that needs more tokens for them is slower for its
user, and each request records how many it needed.
"""

from __future__ import annotations

_PARAGRAPH = (
    "A small team keeps a catalogue of every tool in its workshop. Each entry has a name, the shelf where the tool "
    "belongs, the date on which it was last sharpened or oiled, and the person who borrowed it. When somebody takes a "
    "tool, they write their name beside it; when they bring it back, they cross it out and note anything that broke. "
)

GRID = {
    "short": "Name three colours of the rainbow.",
    "medium": (
        "A team lists its tools on paper: name, shelf, date of the last repair, borrower. "
        "Explain how to keep this list on a computer."
    ),
    "long": f"{_PARAGRAPH * 5}Explain how this catalogue could be kept on a computer instead of on paper.",
}
"""About 8, 30 and 350 tokens before the chat template."""

NATURAL = {
    "pythagoras": "Explain the Pythagorean theorem.",
    "sky": "Why is the sky blue?",
    "life": "What is the meaning of life?",
}
"""Study D's three questions, answered at natural length: seconds per answer, split into speed and length."""
