"""Damaged requests to a real `bakeoff serve`: the benchmark that sends thousands, with a few hundred."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from benchmarks.fuzz_requests import damaged, fuzz, unfinished


def test_damaged_requests_are_drawn_anew_and_unfinished_ones_are_told() -> None:
    draws = random.Random(0)
    assert len({damaged(draws)[0] for _ in range(50)}) > 40
    whole = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab"
    assert not unfinished(whole) and unfinished(whole[:-1]) and unfinished(b"GET / HT") and not unfinished(b"?\r\n\r\n")


@pytest.mark.slow
def test_no_damaged_request_fells_the_server(tmp_path: Path) -> None:
    found = fuzz(200, 7, tmp_path)
    assert sum(found.statuses.values()) == 200 and found.statuses["200"] and found.statuses["400"]
    assert found.good == 6 and found.silent_good == 0, "good requests between them are answered"
    assert found.tracebacks == 0 and not found.unexplained and "silence" not in found.statuses
    assert found.most_bytes - found.first_bytes < 1 << 30
