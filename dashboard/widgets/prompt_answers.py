"""The answers of models to a prompt set: a table, one prompt's side by side, all of them as CSV."""

from __future__ import annotations

import streamlit as st

from dashboard import escaping
from dashboard.chat.prompts import PromptSet
from dashboard.views import data, prompting
from dashboard.widgets import addressed, answers, page, selection
from results.records import Evaluation

MOST_SHOWN = 12
"""Models in the table unless others are chosen: columns of 300 take a browser seconds."""


def show(chosen: PromptSet) -> None:
    """The answers so far; of more than MOST_SHOWN models those that answered last, and any at choice."""
    names = data.model_names()
    every: dict[str, Evaluation] = {}
    for one in selection.listed(prompting.answers_to(chosen)):  # the newest first
        every.setdefault(one.model_id, one)
    shown = list(every)[:MOST_SHOWN]
    if len(every) > MOST_SHOWN:
        shown = addressed.several(
            st, "Models that answered", {id_: names[id_] for id_ in every}, "answering",
            placeholder=f"The {MOST_SHOWN} last of {len(every):,}",
        ) or shown  # fmt: skip
    found = {names[id_]: rows for id_ in shown if not (rows := data.outcomes(every[id_])).empty}
    if not found:
        st.info("No model has answered this set yet.", icon=":material/inbox:")
        return
    fewest, most = min(map(len, found.values())), len(chosen.prompts)
    if fewest < most:
        told = ", ".join(f"{name} {len(rows)}" for name, rows in found.items())
        st.caption(escaping.label(f"Answered so far, of {most}: {told}", 400))
    st.dataframe(prompting.prompt_table(found), hide_index=True, alt="Answers to the set")
    whole = {names[id_]: one for id_, one in every.items()}
    page.download(lambda: prompting.prompt_table({who: data.outcomes(one) for who, one in whole.items()}), "prompt-set")
    items = {str(row["item"]): str(row["prompt"]) for rows in found.values() for row in rows.to_dict("records")}
    listed = {item: escaping.plain(f"{at}. {items[item][:100]}") for at, item in enumerate(sorted(items), start=1)}
    item = addressed.one(st, "Prompt", listed, "asked-prompt", at="item")
    st.text(items[item])
    said = {model: data.answer(frame, item) for model, frame in found.items()}
    answers.side_by_side({model: {**row, "how": prompting.how(row)} if row else row for model, row in said.items()})
