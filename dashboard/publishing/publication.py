"""A decision published: read, proven to give nothing away, drawn, put into its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dashboard.errors import PageRefused
from dashboard.publishing.bases import PublicBase
from dashboard.publishing.chat import Chat, chat_part, leaks_of_file
from dashboard.publishing.folder import INDEX, OURS, put
from dashboard.publishing.leaks import SHOWN, Leak, PrivateWords, leaks, without
from dashboard.publishing.page import page
from dashboard.publishing.space import PAGE, put_space, space_part
from dashboard.publishing.study import PageWishes, Study, read_study
from results import Decision, Store

SPACE_NAMES = rf"(?:models|dist)/[^/]+|{PAGE}/{OURS.pattern}"
TOLD = 12
"""Leaks that are told one by one."""


@dataclass(frozen=True)
class Published:
    """What was written."""

    folder: Path
    sizes: Mapping[str, int]
    """Bytes by name of file."""
    allowed: tuple[Leak, ...]
    """What would not have been published, had its words not been allowed."""
    left_out: tuple[str, ...]
    """What the page does not show, and why."""
    title: str = ""
    handed_on: tuple[str, ...] = ()
    """The models whose weights are in the folder, each with its base and licence, in a line."""
    served: bool = False
    """Whether it is an image's folder, with a server, and no page to open by itself."""
    names: str = OURS.pattern
    """How the names of such a folder's changing files look, as a pattern: what an earlier one may leave."""

    @property
    def page(self) -> Path:
        """The page to open."""
        return self.folder / next(name for name in self.sizes if name.rpartition("/")[2] == INDEX)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values; of a secret that was allowed the beginning alone."""
        allowed = [{"kind": one.kind, "word": one.shown, "place": one.place} for one in self.allowed]
        files = [{"name": name, "bytes": size} for name, size in self.sizes.items()]
        about = {"allowed": allowed, "left_out": list(self.left_out)}
        return {"folder": str(self.folder), "page": str(self.page), "files": files, **about}


def publish_decision(
    store: Store,
    decision: Decision,
    folder: Path,
    bases: Mapping[str, PublicBase],
    wishes: PageWishes,
    own: PrivateWords,
    chat: Chat | None = None,
) -> Published:
    """Write a decision's page into a folder. bases: what others may know of each, by the name that models have of it.

    own: what is private on this machine, and what of it may be published. chat: the model that answers on the page.
    Raises: PageRefused naming what would be given away, and where, or the folder; BakeoffError for wishes of what is
    not there.
    """
    study, found = _study(store, decision, bases, wishes, own, [chat] if chat else [])
    part = chat_part(chat) if chat else None
    made = page(study, part)
    sizes = put(folder, made.html, {made.data_name: made.data.encode(), **(part.files if part else {})})
    return Published(folder, sizes, tuple(found), study.left_out, study.title, part.handed_on if part else ())


def publish_space(
    store: Store,
    decision: Decision,
    folder: Path,
    bases: Mapping[str, PublicBase],
    wishes: PageWishes,
    own: PrivateWords,
    chats: Sequence[Chat],
) -> Published:
    """Write a decision as a folder that an image is built from: the page, and a server on which its models answer.

    The rest as in `publish_decision`, which the page is made by.
    """
    study, found = _study(store, decision, bases, wishes, own, chats)
    part = space_part(chats)
    made = page(study, part)
    shown = put(folder / PAGE, made.html, {made.data_name: made.data.encode()})
    sizes = {f"{PAGE}/{name}": size for name, size in shown.items()} | put_space(folder, part, chats, study.title)
    return Published(folder, sizes, tuple(found), study.left_out, study.title, part.handed_on, True, SPACE_NAMES)


def _study(
    store: Store,
    decision: Decision,
    bases: Mapping[str, PublicBase],
    wishes: PageWishes,
    own: PrivateWords,
    chats: Sequence[Chat],
) -> tuple[Study, list[Leak]]:
    """What a page tells, and what of it and of its models' files is private and was allowed. Raises: PageRefused."""
    study = read_study(store, decision, bases, wishes)
    found = leaks(study, own) + [leak for chat in chats for leak in leaks_of_file(chat, own)]
    refuse(without(found, own.allowed))
    return study, found


def refuse(found: Sequence[Leak]) -> None:
    """Raises: PageRefused where anything was found that must not be published, with the remedy."""
    if not found:
        return
    lines = "; ".join(one.sentence for one in found[:TOLD])
    more = f"; and {len(found) - TOLD} more" if len(found) > TOLD else ""
    words = " ".join(f"--allow '{one.word[:SHOWN] if one.secret else one.word}'" for one in found[:2])
    raise PageRefused(
        f"Nothing is published, since it would give away: {lines}{more}. Leave these items out (--item, --answers 0), "
        f"rename what has such a name, or allow the words, e.g. {words}"
    )
