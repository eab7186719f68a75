"""How much of the right answer an answer has: F1 of words and of entries, ROUGE-L; all in [0, 1].

Words are `replies.words`: lower case, letters and digits alone, as in rouge-score without its stemmer; articles count,
where SQuAD's own script drops English ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

MOST_WORDS = 4000
"""What is compared of each side; ROUGE-L takes time by the product of both, and answers of small models are shorter."""


def f1(found: Sequence[str], wanted: Sequence[str]) -> float:
    """F1 of two bags of words. Source: Rajpurkar et al. 2016 (SQuAD), arXiv 1606.05250, section 6.1."""
    shared = sum((Counter(found) & Counter(wanted)).values())
    return _harmonic(shared, len(found), len(wanted))


def set_f1(found: Sequence[str], wanted: Sequence[str]) -> float:
    """F1 of two sets of entries."""
    one, other = set(found), set(wanted)
    return _harmonic(len(one & other), len(one), len(other))


def rouge_l(found: Sequence[str], wanted: Sequence[str]) -> float:
    """F1 of the longest common subsequence. Source: Lin 2004, "ROUGE", section 3, with beta 1 as in rouge-score."""
    found, wanted = found[:MOST_WORDS], wanted[:MOST_WORDS]
    # Hyyrö 2004: a row of the table is the bits of one integer.
    places: dict[str, int] = {}
    for place, word in enumerate(found):
        places[word] = places.get(word, 0) | 1 << place
    whole = (1 << len(found)) - 1
    row = whole
    for word in wanted:
        match = row & places.get(word, 0)
        row = ((row + match) | (row - match)) & whole
    return _harmonic(len(found) - row.bit_count(), len(found), len(wanted))


def _harmonic(shared: int, found: int, wanted: int) -> float:
    return 2 * shared / (found + wanted) if shared else 0.0
