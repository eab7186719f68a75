"""New run. Reads: bases of earlier runs, jobs. Writes: an experiment file and a job, at a click."""

import sys

import streamlit as st

from dashboard.jobs import jobs
from dashboard.views import data, experiment, kept
from dashboard.widgets import job_list

st.title("New run")
written = experiment.form(sorted({row.run.base for row in data.runs()}))
if st.toggle("Edit the YAML", key="by-hand"):
    written = st.text_area("Experiment file", written, height=420)
else:
    st.code(written, language="yaml")
name = experiment.name(written)
with st.container(horizontal=True):
    st.download_button("Download", written, f"{name}.yaml", icon=":material/download:", on_click="ignore")
    look = st.button(
        "Check the data",
        icon=":material/table_view:",
        help="Which rows are read, which are not and why, and some of them as the base sees them",
    )
    plan = st.button(
        "Plan",
        icon=":material/fact_check:",
        help="How many runs and tokens, how much memory and time, before anything is spent",
    )
    rehearse = st.button(
        "Rehearse",
        icon=":material/theater_comedy:",
        help="The whole experiment in about a minute, with miniature models",
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
    st.subheader("Jobs started from this page")
job_list.show("run")
