"""Settings as people read them: flat, on one line, only where runs differ. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from results.records import Json, Run


def differing(runs: Mapping[str, Run]) -> dict[str, dict[str, str]]:
    """Settings in which the runs differ, base and seed included: setting → run id → value as shown. runs: by id."""
    flat = {id: flatten(run.config) | {"base": run.base, "seed": run.seed} for id, run in runs.items()}
    keys = sorted({key for config in flat.values() for key in config})
    unlike = [key for key in keys if len({repr(config.get(key)) for config in flat.values()}) > 1]
    return {key: {id: shown(config.get(key)) for id, config in flat.items()} for key in unlike}


def flatten(config: Json, prefix: str = "") -> dict[str, Any]:
    """Nested settings under dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{name}.")
        else:
            flat[name] = value
    return flat


def shown(value: object) -> str:
    """A setting as it is shown: an absent one is a dash."""
    return "–" if value is None else str(value)


def line(settings: Json) -> str:
    """Settings on one line: max tokens 64, prompts short and medium."""
    said = {key: " and ".join(map(str, value)) if isinstance(value, list) else value for key, value in settings.items()}
    return ", ".join(
        f"{key.replace('_', ' ')} {value:g}" if isinstance(value, float) else f"{key.replace('_', ' ')} {value}"
        for key, value in sorted(said.items())
    )
