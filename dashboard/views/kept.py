"""The store behind the pages, and what is kept of it between two looks: until somebody writes to it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import streamlit as st

import results

P = ParamSpec("P")
T = TypeVar("T")


def workspace() -> results.Workspace:
    """The workspace that `bakeoff dashboard` was started for."""
    return results.Workspace.open()


@st.cache_resource(max_entries=4, show_spinner=False)
def _store(folder: str, url: str) -> results.Store:
    return results.Workspace(folder).store(url)


def store() -> results.Store:
    """The store of this workspace, opened once a process."""
    place = workspace()
    return _store(str(place.path), place.store_url)


def stamp() -> str:
    """Changes whenever the store was written, or a process that worked on it died. For SQLite its files' times and
    sizes, else every 3 seconds."""
    place = workspace().path
    marks = []
    for name in ("results.db", "results.db-wal"):
        try:
            status = (place / name).stat()
            marks.append(f"{status.st_mtime_ns}.{status.st_size}")
        except OSError:
            marks.append("-")
    if os.environ.get("BAKEOFF_DATABASE_URL") or marks[0] == "-":
        marks.append(str(int(time.time() / 3)))
    else:
        marks.append(store().at_work())
    return f"{place}:{':'.join(marks)}"


def until_written(entries: int, *, shared: bool = False) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Remember what a function reads from the store, for each of its arguments, until the store is written.

    entries: how many answers are remembered. shared: all visitors get one object, which nobody changes; else each call
    gets a copy (a thousand runs take 10 ms to copy).
    """
    return until(stamp, entries, shared=shared)


def until(mark: Callable[[], str], entries: int, *, shared: bool = False) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Remember what a function finds until `mark` says something else: as `until_written`, for what rests on less."""
    cache = st.cache_resource if shared else st.cache_data

    def marked(read: Callable[P, T]) -> Callable[P, T]:
        @cache(max_entries=entries, show_spinner=False)
        @wraps(read)
        def remembered(written: str, *arguments: P.args, **named: P.kwargs) -> T:
            return read(*arguments, **named)

        @wraps(read)
        def present(*arguments: P.args, **named: P.kwargs) -> T:
            found: T = remembered(mark(), *arguments, **named)
            return found

        return present

    return marked
