"""HumanEval. Reads: humaneval evaluations, their answers, published figures. Writes: nothing."""

import streamlit as st

from dashboard import charts, escaping
from dashboard.views import data, humaneval
from dashboard.widgets import answers, chart, page, selection
from dashboard.widgets.selection import URL, present_names
from results import left_out_words

st.title("HumanEval")
evaluations = selection.listed(data.newest("humaneval"))
if not evaluations:
    page.empty("No model has answered HumanEval yet.", "bakeoff evaluate --benchmark humaneval")
styles, known = data.styles(), data.models_by_id()
by_model = {one.model_id: one for one in evaluations}
chosen = selection.models([known[id] for id in by_model])
labels = {model.name: model for model in chosen}
frames = {model.id: data.outcomes(by_model[model.id]) for model in chosen}
dirty = data.contaminated("humaneval")
held = f"leaves out {len(dirty)} found in training data" if dirty else "none was found in training data"
clean_only = st.toggle(f"Clean tasks only ({held})", key="clean", bind=URL, disabled=not dirty)
excluded = dirty if clean_only else []

rows = humaneval.score_rows({model.id: (model.name, frames[model.id]) for model in chosen}, excluded)
through = humaneval.through([(model, by_model[model.id]) for model in chosen])
subsets = sorted({by_model[model.id].subset or "all 164 tasks" for model in chosen})
published = data.published()
published = published[published["metric"] == "pass@1"].assign(label=lambda f: f["study"] + ", " + f["subject"])
with_published = st.toggle("Show published figures", key="published", bind=URL, disabled=published.empty)
chart.show(
    charts.scores_with_intervals(
        rows,
        styles,
        title="Tasks passed (pass@1)",
        percent=True,
        published=published if with_published else None,
    ),
    key="scores",
    alt="Share of tasks passed, with 95 % intervals",
)
st.caption(
    escaping.label(
        f"pass@1 with 95 % intervals (Wilson) on {'; '.join(subsets)}."
        + (" Clean tasks only." if clean_only else "")
        + f" Answered through {through}.",
        600,
    )
)
for one in evaluations:
    left_out = left_out_words(known[one.model_id].name, one.details) if one.model_id in frames else ""
    if left_out:
        st.caption(escaping.label(left_out, 600))
    if one.status != "finished" and one.model_id in frames:
        st.warning(
            escaping.label(
                f"{known[one.model_id].name}: {one.status}, {len(frames[one.model_id])} answers so far. {one.reason}",
                300,
            )
        )
page.download(lambda: rows.drop(columns="model_id"), "humaneval")

costs = data.form_costs("humaneval")
if costs:
    st.subheader("What each format costs")
    for sentence in costs:
        st.markdown("- " + escaping.label(sentence, 500))

verdicts = humaneval.verdicts({model.name: frames[model.id] for model in chosen}, excluded)


@st.fragment
def pair() -> None:
    """Any two models; other two redraw this alone."""
    left, right = st.columns(2)
    for key in ("a", "b"):
        present_names(key, list(verdicts.index), many=False)
    a = left.selectbox("Model A", list(verdicts.index), key="a", bind=URL)
    b = right.selectbox("Model B", list(verdicts.index), index=1, key="b", bind=URL)
    if a == b:
        st.caption("Choose two different models.")
    else:
        st.markdown(escaping.label(data.compared(a, b, "humaneval"), 2000))


if len(verdicts) > 1:
    st.subheader("Compare two models, task by task")
    pair()
if verdicts.empty:
    st.stop()
st.subheader("Every task")
chart.show(charts.task_matrix(verdicts), key="matrix", alt="Verdict of every model on every task")


@st.fragment
def task() -> None:
    """One task's prompt and the answers side by side; another task redraws this alone."""
    left, right = st.columns([2, 1])
    only = right.toggle("Only where models differ", key="differ", bind=URL)
    tasks = [t for t in verdicts.columns if not only or (verdicts[t] == "passed").nunique() > 1] or list(
        verdicts.columns
    )
    item = left.selectbox("Task", tasks, key="task", bind=URL)
    answers.of_one_task({name: data.answer(frames[model.id], item) for name, model in labels.items()})


task()
