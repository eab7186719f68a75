"""Decide. Reads: models, scores, outcomes, frozen decisions. Writes: a frozen decision, at a click."""

import streamlit as st

from dashboard import charts, escaping
from dashboard.views import data, record
from dashboard.widgets import chart, limits, page
from dashboard.widgets.selection import URL
from results import EVERYTHING, MARGIN, Question, decision_markdown, question_text
from results.errors import BakeoffError

st.title("Decide: which one to ship")
if not data.models():
    page.empty("Nothing to choose from yet.", "bakeoff demo")
machines = data.machines()


NAMES = {"humaneval": "HumanEval pass@1", "heldout": "Held-out bits per byte"}
BOXES = {
    "ship": (st.success, ":material/verified:"),
    "tie": (st.info, ":material/balance:"),
    "only one": (st.info, ":material/looks_one:"),
    "not enough data": (st.warning, ":material/hourglass_empty:"),
    "nobody": (st.warning, ":material/help:"),
}
"""How each verdict is shown: by colour, by icon and in words."""


def asked() -> Question:
    """The question as the controls state it."""
    with st.container(border=True):
        first, second, third, fourth = st.columns([3, 3, 2, 3])
        named = data.experiments()
        about = first.selectbox(
            "Question", ["", *named, EVERYTHING], key="about", bind=URL,
            format_func=lambda name: {"": "Newest experiment", EVERYTHING: "All models"}.get(name, name),
            help="A decision is made among the models of one experiment: only they answer one question.",
        )  # fmt: skip
        by = second.selectbox(
            "Quality measured by", ["", *data.measures()], key="by", bind=URL,
            format_func=lambda name: NAMES.get(name, name) if name else "Automatic",
            help="Automatic: what measured most of the models, own tests first; others may break a tie.",
        )  # fmt: skip
        margin = third.number_input(
            "Margin, points", 0.5, 50.0, None, 0.5, key="margin", bind=URL, placeholder=f"{100 * MARGIN:g}",
            help="The smallest difference that matters: a cheaper model is shipped if none is better by that much.",
        )  # fmt: skip
        timed = sorted({one.machine_id for one in data.evaluations("latency")})
        machine = fourth.selectbox(
            "Speed measured on", timed, index=None, key="machine", bind=URL,
            format_func=lambda id: machines.get(id, id), placeholder="The machine with the most measurements",
        )  # fmt: skip
        bounds = limits.sliders(data.figures(machine))
    share = None if margin is None else margin / 100
    return Question(about or "", "", (), (by,) if by else (), bounds, share, machine)


@st.fragment
def choice() -> None:
    """A question in, the verdict out, above it: moving a limit redraws this alone."""
    answer = st.container()
    decided = data.decision(asked())
    with answer:
        box, icon = BOXES[decided.kind]
        facts = "".join(f"\n- {escaping.label(fact, 2000)}" for fact in decided.facts)
        box(f"**{escaping.label(decided.verdict, 300)}**\n{facts}", icon=icon)
        st.caption(escaping.label(question_text(decided), 1000))
    points = limits.candidates(decided)
    if len(points):
        chart.show(
            charts.tradeoff(
                points, data.styles(), x="Seconds for an answer of 128 tokens (median)",
                y=NAMES.get(decided.benchmark, decided.benchmark), percent=decided.metric != "bits_per_byte",
            ),
            key="tradeoff", alt="Quality with 95 % intervals against seconds per answer",
        )  # fmt: skip
        st.caption(
            "Largest: to be shipped. Faded: fails a limit. How each stands to the best is in the table. "
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
            st.caption(escaping.label(record.signed(kept), 500))
            changed = ", ".join(check.changed) or "nothing"
            st.markdown(f"Changed since: {escaping.label(changed, 500)}.")
            for finding in check.findings:
                st.markdown("- " + escaping.label(finding.sentence, 1000))
