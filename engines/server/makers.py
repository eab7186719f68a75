"""What a model's maker has it run with, used where a request says nothing: as the tool that it comes from would.

An Ollama Modelfile's PARAMETER and SYSTEM, under their OpenAI names (`results.makers_settings`). What no engine here
has (top_k, num_ctx, …) is left out; both are told with the answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engines.demands import Demands
from engines.interface import Message, Sampling
from results import makers_settings, settings_words


def _number(least: float, most: float) -> Callable[[Any], bool]:
    def fits(value: Any) -> bool:
        plain = isinstance(value, int | float) and not isinstance(value, bool)
        return plain and math.isfinite(value) and least <= value <= most

    return fits


def _texts(value: Any) -> bool:
    listed = [value] if isinstance(value, str) else value
    return isinstance(listed, list) and all(isinstance(one, str) and one for one in listed)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 20


SAMPLING: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "temperature": ("temperature", _number(0, 2)),
    "top_p": ("top_p", _number(1e-6, 1)),
    "seed": ("seed", lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= 0),
    "stop": ("stop", _texts),
    "max_tokens": ("max_tokens", _whole),
}
"""The protocol's name → that of `Sampling`, and what it takes."""

PENALTIES = {"presence_penalty": _number(-2, 2), "frequency_penalty": _number(-2, 2)}


@dataclass(frozen=True)
class Makers:
    """The settings of one model's maker, set against what one request says itself."""

    settings: Mapping[str, Any]
    said: frozenset[str]
    """Parameters that the request gives."""

    @classmethod
    def of(cls, details: Mapping[str, Any], said: Mapping[str, Any]) -> Makers:
        """A model's, and a request's parameters by name; what is None is not given."""
        given = {name for name, value in said.items() if value is not None}
        given |= {"max_tokens"} if "max_completion_tokens" in given else set()
        return cls(makers_settings(details), frozenset(given))

    def _used(self, name: str, fits: Callable[[Any], bool]) -> bool:
        return name in self.settings and name not in self.said and fits(self.settings[name])

    def sampling(self, sampling: Sampling, number: int = 0) -> Sampling:
        """The request's sampling, with the maker's values where it has none. number: of the answer, for the seed."""
        changes: dict[str, Any] = {}
        for name, (field, fits) in SAMPLING.items():
            if self._used(name, fits):
                changes[field] = self.settings[name]
        if "stop" in changes:
            changes["stop"] = (changes["stop"],) if isinstance(changes["stop"], str) else tuple(changes["stop"])
        if "seed" in changes:
            changes["seed"] = (changes["seed"] + number) % (1 << 32)
        return replace(sampling, **changes)

    def demands(self, demands: Demands) -> Demands:
        """The request's demands, with the maker's penalties where it has none."""
        used: dict[str, Any] = {
            name: float(self.settings[name]) for name, fits in PENALTIES.items() if self._used(name, fits)
        }
        return replace(demands, **used)

    def turns(self, turns: Sequence[Message]) -> list[Message]:
        """The conversation, behind the maker's system prompt where it has none."""
        return [{"role": "system", "content": self.settings["system"]}, *turns] if self._speaks(turns) else list(turns)

    def _speaks(self, turns: Sequence[Message]) -> bool:
        text = self.settings.get("system")
        return isinstance(text, str) and bool(text) and not any(turn["role"] == "system" for turn in turns)

    def notes(self, turns: Sequence[Message] | None = None) -> list[str]:
        """What was used of the maker's settings and what was not, a sentence each. turns: the request's, of a chat."""
        takes = {name: fits for name, (_, fits) in SAMPLING.items()} | PENALTIES
        used = {name: value for name, value in self.settings.items() if name in takes and self._used(name, takes[name])}
        if turns is not None and self._speaks(turns):
            used["system"] = self.settings["system"]
        known = {name for name, fits in takes.items() if name in self.settings and fits(self.settings[name])}
        known |= {"system"} if isinstance(self.settings.get("system"), str) else set()
        lacking = {name: value for name, value in self.settings.items() if name not in known}
        notes = [f"Used of what its maker has it run with: {settings_words(used)}."] if used else []
        return notes + (
            [f"Not used, since Bakeoff asks no engine for it: {settings_words(lacking)}."] if lacking else []
        )
