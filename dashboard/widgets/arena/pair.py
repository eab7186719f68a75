"""The widgets of the arena: the two answers without their names, the buttons and keys, what comes after the vote."""

from __future__ import annotations

import random
from collections import Counter

import streamlit as st

from dashboard import escaping
from dashboard.chat import duel
from dashboard.chat.client import Sampling, Snapshot
from dashboard.chat.conversation import figures
from dashboard.chat.duel import Duel
from dashboard.chat.prompts import PromptSet
from dashboard.views import data, kept, prompting, voting
from dashboard.widgets import answers, drafts, login, page
from dashboard.widgets.panes import Writing
from results.records import Winner

CHOICES: tuple[tuple[str, str, Winner], ...] = (
    ("Left is better", "1", "a"),
    ("Right is better", "2", "b"),
    ("Tie", "3", "tie"),
    ("Both bad", "4", "both_bad"),
)
"""Label, key, vote."""
KEPT = "arena-pair"
"""What a visitor's file calls the pair."""


def begin(prompt: str, served: list[str], sampling: Sampling, of: str = "") -> None:
    """Draw two models and ask them. of: the prompt set."""
    ids, names = data.model_ids(), data.model_names()
    left, right = duel.pair(voting.teaching(), [ids[name] for name in served], random.Random())
    match = duel.begin(prompt, (names[left], names[right]), sampling, of)
    st.session_state["duel"] = match
    duel.hold(str(kept.workspace().path), login.person(), match)


def draw(chosen: PromptSet, served: list[str], sampling: Sampling) -> None:
    """Begin with a prompt of a set, one of those with the fewest blind votes so far."""
    voted = Counter(vote.prompt for vote in voting.votes() if vote.blind)
    begin(random.choice(prompting.least_voted(chosen.prompts, voted)), served, sampling, chosen.name)


def present() -> Duel | None:
    """The visitor's pair: this session's, else that of before the page was loaded or the dashboard started anew."""
    place = str(kept.workspace().path)
    found = st.session_state.get("duel") or duel.held(place, login.person())
    if found is None and (found := duel.from_kept(drafts.remembered(KEPT), voting.votes())) is not None:
        duel.hold(place, login.person(), found)
    if found is not None:
        st.session_state["duel"] = found
    return found


def _remember(current: Duel) -> None:
    """Write the pair down when it has begun, when its answers have ended, and when it was voted on."""
    stage = id(current), current.active, current.vote is None
    if st.session_state.get("duel-kept") != stage:
        st.session_state["duel-kept"] = stage
        drafts.remember(KEPT, duel.as_kept(current))


def show(served: list[str], sampling: Sampling, chosen: PromptSet) -> list[Writing]:
    """The present pair, or the button that draws one. Returns the answers that are being written, for `follow`."""
    current = present()
    if current is not None:
        _remember(current)
    written = [] if current is None else _answers(current)
    streaming = bool(written)  # as this run of the page shows it: where they end meanwhile, `follow` has it drawn anew
    with st.container(horizontal=True, key=f"judging-{streaming}"):
        if current is not None and not streaming and current.vote is None and current.judgeable:
            for text, key, winner in CHOICES:
                st.button(text, shortcut=key, on_click=_judge, args=(current, winner))
        if streaming and current is not None:
            st.button("Stop", icon=":material/stop:", shortcut="Esc", on_click=_stop, args=(current,))
        else:
            skips = current is not None and current.vote is None and current.judgeable
            st.button(
                "Begin" if current is None else "Skip" if skips else "Next pair",
                shortcut="N",
                type="secondary" if skips else "primary",
                on_click=draw,
                args=(chosen, served, sampling),
            )
    if current is not None and not streaming and current.vote is None and not current.judgeable:
        st.caption("No vote on this pair: a side gave no whole answer.")
    return written


def _stop(current: Duel) -> None:
    current.left.stop()
    current.right.stop()


def _judge(current: Duel, winner: Winner) -> None:
    if not page.written(lambda: voting.add(current.judge(winner, data.model_ids(), login.visitor()))):
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
                    written.append(Writing(answer, _blind))
                else:
                    _side(answer.snapshot(), revealed=current.vote is not None)
    return written


def _blind(shot: Snapshot) -> str:
    """Speed and length would tell a small model from a large one: they are shown after the vote."""
    if shot.state == "waiting":
        return figures(shot)
    if shot.state == "finished":
        return "Cut off at max tokens" if shot.finish_reason == "length" else "Finished"
    return "Writing" if shot.state == "streaming" else "Stopped"


def _side(shot: Snapshot, *, revealed: bool) -> None:
    answers.model_text(shot.text)
    if shot.message:  # it may name the model
        st.error(
            escaping.label(shot.message, 300) if revealed else "This side could not answer.", icon=":material/error:"
        )
    st.caption(figures(shot) if revealed else _blind(shot))
