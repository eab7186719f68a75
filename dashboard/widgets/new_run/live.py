"""Losses of a run that a page started, beside its log, as they come."""

from __future__ import annotations

import streamlit as st

from dashboard import charts, escaping
from dashboard.jobs import looks
from dashboard.jobs.jobs import Job
from dashboard.views import curves, data
from dashboard.views.new_run import experiment
from dashboard.widgets import chart

METRICS = ("loss", "validation_loss")


def of(job: Job) -> str:
    """The experiment that a job runs, by its file; empty for a rehearsal, whose miniatures are in no store."""
    text = looks.file_of(job)
    return experiment.name(text) if text and "--rehearse" not in job.command else ""


def losses(job: Job) -> None:
    """The losses of the runs of a job's experiment, training and validation."""
    name = of(job)
    rows = [row for row in data.runs() if name and row.run.experiment == name and not row.run.archived]
    drawn = {metric: data.curves([row.run.id for row in rows], metric) for metric in METRICS} if rows else {}
    if not any(drawn.values()):
        st.caption("A rehearsal keeps no losses." if not name else "No loss yet: rows and base are prepared first.")
        return
    panel = charts.Panel(curves.unit("loss"), drawn["loss"], drawn["validation_loss"])
    figure = charts.loss_panels([panel], data.run_names(), data.styles(), weight=0.6)
    chart.show(figure, key=f"live-{job.name}", alt=f"Losses of {escaping.plain(name)}")
