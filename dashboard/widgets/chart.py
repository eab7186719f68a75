"""A chart's place on a page."""

from __future__ import annotations

import time

import plotly.graph_objects as go
import streamlit as st

from dashboard import charts

HEAD_START_SECONDS = 0.3
"""Between a visitor's first still picture and its chart: come together, as a rule the browser shows neither until
Plotly is loaded."""


def show(figure: go.Figure, key: str, alt: str) -> None:
    """A chart; at a visitor's first look a still picture stands in its place until Plotly has drawn it."""
    with st.container(key=f"chart-{key}", gap=None):
        picture = "" if st.session_state.get(f"{key}-seen") else charts.still(figure)
        st.session_state[f"{key}-seen"] = True
        if picture:
            st.html(picture)
            if not st.session_state.get("pictured"):
                time.sleep(HEAD_START_SECONDS)
            st.session_state["pictured"] = True
        else:
            st.empty()  # the chart keeps its place on the page, and so is not built anew
        st.plotly_chart(figure, config=charts.CONFIG, key=key, alt=alt)
