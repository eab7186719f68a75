"""What a visitor types and has not sent: found again after a reload, after leaving the page, after a restart.

    name = drafts.field(st.text_input, "Name", "my-experiment", key="run-name", max_chars=80)

What one looks at (filters, models, what is open) is in the address, so that it can be sent to a colleague; what one
types into a form is nobody else's, may be long, and is in a file of the visitor's in the workspace (`FOLDER`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from dashboard.views import kept
from dashboard.widgets import login
from results import read_json
from results.errors import BakeoffError

FOLDER = "drafts"
"""The folder of a workspace that holds them, a file a visitor."""
LARGEST_BYTES = 20_000_000
"""So large is what one visitor has typed at most."""


def field(draw: Callable[..., Any], label: str, value: Any = None, *, key: str, **more: Any) -> Any:
    """A widget whose value is kept from its first change on. Returns its value.

    draw: the widget's function, e.g. `column.text_input`. value: what it holds until it is changed; a field of numbers
    or of one choice is empty without it. key: its name, on no other page.
    """
    state = st.session_state
    if key not in state:
        before = _read()
        # As its default, not as its state: a popover that is not open yet forgets what its fields' state was.
        state[f"draft-{key}"] = before[key] if key in before and _fits(before[key], value, more) else value
    found = state.get(f"draft-{key}", "" if isinstance(value, str) else None)
    if "options" in more and more.get("accept_new_options"):
        more["options"] = list(dict.fromkeys([*more["options"], *_several(found)]))
    if draw.__name__ == "selectbox":
        more["index"] = list(more["options"]).index(found) if found in more["options"] else None
    else:
        more["default" if "options" in more else "value"] = found
    return draw(label, key=key, on_change=_keep, args=(key,), **more)


def put(key: str, value: Any) -> None:
    """Have a field hold something else: in a callback, or before it is drawn."""
    st.session_state[key] = value
    st.session_state.pop(f"draft-{key}", None)
    _keep(key)


def remember(key: str, value: Any) -> None:
    """Keep something of a visitor's that no field holds, as JSON has it."""
    _write({key: value})


def remembered(key: str) -> Any:
    """What `remember` was told last; None without it."""
    return _read().get(key)


def _fits(found: Any, value: Any, more: Mapping[str, Any]) -> bool:
    """Whether what was kept is something that the field of today can hold."""
    if found is not None and not isinstance(found, (str, int, float, list) if value is None else type(value)):
        return False
    if not all(isinstance(one, str | int | float) for one in _several(found)):
        return False
    options = more.get("options")
    if options is not None and not more.get("accept_new_options"):
        return all(one in options for one in _several(found))
    if isinstance(found, int | float) and not isinstance(found, bool):
        low, high = more.get("min_value"), more.get("max_value")
        return (low is None or found >= low) and (high is None or found <= high)
    return True


def _several(found: Any) -> list[Any]:
    return found if isinstance(found, list) else [] if found is None else [found]


def _file() -> Path | None:
    """The visitor's file; None where nobody knows who is looking: the session alone remembers then."""
    person = login.person()
    name = hashlib.sha256(person.encode()).hexdigest()[:32]
    return kept.workspace().path / FOLDER / f"{name}.json" if person else None


def _read() -> dict[str, Any]:
    path = _file()
    if path is None or not path.is_file():
        return {}
    try:
        found = read_json(path, most=LARGEST_BYTES)
    except BakeoffError:  # cut off by a full disk, or somebody else's file
        return {}
    return found if isinstance(found, dict) else {}


def _keep(key: str) -> None:
    _write({key: st.session_state[key]})


def _write(changes: Mapping[str, Any]) -> None:
    path = _file()
    if path is None:
        return
    found = {**_read(), **changes}
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(found, ensure_ascii=False), encoding="utf-8", errors="replace")
        part.replace(path)
    except OSError as error:
        st.toast(f"What you type here is not kept: {error.strerror or error}", icon=":material/save:")
