"""Buttons that do what pages used to print: each starts a job at a click, with its command beside it to copy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from dashboard import escaping
from dashboard.jobs import commands, jobs
from dashboard.views import kept
from results.errors import BakeoffError

KINDS = {"evaluate": "measure", "latency": "measure", "export": "export", "import": "import", "demo": "demo"}
"""The kind of job that each verb is: what a page lists together."""


def start(command: Sequence[str], name: str) -> bool:
    """Run a command over this workspace as a job, unless the same one runs already. Whether it was started."""
    workspace, words = kept.workspace(), commands.started_with(command, kept.workspace())
    kind = KINDS[command[1]]
    if any(job.running and job.command == words for job in jobs.find(workspace, kind)):
        st.toast("That runs already: see it below.", icon=":material/hourglass_top:")
        return False
    try:
        jobs.create(jobs.folder(workspace, kind, name), words).start()
    except (OSError, BakeoffError) as error:  # a workspace that cannot be written
        st.error(escaping.label(f"The job could not be started: {error}", 400), icon=":material/error:")
        return False
    st.toast(f"Started: {escaping.label(name, 80)}", icon=":material/play_arrow:")
    st.session_state["job-started"] = True
    return True


def just_started() -> bool:
    """Whether a job was started since this was last asked: what lists jobs is to be drawn anew."""
    return bool(st.session_state.pop("job-started", False))


def button(place: Any, label: str, command: Sequence[str], name: str, *, key: str, **more: Any) -> None:
    """A button that starts a command; pointing at it shows what would be typed instead."""
    said = f"Runs `{commands.shown(command).replace('`', '')}`"
    if place.button(label, key=key, help=said, **{"icon": ":material/play_arrow:", **more}):
        start(command, name)


def typed(command: Sequence[str]) -> None:
    """The command that a button runs, to copy."""
    st.code(commands.shown(command), language="bash")
