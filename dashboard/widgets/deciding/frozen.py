"""A decision kept: the file to send, the link to share, the record that is checked again later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

import streamlit as st

from dashboard import charts, escaping
from dashboard.palette import Style
from dashboard.views import data
from dashboard.views.deciding import candidates, record
from dashboard.widgets import drafts, page
from dashboard.widgets.deciding import limits
from dashboard.widgets.selection import opened
from results import Decision, decision_markdown
from results.errors import BakeoffError


def actions(decision: Decision) -> None:
    """Buttons to freeze a decision, to take it along, and to link to it."""
    with st.popover("Freeze", icon=":material/ac_unit:", disabled=decision.chosen is None):
        name = drafts.field(st.text_input, "Name to freeze it under", "", key="freeze-name", max_chars=80)
        if st.button("Freeze it", key="freeze", icon=":material/ac_unit:"):
            try:
                st.toast(f"Kept as {escaping.label(data.freeze(decision, name).id)}")
                st.rerun()
            except BakeoffError as error:
                page.failed(error)
    here, styles = link(), data.styles()  # a download is made outside of the page's run, which alone knows its address
    with st.popover("Record", icon=":material/download:"):
        st.download_button(
            "HTML", lambda: made(decision, here, styles), "decision.html", on_click="ignore",
            icon=":material/download:",
            help="One page with the chart, loads nothing; print it for a PDF.",
        )  # fmt: skip
        st.download_button(
            "Markdown", lambda: f"{record.signature()}\n\n{here}\n\n{decision_markdown(decision)}", "decision.md",
            icon=":material/download:", on_click="ignore",
        )  # fmt: skip
    with st.popover("Link", icon=":material/link:"):
        st.code(here, language=None, wrap_lines=True)


def link(query: Mapping[str, Sequence[str]] | None = None) -> str:
    """The address of what is seen, with every choice in it. query: of this page with other choices."""
    seen = {key: st.query_params.get_all(key) for key in st.query_params}
    asked = urlencode(seen if query is None else query, doseq=True)
    here = str(st.context.url or "").partition("?")[0]
    return f"{here}?{asked}" if asked else here


def made(decision: Decision, here: str, styles: Mapping[str, Style]) -> str:
    """The decision as one page of HTML: signed, with its chart and the link."""
    points = candidates.points(decision)
    percent = decision.metric != "bits_per_byte"
    drawn = charts.printed(points, styles, candidates.AXES[""][0], percent=percent) if len(points) else ""
    return record.page(decision, "Bakeoff decision", record.signature(), here, drawn)


def records() -> None:
    """Frozen decisions, each held against the store of today."""
    found = data.rechecks()
    if not found:
        return
    st.header("Frozen decisions")
    for kept, check in reversed(found):
        if check is None:
            st.warning(escaping.label(f"{kept.id}: its model is no longer in the store."), icon=":material/warning:")
            continue
        title = escaping.label(
            f"{kept.id}: {check.shipped} " + ("still holds" if check.holds else "should be looked at")
        )
        with st.expander(title, **opened(f"frozen-{kept.id}")):
            st.caption(escaping.label(record.signed(kept), 500))
            st.code(link(limits.address(kept)), language=None, wrap_lines=True)
            changed = ", ".join(check.changed) or "nothing"
            st.markdown(f"Changed since: {escaping.label(changed, 500)}.")
            for finding in check.findings:
                st.markdown("- " + escaping.label(finding.sentence, 1000))
