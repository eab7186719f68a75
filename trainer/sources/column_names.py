"""The names by which rows of the field's formats are recognised: of columns, and of the keys of their turns.

What a row with such columns means is in `trainer.sources.formats`.
"""

from __future__ import annotations

import re

PAIRS = (
    ("prompt", "completion"),
    ("prompt", "response"),
    ("prompt", "answer"),
    ("instruction", "output"),
    ("instruction", "response"),
    ("question", "answer"),
    ("input", "output"),
    ("query", "response"),
    ("question", "response"),
    ("prompt", "output"),
    ("instruction", "answer"),
    ("instruction", "completion"),
    ("query", "answer"),
    ("problem", "solution"),
    ("input", "response"),
    ("input", "answer"),
    ("input", "ideal"),
)
"""Column names (question, answer) recognised without mapping; optional context columns are in CONTEXTS."""

CONTEXTS = ("context", "input", "contexts", "passage", "passages", "document", "documents", "article")
"""Dolly's and Alpaca's extra input and its kin, put under the instruction when not empty."""

SYSTEMS = ("system", "system_prompt", "system_message", "systemInstruction", "system_instruction")
REASONINGS = ("reasoning_content", "reasoning", "thinking", "thought")
TOOLS = ("tools", "functions")
SHAREGPT = ("conversations", "conversation", "dialog", "dialogue")
OTHER_TURNS = ("contents", "chat_messages")
"""Gemini's and a Claude export's turns: words of many meanings, so only where nothing else is found."""
OPTIONAL = frozenset((*SYSTEMS, *REASONINGS, *TOOLS, *CONTEXTS, "history"))
TURN_PAIRS = (("input", "output"), ("human", "assistant"), ("user", "assistant"), ("question", "answer"))
"""Two turns in one object, as XTuner and Firefly have them."""
WANTED_PAIR = (("chosen", "rejected"), ("preferred_output", "non_preferred_output"))

ROLE_KEYS = ("role", "from")
TEXT_KEYS = ("content", "value", "text")
"""Keys of a turn: who speaks, and what is said."""
OTHER_ROLE_KEYS = ("author", "sender")
OTHER_TEXT_KEYS = ("parts",)
"""Vertex's, a Claude export's and Gemini's: keys of a turn where it is known for one."""

NAMED = re.compile(r"\{\{\s*([\w.\- ]+?)\s*\}\}|\{([\w.\- ]+?)\}")
"""A column in a template: `{{column}}` or `{column.inner}`."""
