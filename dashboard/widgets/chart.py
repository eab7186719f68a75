"""A chart's place on a page."""

from __future__ import annotations

import plotly.graph_objects as go
import streamlit as st

from dashboard import charts

PAINTED = st.components.v2.component(
    "bakeoff.painted",
    js="""export default ({ setTriggerValue }) => {
        let there = true
        const frame = () => new Promise(requestAnimationFrame)
        const pictures = [...document.querySelectorAll('.still img')].map(picture => picture.decode())
        Promise.allSettled(pictures).then(frame).then(frame).then(() => there && setTriggerValue('painted', true))
        return () => { there = false }
    }""",
)
"""Nothing to see: tells the server once that the browser has painted what came before it on the page."""


def show(figure: go.Figure, key: str, alt: str) -> None:
    """A chart; at a visitor's first look a still picture stands in its place until Plotly has drawn it.

    The first charts of a visit are sent when the browser has said that their pictures are on the screen: come together
    with them, as a rule the browser shows neither until Plotly's script, which keeps it busy, is loaded.
    """
    state = st.session_state
    with st.container(key=f"chart-{key}", gap=None):
        if not state.get(f"{key}-drawn") and (picture := charts.still(figure)):
            st.html(picture)
        else:
            st.empty()  # the chart keeps its place on the page, and so is not built anew
        if state.get("painted"):
            state[f"{key}-drawn"] = True
            st.plotly_chart(figure, config=charts.CONFIG, key=key, alt=alt)
        else:
            PAINTED(key=f"{key}-painted", height=int(figure.layout.height), on_painted_change=_painted)


def _painted() -> None:
    st.session_state["painted"] = True
