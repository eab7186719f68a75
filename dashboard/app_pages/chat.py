"""Chat. Reads: models, the model server. Writes: a vote, at a click."""

import json

import streamlit as st

from dashboard import escaping
from dashboard.chat import client, conversation
from dashboard.errors import ServerSilent
from dashboard.views import data
from dashboard.widgets import page, panes

st.title("Chat")
try:
    names = data.served()
except ServerSilent as silent:
    page.failed(silent)
    page.empty("The model server is not running: the models answer over HTTP.", "bakeoff serve")
if not names:
    page.empty("The model server has no model yet.", "bakeoff demo")
talk = st.session_state.setdefault("conversation", conversation.Conversation())
chosen = panes.chosen(names, data.base_name(names))
talk.system = panes.system_prompt()

streaming = talk.active  # of this run of the page
with st.container(key=f"turns-{streaming}"):
    written = [pane for position, turn in enumerate(talk.turns) for pane in panes.turn(talk, position, turn, chosen)]
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
            panes.vote(talk.turns[-1])
        exported = json.dumps(talk.export(), indent=1, ensure_ascii=False)
        st.download_button("Export", exported, "conversation.json", icon=":material/download:", on_click="ignore")
        if st.button("New conversation", icon=":material/add_comment:"):
            talk.stop()
            del st.session_state["conversation"]
            st.rerun()
if prompt := st.chat_input("Ask all panes", max_chars=20_000):
    talk.ask(prompt, chosen)
    st.rerun()
st.caption(escaping.label(f"Answered by {client.masked()}"))
panes.follow(written, begun=streaming)
