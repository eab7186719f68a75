"""Everything about one fine-tune, below its row: what it is, settings, curve, scores, answers, history, its name."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboard import charts, escaping
from dashboard.jobs import commands
from dashboard.views import curves, data, dossier, durations, scoreboard
from dashboard.views.board import NAMES
from dashboard.views.scoreboard import Row
from dashboard.widgets import actions, chart, page
from dashboard.widgets.selection import URL
from results.errors import BakeoffError
from results.records import Model

PARTS = ("About", "Settings", "Curve", "Scores", "History", "Rename, tag, archive")


def show(row: Row, baseline: Sequence[Model]) -> None:
    """The panel of a row. baseline: the formats of what it is held against."""
    known = data.models_by_id()
    formats = [known[one] for one in row.members]
    with st.container(border=True):
        st.header(escaping.label(row.name, 80))
        part = st.segmented_control(
            "Part", PARTS, default=PARTS[0], required=True, key="part", label_visibility="collapsed",
            bind=URL,
        )  # fmt: skip
        if part == "About":
            _about(row, formats, baseline)
        elif part == "Settings":
            _settings(formats, baseline)
        elif part == "Curve":
            _curve(formats, baseline)
        elif part == "Scores":
            _scores(row, formats, baseline)
        elif part == "History":
            st.dataframe(
                dossier.history(formats, data.runs(), data.evaluations(), data.decisions()),
                hide_index=True, placeholder="–", alt="What happened to it",
            )  # fmt: skip
        else:
            _edit(row, formats)


def _about(row: Row, formats: Sequence[Model], baseline: Sequence[Model]) -> None:
    """What it is, and what can be done with it."""
    card = dossier.card(row.name, formats, data.runs(), data.evaluations(), data.machines())
    with st.container(horizontal=True):
        page.link("app_pages/chat.py", "Chat beside the baseline", ":material/forum:", **_both(row, baseline))
        page.link("app_pages/decide.py", "Decide", ":material/verified:")
        having = {one.form for one in formats}
        source = next((one for one in formats if one.form in ("adapter", "merged", "base")), None)
        for form, word in commands.EXPORTS.items():
            if source is not None and form not in having and not (form == "lora-gguf" and source.form != "adapter"):
                command = commands.export(source.name, form)
                actions.button(
                    st, f"Export {word}", command, f"{row.name} as {word}", key=f"export-{form}",
                    icon=":material/file_export:",
                )  # fmt: skip
        st.download_button(
            "Card", card, f"{row.name}.md", icon=":material/download:", on_click="ignore", help="As Markdown"
        )
    for test, command in _unmeasured(row):
        label = f"Measure by {escaping.label(NAMES.get(test, test), 40)}{durations.about(data.seconds_of(test))}"
        actions.button(st, label, command, f"{row.name} by {test}", key=f"measure-{test}")
        actions.typed(command)
    st.dataframe(dossier.facts(formats), hide_index=True, placeholder="–", alt="Formats")


def _unmeasured(row: Row) -> list[tuple[str, list[str]]]:
    known, before = data.models_by_id(), data.evaluations()
    missing = [test for test in data.measures() if test not in row.scores and not _has(row, test)]
    if row.first_token is None and not _has(row, "latency"):
        missing.append("first_token")
    found = [(test, scoreboard.measured_by(row, test, known, before)) for test in missing]
    return [("latency" if test == "first_token" else test, one) for test, one in found if one]


def _has(row: Row, test: str) -> bool:
    return any(
        one.model_id in row.members and one.benchmark == test and one.status == "finished" for one in data.evaluations()
    )


def _both(row: Row, baseline: Sequence[Model]) -> dict[str, str]:
    mine = row.formats[0][1]
    other = next((one.name for one in baseline if one.id not in row.members), "")
    return {"model1": mine} | ({"model2": other} if other else {})


def _settings(formats: Sequence[Model], baseline: Sequence[Model]) -> None:
    """Its run's settings, those that differ from the baseline's first."""
    found = dossier.settings(data.runs(), formats, baseline)
    if found.empty:
        st.caption("No run is known behind it, so its settings are not.")
        return
    differing = found[found["Differs"]] if "Differs" in found else found
    if "Differs" in found:
        st.caption(f"{len(differing)} of {len(found)} settings differ from the baseline's.")
        if not st.toggle("All settings", key="all-settings", bind=URL):
            found = differing
    st.dataframe(found, hide_index=True, placeholder="–", alt="Settings")


def _curve(formats: Sequence[Model], baseline: Sequence[Model]) -> None:
    """Its losses, beside the baseline's where that was trained."""
    ids = list(dict.fromkeys(one.run_id for one in (*formats, *baseline) if one.run_id))
    drawn = data.curves(ids, "loss") if ids else []
    if not drawn:
        st.caption("No losses were recorded for it.")
        return
    figure = charts.loss_curves(drawn, data.run_names(), data.styles(), metric=curves.unit("loss"), weight=0.6)
    chart.show(figure, key="fine-tune-loss", alt="Training loss")
    page.link("app_pages/loss_curves.py", "All curves", ":material/show_chart:")


def _scores(row: Row, formats: Sequence[Model], baseline: Sequence[Model]) -> None:
    """Every score of its formats, and the way to the answers behind them."""
    ids = {one.id for one in formats}
    every = data.scores()
    found = every[every["model_id"].isin(ids)]
    st.dataframe(
        dossier.scores(found, data.machines()), hide_index=True, placeholder="–", alt="Scores of all its formats"
    )  # fmt: skip
    beside = {"a": row.id} | ({"b": baseline[0].id} if baseline and baseline[0].id != row.id else {})
    page.link("app_pages/scores.py", "Answers, item by item", ":material/compare_arrows:", **beside)


def _edit(row: Row, formats: Sequence[Model]) -> None:
    """Name, tags and archive: of its run, and so of all its formats."""
    runs = {one.run.id: one.run for one in data.runs()}
    run = next((runs[one.run_id] for one in formats if one.run_id in runs), None)
    with st.form(f"edit-{row.id}"):
        name = st.text_input("Name", row.name, max_chars=200)
        tags = st.text_input("Tags", ", ".join(run.tags) if run else "", help="Separated by commas", disabled=not run)
        notes = st.text_area("Notes", run.notes if run else "", disabled=not run)
        archived = st.toggle(
            "Archive: in no list any more, until All runs shows it", run.archived if run else False, disabled=not run
        )
        if not st.form_submit_button("Save", icon=":material/save:"):
            return
    try:
        if run is not None:
            listed = tuple(sorted({tag.strip() for tag in tags.split(",") if tag.strip()}))
            data.edit_run(run.id, name=name.strip() or run.name, tags=listed, notes=notes, archived=archived)
        if name.strip() and name.strip() != row.name and (run is None or run.name != row.name):
            data.rename(row.name, name.strip())
    except BakeoffError as error:
        page.failed(error)
        return
    st.rerun()
