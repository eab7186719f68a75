"""Latency. Reads: latency evaluations and their requests, machines. Writes: nothing."""

import streamlit as st

from dashboard import charts, escaping
from dashboard.views import data, tables
from dashboard.widgets import addressed, chart, page, selection
from dashboard.widgets.selection import URL
from dashboard.widgets.states import empty

st.title("Latency")
evaluations = selection.listed([one for one in data.evaluations("latency") if one.scores or one.status == "running"])
if not evaluations:
    empty.show("No latency has been measured yet.", "bakeoff latency")
machines, names, styles = data.machines(), data.model_names(), data.styles()
measured = sorted(
    {one.machine_id for one in evaluations}, key=lambda id: (-sum(e.machine_id == id for e in evaluations), id)
)
left, right = st.columns(2)
machine = addressed.one(
    left, "Machine", {id: machines.get(id, id) for id in measured}, "timed-on", at="machine",
    help="Times measured on different machines are never drawn on one axis.",
)  # fmt: skip
here = [one for one in evaluations if one.machine_id == machine]
known = data.models_by_id()
with right:
    forms = st.multiselect(
        "Format", sorted({known[one.model_id].form for one in here}), key="form", bind=URL, placeholder="All"
    )
candidates = [known[id] for id in dict.fromkeys(one.model_id for one in here) if not forms or known[id].form in forms]
chosen = {model.id for model in selection.models(candidates, "timed")} if candidates else set()
requests = data.latency_requests([one for one in here if one.model_id in chosen])
if requests.empty:
    empty.show("These models have no timed requests on this machine.", "bakeoff latency")

if told := tables.quickest(requests):
    st.markdown(f"**{escaping.label(f'{told} On {machines.get(machine, machine)}.', 300)}**")

MOST_DRAWN = 40
"""Models whose distributions are drawn: those of 300 take a browser a quarter of a minute."""
QUANTITIES = {
    "Time to first token, s": "ttft_seconds",
    "Time per output token, s": "tpot_seconds",
    "Tokens per second": "tokens_per_second",
    "Time per answer, s": "total_seconds",
}
present = {title: name for title, name in QUANTITIES.items() if name in requests}


@st.fragment
def view() -> None:
    """What is drawn; another quantity or prompt redraws this alone."""
    left, right = st.columns(2)
    title = addressed.one(left, "Show", {title: title for title in present}, "quantity", at="show")
    items = list(dict.fromkeys(requests["item"]))
    prompts = right.multiselect("Prompt", items, key="prompt", bind=URL, placeholder="All")
    rows = requests[requests["item"].isin(prompts)] if prompts else requests
    drawn = tables.fastest(rows, present[title], MOST_DRAWN)
    if len(drawn) < len(rows):
        count = rows["label"].nunique()
        st.caption(
            f"The {MOST_DRAWN} fastest of {count:,} models are drawn; all are in the table; any can be chosen above."
        )
    distributions = charts.distributions(drawn, styles, quantity=present[title], title=title)
    chart.show(distributions, key="distribution", alt=f"{title}: distribution of each model")
    if {"ttft_seconds", "total_seconds"} <= set(rows.columns):
        st.subheader("Time per answer: first token and the rest")
        chart.show(charts.split_seconds(drawn, styles), key="split", alt="Median seconds per answer of each model")
    st.subheader("By prompt")
    prompts_chart = charts.by_prompt(drawn, styles, quantity=present[title], title=title)
    chart.show(prompts_chart, key="prompts", alt=f"{title} by prompt")
    st.subheader(f"Percentiles: {title[0].lower()}{title[1:]}")
    st.dataframe(tables.percentiles(rows, present[title]), hide_index=True, placeholder="–", alt="Percentiles")


view()
page.download(lambda: requests, "latency")
st.caption(
    escaping.label(
        f"Measured on {machines.get(machine, machine)}; settings: " + "; ".join(sorted(set(requests["settings"]))), 500
    )
)
