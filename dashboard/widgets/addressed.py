"""Choices that the address keeps by id, whatever they are called: a renamed model's link still shows that model.

Streamlit's own binding writes the option as it is shown; a link then breaks at the first renaming. Older links, which
name what they mean, are still understood, and one that means nothing here is told so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from dashboard import escaping

URL: Any = "query-params"
"""What a widget is bound to whose value the address keeps."""


def one(
    place: Any, label: str, options: Mapping[str, str], key: str, *, at: str = "",
    meant: Callable[[str], str] = str, **more: Any
) -> str:  # fmt: skip
    """A choice of one. options: what is shown, by id; the first is the default. meant: an older link's word as an id.

    `place` is where it is drawn, e.g. a column. key: on another page only where that has the same options; at: what
    the address calls it, the key unless told. Raises: ValueError without options.
    """
    if not options:
        raise ValueError(f"{label}: nothing to choose from")
    _seeded(key, at or key, options, meant, several=False)
    _told(key, at or key, next(iter(options)))
    chosen = place.selectbox(
        label, list(options), format_func=_shown(options), key=key, persist_state="session", **more
    )
    _write(at or key, [] if chosen == next(iter(options)) else [chosen])
    return str(chosen)


def several(
    place: Any, label: str, options: Mapping[str, str], key: str, *, at: str = "",
    meant: Callable[[str], str] = str, **more: Any
) -> list[str]:  # fmt: skip
    """A choice of any number, by id; none is the default. The rest as for `one`."""
    _seeded(key, at or key, options, meant, several=True)
    _told(key, at or key, [])
    chosen = place.multiselect(
        label, list(options), format_func=_shown(options), key=key, persist_state="session", **more
    )
    _write(at or key, chosen)
    return [str(one) for one in chosen]


def _shown(options: Mapping[str, str]) -> Callable[[str], str]:
    return lambda id_: options.get(id_, id_)


def _seeded(key: str, at: str, options: Mapping[str, str], meant: Callable[[str], str], *, several: bool) -> None:
    """Let the address say what is chosen where a link led here; remember which of its words mean nothing here."""
    state, words = st.session_state, st.query_params.get_all(at)
    if key in state and (not words or words == state.get(f"said-{at}")):
        present = state[key] if several else [state[key]]
        left = [one for one in present if one in options]
        if left != list(present):
            state[key] = left if several else (left[0] if left else next(iter(options)))
        return
    by_name = {name: id_ for id_, name in options.items()}
    found: list[str] = []
    unknown: list[str] = []
    for word in words:
        id_ = next((one for one in (word, by_name.get(word), meant(word)) if one in options), None)
        (unknown if id_ is None else found).append(word if id_ is None else id_)
    if found or key in state:
        state[key] = found if several else [*found, next(iter(options))][0]
    state.pop(f"left-out-{at}", None)
    if unknown:
        said = ", ".join(escaping.label(word, 60) for word in unknown[:5])
        state[f"left-out-{at}"] = said, state.get(key)


def _told(key: str, at: str, default: Any) -> None:
    """Say what a link named that is not here, until one chooses: a page is run again by itself, as by its charts."""
    said, then = st.session_state.get(f"left-out-{at}", ("", None))
    if said and st.session_state.get(key, default) == (default if then is None else then):
        st.warning(f"The link names {said}, which is not here: it is left out.", icon=":material/link_off:")


def _write(key: str, chosen: list[str]) -> None:
    st.session_state[f"said-{key}"] = chosen
    if st.query_params.get_all(key) != chosen:
        if chosen:
            st.query_params[key] = chosen
        else:
            st.query_params.pop(key, None)


def kept(key: str) -> str:
    """What the address keeps for a key that no widget has; empty without it. A page that one comes back to knows it."""
    said = str(st.query_params.get(key) or st.session_state.get(f"kept-{key}") or "")
    keep(key, said)
    return said


def keep(key: str, value: str) -> None:
    """Have the address keep a value; an empty one is no longer kept."""
    st.session_state[f"kept-{key}"] = value
    _write(key, [value] if value else [])


def opened(key: str) -> dict[str, Any]:
    """What an expander is given so that the address says whether it is open."""
    return {"key": key, "bind": URL, "on_change": "rerun"}
