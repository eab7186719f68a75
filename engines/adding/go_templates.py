"""Ollama's chat templates, which are Go's and are never run: told by their turn marks, and replaced by Jinja ones.

A GGUF file usually brings the template that its model was trained with, in Jinja. Where it brings none, the Go template
is recognised by the marks that it writes around the turns, and the plain template of that family is taken and said.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MARK = re.compile(r"<\|[\w ]+\|>|<[a-z_]+_of_turn>|<</?SYS>>|\[/?[A-Z_]+\]|</?s>|<\uff5c[^\uff5c]+\uff5c>")
"""A turn mark as the families write it: <|im_start|>, <start_of_turn>, [INST], <</SYS>>, </s>."""

ACTION = re.compile(r"\{\{.*?\}\}", re.DOTALL)


@dataclass(frozen=True)
class Family:
    """A family's way to write a conversation."""

    name: str
    marks: frozenset[str]
    """All marks that a Go template of this family writes."""
    jinja: str
    stop: str
    """What ends a turn."""


_CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_LLAMA3 = (
    "{{ bos_token }}{% for message in messages %}<|start_header_id|>{{ message['role'] }}<|end_header_id|>\n\n"
    "{{ message['content'] }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
_GEMMA = (
    "{{ bos_token }}{% set before = messages[0]['content'] + '\n\n' if messages[0]['role'] == 'system' else '' %}"
    "{% for message in messages if message['role'] != 'system' %}"
    "<start_of_turn>{{ 'model' if message['role'] == 'assistant' else 'user' }}\n"
    "{{ before if loop.first else '' }}{{ message['content'] }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
_PHI3 = (
    "{% for message in messages %}<|{{ message['role'] }}|>\n{{ message['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)

FAMILIES = (
    Family("ChatML", frozenset({"<|im_start|>", "<|im_end|>"}), _CHATML, "<|im_end|>"),
    Family("Llama 3", frozenset({"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}), _LLAMA3, "<|eot_id|>"),
    Family("Gemma", frozenset({"<start_of_turn>", "<end_of_turn>"}), _GEMMA, "<end_of_turn>"),
    Family("Phi 3", frozenset({"<|system|>", "<|user|>", "<|assistant|>", "<|end|>"}), _PHI3, "<|end|>"),
)
"""Families whose plain template is known. Source: the templates that their own tokenizers carry, without tools."""


def marks(template: str) -> frozenset[str]:
    """The turn marks that a template writes, Go's or Jinja's: in its text and in the strings of its actions."""
    return frozenset(MARK.findall(template)) - {"<s>", "</s>", "[BOS]", "[EOS]"}


def family(go: str) -> Family | None:
    """The family that a Go template writes, if its marks are exactly one's."""
    found = marks(ACTION.sub("", go))
    return next((one for one in FAMILIES if one.marks == found), None)


def difference(go: str, jinja: str) -> str:
    """How the marks of a Go template differ from a Jinja template's, in words; "" if they do not.

    Marks for tools alone are no difference: many Jinja templates have them and Ollama's own carries them or not.
    """
    ours, theirs = marks(jinja), marks(ACTION.sub("", go))
    if re.search(r"<\|['\"]? *(\+|\}\}|\{\{)", jinja):  # it puts the role into the mark
        theirs -= {f"<|{role}|>" for role in ("system", "user", "assistant")}
    lacking = ", ".join(sorted(theirs - ours))
    if not lacking:
        return ""
    return f"it writes {lacking}, which the file's own does not"
