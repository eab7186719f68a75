"""One fine-tune, several formats: the name of each, and which one would ship.

demo-rank8          the fine-tune; by itself the name of what was trained
demo-rank8@q4_0     its Q4_0 file
demo-rank8@adapter  what was trained, where the fine-tune's name alone would mean the format that ships
"""

from __future__ import annotations

from collections.abc import Iterable

from results.records import Form, Model

WORDS: dict[Form, str] = {
    "base": "base", "adapter": "adapter", "merged": "merged", "lora-gguf": "lora", "gguf-f16": "f16",
    "gguf-q8_0": "q8_0", "gguf-q4_0": "q4_0", "gguf-other": "gguf", "ggml": "ggml", "remote": "remote",
}  # fmt: skip
"""Form → the word for it behind a name's @."""

AS_MADE: tuple[Form, ...] = ("base", "adapter", "merged", "ggml", "remote")
"""Forms that nobody ships to a small CPU host while there is a GGUF file."""


def format_name(fine_tune: str, form: Form, over: Form | None = None) -> str:
    """The name of a fine-tune's format: demo-rank8@q4_0; over an exported base (`over`) demo-rank8@lora-q8_0."""
    return f"{fine_tune}@{WORDS[form]}" + (f"-{WORDS[over]}" if over else "")


def is_called(model: Model, word: str) -> bool:
    """Whether a model is the format that `word` means: its own word (q4_0, lora-q8_0) or its form (gguf-q4_0)."""
    over = model.details.get("over_form")
    own = format_name("", model.form, over if over in WORDS else None)[1:]
    return word in (own, WORDS[model.form], model.form)


def by_shipping(formats: Iterable[Model]) -> list[Model]:
    """A fine-tune's formats, the one that would ship first.

    GGUF files before what only a trainer's machine holds, then the smallest (a LoRA-GGUF counts with its base).
    """
    return sorted(formats, key=lambda one: (one.form in AS_MADE, one.bytes, one.name))
