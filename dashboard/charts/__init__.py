"""Figures: a frame in, a Plotly figure out, units on the axes. Pure; nothing here reads the store or the page."""

from dashboard.charts.latency import by_prompt, distributions, split_seconds
from dashboard.charts.layout import CONFIG, figure
from dashboard.charts.losses import STEPS, Axis, Panel, Together, loss_curves, loss_panels, published_curve
from dashboard.charts.printed import printed, printed_curves, printed_groups, printed_strip
from dashboard.charts.scores import effects, score_list, scores_with_intervals, task_matrix, win_matrix
from dashboard.charts.still import CSS, still
from dashboard.charts.tradeoff import Axes, ranking, tradeoff

__all__ = [
    "Axes",
    "Axis",
    "CONFIG",
    "CSS",
    "Panel",
    "STEPS",
    "Together",
    "by_prompt",
    "distributions",
    "effects",
    "figure",
    "loss_curves",
    "loss_panels",
    "published_curve",
    "printed",
    "printed_curves",
    "printed_groups",
    "printed_strip",
    "ranking",
    "score_list",
    "scores_with_intervals",
    "split_seconds",
    "still",
    "task_matrix",
    "tradeoff",
    "win_matrix",
]
