"""Everything about one run, below the table: what it is, settings, curve, scores, its name and tags."""

from __future__ import annotations

import streamlit as st

from dashboard import charts, escaping
from dashboard.views import curves, data, dossier, settings
from dashboard.views.training import whereabouts
from dashboard.widgets import chart, page
from dashboard.widgets.addressed import opened
from results.records import RunSummary

PARTS = ("About", "Settings", "Curve", "Scores", "Name, tags, archive")


def show(row: RunSummary, baseline: RunSummary | None) -> None:
    """The panel of a run. baseline: what it is held against, where there is one."""
    with st.container(border=True):
        st.header(escaping.label(data.run_names()[row.run.id], 80))
        part = st.segmented_control(
            "Part", PARTS, default=PARTS[0], required=True, key="run-part", label_visibility="collapsed",
            bind="query-params",
        )  # fmt: skip
        if part == "About":
            _about(row)
        elif part == "Settings":
            _settings(row, baseline)
        elif part == "Curve":
            _curve(row, baseline)
        elif part == "Scores":
            _scores(row)
        else:
            _edit(row)


def _about(row: RunSummary) -> None:
    run, models = row.run, [model for model in data.models() if model.run_id == row.run.id]
    told = {
        "Status": run.status + (f": {run.reason}" if run.reason else ""),
        "Steps": f"{row.steps:,}" + (f" of {run.total_steps:,}" if run.total_steps else ""),
        "Began": f"{run.started_at:%Y-%m-%d %H:%M} UTC" if run.started_at else "–",
        "Ended": f"{run.finished_at:%Y-%m-%d %H:%M} UTC" if run.finished_at else "–",
        "Machine": data.machines().get(run.machine_id or "", "–"),
        **whereabouts.words(run, data.whereabouts().get(run.id, {})),
        "Base": run.base, "Experiment": run.experiment or "–", "From": run.origin, "Id": run.id,
        "Notes": run.notes or "–",
    }  # fmt: skip
    st.table({name: escaping.label(str(value), 300) for name, value in told.items()}, border="horizontal")
    with st.container(horizontal=True):
        if models:
            page.link("app_pages/home.py", "Its row on Home", ":material/home:", open=models[0].id)
            page.link("app_pages/chat.py", "Chat", ":material/forum:", model1=models[-1].name)
            page.link("app_pages/scores.py", "Answers, item by item", ":material/compare_arrows:", a=models[0].id)
        page.link("app_pages/loss_curves.py", "Its curves", ":material/show_chart:", run=run.id)


def _settings(row: RunSummary, baseline: RunSummary | None) -> None:
    mine = settings.flatten(row.run.config) | {"base": row.run.base, "seed": row.run.seed}
    if baseline is not None and baseline.run.id != row.run.id:
        theirs = settings.flatten(baseline.run.config) | {"base": baseline.run.base, "seed": baseline.run.seed}
        unlike = [key for key in sorted({*mine, *theirs}) if mine.get(key) != theirs.get(key)]
        count = f"{len(unlike)} settings differ" if len(unlike) != 1 else "1 setting differs"
        st.caption(f"{count} from the baseline's.")
        if unlike:
            told = [(key, settings.shown(mine.get(key)), settings.shown(theirs.get(key))) for key in unlike]
            st.dataframe(
                [dict(zip(("Setting", "This run", "Baseline"), one, strict=True)) for one in told], hide_index=True,
                alt="Settings that differ from the baseline's",
            )  # fmt: skip
    if (whole := st.expander("Whole configuration", **opened("whole"))).open:
        whole.json(dict(row.run.config))


def _curve(row: RunSummary, baseline: RunSummary | None) -> None:
    ids = list(dict.fromkeys([row.run.id, *([baseline.run.id] if baseline else [])]))
    loss, validation = data.curves(ids, "loss"), data.curves(ids, "validation_loss")
    if not loss and not validation:
        st.caption("It recorded no losses.")
        return
    figure = charts.loss_panels(
        [charts.Panel(curves.unit("loss"), loss, validation)], data.run_names(), data.styles(), weight=0.6
    )
    chart.show(figure, key="run-loss", alt="Training and validation loss")


def _scores(row: RunSummary) -> None:
    every = data.scores()
    found = every[every["run_id"] == row.run.id]
    if found.empty:
        st.caption("Nothing has been measured of it yet: its row on Home measures it at a click.")
        return
    st.dataframe(
        dossier.scores(found, data.machines()), hide_index=True, placeholder="–", alt="Scores of all its formats"
    )  # fmt: skip


def _edit(row: RunSummary) -> None:
    run = row.run
    with st.form(f"edit-{run.id}"):
        name = st.text_input("Name", run.name, max_chars=200)
        tags = st.text_input("Tags", ", ".join(run.tags), help="Separated by commas")
        notes = st.text_area("Notes", run.notes)
        archived = st.toggle("Archived: hidden from every list unless asked for", run.archived)
        if st.form_submit_button("Save", icon=":material/save:"):
            listed = tuple(sorted({tag.strip() for tag in tags.split(",") if tag.strip()}))
            changes = {"name": name.strip() or run.name, "tags": listed, "notes": notes, "archived": archived}
            if page.written(lambda: data.edit_run(run.id, **changes)):
                st.rerun()
            page.refusal()
