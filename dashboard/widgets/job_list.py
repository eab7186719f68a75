"""The jobs of a kind on a page: state, the end of the log, stop, resume, where the result is."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from dashboard import escaping
from dashboard.jobs import jobs
from dashboard.jobs.jobs import Job
from dashboard.views import kept
from dashboard.widgets import page
from dashboard.widgets.addressed import opened

Beside = Callable[[Job], None]
LOG_LINES, ENDED_LINES = 16, 150
"""The end of the log that is shown while a job runs, and afterwards: no box to scroll in, the newest line is last."""
RESULTS = {
    "run": ("app_pages/home.py", "See result"),
    "measure": ("app_pages/home.py", "See scores"),
    "export": ("app_pages/home.py", "See the formats"),
    "import": ("app_pages/runs.py", "See the runs"),
    "demo": ("app_pages/decide.py", "See which to ship"),
    "add": ("app_pages/chat.py", "Chat"),
    "prompts": ("app_pages/prompt_sets.py", "See the answers"),
}
"""Where what each kind of job made is to be seen, by its page, and what the link says."""


def show(kind: str, lines: int = LOG_LINES, beside: Beside | None = None) -> None:
    """The jobs of a kind with the ends of their logs; while one runs they refresh themselves.

    beside: draws something beside the log of the newest job.
    """
    live = any(job.running for job in jobs.find(kept.workspace(), kind))
    st.fragment(_jobs, run_every=1.0 if live else None)(kind, live, lines, beside)


def _jobs(kind: str, was_live: bool, lines: int, beside: Beside | None) -> None:
    found = jobs.find(kept.workspace(), kind)[:10]
    if was_live and not any(job.running for job in found):
        st.rerun()
    for position, job in enumerate(found):
        one(job, expanded=position == 0, lines=lines, beside=beside if position == 0 else None)


def one(job: Job, *, expanded: bool, lines: int = LOG_LINES, beside: Beside | None = None) -> None:
    """A job, in a fragment: what it says last, what is drawn beside it, and what can be done about it."""
    title = escaping.label(f"{job.title}: {job.words()}")
    with st.expander(title, expanded=expanded, **opened(f"log-{job.name}")):
        left, right = st.columns(2) if beside else (st.container(), None)
        with left:
            _said(job, lines)
        if beside and right:
            with right:
                beside(job)


def _said(job: Job, lines: int) -> None:
    log, lines = job.log().rstrip("\n").split("\n"), lines if job.running else ENDED_LINES
    if len(log) > lines:
        st.caption(f"The last {lines} lines")
    st.code("\n".join(log[-lines:]) or "No output yet.", language=None, wrap_lines=True)
    with st.container(horizontal=True):
        if job.running:
            st.button("Stop", key=f"stop-{job.name}", icon=":material/stop:", on_click=job.stop)
        elif job.exit_status != 0 and st.button("Resume", key=f"go-{job.name}", icon=":material/play_arrow:"):
            job.start()
            st.rerun()
        elif job.exit_status == 0 and (place := RESULTS.get(job.kind)) and "--rehearse" not in job.command:
            page.link(*place, icon=":material/arrow_forward:")
        if len(log) > lines:
            st.download_button(
                "Whole log", job.log, f"{job.name}.txt", key=f"whole-log-{job.name}", icon=":material/download:",
                on_click="ignore", type="tertiary",
            )  # fmt: skip
