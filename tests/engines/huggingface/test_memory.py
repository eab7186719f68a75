"""What a closed engine leaves goes back to the system, also where training has told glibc to keep it."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import psutil, torch
from engines import give_back
from trainer.bases.devices import keep_freed_memory
kept = keep_freed_memory()
held = [torch.ones(1 << 20) for _ in range(100)]   # 400 MB
last = torch.ones(8)                               # so that the top of the heap is in use
del held
full = psutil.Process().memory_info().rss
gave = give_back()
print(int(kept), int(gave), full - psutil.Process().memory_info().rss)
"""


@pytest.mark.slow
def test_freed_memory_goes_back() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    kept, gave, back = map(int, done.stdout.split())
    if not kept:
        pytest.skip("this C library keeps nothing")
    assert gave and back > 300e6
