"""Decide. Reads: models, scores, outcomes, frozen decisions. Writes: a frozen decision, at a click."""

import streamlit as st

from dashboard import charts, escaping
from dashboard.views import data, record
from dashboard.widgets import chart, limits, page
from dashboard.widgets.selection import URL
from results import decision_markdown
from results.errors import BakeoffError

st.title("Decide: which one to ship")
if not data.models():
    page.empty("Nothing to choose from yet.", "bakeoff demo")
machines = data.machines()


@st.fragment
def choice() -> None:
    """Limits in, recommendation out: moving a slider redraws this alone."""
    with st.container(border=True):
        left, right = st.columns(2)
        by = left.selectbox(
            "Quality measured by", ["automatic", *NAMES], key="by", bind=URL,
            format_func=lambda name: NAMES.get(name, "Automatic"),
            help="Automatic: HumanEval if two models have it; held-out loss may break a tie.",
        )  # fmt: skip
        benchmark = by if by in NAMES else None
        timed = sorted({one.machine_id for one in data.evaluations("latency")})
        machine = right.selectbox(
            "Speed measured on", timed, index=None, key="machine", bind=URL,
            format_func=lambda id: machines.get(id, id), placeholder="The machine with the most measurements",
        )  # fmt: skip
        chosen = limits.sliders(data.figures(machine))
    decided = data.decision(chosen, machine, benchmark)
    box = st.success if decided.chosen else st.warning
    box(
        f"**{escaping.label(decided.verdict, 300)}** {escaping.label(decided.evidence, 4000)}",
        icon=":material/verified:" if decided.chosen else ":material/help:",
    )
    points = limits.candidates(decided)
    if len(points):
        chart.show(
            charts.tradeoff(
                points, data.styles(), x="Seconds for an answer of 128 tokens (median)",
                y=NAMES[decided.benchmark], percent=decided.metric == "pass@1",
            ),
            key="tradeoff", alt="Quality with 95 % intervals against seconds per answer",
        )  # fmt: skip
        st.caption(
            "Largest: recommended. Faded: fails a limit. Who is tied with the best stands in the table. "
            + escaping.label(machines.get(decided.machine_id or "", ""), 200)
        )
    st.dataframe(limits.table(decided), hide_index=True, placeholder="–", alt="Candidates")
    with st.expander("Why, step by step", icon=":material/format_list_numbered:"):
        for reason in decided.reasons:
            st.markdown("- " + escaping.label(reason, 1000))
    st.subheader("What would change my mind")
    for change in decided.would_change[:12]:
        st.markdown("- " + escaping.label(change.sentence, 1000))
    if not decided.would_change:
        st.caption("Nothing: on what was measured the choice is clear.")
    with st.container(horizontal=True):
        st.download_button(
            "Markdown", lambda: decision_markdown(decided), "decision.md", icon=":material/download:", on_click="ignore"
        )
        st.download_button(
            "HTML", lambda: record.page(decided, "Bakeoff decision"), "decision.html", icon=":material/download:",
            on_click="ignore", help="One page, loads nothing; print it for a PDF.",
        )  # fmt: skip
        name = st.text_input("Name", placeholder="Name to freeze it under", label_visibility="collapsed", width=240)
        if st.button("Freeze", icon=":material/ac_unit:", disabled=decided.chosen is None):
            try:
                st.toast(f"Kept as {escaping.label(data.freeze(decided, name).id)}")
            except BakeoffError as error:
                page.failed(error)


NAMES = {"humaneval": "HumanEval pass@1", "heldout": "Held-out bits per byte"}
choice()
frozen = data.rechecks()
if frozen:
    st.subheader("Frozen decisions")
    for kept, check in reversed(frozen):
        if check is None:
            st.warning(escaping.label(f"{kept.id}: its model is no longer in the store."), icon=":material/warning:")
            continue
        with st.expander(
            escaping.label(f"{kept.id}: {check.shipped} " + ("still holds" if check.holds else "should be looked at"))
        ):
            for finding in check.findings:
                st.markdown("- " + escaping.label(finding.sentence, 1000))
