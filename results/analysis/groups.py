"""Items that are related, such as questions on one text: what varies from sample to sample is groups of them.

A score stays the mean over items. Its interval, and the test of a difference, are those of sums over groups: signs are
flipped, and subsets drawn, group by group (`results.analysis.confidence.Subsets`, a group's size being its weight). How
many groups differ counts as in survey samples: of groups of unequal sizes there are as many as Kish's effective number,
sum(sizes)² / sum(sizes²) (Korn and Graubard 1998). Groups of one size are one item each, by the tests of items: so
answers that are stored twice say what they said once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from results.analysis.confidence import Subsets, interval, share_of_means
from results.analysis.paired import PairedDifference, paired_numbers, paired_ratios, paired_verdicts, too_few_differ
from results.analysis.statistics import Estimate, graded_interval, ratio_interval, wilson_interval

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
"""(items,) numbers of the groups that items are in, from 0 without a gap."""


def places_of(items: Sequence[str], groups: Mapping[str, str]) -> Places | None:
    """The group of each item; one without a label is its own. None where no two items are related."""
    if not groups:
        return None
    numbers: dict[tuple[bool, str], int] = {}
    labels = ((item in groups, groups.get(item, item)) for item in items)
    found = np.fromiter((numbers.setdefault(label, len(numbers)) for label in labels), np.int64, len(items))
    return found if len(numbers) < len(items) else None


def group_sums(values: ArrayLike, places: Places) -> Floats:
    """(groups,) sums of values (items,)."""
    return np.asarray(np.bincount(places, np.asarray(values, dtype=np.float64)), dtype=np.float64)


def grouped_interval(values: Mapping[str, float], groups: Mapping[str, str]) -> Estimate | None:
    """Mean of items' scores, by item, with its interval; None where no two are related. See `mean_in_groups`."""
    places = places_of(list(values), groups)
    return None if places is None else mean_in_groups(list(values.values()), places)


def mean_in_groups(values: ArrayLike, places: Places, level: float = 0.95) -> Estimate:
    """Mean of scores (items,) with its interval over groups; within [0, 1] where the scores are.

    Raises: ValueError for none or values that are not finite.
    """
    scores = np.asarray(values, dtype=np.float64)
    sums, sizes = group_sums(scores, places), group_sums(np.ones(len(scores)), places)
    if np.ptp(sizes) == 0:
        means = sums / sizes
        if np.isin(means, (0.0, 1.0)).all():
            return Estimate(float(means.mean()), *wilson_interval(int(means.sum()), len(means), level))
        return graded_interval(means, level)
    if scores.min() < 0 or scores.max() > 1:
        return ratio_interval(sums, sizes, level)
    _, high = interval(share_of_means(sums, sizes), level)
    _, down = interval(share_of_means(sizes - sums, sizes), level)
    return Estimate(float(scores.mean()), max(0.0, 1 - down), min(1.0, high))


def paired_in_groups(a: ArrayLike, b: ArrayLike, places: Places, counted: bool) -> PairedDifference:
    """Mean of a - b of scores, a (items,) and b (items,), by the groups that items are in.

    counted: all scores are 0 or 1. Raises: ValueError as `paired_numbers`.
    """
    first, second = (np.asarray(one, dtype=np.float64) for one in (a, b))
    sizes = group_sums(np.ones(len(first)), places)
    sums_a, sums_b = group_sums(first, places), group_sums(second, places)
    differences, groups = sums_a - sums_b, len(sizes)
    if np.ptp(sizes) == 0:
        steps = np.round(differences / sizes, 12)
        if counted and np.isin(steps, (-1.0, 0.0, 1.0)).all():
            only_a, only_b = int((steps == 1).sum()), int((steps == -1).sum())
            found = paired_verdicts(0, only_a, only_b, groups - only_a - only_b)
        else:
            found = paired_numbers(sums_a / sizes, sums_b / sizes)
        return _of_groups(found, len(first))
    inside = min(first.min(), second.min()) >= 0 and max(first.max(), second.max()) <= 1
    confidence = share_of_means(differences, sizes) if inside else Subsets.of(differences, sizes)
    differing = int((np.abs(differences) > 1e-12).sum())
    value = float(differences.sum() / sizes.sum())
    return _of_groups(PairedDifference(value, groups, differing, "", "sign flips", confidence), len(first))


def ratio_in_groups(nats_a: Floats, nats_b: Floats, sizes: Floats, places: Places) -> PairedDifference:
    """`paired_ratios` of the groups that rows are in: nats (rows,) twice, and their bytes (rows,)."""
    found = paired_ratios(*(group_sums(one, places) for one in (nats_a, nats_b, sizes)))
    return _of_groups(found, len(nats_a))


def _of_groups(found: PairedDifference, items: int) -> PairedDifference:
    """A difference of groups, told of items."""
    groups = found.items
    few = too_few_differ(found.differing, groups, "groups of related items")
    return replace(found, items=items, groups=groups, too_few=few, method=f"{found.method} by groups")
