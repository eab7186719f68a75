"""Which models the model server answers to, and in which order and company pages offer them."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

import results
from dashboard.chat import client
from dashboard.views import data
from results.records import Model


@st.cache_data(ttl=5, max_entries=4, show_spinner=False)
def _served(url: str) -> list[str]:
    return [str(row["id"]) for row in client.served()]


def shipping(candidates: Sequence[Model]) -> list[Model]:
    """The format that would ship of each fine-tune among the candidates, in the fine-tunes' order."""
    families: dict[str, list[Model]] = {}
    for model in candidates:
        families.setdefault(model.fine_tune, []).append(model)
    return [results.by_shipping(formats)[0] for formats in families.values()]


def shipping_first(candidates: Sequence[Model]) -> list[Model]:
    """The candidates, first the formats that would ship: as every page lists models."""
    ships = {model.id for model in shipping(candidates)}
    return sorted(candidates, key=lambda model: model.id not in ships)


def served() -> list[str]:
    """Names that the model server answers to, first the formats that would ship. Raises ServerSilent."""
    names = _served(client.address())
    known = [model for model in data.models() if model.name in names]
    behind = {model.name for model in known} - {model.name for model in shipping(known)}
    return sorted(names, key=lambda name: name in behind)


def rivals(names: Sequence[str]) -> list[str]:
    """The format of each fine-tune among these that would ship; all where that leaves nobody to compare with."""
    ships = [model.name for model in shipping([one for one in data.models() if one.name in names])]
    return ships if len(ships) > 1 else list(names)


def base_name(names: Sequence[str]) -> str | None:
    """The untouched base among those served: the first that no run made and nobody added."""
    served = [model for model in data.models() if model.name in names]
    untouched = (one for one in served if one.run_id is None and not one.details.get("added"))
    return next((model.name for model in untouched), None)
