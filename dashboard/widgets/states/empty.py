"""A page that has nothing to show: what is missing, and the button that makes it; in an empty store how to begin."""

from __future__ import annotations

import shlex

import streamlit as st

from dashboard.jobs import commands
from dashboard.views import data
from dashboard.widgets import actions, drafts, page


def show(what: str, command: str) -> None:
    """What is missing, and the command that makes it: as a button where it can run as it stands. Ends the page."""
    if not (data.models() or data.runs()):
        steps(what)
        st.stop()
    st.info(what, icon=":material/inbox:")
    words = shlex.split(command)
    if len(words) > 1 and words[1] in commands.MEASURING:
        actions.button(st, "Run it now", words, shlex.join(words[1:]), key=f"empty-{words[1]}")
        if actions.just_started():
            page.link("app_pages/home.py", "See on Home how it goes", ":material/home:")
    st.code(command, language="bash")
    st.stop()


def steps(what: str = "Nothing is here yet.") -> None:
    """Three steps, the first of which is enough to see what all of this is. what: what a page has nothing of."""
    st.info(f"{what} Three ways to begin:", icon=":material/inbox:")
    first, second, third = st.columns(3)
    with first.container(border=True):
        st.header("1. Look around")
        st.write("Train two small fine-tunes on this machine, measure them and see which to ship.")
        actions.button(st, "Run the demo (some minutes)", commands.DEMO, "demo", key="demo", type="primary")
        actions.typed(commands.DEMO)
    with second.container(border=True):
        st.header("2. Bring what you have")
        st.write("A LoRA folder, a GGUF file, a model on the Hub or in Ollama; or runs and results of other tools.")
        page.link("app_pages/add_models.py", "Add models", ":material/library_add:")
        bring()
    with third.container(border=True):
        st.header("3. Train your own")
        st.write("Rows of prompts and answers, a base, a method: planned and rehearsed before anything is spent.")
        page.link("app_pages/new_run.py", "New run", ":material/rocket_launch:")


def bring() -> None:
    """The button that takes in others' runs and results."""
    with st.popover("Import", icon=":material/download:"):
        path = drafts.field(
            st.text_input, "File or folder on this machine", "", key="import-path", placeholder="outputs/my-run",
            help="Runs of transformers, TensorBoard, MLflow or Weights & Biases; HumanEval samples, lm-eval results. "
            "The format is detected; importing again changes nothing.",
        ).strip()  # fmt: skip
        actions.button(st, "Import", commands.imported(path), path, key="import", disabled=not path)
        if path:
            actions.typed(commands.imported(path))
