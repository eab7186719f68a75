"""Figures: a frame in, a Plotly figure out, units on the axes. Pure; nothing here reads the store or the page."""

from dashboard.charts.latency import by_prompt, distributions, split_seconds
from dashboard.charts.layout import CONFIG
from dashboard.charts.losses import grouped_losses, loss_curves, published_curve
from dashboard.charts.scores import effects, scores_with_intervals, task_matrix
from dashboard.charts.tradeoff import ranking, tradeoff

__all__ = [
    "CONFIG",
    "by_prompt",
    "distributions",
    "effects",
    "grouped_losses",
    "loss_curves",
    "published_curve",
    "ranking",
    "scores_with_intervals",
    "split_seconds",
    "task_matrix",
    "tradeoff",
]
