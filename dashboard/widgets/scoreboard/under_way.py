"""What works at present: runs in training, measurements, jobs that pages started; redrawn while anything does."""

from __future__ import annotations

from datetime import UTC, datetime

import streamlit as st

from dashboard import escaping
from dashboard.jobs import jobs
from dashboard.views import data, kept, tables
from dashboard.views.board import NAMES
from dashboard.widgets import job_list

KINDS = ("measure", "export", "import", "demo", "add", "run")
"""Jobs of every page: those that run are listed, and the newest that ended."""
REDRAWN_SECONDS = 2.0


def show() -> None:
    """The part of a page that says what is under way."""
    live = _live()
    st.fragment(_listing, run_every=REDRAWN_SECONDS if live else None)(live)


def _live() -> bool:
    return any(row.run.status == "running" for row in data.runs()) or any(
        job.running for kind in KINDS for job in jobs.find(kept.workspace(), kind)
    )


def _listing(was_live: bool) -> None:
    if was_live and not _live():
        st.rerun()
    running = [row for row in data.runs() if row.run.status == "running"]
    measured = [one for one in data.evaluations() if one.status == "running"]
    started = [job for kind in KINDS for job in jobs.find(kept.workspace(), kind)]
    if not (running or measured or started):
        return
    st.header("Running now" if was_live else "Lately")
    names, models = data.run_names(), data.model_names()
    for row in running:
        share = row.steps / row.run.total_steps if row.run.total_steps else 0.0
        left = tables.eta(row, datetime.now(UTC))
        words = f"{names[row.run.id]}: step {row.steps:,} of {row.run.total_steps or '?'}, {left}"
        st.progress(min(1.0, share), escaping.label(words, 200))
    for one in measured:
        test = NAMES.get(one.benchmark, one.benchmark)
        words = f"{models.get(one.model_id, one.model_id)} by {test}: {data.answered(one):,} answers so far"
        st.caption(":material/hourglass_top: " + escaping.label(words, 200))
    newest = sorted(started, key=lambda job: job.name, reverse=True)
    at_work = {job.name for job in newest if job.running}  # asked once: one that ends meanwhile would be listed twice
    ended = [job for job in newest if job.name not in at_work][:5]
    for job in [*(job for job in newest if job.name in at_work), *ended]:
        job_list.one(job, expanded=job.name in at_work)
