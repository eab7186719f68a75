"""The widgets of the chat page: who sits in which pane, one turn's answers side by side, the vote."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import zip_longest

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard import escaping
from dashboard.chat.client import Answer, Sampling, Snapshot
from dashboard.chat.conversation import MOST_PANES, Conversation, Pane, Turn, figures, votes
from dashboard.views import data, voting
from dashboard.widgets import answers, drafts, login, page
from dashboard.widgets.selection import URL, opened, present_names
from results.records import Winner

LOOK_SECONDS = 0.3
"""The pause between two looks at answers that are being written: each look costs what a model could use."""
KEEP_SECONDS = 3.0
"""The pause between two times at which a conversation is written down while answers come."""
FIGURES_SECONDS = 1.0
"""The pause between two showings of an answer's figures, which as Markdown cost more than its words."""


ACROSS = {1: 1, 2: 2, 3: 3, 4: 2, 5: 3, 6: 3}
"""Panes in a row, by how many there are: a third of a laptop's width is the least that reads well."""


def grid(count: int) -> list[DeltaGenerator]:
    """So many places, three in a row at most."""
    across = ACROSS[min(count, MOST_PANES)]
    rows = [st.columns(across) for _ in range(0, count, across)]
    return [column for row in rows for column in row][:count]


def chosen(names: Sequence[str], seats: Sequence[str], base: str | None) -> list[Pane]:
    """The panes: how many, which model in each (in the URL), with what sampling.

    seats: who sits where, and in how many panes, until somebody chooses otherwise.
    """
    top = st.columns([2, 1, 1], vertical_alignment="bottom")
    count = top[0].segmented_control(
        "Panes", range(1, MOST_PANES + 1), default=min(len(seats), MOST_PANES), required=True, key="panes", bind=URL
    )
    with top[1].popover("Sampling", icon=":material/tune:", width="stretch"):
        shared = st.toggle("Same in every pane", value=True, key="shared", bind=URL)
        common = sampling("all", expanded=True) if shared else None
    if base is not None:
        top[2].button(
            "Put the base in the last pane",
            icon=":material/compare:",
            on_click=_sit,
            args=(count, base),
            width="stretch",
        )
    free = [*seats, *(name for name in names if name not in seats)]
    panes = []
    for number, place in enumerate(grid(count)):
        with place:
            seat, key = free[min(number, len(free) - 1)], f"model{number + 1}"
            present_names(key, names, many=False)
            linked = key in st.query_params and key not in st.session_state
            if not linked and st.session_state.get(key) not in names:  # none yet, or one that is served no more
                if key not in st.session_state:
                    st.query_params[key] = seat  # afterwards the widget does so itself
                st.session_state[key] = seat
            # Without a default of its own: Streamlit leaves that out of the address, which then means another model
            # as soon as one is added.
            model = st.selectbox(f"Model {number + 1}", names, index=None, key=key, bind=URL, placeholder=seat)
            panes.append(Pane(model or seat, common or sampling(str(number + 1), expanded=False)))
    return panes


def _sit(count: int, model: str) -> None:
    st.session_state[f"model{count}"] = model


def sampling(which: str, *, expanded: bool, warm: float = 0.0) -> Sampling:
    """The sliders of Study B's page: temperature 0 to 1.5, 32 to 512 new tokens. warm: the temperature unless told."""
    with st.container() if expanded else st.expander("Sampling", **opened(f"sampling-{which}")):
        temperature = st.slider("Temperature", 0.0, 1.5, warm, 0.05, key=f"temperature-{which}", bind=URL)
        most = st.slider("Max tokens", 32, 512, 256, 16, key=f"tokens-{which}", bind=URL)
        top_p = st.slider("Top p", 0.05, 1.0, 1.0, 0.05, key=f"top-p-{which}", bind=URL)
        seed = st.number_input("Seed", 0, 2**31 - 1, None, key=f"seed-{which}", placeholder="any", bind=URL)
    return Sampling(temperature, most, top_p, seed)


def system_prompt() -> str:
    """The system prompt of all panes."""
    with st.expander("System prompt", icon=":material/psychology:", **opened("instructions")):
        typed = drafts.field(
            st.text_area, "System prompt", "", key="system", label_visibility="collapsed", max_chars=10_000
        )
        return str(typed or "")


def turn(talk: Conversation, position: int, one: Turn, chosen_panes: Sequence[Pane]) -> list[Writing]:
    """A prompt and its answers side by side. Returns those that are being written, for `follow`."""
    written = []
    with st.container(key=f"asked-{position}"), st.chat_message("user"):
        st.text(one.prompt)
        if not talk.active:
            with st.popover("Edit", icon=":material/edit:"):
                text = st.text_area("Prompt", one.prompt, key=f"edit-{position}")
                if st.button("Resend", key=f"resend-{position}"):
                    talk.resend(position, text, chosen_panes)
                    st.rerun()
    last = position == len(talk.turns) - 1
    for (number, answer), place in zip(sorted(one.answers.items()), grid(len(one.answers)), strict=True):
        with place, st.container(border=True):
            with st.container(key=f"head-{position}-{number}"):
                answers.model_name(answer.model)
            if active := answer.active:
                written.append(Writing(answer))
            else:
                _body(answer.snapshot())
            if last and active:
                st.button("Stop", key=f"stop-{number}", icon=":material/stop:", on_click=answer.stop)
            elif last and number < len(chosen_panes):
                st.button(
                    "Regenerate", key=f"again-{number}", icon=":material/refresh:", on_click=talk.again,
                    args=(number, chosen_panes),
                )  # fmt: skip
    if len(one.answers) > 1 and not talk.active:
        _difference(position, one)
    return written


class Writing:
    """An answer that is being written, and its place on the page: a slot for each part, under them the figures."""

    def __init__(self, answer: Answer, tell: Callable[[Snapshot], str] = figures) -> None:
        self.answer, self.tell = answer, tell
        self.words, self.figures = st.container(), st.empty()
        self.slots: list[DeltaGenerator] = []
        self.shown: list[escaping.Part] = []
        self.told = 0.0
        self.show()

    def show(self) -> None:
        """Send what is new of the words; the figures once a second, and whenever there are no new words.

        So that something is always sent: Streamlit heeds a click no sooner.
        """
        shot = self.answer.snapshot()
        parts = escaping.parts(shot.text)
        self.slots += [self.words.empty() for _ in parts[len(self.slots) :]]
        for slot, part, before in zip_longest(self.slots, parts, self.shown):
            if part is None:
                slot.empty()
            elif part != before:
                answers.part(slot, part)
        late = time.monotonic() - self.told > FIGURES_SECONDS
        if late or not self.shown or parts == self.shown:
            self.figures.caption(self.tell(shot))
            self.told = time.monotonic()
        self.shown = parts


def follow(written: Sequence[Writing], *, begun: bool = False, keep: Callable[[], object] = bool) -> None:
    """Show the answers as they are written; the page is drawn anew when one of them ends.

    begun: the page was begun as one on which answers are written, whether or not they have ended since.
    keep: called every few seconds, so that little is lost where the dashboard itself is killed.

    The last thing on a page, for it lasts: only words and figures are sent. A fragment that runs five times a second
    has the browser draw all of the page each time, and takes most of a core from a model on the same machine.
    """
    kept = time.monotonic()
    while written and all(one.answer.active for one in written):
        time.sleep(LOOK_SECONDS)
        for one in written:
            one.show()
        if time.monotonic() - kept > KEEP_SECONDS:
            keep()
            kept = time.monotonic()
    if written or begun:
        st.rerun()


def _body(shot: Snapshot) -> None:
    """An answer as it stands, and its figures."""
    if shot.text:
        answers.model_text(shot.text)
    elif shot.state == "waiting":
        st.caption("…")
    elif shot.state == "finished":
        st.caption("The answer is empty.")
    if shot.message:
        st.error(escaping.label(shot.message, 400), icon=":material/error:")
    for note in shot.notes:
        st.caption(escaping.label(note, 300))
    st.caption(figures(shot))


def _difference(position: int, one: Turn) -> None:
    with st.expander("Difference between two answers", icon=":material/difference:", **opened(f"differ-{position}")):
        numbers = sorted(one.answers)
        labels = {f"{number + 1}: {one.answers[number].model}": number for number in numbers}
        left, right = st.columns(2)
        a = left.selectbox("From", list(labels), key=f"from-{position}", bind=URL)
        b = right.selectbox("To", list(labels), index=1, key=f"to-{position}", bind=URL)
        answers.difference(one.answers[labels[a]].snapshot().text, one.answers[labels[b]].snapshot().text)


def vote(talk: Conversation) -> None:
    """Buttons that keep a judgement of the last prompt's whole answers; names are in sight, so it is no blind vote."""
    one = talk.turns[-1]
    if one.voted:
        st.caption("Your vote is saved.")
        return
    if not all(answer.whole for answer in one.answers.values()):
        st.caption("To vote, let every pane answer to its end.")
        return
    for number, answer in sorted(one.answers.items()):
        label = f"{number + 1} is best: {escaping.label(answer.model, 30)}"
        st.button(label, key=f"best-{number}", on_click=_keep, args=(talk, number, "a"))
    st.button("Tie", on_click=_keep, args=(talk, None, "tie"))
    st.button("All bad", on_click=_keep, args=(talk, None, "both_bad"))


def _keep(talk: Conversation, best: int | None, winner: Winner) -> None:
    one = talk.turns[-1]
    made = votes(one, best, winner, data.model_ids(), voter=login.visitor())
    one.voted = all(page.written(voting.add, each) for each in made)
    talk.kept()
