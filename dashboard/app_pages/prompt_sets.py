"""Prompt sets. Reads: models, evaluations of prompts. Writes: a job, at a click; the job writes its answers."""

import sys

import streamlit as st

from dashboard import escaping
from dashboard.chat.conversation import EXAMPLES
from dashboard.errors import ServerSilent
from dashboard.jobs import batch, jobs
from dashboard.views import data, kept, tables
from dashboard.widgets import answers, job_list, page, panes, selection
from dashboard.widgets.selection import URL

st.title("Prompt sets")
with st.expander("New batch", icon=":material/playlist_add:", expanded=not data.evaluations(batch.BENCHMARK)):
    try:
        served = data.served()
    except ServerSilent as silent:
        served = []
        page.failed(silent)
    name = st.text_input("Name of the prompt set", "my prompts", max_chars=80)
    file = st.file_uploader(
        "Upload", ["txt", "jsonl", "json"], help="One prompt per line, or JSON with a `prompt` field."
    )
    written = st.text_area("Or type them, one per line", "\n".join(EXAMPLES), height=160)
    chosen = st.multiselect("Models", served, served[:2])
    with st.popover("Sampling", icon=":material/tune:"):
        sampling = panes.sampling("set", expanded=True)
    try:
        text = file.getvalue().decode("utf-8-sig") if file else written
        prompts = batch.parse(text, file.name if file else "")
    except ValueError as error:
        prompts = []
        st.error(escaping.label(f"{file.name if file else 'The text'} cannot be read: {error}", 400))
    if st.button(f"Ask {len(chosen)} models {len(prompts)} prompts", disabled=not (prompts and chosen), type="primary"):
        place = jobs.folder(kept.workspace(), "prompts", name)
        request = batch.Request(name, tuple(prompts), tuple(chosen), sampling)
        request.write(place / "request.json")
        jobs.create(place, [sys.executable, "-m", "dashboard.jobs.batch", str(place / "request.json")]).start()
job_list.show("prompts")

sets = data.prompt_sets()
if not sets:
    st.info("No prompt set has been answered yet.", icon=":material/inbox:")
    st.stop()
which = st.selectbox("Set", list(sets), key="set", bind=URL)
names = data.model_names()
found = {names[one.model_id]: data.outcomes(one) for one in selection.listed(sets[which])}
st.dataframe(tables.prompt_table(found), hide_index=True, alt="Answers to the set")
page.download(lambda: tables.prompt_table(found), "prompt-set")


@st.fragment
def reading() -> None:
    """One prompt's answers side by side."""
    items = {row["item"]: str(row["prompt"]) for rows in found.values() for row in rows.to_dict("records")}
    item = st.selectbox("Prompt", sorted(items), format_func=lambda key: items[key][:100], key="item", bind=URL)
    st.text(items[item])
    answers.side_by_side({model: data.answer(rows, item) for model, rows in found.items()})


reading()
