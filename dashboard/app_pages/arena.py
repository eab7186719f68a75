"""Arena. Reads: models, prompt sets, votes, the model server. Writes: a blind vote, at a click or a key."""

import streamlit as st

from dashboard import charts, escaping
from dashboard.errors import ServerSilent
from dashboard.views import data, prompting, tables
from dashboard.widgets import addressed, answers, arena, chart, page, panes
from dashboard.widgets.selection import URL
from dashboard.widgets.states import empty

WARM = 0.7
"""The temperature unless told: at 0 a model says the same each time, and is known by it."""

st.title("Arena")
page.refusal()
st.html(f"<style>{answers.CSS}</style>")
st.caption("Two models answer the same prompt. Vote on what you read; names, length and speed are shown afterwards.")
names = data.model_names()
try:
    served = [name for name in data.served() if name in set(names.values())]
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
        usual = data.rivals(served)
        picked = addressed.several(
            st, "Models", {id_: name for id_, name in names.items() if name in served}, "fighting",
            placeholder=f"The formats that ship: {len(usual)}",
        )  # fmt: skip
        sampling = panes.sampling("arena", expanded=True, warm=WARM)
    shown = [names[one] for one in picked] or usual
    if len(shown) < 2:
        st.caption("Fewer than two models are chosen: pairs are drawn from all.")
    among = shown if len(shown) > 1 else served
    written = arena.show(among, sampling, chosen)
    # In a container: pinned to the page's end it would also have the page open there, below its own heading.
    if prompt := st.container().chat_input("Or ask your own", max_chars=20_000):
        arena.begin(prompt, among, sampling)
        st.rerun()


def standings() -> None:
    """Who wins how often, by whose votes, and what would settle what is open."""
    st.subheader("Ranking")
    judges = sorted({vote.judge for vote in data.votes()})
    if not judges:
        st.caption("No vote yet.")
        return
    left, middle, right = st.columns(3, vertical_alignment="bottom")
    judge = left.selectbox("Judged by", judges, key="judge", bind=URL, format_func=lambda name: name or "people")
    asked = sorted({str(vote.details["set"]) for vote in data.votes() if vote.details.get("set")})
    of = addressed.one(middle, "Prompts of", {"": "All votes", **{name: name for name in asked}}, "of") if asked else ""
    kinds = {vote.blind for vote in data.votes() if vote.judge == judge}
    sighted = kinds == {False} or (
        len(kinds) > 1 and st.toggle("Votes with the names in sight", key="sighted", bind=URL, help="Cast in Chat")
    )
    equal = right.toggle("Adjust for answer length", key="equal", bind=URL, help="Voters tend to prefer longer answers")
    ranking = data.ranking(judge, equal, blind=not sighted, of=of)
    if ranking is None:
        st.caption("No vote of this kind yet.")
        return
    seen = "with the names in sight: they tell of the names too" if sighted else "blind"
    st.caption(f"{ranking.votes} votes, {seen}. {ranking.standing}")
    for sentence in prompting.progress(ranking, names):
        st.markdown(f"- {escaping.label(sentence, 300)}.")
    if judge:
        st.caption(escaping.label(data.calibration(judge).words, 300))
    table = tables.ranking(ranking, names)
    listed = table["model_id"].isin([model.id for model in data.models()])
    if not listed.all() and not st.toggle("Show archived models", key="archived", bind=URL):
        table = table[listed]
    chart.show(charts.ranking(table, data.styles()), key="ranking", alt="Ranking, 95 % intervals")
    shown = table.drop(columns="model_id").rename(columns=str.capitalize).rename(columns={"Strength": "Win rate"})
    shares = ["Win rate", "Low", "High"]
    shown[shares] *= 100
    percent = st.column_config.NumberColumn(
        format="%.0f %%", help="Expected against the average opponent, with its 95 % interval"
    )
    st.dataframe(shown, hide_index=True, alt="Ranking", column_config=dict.fromkeys(shares, percent))
    if ranking.length_chance is not None:
        st.caption(f"Of two equally good answers, one twice as long wins {ranking.length_chance:.0%} of the votes.")
    page.download(lambda: table.drop(columns="model_id"), "arena")


standings()
panes.follow(written)
