"""Curves made readable: smoothing, spikes, another x axis, groups. Pure functions over NumPy arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)  # each is itself, so that what was computed from it can be kept
class Curve:
    """One metric of one run at screen resolution. All arrays (buckets,)."""

    run_id: str
    steps: Floats
    """The step at which each bucket begins."""
    values: Floats
    """The middle between the bucket's least and greatest value; the value itself where a bucket is one point."""
    low: Floats
    high: Floats
    """Least and greatest finite value of the bucket: a spike is never sampled away."""
    broken: Floats
    """Steps at which the value was NaN or infinite."""

    @cached_property
    def spikes(self) -> list[tuple[float, float]]:
        """(step, value) of what stands out of the curve's noise; found once, for curves are kept between redraws."""
        return spikes(self)


def smooth(values: Floats, weight: float) -> Floats:
    """Exponential moving average without the start's bias; `weight` in [0, 1) is the memory. NaN stays NaN.

    Source: the debiasing of Kingma and Ba 2015 (arXiv 1412.6980), section 3, as trackers draw it.
    """
    if weight <= 0 or values.size == 0:
        return values
    smoothed = []
    average, debias = 0.0, 0.0
    for value in values.tolist():  # Python's own numbers: a third of the time
        if math.isfinite(value):
            average = weight * average + (1 - weight) * value
            debias = weight * debias + (1 - weight)
            smoothed.append(average / debias)
        else:
            smoothed.append(math.nan)
    return np.array(smoothed)


FEWEST_SMOOTHED = 10
"""Points that a curve needs to be smoothed: a mean of two validation points is neither of them."""


def smoothed(values: Floats, weight: float) -> Floats:
    """`smooth` of a curve with points enough; one of few points itself, the same array."""
    return smooth(values, weight) if np.isfinite(values).sum() >= FEWEST_SMOOTHED else values


def spikes(curve: Curve, threshold: float = 6.0) -> list[tuple[float, float]]:
    """(step, value) of buckets whose greatest value stands out of the curve's own noise, at most the 20 greatest.

    Out of the noise: over the running median of 9 buckets by `threshold` times the median absolute deviation.
    """
    known = np.isfinite(curve.high)
    high, steps = curve.high[known], curve.steps[known]
    if high.size < 24:
        return []
    padded = np.pad(high, 4, mode="edge")
    median = np.median(np.lib.stride_tricks.sliding_window_view(padded, 9), axis=1)
    excess = high - median
    noise = float(np.median(np.abs(excess))) * 1.4826
    found = np.flatnonzero(excess > max(threshold * noise, 1e-3 * float(np.max(np.abs(median))) + 1e-9))
    greatest = sorted(found, key=lambda at: -excess[at])[:20]
    return [(float(steps[at]), float(high[at])) for at in sorted(greatest)]


def along(curve: Curve, other: Curve | None) -> Floats:
    """The steps of a curve as tokens, seconds or epochs, by interpolation; NaN where that was not recorded."""
    if other is None or other.steps.size == 0:
        return np.full(curve.steps.shape, np.nan)
    return np.interp(curve.steps, other.steps, other.low, left=np.nan, right=np.nan)


def band(curves: Sequence[Curve], points: int = 200) -> tuple[Floats, Floats, Floats, Floats]:
    """`_band`, kept for the curves drawn last: a thousand take longer than all the rest of a redraw."""
    return _band(tuple(curves), points)


@lru_cache(maxsize=4)
def _band(curves: tuple[Curve, ...], points: int) -> tuple[Floats, Floats, Floats, Floats]:
    """(x, mean, least, greatest) over runs on a shared grid of steps: a group of runs as one line with its spread.

    Least and greatest are of what was measured, not of the buckets' middles: one run's spike of one step is in them,
    also where the other runs have not begun yet or have ended. The mean is of the runs that were there.
    """
    filled = [curve for curve in curves if np.isfinite(curve.values).any()]
    if not filled:
        empty = np.empty(0)
        return empty, empty, empty, empty
    start = min(float(curve.steps[0]) for curve in filled)
    end = max(float(curve.steps[-1]) for curve in filled)
    grid = np.linspace(start, end, points)
    rows = np.vstack([np.interp(grid, curve.steps, curve.values, left=np.nan, right=np.nan) for curve in filled])
    known = np.isfinite(rows).any(axis=0)
    grid, rows = grid[known], rows[:, known]
    least, greatest = np.nanmin(rows, axis=0), np.nanmax(rows, axis=0)
    place = np.searchsorted(grid, np.concatenate([curve.steps for curve in filled]), side="right").clip(1) - 1
    np.fmin.at(least, place, np.concatenate([curve.low for curve in filled]))
    np.fmax.at(greatest, place, np.concatenate([curve.high for curve in filled]))
    return grid, np.nanmean(rows, axis=0), least, greatest


def spread_out(curves: Sequence[Curve], count: int) -> list[Curve]:
    """`count` curves that stand for all: spread evenly by where they end, the lowest and the highest included."""
    return list(_spread_out(tuple(curves), count))


@lru_cache(maxsize=4)
def _spread_out(curves: tuple[Curve, ...], count: int) -> list[Curve]:
    ends = [np.nanmean(curve.values[-3:]) if np.isfinite(curve.values[-3:]).any() else np.inf for curve in curves]
    order = np.argsort(np.array(ends), kind="stable")
    return [curves[at] for at in order[np.linspace(0, len(order) - 1, min(count, len(order))).astype(int)]]


TOGETHER = {"loss": "validation_loss"}
"""What is drawn in one panel: a loss on the training rows, and the same on held-out ones."""


def panels(metrics: Sequence[str]) -> dict[str, list[str]]:
    """What can be drawn: the metrics of each panel, under the panel's title; the loss first."""
    beside = {other for first, other in TOGETHER.items() if first in metrics and other in metrics}
    found = {}
    for metric in metrics:
        if metric not in beside and metric not in ALONG:
            both = [metric, TOGETHER[metric]] if TOGETHER.get(metric) in beside else [metric]
            found[unit(metric).partition(",")[0] + (" and validation" if len(both) > 1 else "")] = both
    return found


ALONG = ("tokens_seen", "elapsed_seconds", "epoch")
"""What curves are drawn along, and never against."""


def unit(metric: str) -> str:
    """A metric's name with its unit, for an axis."""
    units = {
        "loss": "Loss, nats per token",
        "validation_loss": "Validation loss, nats per token",
        "validation_bits_per_byte": "Validation loss, bits per byte",
        "tokens_per_second": "Tokens per second",
        "peak_rss_bytes": "Peak memory, bytes",
        "gradient_norm": "Gradient norm",
        "learning_rate": "Learning rate",
    }
    return units.get(metric, metric.replace("_", " "))


def remarks(curves: Sequence[Curve], names: Mapping[str, str]) -> pd.DataFrame:
    """What the eye should not miss: columns Run, Step, What. Empty without anything."""
    found = []
    for curve in curves:
        name = names.get(curve.run_id, curve.run_id)
        found += [(name, int(step), "not a number or infinite") for step in curve.broken[:5]]
        found += [(name, int(step), f"spike to {value:.4g}") for step, value in curve.spikes[:5]]
    return pd.DataFrame(found, columns=["Run", "Step", "What"])


def table(
    panels: Mapping[str, Sequence[Curve]],
    names: Mapping[str, str],
    axis: str,
    place: Callable[[Curve], Floats],
    weight: float,
) -> pd.DataFrame:
    """What a chart of runs draws, in rows: Run, Metric, the axis, Least, Greatest, and Smoothed where it is smoothed.

    panels: the curves of each metric. weight: of the smoothing.
    """
    frames = []
    for metric, curves in panels.items():
        for one in curves:
            frame = pd.DataFrame(
                {"Run": names.get(one.run_id, one.run_id), "Metric": metric, "Step": one.steps.astype(int)}
            )
            if axis != "Step":
                frame[axis] = place(one)
            frame["Least"], frame["Greatest"] = one.low, one.high
            line = smoothed(one.values, weight)
            if line is not one.values:
                frame["Smoothed"] = line
            frames.append(frame)
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["Run", "Metric", "Step"])


def groups_table(panels: Mapping[str, Sequence[Curve]], kin: Mapping[str, str]) -> pd.DataFrame:
    """What a chart of groups draws, in rows: Group, Metric, Runs, Step, Mean, Least, Greatest."""
    frames = []
    for metric, curves in panels.items():
        for name in dict.fromkeys(kin.values()):
            members = [one for one in curves if kin.get(one.run_id) == name]
            grid, mean, low, high = band(members)
            found = {"Group": name, "Metric": metric, "Runs": len(members), "Step": grid}
            frames.append(pd.DataFrame(found | {"Mean": mean, "Least": low, "Greatest": high}))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["Group", "Metric", "Step"])
