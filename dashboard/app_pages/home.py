"""Home: what do I have? Reads: models, scores, runs, jobs. Writes: jobs, at a click; names, tags, archive of a run."""

import streamlit as st

from dashboard import escaping
from dashboard.views import board, data, durations, scoreboard, voting
from dashboard.widgets import actions, addressed, page, question
from dashboard.widgets.scoreboard import board as table
from dashboard.widgets.scoreboard import fine_tune, under_way
from dashboard.widgets.states import empty
from results import Question

st.title("Home")
models, by_id = data.models(), data.models_by_id()
if not models:
    empty.steps()
    under_way.show()
    st.stop()
before, families = data.evaluations(), scoreboard.families(models)
named = {formats[0].fine_tune or formats[0].name: formats for formats in families}

first, second, third, fourth = st.columns([5, 5, 4, 9], vertical_alignment="bottom")
asked = Question(experiment=question.pick(first))
decision = data.decision(asked)
usual = scoreboard.usual_baseline(models, decision)
options = {"": f"Usual: {usual}" if usual else "None", **{name: name for name in named}}
baseline = addressed.one(
    second, "Baseline", options, "baseline", meant=data.present_fine_tune, help="What gains and losses are held against"
)
baseline = baseline or usual
every = board.columns(data.measures())
with third.popover("Columns", icon=":material/view_column:"):
    chosen = addressed.several(
        st, "Columns", {one.key: one.title for one in every}, "columns", placeholder="The usual ones"
    )
with fourth.container(horizontal=True, horizontal_alignment="right"):
    page.link("app_pages/add_models.py", "Add models", ":material/library_add:")
    page.link("app_pages/new_run.py", "New run", ":material/rocket_launch:")
    empty.bring()

shown = [one for one in every if one.key in (chosen or board.usual(every))]
against = tuple(one.id for one in named.get(baseline, ()))
scores = {one.key: data.scored(asked, one.key, against) for one in shown if one.is_test}
rows = scoreboard.rows(models, decision, scores, voting.by_model(), baseline)


def fills(row: scoreboard.Row, column: board.Column) -> str:
    """What the button of a missing figure says; empty where nothing can measure it."""
    test = "latency" if column.key in scoreboard.COSTS else column.key
    found = scoreboard.measured_by(row, column.key, by_id, before)
    return f"Measure{durations.about(data.seconds_of(test))}" if found else ""


def measure(id_: str, key: str) -> None:
    """Start what a button of the table says."""
    row = next((one for one in rows if one.id == id_), None)
    command = scoreboard.measured_by(row, key, by_id, before) if row else None
    if row and command:
        actions.start(command, f"{row.name} by {key}")


def opens(id_: str) -> None:
    """Open a row, or close the one that is open."""
    addressed.keep("open", "" if addressed.kept("open") in members.get(id_, ()) else id_)


@st.fragment
def scoreboard_and_row() -> None:
    """The table, and below it the row that is open: sorting and opening redraw these alone."""
    sort = board.sorted_by(addressed.kept("sort"), every)
    open_now = addressed.kept("open")
    family = next((row for row in rows if open_now in row.members), None)
    table.show(
        board.payload(
            scoreboard.ordered(rows, *sort), shown, data.styles(), measure=fills, sort=sort,
            opened=family.id if family else "",
        ),
        opens, lambda key: addressed.keep("sort", board.next_sort(addressed.kept("sort"), key, every)), measure,
    )  # fmt: skip
    with st.container(horizontal=True):
        page.download(lambda: board.frame(rows, shown), "scoreboard")
        page.link("app_pages/runs.py", "All runs and their settings", ":material/table_rows:")
        page.link("app_pages/prompt_sets.py", "Prompt sets", ":material/checklist:")
        page.link("app_pages/studies.py", "Reference figures", ":material/menu_book:")
    if family:
        fine_tune.show(family, [by_id[one] for one in against])
    if actions.just_started():
        st.rerun()  # what is under way stands below, outside of this


members = {row.id: row.members for row in rows}
if decision.verdict:
    st.markdown(f"**{escaping.label(decision.verdict, 300)}**")
scoreboard_and_row()
under_way.show()
