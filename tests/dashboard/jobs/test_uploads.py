"""Dropped files are kept under what is in them."""

from __future__ import annotations

import hashlib

from dashboard.jobs import uploads
from results import Workspace


def test_a_file_is_kept_once_under_its_digest_and_another_of_its_name_beside_it(workspace: Workspace) -> None:
    first = uploads.keep(workspace, "../shop bot?.csv", b"a,b\n1,2\n")
    again = uploads.keep(workspace, "../shop bot?.csv", b"a,b\n1,2\n")
    other = uploads.keep(workspace, "shop bot_.csv", b"a,b\n3,4\n")
    assert first == again and first.read_bytes() == b"a,b\n1,2\n" and first.is_relative_to(workspace.path)
    assert first.name == other.name == "shop bot_.csv" and first != other
    assert hashlib.sha256(b"a,b\n1,2\n").hexdigest().startswith(first.parent.name)
    listed = uploads.listed(workspace)
    assert sorted(listed.values()) == sorted([first, other]) and len(listed) == 2
    assert all(name.startswith("shop bot_.csv (") for name in listed)


def test_a_name_that_is_none_becomes_one(workspace: Workspace) -> None:
    for name in ("", "..", "/", ". ."):
        assert uploads.keep(workspace, name, name.encode() + b"x").name == "file"
