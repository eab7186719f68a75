"""What an attack is, and how its program is put together. The programs: `benchmarks/attack_programs.py`.

They stand after the prompt of HumanEval/0, which asks whether any two numbers are closer than a threshold, unless they
name another task.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass


@dataclass(frozen=True)
class Attack:
    """A wrong program."""

    group: str
    """Scorer honesty, resources or confinement: A1 to A7, B, C."""
    name: str
    code: str
    due: tuple[str, ...] = ("wrong",)
    """Verdicts that are right; never "passed" and never "error"."""
    task: str = "HumanEval/0"
    heavy: bool = False
    """Runs into a limit, or is meant to."""
    runs: int = 1
    """How often it is run in a row, each time as another program, which may find what the one before left. The last
    counts."""

    @property
    def programs(self) -> list[str]:
        """The code of each run."""
        return [self.code, *(f"{self.code}\n# run {number}\n" for number in range(2, self.runs + 1))]


ASKED = "has_close_elements(numbers, threshold)"


def function(body: str, name: str = ASKED) -> str:
    """The function that is asked for."""
    return f"def {name}:\n" + textwrap.indent(textwrap.dedent(body).strip("\n"), "    ") + "\n"


def module(code: str, body: str = "return None", name: str = ASKED) -> str:
    """Something done at import, and the function."""
    return textwrap.dedent(code).strip("\n") + "\n\n" + function(body, name)


def lying(base: str, members: str, value: str, name: str = ASKED) -> str:
    """A class `Liar` with these members, and the function that returns `value`."""
    indented = textwrap.indent(textwrap.dedent(members).strip("\n"), "    ")
    return f"class Liar{base}:\n{indented}\n\n" + function(f"return {value}", name)


def leak(code: str) -> str:
    """A program that is right if, and only if, the confinement leaks: so a pass is a finding."""
    solution = """
        return any(abs(a - b) < threshold for i, a in enumerate(numbers) for j, b in enumerate(numbers) if i != j)
        """
    indented = textwrap.indent(textwrap.dedent(code).strip("\n"), "    ")
    return f"def leaks():\n{indented}\n    return False\n\nLEAKED = leaks()\n\n" + function(
        "if not LEAKED:\n    return None\n" + textwrap.dedent(solution).strip("\n")
    )


ALWAYS = (
    "\n".join(
        f"def __{name}__(self, *other): return True" for name in ("eq", "lt", "le", "gt", "ge", "bool", "contains")
    )
    + "\ndef __ne__(self, other): return False\n__hash__ = None"
)
