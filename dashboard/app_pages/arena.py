"""Arena. Reads: models, prompt sets, votes, the model server. Writes: a blind vote, at a click or a key."""

import streamlit as st

from dashboard.errors import ServerSilent
from dashboard.views import data, prompting, serving
from dashboard.widgets import addressed, answers, page, panes
from dashboard.widgets.arena import pair, standings
from dashboard.widgets.states import empty

WARM = 0.7
"""The temperature unless told: at 0 a model says the same each time, and is known by it."""

st.title("Arena")
page.refusal()
st.html(f"<style>{answers.CSS}</style>")
st.caption("Two models answer the same prompt. Vote on what you read; names, length and speed are shown afterwards.")
names = data.model_names()
try:
    served = [name for name in serving.served() if name in set(names.values())]
except ServerSilent as silent:
    served = []
    page.failed(silent)
sets = prompting.sets()
written: list[panes.Writing] = []
if len(served) < 2:
    if not data.models():
        empty.show("There is no model to compare yet.", "bakeoff demo")
    st.info("Serve at least two models of this store to compare them.", icon=":material/inbox:")
    st.code("bakeoff serve", language="bash")
else:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = sets[
            addressed.one(
                st, "Prompts", {name: f"{name} ({len(one.prompts)})" for name, one in sets.items()}, "prompts",
                width=360,
            )
        ]  # fmt: skip
        page.link("app_pages/prompt_sets.py", "Your own prompts", ":material/playlist_add:")
    with st.popover("Models and sampling", icon=":material/tune:"):
        usual = serving.rivals(served)
        picked = addressed.several(
            st, "Models", {id_: name for id_, name in names.items() if name in served}, "fighting",
            placeholder=f"The formats that ship: {len(usual)}",
        )  # fmt: skip
        sampling = panes.sampling("arena", expanded=True, warm=WARM)
    shown = [names[one] for one in picked] or usual
    if len(shown) < 2:
        st.caption("Fewer than two models are chosen: pairs are drawn from all.")
    among = shown if len(shown) > 1 else served
    written = pair.show(among, sampling, chosen)
    # In a container: pinned to the page's end it would also have the page open there, below its own heading.
    if prompt := st.container().chat_input("Or ask your own", max_chars=20_000):
        pair.begin(prompt, among, sampling)
        st.rerun()

standings.show()
panes.follow(written)
