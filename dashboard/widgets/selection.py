"""What the reader chose: runs and models, kept in the URL so that a view can be shared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from dashboard import escaping
from dashboard.views import data, serving
from dashboard.widgets import addressed
from dashboard.widgets.addressed import URL as URL
from dashboard.widgets.addressed import opened as opened
from dashboard.widgets.states import empty
from results.records import Evaluation, Model, RunSummary

FILTERS = ("run", "experiment", "base", "tag", "status", "archived")
"""What narrows the runs down, as the address calls it."""


def runs() -> list[RunSummary]:
    """The runs that pass the filters, and of them the named ones if any are named. Ends the page without any run."""
    every = data.runs()
    if not every:
        empty.show("No runs yet. Train something, or bring runs from elsewhere.", "bakeoff import FOLDER")
    names = data.run_names()
    told = any(st.query_params.get(key) or st.session_state.get(key) for key in FILTERS)
    said = st.container(horizontal=True, vertical_alignment="center")
    # seen, and what a link names in vain with them
    with st.expander("Filter and choose", icon=":material/filter_alt:", expanded=told, **opened("filters")):
        columns = st.columns(4)
        passing = _narrowed(every, columns)
        by_id = {row.run.id: row for row in passing}
        chosen = addressed.several(
            st, "Runs", {id_: names[id_] for id_ in by_id}, "run", placeholder=f"All {len(by_id)}",
            help="Leave empty for all runs that pass the filters.",
        )  # fmt: skip
    found = [by_id[id_] for id_ in chosen] or passing
    if words := _active(len(chosen)):
        said.caption(f":material/filter_alt: {len(found):,} of {len(every):,} runs: {words}")
        said.button("Show all runs", icon=":material/filter_alt_off:", type="tertiary", on_click=_clear)
    if not found:
        st.info("No run passes these filters.", icon=":material/inbox:")
        st.stop()
    return found


def _active(chosen: int) -> str:
    """The filters that narrow the list, in words; empty without any."""
    state = st.session_state
    told = [
        f"{key} {escaping.label(' or '.join(map(str, state[key])), 120)}"
        for key in ("experiment", "base", "tag", "status")
        if state.get(key)
    ]
    told += [f"{chosen} chosen by name"] if chosen else []
    return " · ".join(told + (["the archived too"] if state.get("archived") else []))


def _clear() -> None:
    for key in FILTERS:
        st.session_state[key] = False if key == "archived" else []


def _narrowed(every: Sequence[RunSummary], columns: Sequence[Any]) -> list[RunSummary]:
    def options(values: Sequence[str]) -> list[str]:
        return sorted({value for value in values if value})

    archived = columns[3].toggle("Show archived", key="archived", bind=URL)
    every = [row for row in every if archived or not row.run.archived]
    experiments = columns[0].multiselect(
        "Experiment", options([row.run.experiment for row in every]), key="experiment", bind=URL
    )
    bases = columns[1].multiselect("Base", options([row.run.base for row in every]), key="base", bind=URL)
    tags = columns[2].multiselect("Tag", options([tag for row in every for tag in row.run.tags]), key="tag", bind=URL)
    states = columns[3].multiselect("Status", options([row.run.status for row in every]), key="status", bind=URL)
    return [
        row
        for row in every
        if (not experiments or row.run.experiment in experiments)
        and (not bases or row.run.base in bases)
        and (not tags or set(tags) & set(row.run.tags))
        and (not states or row.run.status in states)
    ]


def listed(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """Those of models that are not archived; where there are others, a switch shows these too."""
    present = {model.id for model in data.models()}
    found = [one for one in evaluations if one.model_id in present]
    if len(found) < len(evaluations) and st.toggle("Show archived models", key="archived", bind=URL):
        return list(evaluations)
    return found


def models(candidates: Sequence[Model], key: str) -> list[Model]:
    """Some of the candidates, the formats that ship first; none named means all. key: on no other page."""
    by_id = {model.id: model for model in serving.shipping_first(candidates)}

    def meant(word: str) -> str:
        return data.model_ids().get(data.present_name(word), word)

    names = {id_: model.name for id_, model in by_id.items()}
    chosen = addressed.several(st, "Models", names, key, at="model", meant=meant, placeholder=f"All {len(by_id)}")
    return [by_id[id_] for id_ in chosen] or list(by_id.values())


def present_names(key: str, options: Sequence[str], *, many: bool) -> None:
    """Let a link that calls models by earlier names, or a fine-tune's format as `demo-rank8@lora`, mean those of today.

    To be called before the widget of this key; many: it takes several.
    """
    linked = st.query_params.get_all(key)
    if key in st.session_state or set(linked) <= set(options):
        return
    meant = [name for name in map(data.present_name, linked) if name in options]
    if meant:
        st.session_state[key] = meant if many else meant[0]
