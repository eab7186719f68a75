"""New run. Reads: bases of earlier runs, jobs. Writes: an experiment file and a job, at a click."""

import sys

import streamlit as st

from dashboard.jobs import jobs
from dashboard.views import data, experiment, kept
from dashboard.widgets import job_list

st.title("New run")
written = experiment.form(sorted({row.run.base for row in data.runs()}))
if st.toggle("Edit the file by hand", key="by-hand"):
    written = st.text_area("Experiment file", written, height=420)
else:
    st.code(written, language="yaml")
name = experiment.name(written)
with st.container(horizontal=True):
    st.download_button("Download", written, f"{name}.yaml", icon=":material/download:", on_click="ignore")
    look = st.button(
        "Look at the data",
        icon=":material/table_view:",
        help="What is read and what is not, and rows as the base reads them",
    )
    plan = st.button(
        "Plan", icon=":material/fact_check:", help="Runs, tokens, memory and time, before anything is spent"
    )
    rehearse = st.button(
        "Rehearse", icon=":material/theater_comedy:", help="The whole plan in about a minute, with miniatures"
    )
    start = st.button("Run", icon=":material/rocket_launch:", type="primary")
if look or plan or rehearse or start:
    verb, options = ("data" if look else "plan" if plan else "run"), (["--rehearse"] if rehearse else [])
    place = jobs.folder(kept.workspace(), "run", f"{verb}-{name}")
    (place / "experiment.yaml").write_text(written, encoding="utf-8")
    where = [] if look else ["--workspace", str(kept.workspace().path)]
    command = [sys.executable, "-m", "bakeoff", verb, str(place / "experiment.yaml"), *options, *where]
    jobs.create(place, command).start()
if jobs.find(kept.workspace(), "run"):
    st.subheader("Started from here")
job_list.show("run")
