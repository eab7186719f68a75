"""Loss curves: did training go well? Reads: runs, curves. Writes: nothing."""

import streamlit as st

from dashboard import charts
from dashboard.palette import CROWD
from dashboard.views import curves, data
from dashboard.views.training import kin
from dashboard.widgets import chart, page, selection
from dashboard.widgets.selection import URL
from dashboard.widgets.states import empty

st.title("Loss curves")
rows = selection.runs()
ids, names, styles = [row.run.id for row in rows], data.run_names(), data.styles()
metrics = data.metrics(ids)
if not metrics:
    empty.show("These runs have not recorded anything yet.", "bakeoff runs")
live = any(row.run.status == "running" for row in rows)
axes = {"Step": "", "Tokens": "tokens_seen", "Seconds": "elapsed_seconds", "Epoch": "epoch"}
axes = {axis: recorded for axis, recorded in axes.items() if recorded in ("", *metrics)}
settings = data.settings_of(ids) if len(ids) > 1 else {}
panels = curves.panels(metrics)
if "panel" not in st.session_state and (linked := st.query_params.get_all("metric")):  # as links once said it
    st.session_state["panel"] = [title for title, both in panels.items() if set(linked) & set(both)] or list(panels)[:1]


@st.fragment(run_every=2.0 if live else None)
def view() -> None:
    """The controls and the chart: moving a slider redraws this alone; while a run trains it refreshes itself."""
    first, second, third, fourth = st.columns(4)
    chosen = first.multiselect("Panels", list(panels), list(panels)[:1], key="panel", bind=URL)
    weight = second.slider("Smoothing", 0.0, 0.99, 0.6, 0.01, key="smoothing", bind=URL)
    axis = third.selectbox("X axis", list(axes), key="axis", bind=URL)
    group = fourth.selectbox("Group by", ["run", *settings], key="group", bind=URL)
    logarithmic = second.toggle("Log scale", key="log", bind=URL)
    titles = {metric: curves.unit(metric) for title in chosen for metric in panels[title]}
    drawn = {metric: data.curves(ids, metric) for metric in titles}
    if not any(drawn.values()):
        st.info("None of these runs recorded any of these panels.", icon=":material/inbox:")
        return
    others = {one.run_id: one for one in data.curves(ids, axes[axis])} if axes[axis] else {}
    along = charts.Axis(axis, lambda one: curves.along(one, others.get(one.run_id))) if axes[axis] else charts.STEPS
    groups = kin.groups(rows, settings.get(group, {}), group) if group != "run" else {}
    together = charts.Together(groups, mean=True) if groups else charts.Together(kin.bases(rows))
    figure = charts.loss_panels(
        [
            charts.Panel(curves.unit(first), drawn[first], [one for other in rest for one in drawn[other]])
            for first, *rest in (panels[title] for title in chosen)
        ],
        names, styles, axis=along, weight=weight, logarithmic=logarithmic, together=together,
    )  # fmt: skip
    chart.show(figure, key="losses", alt=f"{', '.join(chosen)} of {len(ids)} runs")
    every = [one for found in drawn.values() for one in found]
    notes = curves.remarks(every, names)
    if len(notes):
        label = f"Spikes and gaps ({len(notes):,})"
        # Filled when it is opened: the table's scripts are a third of what the chart's are.
        if (box := st.expander(label, icon=":material/warning:", **selection.opened("notes"))).open:
            box.dataframe(notes, hide_index=True, alt="Spikes and gaps")
    if live:
        st.caption("Training is under way: this chart refreshes every 2 seconds.")
    if groups:
        st.caption("A line is the mean of runs of one base on the same rows, its band their least and greatest.")
    elif len(ids) > CROWD:
        st.caption(f"More than {CROWD} runs are drawn as one crowd a base; choose fewer above to tell them apart.")
    if len({row.run.base for row in rows}) > 1 and any("nats" in title for title in titles.values()):
        st.caption("Loss per token compares runs with one tokenizer only; across bases compare bits per byte.")
    page.download(
        lambda: curves.groups_table(drawn, groups) if groups
        else curves.table(drawn, names, along.title, along.of, weight if len(ids) <= CROWD else 0.0),
        "losses",
    )  # fmt: skip


view()
