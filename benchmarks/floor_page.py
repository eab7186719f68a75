"""The least that a page of Streamlit costs, for dashboard.py --floor: `?draws=text`, or `?draws=chart` of three points.

streamlit run benchmarks/floor_page.py
"""

import streamlit as st

st.set_page_config(layout="wide")
st.title("Floor")
if st.query_params.get("draws") == "chart":
    import plotly.graph_objects as go

    st.plotly_chart(go.Figure(go.Scatter(x=[0, 1, 2], y=[2.0, 1.0, 0.5])))
else:
    st.write("x")
