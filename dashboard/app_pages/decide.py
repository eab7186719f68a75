"""Decide: what do I ship? Reads: models, scores, frozen decisions. Writes: a frozen decision or a job, at a click."""

import streamlit as st

from dashboard import charts, escaping
from dashboard.views import data, voting
from dashboard.views.deciding import candidates, votes
from dashboard.views.deciding import verdict as words
from dashboard.widgets import actions as started
from dashboard.widgets import addressed, chart, question, selection
from dashboard.widgets.deciding import frozen, limits, verdict
from dashboard.widgets.scoreboard import under_way
from dashboard.widgets.selection import URL
from dashboard.widgets.states import empty
from results import MARGIN, Question, question_text

st.title("Decide: which one to ship")
if not data.models():
    empty.show("Nothing to choose from yet.", "bakeoff demo")
machines = data.machines()
NAMES = {"humaneval": "HumanEval pass@1", "heldout": "Held-out bits per byte"}


def asked() -> Question:
    """The question as the controls state it."""
    with st.container(border=True):
        first, second, third, fourth = st.columns([3, 3, 2, 3])
        about = question.pick(first)
        measures = {"": "Automatic", **{name: NAMES.get(name, name) for name in data.measures()}}
        by = addressed.one(
            second, "Quality measured by", measures, "by",
            help="Automatic: what measured most of the models, own tests first; others may break a tie.",
        )  # fmt: skip
        margin = third.number_input(
            "Margin, points", 0.5, 50.0, None, 0.5, key="margin", bind=URL, placeholder=f"{100 * MARGIN:g}",
            help="The smallest difference that matters: a cheaper model is shipped if none is better by that much.",
        )  # fmt: skip
        timed = sorted({one.machine_id for one in data.evaluations("latency")})
        machine = addressed.one(
            fourth, "Speed measured on", {"": "The machine with the most measurements"}
            | {id_: machines.get(id_, id_) for id_ in timed}, "machine",
        )  # fmt: skip
        bounds = limits.dials(data.figures(machine or None))
    share = None if margin is None else margin / 100
    return Question(about, "", (), (by,) if by else (), bounds, share, machine or None)


@st.fragment
def choice() -> None:
    """A question in, the verdict out, above it: moving a limit redraws this alone."""
    answer = st.container()
    decided = data.decision(asked())
    with answer:
        verdict.card(decided)
        with st.container(horizontal=True):
            verdict.nexts(decided)
            frozen.actions(decided)
        if started.just_started():
            st.rerun()  # what is under way stands below, outside of this
        st.caption(escaping.label(question_text(decided), 1000))
        if (cast := votes.among(decided, voting.chosen())) and (ranked := voting.ranking(cast)):
            st.caption(":material/how_to_vote: " + escaping.label(votes.said(decided, ranked), 600))
    qualify = sum(one.qualifies for one in decided.candidates)
    st.markdown(f"**{qualify} of {len(decided.candidates)} meet the limits**")
    verdict.relaxing(out := words.relaxations(decided))
    along = addressed.one(
        st, "Draw quality against", {key: axis[0] for key, axis in candidates.AXES.items()}, "along", width=360
    )
    points = candidates.points(decided, along)
    if len(points):
        title, _, _, at_most = candidates.AXES[along]
        percent = decided.metric != "bits_per_byte"
        quality = NAMES.get(decided.benchmark, decided.benchmark) + ("" if percent else " (less is better)")
        axes = charts.Axes(title, quality, percent, candidates.bound(decided, along), at_most)
        drawn = charts.tradeoff(points, data.styles(), axes)
        chart.show(drawn, key="tradeoff", alt="Quality with 95 % intervals against what it costs")
        st.caption(escaping.label(machines.get(decided.machine_id or "", ""), 200))
    else:
        st.caption("No model has both a score and that figure: nothing to draw.")
    if len(points) and (missing := candidates.undrawn(decided, along)):
        st.caption(escaping.label(missing, 500))
    st.dataframe(candidates.table(decided, out), hide_index=True, placeholder="–", alt="Candidates")
    why = st.expander(
        "Why, step by step, and what would change it", icon=":material/format_list_numbered:", **selection.opened("why")
    )
    if why.open:  # of 300 models these are hundreds of lines, which take a browser seconds though nobody sees them
        steps = (*decided.facts, *decided.reasons, *(one.sentence for one in decided.would_change[:12]))
        why.markdown("\n".join("- " + escaping.label(sentence, 1000) for sentence in steps))


choice()
frozen.records()
under_way.show()
