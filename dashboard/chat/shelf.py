"""Conversations of a workspace, a file each: kept while they are held, found again after a reload or a restart.

    shelf = Shelf(workspace.path / FOLDER)
    talk = shelf.new(owner="ada@team.example")   # a file comes with its first prompt
    shelf.find(talk.id, owner="ada@team.example")

One that is under way is the same object for whoever asks for it in this process, so its answers go on while a page is
loaded anew. An owner sees no other's.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4
from weakref import WeakValueDictionary

from dashboard.chat.conversation import Conversation, as_kept, from_kept
from results import read_json
from results.errors import BakeoffError

FOLDER = "conversations"
"""The folder of a workspace that holds them."""
NAME = re.compile(r"[0-9a-f]{32}")
"""What an id looks like; nothing else is looked for on the disk."""
LARGEST_BYTES = 200_000_000
"""So large is one conversation at most: a hundred answers of the longest kind."""


@dataclass(frozen=True)
class Title:
    """A line of the list."""

    id: str
    title: str
    owner: str
    changed_at: str
    """When it was last written to, ISO 8601 in UTC."""


_under_way: WeakValueDictionary[tuple[str, str], Conversation] = WeakValueDictionary()
"""Conversations by folder and id, while a page or an answer that is being written holds it."""
_titles: dict[Path, tuple[int, Title | None]] = {}
"""What a file said, by its path, with the time at which it had been changed."""
_lock = threading.Lock()


class Shelf:
    """The conversations in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def new(self, owner: str) -> Conversation:
        """An empty conversation of an owner's."""
        talk = Conversation()
        talk.id, talk.owner = uuid4().hex, owner
        return self._held(talk)

    def find(self, name: str, owner: str) -> Conversation | None:
        """An owner's conversation by its id; None where there is none that this visitor may see."""
        if not NAME.fullmatch(name):
            return None
        with _lock:
            talk = _under_way.get((str(self.folder), name))
        if talk is None:
            record = self._record(name)
            try:
                talk = self._held(from_kept(record)) if record else None
            except (KeyError, TypeError, ValueError, AttributeError):  # of another kind: somebody else's file
                talk = None
        if talk is None:
            return None
        return talk if talk.owner == owner else None

    def titles(self, owner: str) -> list[Title]:
        """An owner's conversations, the last written first."""
        names = [path.stem for path in self.folder.glob("*.json")] if self.folder.is_dir() else []
        found = [self._title(name) for name in names if NAME.fullmatch(name)]
        mine = [one for one in found if one is not None and one.owner == owner]
        return sorted(mine, key=lambda one: one.changed_at, reverse=True)

    def _title(self, name: str) -> Title | None:
        """A line of the list, read again when its file has changed."""
        path = self.folder / f"{name}.json"
        try:
            changed = path.stat().st_mtime_ns
        except OSError:
            return None
        before, title = _titles.get(path, (0, None))
        if before != changed:
            record = self._record(name)
            told = [str(record.get(key) or "") for key in ("title", "owner", "changed_at")] if record else None
            title = Title(name, *told) if told else None
            _titles[path] = (changed, title)
        return title

    def keep(self, talk: Conversation) -> None:
        """Write a conversation down, whole or not at all; where that fails it says so itself (`unkept`)."""
        if not talk.turns:
            return
        part = self.folder / f".{talk.id}-{threading.get_ident()}.part"
        try:
            with talk.writing:
                self.folder.mkdir(parents=True, exist_ok=True)
                part.write_text(json.dumps(as_kept(talk), ensure_ascii=False), encoding="utf-8", errors="replace")
                part.replace(self.folder / f"{talk.id}.json")
            talk.unkept = ""
        except OSError as error:
            talk.unkept = f"{error.strerror or error}: {self.folder}"

    def remove(self, name: str, owner: str) -> None:
        """Delete an owner's conversation. Raises: OSError."""
        talk = self.find(name, owner)
        if talk is None:
            return
        talk.stop()
        talk.kept = lambda: None
        with _lock, talk.writing:
            _under_way.pop((str(self.folder), name), None)
            (self.folder / f"{name}.json").unlink(missing_ok=True)

    def _held(self, talk: Conversation) -> Conversation:
        """The conversation, or the same one that somebody else has in hand already."""
        with _lock:
            held = _under_way.setdefault((str(self.folder), talk.id), talk)
        if held is talk:
            talk.kept = lambda: self.keep(talk)
        return held

    def _record(self, name: str) -> Mapping[str, Any] | None:
        try:
            record = read_json(self.folder / f"{name}.json", most=LARGEST_BYTES)
        except (BakeoffError, OSError):
            return None
        return record if isinstance(record, dict) and record.get("id") == name else None
