"""Loss curves. Reads: runs, curves. Writes: nothing."""

import streamlit as st

from dashboard import charts, escaping
from dashboard.views import curves, data
from dashboard.widgets import chart, page, selection
from dashboard.widgets.selection import URL

st.title("Loss curves")
rows = selection.runs()
ids, names, styles = [row.run.id for row in rows], data.run_names(), data.styles()
metrics = data.metrics(ids)
if not metrics:
    page.empty("These runs have not recorded anything yet.", "bakeoff runs")
live = any(row.run.status == "running" for row in rows)
axes = {"Step": "", "Tokens": "tokens_seen", "Seconds": "elapsed_seconds", "Epoch": "epoch"}
axes = {axis: recorded for axis, recorded in axes.items() if recorded in ("", *metrics)}
settings = data.settings_of(ids) if len(ids) > 1 else {}


@st.fragment(run_every=2.0 if live else None)
def view() -> None:
    """The controls and the chart: moving a slider redraws this alone; while a run trains it refreshes itself."""
    first, second, third, fourth = st.columns(4)
    metric = first.selectbox("Metric", metrics, key="metric", bind=URL)
    weight = second.slider("Smoothing", 0.0, 0.99, 0.6, 0.01, key="smoothing", bind=URL)
    axis = third.selectbox("X axis", list(axes), key="axis", bind=URL)
    group = fourth.selectbox("Group by", ["run", *settings], key="group", bind=URL)
    logarithmic = second.toggle("Log scale", key="log", bind=URL)
    drawn = data.curves(ids, metric)
    if not drawn:
        st.info(f"None of these runs recorded {escaping.label(metric)}.")
        return
    if group != "run":
        groups: dict[str, list[curves.Curve]] = {}
        for curve in drawn:
            groups.setdefault(f"{group} = {settings[group][curve.run_id]}", []).append(curve)
        figure = charts.grouped_losses(groups, metric=curves.unit(metric), weight=weight, logarithmic=logarithmic)
    else:
        others = {curve.run_id: curve for curve in data.curves(ids, axes[axis])} if axes[axis] else {}
        along = charts.Axis(axis, lambda one: curves.along(one, others.get(one.run_id)))
        figure = charts.loss_curves(
            drawn,
            names,
            styles,
            metric=curves.unit(metric),
            axis=along if axes[axis] else charts.STEPS,
            weight=weight,
            logarithmic=logarithmic,
        )
    chart.show(figure, key="losses", alt=f"{metric} of {len(drawn)} runs")
    notes = curves.remarks(drawn, names)
    if len(notes):
        label = f"Spikes and gaps ({len(notes):,})"
        # Filled when it is opened: the table's scripts are a third of what the chart's are.
        if (box := st.expander(label, icon=":material/warning:", key="notes", on_change="rerun")).open:
            box.dataframe(notes, hide_index=True, alt="Spikes and gaps")
    if live:
        st.caption("Training is under way: this chart refreshes every 2 seconds.")
    if len({row.run.base for row in rows}) > 1 and "nats" in curves.unit(metric):
        st.caption("Loss per token compares runs with one tokenizer only; across bases compare bits per byte.")
    page.download(lambda: curves.table(drawn, names), "losses")


view()
