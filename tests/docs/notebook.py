"""Run a notebook's cells as Jupyter does, as far as docs/colab.ipynb needs it: Python, `!command`, `%pip`.

Commands of the shell begin a line without indentation; `{name}` in them is the Python variable. `%pip` installs
nothing here: what it names is installed.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

Shell = Callable[[str], None]


def cells(path: Path) -> list[str]:
    """The code of each cell. Raises: ValueError for a file that is no notebook of format 4."""
    read = json.loads(path.read_text(encoding="utf-8"))
    if read["nbformat"] != 4:
        raise ValueError(f"{path} is a notebook of format {read['nbformat']}, not 4")
    return ["".join(cell["source"]) for cell in read["cells"] if cell["cell_type"] == "code"]


def run(code: str, names: dict[str, Any], shell: Shell) -> None:
    """Run one cell. names: its variables, kept from cell to cell."""
    for part in re.split(r"^([!%].*)\n?", code, flags=re.MULTILINE):
        if part.startswith("!"):
            shell(re.sub(r"\{(\w+)\}", lambda match: str(names[match[1]]), part[1:]))
        elif not part.startswith("%pip "):
            exec(compile(part, "cell", "exec"), names)


def finished(command: str) -> None:
    """Run a command to its end. Raises: AssertionError with what it said where it failed."""
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
