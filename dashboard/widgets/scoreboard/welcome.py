"""What a store that holds no model says: three ways to begin, each a button; and how others' results come in."""

from __future__ import annotations

import streamlit as st

from dashboard.jobs import commands
from dashboard.widgets import actions, drafts, page


def steps() -> None:
    """Three steps, the first of which is enough to see what all of this is."""
    st.info("Nothing is here yet. Three ways to begin:", icon=":material/inbox:")
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
