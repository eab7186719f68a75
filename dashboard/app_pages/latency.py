"""Latency. Reads: latency evaluations and their requests, machines. Writes: nothing."""

import streamlit as st

from dashboard import charts, escaping
from dashboard.views import data, tables
from dashboard.widgets import chart, page, selection
from dashboard.widgets.selection import URL

st.title("Latency")
evaluations = [one for one in data.evaluations("latency") if one.scores or one.status == "running"]
if not evaluations:
    page.empty("No latency measured yet.", "bakeoff latency")
machines, names, styles = data.machines(), data.model_names(), data.styles()
measured = sorted(
    {one.machine_id for one in evaluations}, key=lambda id: (-sum(e.machine_id == id for e in evaluations), id)
)
left, right = st.columns(2)
machine = left.selectbox(
    "Machine",
    measured,
    format_func=lambda id: machines.get(id, id),
    key="machine",
    bind=URL,
    help="Times of two machines never share an axis.",
)
here = [one for one in evaluations if one.machine_id == machine]
known = {model.id: model for model in data.models(archived=True)}
with right:
    forms = st.multiselect(
        "Form", sorted({known[one.model_id].form for one in here}), key="form", bind=URL, placeholder="All"
    )
candidates = [known[id] for id in dict.fromkeys(one.model_id for one in here) if not forms or known[id].form in forms]
chosen = {model.id for model in selection.models(candidates)} if candidates else set()
requests = data.latency_requests([one for one in here if one.model_id in chosen])
if requests.empty:
    page.empty("These models have no timed requests here.", "bakeoff latency")

QUANTITIES = {
    "Seconds to first token": "ttft_seconds",
    "Seconds per further token": "tpot_seconds",
    "Tokens per second": "tokens_per_second",
    "Seconds per answer": "total_seconds",
}
present = {title: name for title, name in QUANTITIES.items() if name in requests}


@st.fragment
def view() -> None:
    """What is drawn; another quantity or prompt redraws this alone."""
    left, right = st.columns(2)
    title = left.selectbox("Show", list(present), key="show", bind=URL)
    items = list(dict.fromkeys(requests["item"]))
    prompts = right.multiselect("Prompt", items, key="prompt", bind=URL, placeholder="All")
    rows = requests[requests["item"].isin(prompts)] if prompts else requests
    distributions = charts.distributions(rows, styles, quantity=present[title], title=title)
    chart.show(distributions, key="distribution", alt=f"{title}: distribution of each model")
    if {"ttft_seconds", "total_seconds"} <= set(rows.columns):
        st.subheader("Seconds per answer: to the first token, and the rest")
        chart.show(charts.split_seconds(rows, styles), key="split", alt="Median seconds per answer of each model")
    st.subheader("By prompt")
    prompts_chart = charts.by_prompt(rows, styles, quantity=present[title], title=title)
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
