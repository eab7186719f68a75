"""What a setting did to the loss of the runs of a list."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboard import charts
from dashboard.views import data, tables
from dashboard.views.training import kin, runs
from dashboard.widgets import addressed, chart
from dashboard.widgets.selection import URL
from results.records import RunSummary


def show(rows: Sequence[RunSummary]) -> None:
    """What a setting did to the loss, among runs of one base on the same rows, beside the noise of seeds."""
    families = {name: members for name, members in kin.families(rows).items() if len(members) > 1}
    st.header("Effect of a setting")
    if not families:
        st.caption("No two runs are of one base on the same held-out rows: their losses cannot be compared.")
        return
    left, right = st.columns(2)
    family = addressed.one(
        left, "Among", {name: f"{name} ({len(members)} runs)" for name, members in families.items()}, "among",
        help="Losses are compared among runs of one base whose held-out rows are the same.",
    )  # fmt: skip
    members, names = families[family], data.run_names()
    differing = data.settings_of([row.run.id for row in members])
    if not differing:
        st.caption("These runs have the same settings.")
        return
    setting = right.selectbox("Effect of setting", tables.swept(differing), key="effect", bind=URL)
    results = runs.effect_of(setting, differing, members, names)
    if len(results) < 2:
        st.caption("Fewer than two of these runs measured a validation loss.")
        return
    figure = charts.effects(results, setting=setting, metric="Best validation loss, nats per token")
    chart.show(figure, key="effects", alt=f"Best validation loss by {setting}")
    spread = tables.noise(results)
    st.caption(
        f"The seed alone moves this by ±{spread:.4f} (standard deviation): smaller differences are noise."
        if spread is not None
        else "No setting was run with two seeds, so nobody knows how much of this is noise."
    )
