"""Programs that try to fool or to harm a scorer, each wrong for its task, with the outcome that is due.

Used by the evaluator's tests and by `benchmarks/attacks.py`, which shows the same programs to other scorers. Anything
that a program touches outside its sandbox would be the finding; run them nowhere else.
"""

from __future__ import annotations

from benchmarks.attack_judge import JUDGE
from benchmarks.attack_machine import CONFINEMENT, RESOURCES
from benchmarks.attack_objects import OBJECTS
from benchmarks.attack_replies import REPLIES
from benchmarks.attack_shapes import Attack
from benchmarks.attack_traces import TRACES
from benchmarks.attack_values import VALUES

__all__ = ["ATTACKS", "Attack"]

ATTACKS = sorted(
    [*VALUES, *OBJECTS, *JUDGE, *REPLIES, *RESOURCES, *CONFINEMENT, *TRACES], key=lambda attack: attack.group
)
