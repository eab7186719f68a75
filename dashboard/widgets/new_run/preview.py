"""What training rows become: counts, what is wrong and where, three rows as the base reads them."""

from __future__ import annotations

import html
from pathlib import Path

import streamlit as st

from dashboard import escaping
from dashboard.jobs import looks
from dashboard.jobs.looks import Look
from dashboard.views import kept
from dashboard.views.new_run import experiment, preview
from dashboard.views.new_run.experiment import Draft
from dashboard.widgets import page
from dashboard.widgets.new_run import awaited
from results.errors import BakeoffError

CSS = """.rendered { white-space: pre-wrap; overflow-wrap: anywhere; font-family: "Source Code Pro", monospace;
  font-size: 0.85rem; max-height: 22rem; overflow-y: auto; border: 1px solid rgba(128, 128, 128, .35);
  border-radius: .5rem; padding: .6rem .8rem; }
.rendered mark { background: rgba(0, 158, 115, .22); color: inherit; border-bottom: 2px solid rgb(0, 158, 115); }"""


def asked(draft: Draft) -> Look | None:
    """The look at the rows of a form, begun where nobody did; None where the workspace takes no files."""
    try:
        text = experiment.looked_at(draft)
        look = looks.look(kept.workspace(), "data", text, "--rows", "3", about=experiment.stamps(draft))
        if not look.asked:
            look.ask()
    except (OSError, BakeoffError) as error:
        page.failed(error)
        return None
    return look


def show(look: Look) -> None:
    """The answer, or that it is under way; redrawn until it is there, and then the page with it."""
    awaited.show(look, "Reading the rows, and rendering them as the base reads them", _reports, 600, again=True)


def _reports(reports: list[preview.Json]) -> None:
    for report in reports:
        if len(reports) > 1:
            st.markdown(f"**{escaping.label(Path(str(report['source'])).name, 80)}**")
        usable = report["usable"]
        (st.success if usable and not report["unusable"] else st.warning if usable else st.error)(
            escaping.label(preview.summary(report), 400)
        )
        found = preview.faults(report)
        if len(found):
            # A table of words that wrap: on a phone, too, the remedy is to be read.
            st.table(found.map(lambda cell: escaping.label(str(cell), 400)).set_index("Where"), border="horizontal")
        _rows(report)
    for said in dict.fromkeys(line for report in reports for line in report["said"]):
        st.caption(escaping.label(said, 500))
    if preview.unnamed(reports):
        named = ", ".join(f"{{{name}}}" for name in preview.columns(reports)[:12])
        st.info(
            escaping.label(f"Which columns are prompt and answer? Under “Split, rows and columns” above: {named}", 400),
            icon=":material/view_column:",
        )  # fmt: skip


def _rows(report: preview.Json) -> None:
    """The rendered rows, what is trained marked; each in a box that the keyboard reaches."""
    if not report["rows"]:
        return
    whose = f"as {report['base']} reads them" if report["base"] else "as they are read"
    st.caption(escaping.label(f"Rows {whose}; what is learned is marked", 200))
    boxes = []
    for row in report["rows"]:
        inner = "".join(
            f"<mark>{html.escape(text)}</mark>" if trained else html.escape(text)
            for trained, text in preview.parts(row)
        )
        label = f"Row {row['row']:,} as it is read"
        boxes.append(f'<div class="rendered" tabindex="0" role="region" aria-label="{label}">{inner}</div>')
    for place, box in zip(st.columns(len(boxes)), boxes, strict=True):
        place.html(box)
