"""Requests to an engine on loopback: who is late, who is gone."""

from __future__ import annotations

import socket

import pytest

from engines.errors import EngineCrashed, EngineOverdue
from engines.llamacpp.http import Wire


def test_who_is_late_is_told_from_who_is_gone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        wire = Wire(f"127.0.0.1:{silent.getsockname()[1]}", "key")
        with pytest.raises(EngineOverdue, match="/apply-template"):
            wire.call("/apply-template", {}, over=lambda: True)
    with pytest.raises(EngineCrashed):
        wire.call("/apply-template", {}, over=lambda: True)
