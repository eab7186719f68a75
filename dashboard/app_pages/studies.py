"""Studies. Reads: published figures, scores, latency. Writes: nothing."""

import pandas as pd
import streamlit as st

from dashboard import charts, escaping
from dashboard.views import data, studies
from dashboard.widgets import chart, page
from dashboard.widgets.selection import URL
from dashboard.widgets.states import empty

st.title("Studies")
st.caption("Figures that others published, beside yours. Others measured them, elsewhere and in other ways.")
published = data.published()
if published.empty:
    empty.show("There are no published figures yet.", "bakeoff import FILE")
study = st.selectbox(
    "Study",
    sorted(published["study"].unique(), key=lambda name: -(published["study"] == name).sum()),
    key="study",
    bind=URL,
)
rows = published[published["study"] == study]
st.dataframe(studies.table(rows), hide_index=True, placeholder="–", alt="The study's own figures")
page.download(lambda: studies.table(rows), "study")
st.caption(escaping.label("Source: " + "; ".join(sorted(set(rows["source"]))), 300))

decision = studies.judged(rows)
if decision is not None:
    st.subheader("What these totals support")
    st.info(escaping.label(decision.paragraph, 3000), icon=":material/gavel:")
    mine = data.scores("humaneval", "pass@1")
    mine = mine.assign(
        label=[
            f"{name} (yours{', ' + part if part else ''})"
            for name, part in zip(mine["model"], mine["subset"], strict=True)
        ]
    )
    both = pd.concat([studies.with_intervals(rows), mine], ignore_index=True)
    chart.show(
        charts.scores_with_intervals(both, data.styles(), title="HumanEval, tasks passed (pass@1)", percent=True),
        key="beside",
        alt="Published and measured scores with 95 % intervals",
    )
    st.caption(
        "Intervals of published scores are computed here from their counts, unpaired: single outcomes are not known."
    )

seconds = studies.answer_seconds(rows)
if len(seconds):
    st.subheader("Seconds per answer")
    st.dataframe(seconds, hide_index=True, placeholder="–", alt="Seconds per answer")
    mine = data.scores("latency")
    mine = mine[
        mine["metric"].isin(["ttft_seconds_p50", "tpot_seconds_p50", "total_seconds_p50", "tokens_per_second_p50"])
    ]
    st.markdown("**Yours**, split as the study's could not be: to the first token, and per output token")
    if mine.empty:
        st.code("bakeoff latency", language="bash")
    else:
        machines = data.machines()
        shown = mine.assign(machine=[machines.get(id, id) for id in mine["machine_id"]])
        st.dataframe(
            shown.pivot_table(index=["model", "machine"], columns="metric", values="value").reset_index(),
            hide_index=True,
            placeholder="–",
            alt="Your measurements",
        )
    st.caption("One request each, answers of different lengths: these seconds mix speed with length.")

curve = studies.curve(rows)
if len(curve):
    st.subheader("Published curve")
    chart.show(charts.published_curve(curve), key="curve", alt="The study's training loss")
