"""A published page as a Space of the Hub: its files, and for a static one the README.md that the Hub reads.

The chat of a page gets its threads by the headers that the README asks for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml

from trainer.hub.push import Upload

HEADERS = {"cross-origin-embedder-policy": "require-corp", "cross-origin-opener-policy": "same-origin"}
"""What a browser wants to see before it gives a page threads."""
MOST_TITLE = 80
EXPLAINED = """Made by `bakeoff publish`: one page that loads nothing from elsewhere. Open it above; its figures are
labelled as measured, imported or published, and the decision is beside it as JSON."""


def space_of(
    folder: Path, names: Iterable[str], repository: str, title: str, models: Sequence[str] = (), earlier: str = ""
) -> Upload:
    """The files of a page's folder as a Space, nothing sent yet. models: what is handed on with it, a line each.

    earlier: how the names of an earlier page's files look; those that are not in this one go.
    """
    header = {
        "title": " ".join(title.split())[:MOST_TITLE],
        "sdk": "static",
        "app_file": "index.html",
        "pinned": False,
        "tags": ["bakeoff"],
        "custom_headers": HEADERS,
    }
    said = "".join(f"\n- {line}" for line in models)
    handed = f"\n\nThe models that it hands on, with their bases and licences:\n{said}" if models else ""
    readme = f"---\n{yaml.safe_dump(header, sort_keys=False, allow_unicode=True)}---\n\n{EXPLAINED}{handed}\n"
    return Upload(
        repository, {"README.md": readme.encode("utf-8"), **{one: folder / one for one in names}}, "space", earlier
    )


def docker_space_of(folder: Path, names: Iterable[str], repository: str, earlier: str = "") -> Upload:
    """The files of a Docker Space's folder, its README.md with them, nothing sent yet. earlier: as in `space_of`."""
    return Upload(repository, {one: folder / one for one in names}, "space", earlier, "docker")
