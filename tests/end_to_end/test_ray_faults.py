"""One of the faults of `benchmarks/ray_faults.py`: PostgreSQL dies between a commit and its answer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def test_a_sweep_over_ray_whose_store_dies_within_a_commit_ends_as_if_nothing_had_happened() -> None:
    pytest.importorskip("ray")
    words = ["--repeat", "1", "--steps", "20", "--only", "^commit$", "--json"]
    command = [sys.executable, "-m", "benchmarks.ray_faults", *words]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert [one["problems"] for one in found] == [[]], done.stdout
