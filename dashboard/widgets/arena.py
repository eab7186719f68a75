"""The widgets of the arena: the two answers without their names, the buttons and keys, what comes after the vote."""

from __future__ import annotations

import random

import streamlit as st

from dashboard import escaping
from dashboard.chat import duel
from dashboard.chat.client import Sampling, Snapshot
from dashboard.chat.conversation import EXAMPLES, figures
from dashboard.chat.duel import Duel
from dashboard.views import data
from dashboard.widgets import answers, login, page
from dashboard.widgets.panes import Writing
from results.records import Winner

CHOICES: tuple[tuple[str, str, Winner], ...] = (
    ("Left is better", "1", "a"),
    ("Right is better", "2", "b"),
    ("Tie", "3", "tie"),
    ("Both bad", "4", "both_bad"),
)
"""Label, key, vote."""


def begin(prompt: str, served: list[str], sampling: Sampling) -> None:
    """Draw two models and ask them."""
    ids, names = data.model_ids(), data.model_names()
    left, right = duel.pair(data.ranking(), [ids[name] for name in served], random.Random())
    st.session_state["duel"] = duel.begin(prompt, (names[left], names[right]), sampling)


def show(served: list[str], sampling: Sampling) -> list[Writing]:
    """The present pair, or the button that draws one. Returns the answers that are being written, for `follow`."""
    current: Duel | None = st.session_state.get("duel")
    written = [] if current is None else _answers(current)
    streaming = bool(written)  # as this run of the page shows it: where they end meanwhile, `follow` has it drawn anew
    with st.container(horizontal=True, key=f"judging-{streaming}"):
        if current is not None and not streaming and current.vote is None and current.judgeable:
            for text, key, winner in CHOICES:
                st.button(text, shortcut=key, on_click=_judge, args=(current, winner))
        elif not streaming:
            st.button(
                "Begin" if current is None else "Next pair",
                shortcut="N",
                type="primary",
                on_click=begin,
                args=(random.choice(EXAMPLES), served, sampling),
            )
    return written


def _judge(current: Duel, winner: Winner) -> None:
    if not page.written(lambda: data.add_vote(current.judge(winner, data.model_ids(), login.visitor()))):
        current.vote = None


def _answers(current: Duel) -> list[Writing]:
    """The two sides. Returns those that are being written."""
    written = []
    with st.container(key=f"sides-{current.active}"):
        st.text(current.prompt)
        for column, side, answer in zip(st.columns(2), ("Left", "Right"), (current.left, current.right), strict=True):
            with column, st.container(border=True):
                if current.vote is not None:
                    answers.model_name(answer.model)
                else:
                    st.markdown(f"**{side}**")
                if answer.active:
                    written.append(Writing(answer, _length))
                else:
                    _side(answer.snapshot(), revealed=current.vote is not None)
    return written


def _length(shot: Snapshot) -> str:
    """Speed would tell a small model from a large one: it is shown after the vote."""
    return figures(shot) if shot.state == "waiting" else f"{shot.tokens} tokens"


def _side(shot: Snapshot, *, revealed: bool) -> None:
    answers.model_text(shot.text)
    if shot.message:  # it may name the model
        st.error(
            escaping.label(shot.message, 300) if revealed else "This side could not answer.", icon=":material/error:"
        )
    st.caption(figures(shot) if revealed else _length(shot))
