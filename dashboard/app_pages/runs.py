"""Runs. Reads: runs, machines. Writes: name, tags, notes and archive of a run, at a click."""

from datetime import UTC, datetime

import streamlit as st

from dashboard import charts, escaping
from dashboard.views import data, tables
from dashboard.widgets import chart, page, selection
from dashboard.widgets.selection import URL

st.title("Runs")
rows = selection.runs()
names, live = data.run_names(), any(row.run.status == "running" for row in rows)
COLUMNS = {
    "Progress": st.column_config.ProgressColumn(format="percent"),
    "Best validation loss": st.column_config.NumberColumn(
        format="%.4f", help="nats per token; the least over all steps"
    ),
    "Last loss": st.column_config.NumberColumn(format="%.4f", help="nats per token, at the last step"),
    "Tags": st.column_config.ListColumn(),
}


@st.fragment(run_every=2.0 if live else None)
def listing() -> None:
    """The table; while a run trains it refreshes itself."""
    chosen = {row.run.id for row in rows}
    fresh = [row for row in data.runs() if row.run.id in chosen]
    table = tables.runs_table(fresh, names, data.machines(), datetime.now(UTC))
    st.dataframe(table.dropna(axis=1, how="all"), hide_index=True, column_config=COLUMNS, placeholder="–", alt="Runs")


listing()
page.download(lambda: tables.runs_table(rows, names, data.machines(), datetime.now(UTC)), "runs")

st.subheader("Settings that differ")
settings = data.settings_of([row.run.id for row in rows[:100]]) if len(rows) > 1 else {}
if settings:
    st.dataframe(tables.settings_table(settings, names), hide_index=True, alt="Settings that differ")
    setting = st.selectbox("Effect of setting", tables.swept(settings), key="effect", bind=URL)
    results = tables.effect_of(setting, settings, rows, names)
    if len(results) > 1:
        figure = charts.effects(results, setting=setting, metric="Best validation loss, nats per token")
        chart.show(figure, key="effects", alt=f"Best validation loss by {setting}")
        spread = tables.noise(results)
        st.caption(
            f"The seed alone moves this by ±{spread:.4f} (standard deviation): smaller differences are noise."
            if spread is not None
            else "No setting was run with two seeds, so nobody knows how much of this is noise."
        )
else:
    st.caption("There is one run, or all runs have the same settings.")

st.subheader("Name, tags and notes")
options = {names[row.run.id]: row.run for row in rows}
run = options[st.selectbox("Run", list(options), key="edit", bind=URL)]
with st.form(f"edit-{run.id}"):
    name = st.text_input("Name", run.name, max_chars=200)
    tags = st.text_input("Tags", ", ".join(run.tags), help="Separated by commas")
    notes = st.text_area("Notes", run.notes)
    archived = st.toggle("Archived: hidden from every list unless asked for", run.archived)
    if st.form_submit_button("Save", icon=":material/save:"):
        listed = tuple(sorted({tag.strip() for tag in tags.split(",") if tag.strip()}))
        data.edit_run(run.id, name=name.strip() or run.name, tags=listed, notes=notes, archived=archived)
        st.rerun()
if (whole := st.expander("Whole configuration", key="whole", on_change="rerun")).open:
    whole.json(dict(run.config))
    whole.caption(escaping.label(f"{run.id} · {run.base} · {run.source}"))
