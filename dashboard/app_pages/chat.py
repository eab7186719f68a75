"""Chat. Reads: models, the model server, conversations. Writes: conversations; a vote, at a click."""

import json

import streamlit as st

from dashboard import escaping
from dashboard.chat import client, conversation
from dashboard.errors import ServerSilent
from dashboard.views import chatting, serving
from dashboard.widgets import answers, page, panes, talks
from dashboard.widgets.states import empty

st.title("Chat")
st.html(f"<style>{answers.CSS}</style>")
page.refusal()
talk = talks.present()
talks.listing(talk)
try:
    names = serving.served()
except ServerSilent as silent:
    names = []
    page.failed(silent)
    if not talk.turns:
        empty.show("The model server is not running: the models answer over HTTP.", "bakeoff serve")
    st.button("Look again", icon=":material/refresh:")
if not (names or talk.turns):
    empty.show("The model server has no model yet.", "bakeoff demo")
seats = [name for name in talk.models if name in names] or chatting.seats(names)[:2]
chosen = panes.chosen(names, seats, serving.base_name(names)) if names else []
talk.system = panes.system_prompt()

streaming = talk.active  # of this run of the page
with st.container(key=f"turns-{streaming}"):
    written = [pane for position, turn in enumerate(talk.turns) for pane in panes.turn(talk, position, turn, chosen)]
if talk.turns and streaming and st.session_state.get("turns-seen") != (talk.id, len(talk.turns)):
    st.session_state["turns-seen"] = (talk.id, len(talk.turns))
    page.scroll_to(f"asked-{len(talk.turns) - 1}")
if not talk.turns:
    example = st.pills("Examples", conversation.EXAMPLES, key="example", label_visibility="collapsed")
    if example:
        talk.ask(example, chosen)
        st.rerun()
else:
    with st.container(horizontal=True, key=f"after-{streaming}"):
        if streaming:
            st.button("Stop", icon=":material/stop:", on_click=talk.stop, shortcut="Esc")
        elif len(talk.turns[-1].answers) > 1:
            panes.vote(talk)
        exported = json.dumps(talk.export(), indent=1, ensure_ascii=False)
        st.download_button("Export", exported, "conversation.json", icon=":material/download:", on_click="ignore")
        talks.about(talk)
if prompt := st.chat_input("Ask all panes", max_chars=20_000, disabled=not chosen):
    talk.ask(prompt, chosen)
    st.rerun()
st.caption(escaping.label(f"Answered by {client.masked()}"))
panes.follow(written, begun=streaming, keep=talk.kept)
