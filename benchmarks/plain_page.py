"""The page that dashboard.py compares with: Loss curves without fragments and levels.

The same filters, controls and cache, but every point of every run is drawn and sent at each change of a widget, by the
whole page.

    BAKEOFF_WORKSPACE=FOLDER streamlit run benchmarks/plain_page.py
"""

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
import streamlit as st

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # before this folder, which has a dashboard.py too

from dashboard.views import data, kept
from dashboard.views.curves import smooth, unit
from dashboard.widgets import selection

st.set_page_config(layout="wide")
st.title("Loss curves")
rows = selection.runs()
ids, names, styles = [row.run.id for row in rows], data.run_names(), data.styles()


@st.cache_resource(show_spinner=False)
def points(run: str, metric: str, stamp: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:  # noqa: ARG001
    """Every point of a run, read once."""
    return kept.store().curves.read(run, metric)


first, second, third, fourth = st.columns(4)
metric = first.selectbox("Metric", data.metrics(ids), key="metric")
weight = second.slider("Smoothing", 0.0, 0.99, 0.6, 0.01, key="smoothing")
axis = third.selectbox("X axis", ["Step"], key="axis")
group = fourth.selectbox("Group by", ["run", *data.settings_of(ids)], key="group")
logarithmic = second.toggle("Log scale", key="log")
figure = go.Figure()
figure.update_layout(xaxis_title=axis, yaxis_title=unit(metric), yaxis_type="log" if logarithmic else "linear")
for run in ids:
    steps, values = points(run, metric, kept.stamp())
    line = {"color": styles[run].colour, "dash": styles[run].dash}
    figure.add_scatter(x=steps, y=smooth(values, weight), mode="lines", name=names[run], line=line)
st.plotly_chart(figure, key="losses")
