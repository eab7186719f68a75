"""Who sits in the panes of the Chat page before anybody has chosen."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.views import data, serving
from results.records import Model


def seats(names: Sequence[str]) -> list[str]:
    """The served names in the order of the panes: the newest fine-tune, its base, then the others.

    Where its base is not served, as a whole GGUF's is not, the fine-tune before it sits beside the newest.
    """
    known = [model for model in data.models() if model.name in names]
    tuned = sorted(filter(_tuned, serving.shipping(known)), key=lambda model: _made(model, known), reverse=True)
    if not tuned:
        return list(names)
    base = next((one.name for one in known if one.form == "base" and one.base == tuned[0].base), None)
    first = [tuned[0].name, *([base] if base else []), *(one.name for one in tuned[1:])]
    return list(dict.fromkeys([*first, *names]))


def address(names: Sequence[str]) -> dict[str, str]:
    """What the address of the Chat page says where these sit in its panes."""
    return {"panes": str(len(names))} | {f"model{number}": name for number, name in enumerate(names, 1)}


def _tuned(model: Model) -> bool:
    return model.form != "base" and (model.run_id is not None or bool(model.details.get("added")))


def _made(model: Model, known: Sequence[Model]) -> str:
    """When a fine-tune came into the store: when the first of its formats did."""
    times = [one.created_at.isoformat() for one in known if one.fine_tune == model.fine_tune and one.created_at]
    return min(times, default="")
