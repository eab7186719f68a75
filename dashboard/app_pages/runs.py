"""Runs: what was trained, and how did each end? Reads: runs, scores, machines. Writes: a run's name, tags, archive."""

from datetime import UTC, datetime

import pandas as pd
import streamlit as st

from dashboard.views import data, tables
from dashboard.views.training import runs, whereabouts
from dashboard.widgets import addressed, page, selection
from dashboard.widgets.runs import effects, panel

st.title("Runs")
page.refusal()
rows = selection.runs()
names, live = data.run_names(), any(row.run.status == "running" for row in rows)
by_id = {row.run.id: row for row in rows}
baseline = by_id.get(
    addressed.one(
        st, "Baseline", {"": "None", **{id_: names[id_] for id_ in by_id}}, "baseline-run",
        help="What losses and settings are held against; losses only where base and held-out rows are the same.",
    )
)  # fmt: skip
settings = data.settings_of(list(by_id)) if len(rows) > 1 else {}
settings = {name: settings[name] for name in sorted(settings, key=lambda one: (len(set(settings[one].values())), one))}
settings = {name: values for name, values in settings.items() if name not in ("base", "seed")}
scored = runs.scores(data.every_score(), data.measures())
COLUMNS = {
    "Progress": st.column_config.ProgressColumn(format="%d %%", max_value=100),
    runs.BEST: st.column_config.NumberColumn(format="%.4f", help="nats per token; the least over all steps"),
    runs.AGAINST: st.column_config.NumberColumn(
        format="%+.4f",
        help="Best validation loss less the baseline's, where both are over the same rows: less is better",
    ),
    "Last loss": st.column_config.NumberColumn(format="%.4f", help="nats per token, at the last step"),
    "Tags": st.column_config.ListColumn(),
}
for test, of_runs in scored.items():
    title = runs.column(test, of_runs)
    COLUMNS[title] = st.column_config.NumberColumn(format="%.3f" if title.endswith("byte") else "%.1f")


def table(fresh: bool = False) -> pd.DataFrame:
    """The table as it is shown and downloaded."""
    every = {row.run.id: row for row in data.runs()} if fresh else by_id
    found = runs.table(
        [every.get(id_, by_id[id_]) for id_ in by_id], names, data.machines(), datetime.now(UTC), settings=settings,
        scored=scored, baseline=baseline,
    )  # fmt: skip
    places = data.whereabouts()
    told = [whereabouts.words(every.get(id_, by_id[id_]).run, places.get(id_, {})) for id_ in by_id]
    for title in (whereabouts.WHERE, whereabouts.AGAIN):
        found[title] = [one.get(title) for one in told]
    return found.dropna(axis=1, how="all")


@st.fragment(run_every=2.0 if live else None)
def listing() -> None:
    """The table; while a run trains it refreshes itself. A row that is chosen opens below."""
    picked = st.dataframe(
        table(fresh=True), hide_index=True, column_config=COLUMNS, placeholder="–", alt="Runs", key="runs-table",
        on_select="rerun", selection_mode="single-row",
    ).selection.rows  # fmt: skip
    id_ = list(by_id)[picked[0]] if picked and picked[0] < len(by_id) else ""
    if id_ and st.session_state.get("run-picked") != id_:
        st.session_state["run-picked"] = st.session_state["opened-run"] = id_
        st.rerun()


listing()
page.download(table, "runs")
if len(settings) > runs.MOST_SETTINGS:
    with st.expander(f"All {len(settings)} settings that differ", **selection.opened("all-settings")):
        st.dataframe(tables.settings_table(settings, names), hide_index=True, alt="Settings that differ")
opened = addressed.one(
    st, "Open a run", {"": "None: choose one here, or a row of the table", **{id_: names[id_] for id_ in by_id}},
    "opened-run",
)  # fmt: skip
if opened:
    panel.show(by_id[opened], baseline)
effects.show(rows)
