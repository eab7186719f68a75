"""What the installed llama.cpp can compute on: asked of the library itself, in a process of its own.

Try: python -c "from engines import llamacpp_gpus; print(llamacpp_gpus())"
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache

CUDA_WHEELS = "pip install xllamacpp --force-reinstall --index-url https://xorbitsai.github.io/xllamacpp/whl/cu128"
"""xllamacpp's own index; PyPI has its CPU build. cu132 is there too, for drivers from 580 on."""

QUESTION = """
import json, xllamacpp
found = xllamacpp.get_device_info()
print(json.dumps([one["description"] or one["name"] for one in found if one["type"].name.endswith("GPU")]))
"""


@cache
def llamacpp_gpus() -> tuple[str, ...]:
    """GPUs that the installed xllamacpp computes on; none for a CPU build, and none where it cannot be asked."""
    try:
        asked = subprocess.run([sys.executable, "-c", QUESTION], capture_output=True, text=True, timeout=99, check=True)
        return tuple(json.loads(asked.stdout.strip().splitlines()[-1]))
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return ()
