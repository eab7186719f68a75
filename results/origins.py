"""Who a request comes from, by its Host and Origin headers: our own pages, or another site's in the same browser.

A page of another origin may make a browser send requests here, also one that this machine serves on another port; only
the browser's Origin header tells. Not here: which names a server answers to, and keys.
"""

from __future__ import annotations

import re

AUTHORITY = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?")
"""Host and port as RFC 9110 has them in a Host header, of the names that servers have."""


def host_name(host: str) -> str:
    """The name in a Host header, lower case; empty where the header is no authority, as in `127.0.0.1:80.evil.com`."""
    found = AUTHORITY.fullmatch(host)
    return found["name"].lower() if found else ""


def own_origin(origin: str | None, *hosts: str) -> bool:
    """Whether a request with this Origin was made by a page of one of these hosts (Host headers), or by no page."""
    if origin is None:
        return True
    scheme, separator, authority = origin.lower().partition("://")
    if not separator or scheme not in ("http", "https"):
        return False
    default = {"http": ":80", "https": ":443"}[scheme]
    return authority.removesuffix(default) in {host.lower().removesuffix(default) for host in hosts if host_name(host)}
