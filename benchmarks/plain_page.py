"""The page that dashboard.py compares with: the same curves as a page is first written.

Every point of every run is read, drawn and sent at each change of a widget: no cache, no fragment, no levels.

    BAKEOFF_WORKSPACE=FOLDER streamlit run benchmarks/plain_page.py
"""

import sys
from pathlib import Path

import plotly.graph_objects as go
import streamlit as st

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # before this folder, which has a dashboard.py too

from dashboard.curves import smooth
from results import Workspace

st.set_page_config(layout="wide")
st.title("Loss curves")
weight = st.slider("Smoothing", 0.0, 0.99, 0.6, 0.01)
figure = go.Figure()
with Workspace.open().store() as store:
    for row in store.runs.list():
        steps, values = store.curves.read(row.run.id, "loss")
        figure.add_scatter(x=steps, y=smooth(values, weight), mode="lines", name=row.run.name)
st.plotly_chart(figure, key="losses")
