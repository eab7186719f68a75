"""The jobs of a kind on a page, with their logs."""

from __future__ import annotations

import streamlit as st

from dashboard import escaping
from dashboard.jobs import jobs
from dashboard.views import kept


def show(kind: str, height: int = 240) -> None:
    """The jobs of a kind with their logs, of so many pixels; while one runs they refresh themselves."""
    live = any(job.running for job in jobs.find(kept.workspace(), kind))
    st.fragment(_jobs, run_every=1.0 if live else None)(kind, live, height)


def _jobs(kind: str, was_live: bool, height: int) -> None:
    found = jobs.find(kept.workspace(), kind)[:10]
    if was_live and not any(job.running for job in found):
        st.rerun()
    for position, job in enumerate(found):
        with st.expander(escaping.label(f"{job.title}: {job.words()}"), expanded=position == 0):
            st.code(job.log() or "No output yet.", language=None, wrap_lines=True, height=height)
            if job.running:
                st.button("Stop", key=f"stop-{job.name}", icon=":material/stop:", on_click=job.stop)
            elif job.exit_status != 0 and st.button("Resume", key=f"go-{job.name}", icon=":material/play_arrow:"):
                job.start()
                st.rerun()
