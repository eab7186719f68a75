"""A few of the disturbances of `benchmarks/faults.py`: a save hung up, a disk full amid scoring, a killed latency."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def test_an_experiment_disturbed_in_three_stages_ends_as_if_nothing_had_happened() -> None:
    command = [sys.executable, "-m", "benchmarks.faults", "--chains", "1", "--json", "--only", STAGES]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout.splitlines()[-1])
    assert [one["problems"] for one in found] == [[]] * 4, done.stdout
    assert done.returncode == 0 and any(one["reached"] for one in found if one["fault"])
    assert {one["fault"] for one in found} == {"hup", "full disk", "kill", ""}


STAGES = "^(checkpoint|humaneval|latency) "
