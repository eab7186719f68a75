"""The widgets of the arena: the two answers without their names, the buttons and keys, what comes after the vote."""

from __future__ import annotations

import random

import streamlit as st

from dashboard import data, duel, frame, inert
from dashboard.chat import Answer, Sampling
from dashboard.conversation import EXAMPLES, figures
from dashboard.duel import Duel
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
    ids, names = {name: model for model, name in data.model_names().items()}, data.model_names()
    left, right = duel.pair(data.ranking(), [ids[name] for name in served], random.Random())
    st.session_state["duel"] = duel.begin(prompt, (names[left], names[right]), sampling)


def show(served: list[str], sampling: Sampling) -> None:
    """The present pair, or the button that draws one."""
    current: Duel | None = st.session_state.get("duel")
    # As of this run of the page: the answers may end between two runs of the fragment, and the buttons must follow.
    streaming = current is not None and current.active
    if current is not None:
        st.fragment(_answers, run_every=0.2 if streaming else None)(current, streaming)
    with st.container(horizontal=True):
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


def _judge(current: Duel, winner: Winner) -> None:
    ids = {name: model for model, name in data.model_names().items()}
    data.add_vote(current.judge(winner, ids, frame.visitor()))


def _answers(current: Duel, streaming: bool) -> None:
    """The two sides; while they stream this redraws itself five times a second."""
    st.text(current.prompt)
    for column, side, answer in zip(st.columns(2), ("Left", "Right"), (current.left, current.right), strict=True):
        with column, st.container(border=True):
            _side(side, answer, revealed=current.vote is not None)
    if streaming and not current.active:
        st.rerun()


def _side(side: str, answer: Answer, *, revealed: bool) -> None:
    shot = answer.snapshot()
    if revealed:
        frame.model_name(answer.model)
    else:
        st.markdown(f"**{side}**")
    frame.model_text(shot.text)
    if shot.message:  # it may name the model
        st.error(inert.label(shot.message, 300) if revealed else "This side could not answer.", icon=":material/error:")
    # Speed would tell a small model from a large one: it is shown after the vote.
    st.caption(figures(shot) if revealed or shot.state == "waiting" else f"{shot.tokens} tokens")
