"""Scores: which is better, item by item? Reads: evaluations, their answers, published figures. Writes: nothing."""

import streamlit as st

from dashboard import charts, escaping
from dashboard.views import data, serving
from dashboard.views.scoring import contests, scores
from dashboard.widgets import addressed, chart, page
from dashboard.widgets.scores import notes, pair
from dashboard.widgets.selection import URL
from dashboard.widgets.states import empty

st.title("Scores")
tests = scores.tests(data.measures(), contests.own_tests(), data.every_score())
if not tests:
    empty.show("Nothing has been measured by a test yet.", "bakeoff evaluate --benchmark humaneval")
left, right = st.columns([2, 3], vertical_alignment="bottom")
test = addressed.one(left, "Test", tests, "test")
archived = any(model.archived for model in data.every_model()) and right.toggle(
    "Show archived models", key="archived", bind=URL
)
dirty = data.contaminated(test)
held = f"leaves out {len(dirty)} found in training data" if dirty else "none was found in training data"
clean = right.toggle(f"Clean items only ({held})", True, key="clean", bind=URL, disabled=not dirty)
found = contests.contest(test, clean, archived)

notes.unfinished(test, archived)

if not found.models:
    figures = [row for row in data.every_score() if row.benchmark == test and row.model_id in data.model_names()]
    if not figures:
        empty.show("No model has been measured to the end yet.", f"bakeoff evaluate --benchmark {test}")
    notes.totals(figures)
    st.stop()

shipping = {model.id: model.name for model in serving.shipping_first(found.models)}
named = addressed.several(
    st, "Models", shipping, "model", meant=lambda word: data.model_ids().get(data.present_name(word), word),
    placeholder=f"All {len(shipping)}",
)  # fmt: skip
chosen = [model for model in found.models if not named or model.id in named]
drawn = chosen[: scores.MOST_DRAWN]
matched = [model for model in found.paired if model in chosen]
if len(matched) > 1:
    st.markdown(f"**{escaping.label(scores.leader(found, matched), 600)}**")

of_all = any(len(one.items) > len(found.common) for one in found.found.values())
own = of_all and st.toggle(
    "Each model on all of its own items", key="own", bind=URL, help="Then the figures are of different items"
)
published = scores.published(data.published(), test)
others = not published.empty and st.toggle("Show published figures", key="published", bind=URL)
chart.show(
    charts.score_list(
        scores.score_rows(found, drawn, own), data.styles(), title=found.metric,
        percent=found.metric != "bits_per_byte", published=published if others else None,
    ),
    key=f"scores-{test}", alt="Scores with 95 % intervals",
)  # fmt: skip
notes.show(found, chosen, drawn, own)
with st.container(horizontal=True):
    page.download(lambda: scores.score_rows(found, chosen, own).drop(columns="model_id"), f"scores-{test}")
    page.download_answers(lambda: contests.answer_lines(test), f"answers-{test}")
for sentence in data.form_costs(test):
    st.markdown("- " + escaping.label(sentence, 500))
if len(matched) < 2:
    st.stop()

st.subheader("Who wins against whom")
some = matched[: scores.MOST_IN_MATRIX]
chart.show(charts.win_matrix(*scores.matrix(found, some)), key=f"wins-{test}", alt="Items won, pair by pair")
st.caption(
    f"Items that the row's model wins : those that the column's wins, of {len(found.common)}; "
    "≈: no test tells the two apart." + f" The best {len(some)}; choose others above." * (len(some) < len(matched))
)
st.subheader("Two models, item by item")


@st.fragment
def two() -> None:
    """Any two models; other two, and each item, redraw this alone."""
    both = pair.choose(found, matched)
    if both:
        pair.show(found, both)


two()
notes.every_item(found, matched)
