"""Prompt sets. Reads: sets, models, evaluations of prompts. Writes: a set or a job, at a click; jobs write answers."""

import sys

import streamlit as st

from dashboard import escaping
from dashboard.chat.client import Sampling
from dashboard.chat.prompts import PromptSet
from dashboard.errors import ServerSilent
from dashboard.jobs import batch, commands, jobs
from dashboard.views import data, kept, prompting, serving
from dashboard.widgets import actions, addressed, drafts, job_list, page, panes, prompt_answers, prompt_form, selection
from dashboard.widgets.scoreboard import under_way

st.title("Prompt sets")
st.caption(
    "Your own prompts, once: read many models' answers to them here, vote on them in the Arena, measure by them."
)
page.refusal()
sets = prompting.sets()
prompt_form.show(own=bool(prompting.shelf().sets()))


def ask(of: PromptSet, models: list[str], sampling: Sampling) -> None:
    """Start the job that puts a set to models."""
    place = jobs.folder(kept.workspace(), "prompts", of.name)
    batch.Request(of.name, of.prompts, tuple(models), sampling).write(place / "request.json")
    jobs.create(place, [sys.executable, "-m", "dashboard.jobs.batch", str(place / "request.json")]).start()


def remove(name: str) -> None:
    """Delete a set of one's own."""
    if page.written(prompting.shelf().remove, name):
        st.session_state.pop("asked-set", None)


chosen = sets[
    addressed.one(
        st, "Set", {name: f"{name} ({len(one.prompts)})" for name, one in sets.items()}, "asked-set", at="set",
        meant=lambda word: word.rpartition(" (")[0],
    )
]  # fmt: skip
with st.expander(f"Its {len(chosen.prompts)} prompts", icon=":material/list:", **selection.opened("prompts-shown")):
    st.dataframe({"Prompt": [escaping.plain(one) for one in chosen.prompts]}, alt="Prompts of the set")
with st.container(horizontal=True, vertical_alignment="center"):
    page.link("app_pages/arena.py", "Vote on it in the Arena", ":material/swords:", prompts=chosen.name)
    if chosen.name in prompting.shelf().sets():
        st.button("Delete this set", icon=":material/delete:", on_click=remove, args=(chosen.name,))

st.subheader("Ask models")
try:
    served = serving.served()
except ServerSilent as silent:
    served = []
    page.failed(silent)
models = drafts.field(st.multiselect, "Models", served[:2], key="asked-models", options=served)
with st.popover("Sampling", icon=":material/tune:"):
    sampling = panes.sampling("set", expanded=True)
with st.container(horizontal=True):
    if st.button(
        f"Ask {len(models)} models {len(chosen.prompts)} prompts", disabled=not models, type="primary",
        icon=":material/play_arrow:",
    ):  # fmt: skip
        ask(chosen, models, sampling)
    if chosen.source:
        known = [one for one in models if one in data.model_ids()]
        actions.button(
            st, "Measure them by its right answers", commands.evaluate(known, chosen.source),
            f"{chosen.name}", key="measure-set", icon=":material/fact_check:", disabled=not known,
        )  # fmt: skip
job_list.show("prompts")

live = any(job.running for job in jobs.find(kept.workspace(), "prompts"))
st.fragment(prompt_answers.show, run_every=3.0 if live else None)(chosen)
under_way.show()
