"""Arena. Reads: models, votes, the model server. Writes: a blind vote, at a click or a key."""

import streamlit as st

from dashboard import charts
from dashboard.errors import ServerSilent
from dashboard.views import data, tables
from dashboard.widgets import answers, arena, chart, page, panes
from dashboard.widgets.selection import URL

st.title("Arena")
page.refusal()
st.html(f"<style>{answers.CSS}</style>")
st.caption("Two models answer the same prompt. Vote on what you read; their names are shown afterwards.")
names = data.model_names()
try:
    served = [name for name in data.served() if name in set(names.values())]
except ServerSilent as silent:
    served = []
    page.failed(silent)
written: list[panes.Writing] = []
if len(served) < 2:
    st.info("Serve at least two models of this store to compare them.", icon=":material/inbox:")
    st.code("bakeoff serve", language="bash")
else:
    with st.popover("Models and sampling", icon=":material/tune:"):
        shown = st.multiselect("Models", served, data.rivals(served), help="By default the format that ships, of each")
        sampling = panes.sampling("arena", expanded=True)
    if len(shown) > 1:
        served = shown
    else:
        st.caption("Fewer than two models are chosen: pairs are drawn from all.")
    written = arena.show(served, sampling)
    # In a container: pinned to the page's end it would also have the page open there, below its own heading.
    if prompt := st.container().chat_input("Or ask your own", max_chars=20_000):
        arena.begin(prompt, served, sampling)
        st.rerun()


def standings() -> None:
    """Who wins how often, by whose votes."""
    st.subheader("Ranking")
    judges = sorted({vote.judge for vote in data.votes()})
    if not judges:
        st.caption("No vote yet.")
        return
    left, right = st.columns(2, vertical_alignment="bottom")
    judge = left.selectbox("Judged by", judges, key="judge", bind=URL, format_func=lambda name: name or "people")
    kinds = {vote.blind for vote in data.votes() if vote.judge == judge}
    sighted = kinds == {False} or (
        len(kinds) > 1 and st.toggle("Votes with the names in sight", key="sighted", bind=URL, help="Cast in Chat")
    )
    equal = right.toggle("Adjust for answer length", key="equal", bind=URL, help="Voters tend to prefer longer answers")
    ranking = data.ranking(judge, equal, blind=not sighted)
    if ranking is None:
        return
    seen = "with the names in sight: they tell of the names too" if sighted else "blind"
    st.caption(f"{ranking.votes} votes, {seen}. {ranking.standing}")
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
