"""What a model's maker has it run with, such as an Ollama Modelfile's PARAMETER and SYSTEM, in words.

Kept in a model's details under `sampling`. A server uses it where a request says nothing; a measurement asks every
model alike, and says what it left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

LEFT_OUT = "makers_settings_left_out"
"""Key of an evaluation's details: the settings that the measurement did not use."""

LONGEST = 60
"""Characters of a value that are shown."""


def makers_settings(details: Mapping[str, Any]) -> dict[str, Any]:
    """The settings in a model's details; empty where its maker gave none."""
    found = details.get("sampling")
    return dict(found) if isinstance(found, Mapping) else {}


def settings_words(settings: Mapping[str, Any]) -> str:
    """Settings in one line: temperature 0.7, system “Answer in one…”."""
    return ", ".join(f"{name} {_short(value)}" for name, value in settings.items())


def left_out_words(model: str, details: Mapping[str, Any]) -> str:
    """What an evaluation left out of the settings of its model's maker, in a sentence; "" for nothing."""
    settings = details.get(LEFT_OUT)
    if not isinstance(settings, Mapping) or not settings:
        return ""
    words = settings_words(settings)
    return f"{model}: asked as every other model, without what its maker has it run with: {words}."


def _short(value: Any) -> str:
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    shown = " ".join(str(shown).split())
    return f"“{shown[:LONGEST]}…”" if len(shown) > LONGEST else shown
