"""New run. Reads: bases of earlier runs, dropped files, jobs. Writes: dropped files; jobs, at a click."""

from collections import Counter

import streamlit as st

from dashboard import escaping
from dashboard.jobs import commands, jobs, looks
from dashboard.views import data, kept
from dashboard.views.new_run import experiment, preview
from dashboard.widgets import drafts, job_list, page
from dashboard.widgets.new_run import estimate, form, live
from dashboard.widgets.new_run import preview as rows
from dashboard.widgets.selection import opened
from results.errors import BakeoffError

st.title("New run")
st.html(f"<style>{rows.CSS}</style>")
earlier = data.runs()
runs = Counter(row.run.experiment for row in earlier if row.run.experiment)
wrong: dict[str, str] = {}
if drafts.field(st.toggle, "Edit the YAML", False, key="by-hand", help="Begins with what the fields say"):
    if said := st.session_state.pop("written", ""):
        drafts.put("new-yaml", said)
    written = str(drafts.field(st.text_area, "Experiment file", "", key="new-yaml", height=420))
else:
    st.header("Rows and base")
    draft = form.rows_and_base(sorted({row.run.base for row in earlier}), runs)
    suited: tuple[str, ...] = ("heldout", "latency")
    why = ""
    look = None
    if draft.sources and draft.bases and not {"sources", "bases", "columns"} & experiment.problems(draft).keys():
        look = rows.asked(draft)
    if look is not None:
        rows.show(look)
        if reports := look.answer:
            suited = preview.suited(reports)
            why = preview.why(suited)
    st.header("Training")
    draft = form.training(draft)
    st.header("What is measured")
    draft = form.measuring(draft, suited, why)
    written = st.session_state["written"] = experiment.text(draft)
    wrong = experiment.problems(draft)
    with st.expander("Experiment file", icon=":material/description:", **opened("file")):
        st.code(written, language="yaml")

st.header("Plan and run")
name = experiment.name(written)
with st.container(horizontal=True):
    plan = st.button(
        "Plan", icon=":material/fact_check:", disabled=bool(wrong),
        help="Runs, tokens, memory, and the time of training and of measuring, before anything is spent",
    )  # fmt: skip
    rehearse = st.button(
        "Rehearse", icon=":material/theater_comedy:", disabled=bool(wrong),
        help="The whole experiment in about a minute, with miniature models",
    )  # fmt: skip
    start = st.button("Run", icon=":material/rocket_launch:", type="primary", disabled=bool(wrong))
    st.download_button("Download", written, f"{name}.yaml", icon=":material/download:", on_click="ignore")
if wrong:
    st.caption("Before it can run: " + escaping.label("; ".join(wrong.values()), 900))
else:
    try:
        planned = estimate.planned(written)
        if plan and not planned.running:
            planned.ask()
        estimate.show(planned)
        if rehearse or start:
            place = jobs.folder(kept.workspace(), "run", f"{'rehearse' if rehearse else 'run'}-{name}")
            (place / looks.FILE).write_text(written, encoding="utf-8")
            words = ["bakeoff", "run", *(["--rehearse"] if rehearse else []), str(place / looks.FILE)]
            jobs.create(place, commands.started_with(words, kept.workspace())).start()
    except (OSError, BakeoffError) as error:
        page.failed(error)
if jobs.find(kept.workspace(), "run"):
    st.header("Jobs started from this page")
job_list.show("run", beside=live.losses)
