"""Items on which two models differ: of how few no test tells the two apart, and what a tie counts in McNemar's test."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

FEWEST_DIFFERING = 6
"""Items on which two models differ: of fewer no exact test reaches 5 %, even if all fall one way (2 * 0.5**5 = 6 %)."""


TIES = 0.55
"""How much of a tie counts in McNemar's test: half is mid-p, all the exact one. Enumerated over 6 to 1,319 tasks of
which any share differs, mid-p alarms in up to 1.02 times its level (0.05 / 3), this in at most 0.993 times."""

NEARLY_ALL = 0.85
"""Where more than this share of the tasks differ, ties count in full: with nearly no other chance in it than which way
they fall, mid-p alarms in up to 0.077 where 0.05 is said."""


def ties_counted(differing: ArrayLike, items: int) -> Floats:
    """How much of a tie counts where so many of the items differ: (…,) of `differing` (…,)."""
    return np.where(np.asarray(differing) <= NEARLY_ALL * items, TIES, 1.0)
