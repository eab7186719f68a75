"""The old address of HumanEval's scores: leads on to Scores, with what a link had chosen."""

import streamlit as st
from streamlit.errors import StreamlitAPIException

from dashboard.widgets import page

st.title("Scores")
words = {key: st.query_params.get_all(key) for key in st.query_params}
query = {"item" if key == "task" else key: values for key, values in words.items() if key != "differ"}
if words.get("differ") == ["true"]:
    query["show"] = ["different"]
try:
    st.switch_page("app_pages/scores.py", query_params={"test": "humaneval", **query})
except StreamlitAPIException:  # the page is run alone, without the others
    page.link("app_pages/scores.py", "HumanEval is on the page Scores", ":material/leaderboard:")
