"""Curves on a screen: nothing that matters is smoothed or grouped away."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dashboard import charts
from dashboard.palette import Style
from dashboard.views import curves
from dashboard.views.curves import Curve


def curve(values: np.ndarray, run_id: str = "a", broken: tuple[int, ...] = ()) -> Curve:
    """A curve of one point a bucket."""
    steps = np.arange(1, len(values) + 1, dtype=float)
    return Curve(run_id, steps, values, values, values, np.array(broken, dtype=float))


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), st.floats(0, 0.99))
def test_smoothing_stays_within_what_was_measured(values: list[float], weight: float) -> None:
    smooth = curves.smooth(np.array(values), weight)
    assert np.all(smooth <= max(values) + 1e-6 * abs(max(values)) + 1e-9)
    assert np.all(smooth >= min(values) - 1e-6 * abs(min(values)) - 1e-9)


def test_smoothing_a_constant_changes_nothing_from_the_first_step_on() -> None:
    assert np.allclose(curves.smooth(np.full(20, 3.0), 0.9), 3.0)


def test_a_break_is_not_smoothed_over() -> None:
    values = np.array([1.0, 1.0, np.nan, 1.0])
    assert np.isnan(curves.smooth(values, 0.5)[2])


def test_a_planted_spike_is_found_and_noise_is_not() -> None:
    values = 2 * np.exp(-np.arange(200) / 60) + np.random.default_rng(1).normal(0, 0.05, 200)
    assert curves.spikes(curve(values)) == []
    values[120] += 2
    assert [step for step, _ in curves.spikes(curve(values))] == [121.0]


def test_a_spike_inside_a_bucket_is_drawn() -> None:
    steps, low = np.arange(0, 256.0), np.full(256, 1.0)
    high = low.copy()
    high[100] = 50.0
    one = Curve("a", steps, (low + high) / 2, low, high, np.empty(0))
    figure = charts.loss_curves([one], {"a": "a"}, {"a": Style("#0072B2")}, metric="loss", weight=0.9)
    assert max(np.nanmax(trace.y) for trace in figure.data) == 50.0


def test_a_diverged_run_is_marked() -> None:
    values = np.array([2.0, 1.5, np.nan, np.nan])
    figure = charts.loss_curves([curve(values, broken=(3,))], {"a": "run <b>x</b>"}, {}, metric="loss")
    assert figure.layout.shapes[0].x0 == 3.0
    assert "not a number" in figure.layout.annotations[0].text
    assert "<b>" not in figure.layout.annotations[0].text


def test_a_crowd_is_two_kinds_of_line_and_keeps_its_edges() -> None:
    many = [curve(np.full(10, float(n)), f"run{n}") for n in range(100)]
    figure = charts.loss_curves(many, {}, {}, metric="loss")
    assert len(figure.data) == 3
    assert np.nanmax(figure.data[-1].y) == 99.0
    assert np.nanmin(figure.data[-2].y) == 0.0


def test_a_curve_goes_along_tokens_where_tokens_were_recorded() -> None:
    one, tokens = curve(np.ones(4)), curve(np.array([10.0, 20.0, 30.0, 40.0]))
    assert list(curves.along(one, tokens)) == [10.0, 20.0, 30.0, 40.0]
    assert np.all(np.isnan(curves.along(one, None)))


def test_a_group_shows_its_mean_and_its_spread() -> None:
    grid, mean, low, high = curves.band([curve(np.full(5, 1.0)), curve(np.full(5, 3.0))])
    assert grid[0] == 1.0
    assert grid[-1] == 5.0
    assert np.allclose(mean, 2.0)
    assert np.allclose(low, 1.0)
    assert np.allclose(high, 3.0)


def test_a_spike_before_the_latest_start_is_in_the_edges() -> None:
    early, late = np.full(20, 1.0), curve(np.full(5, 1.0))
    early[3] = 40.0
    grid, mean, _, high = curves.band([curve(early), replace(late, steps=late.steps + 15)])
    assert grid[0] == 1.0 and grid[-1] == 20.0
    assert high.max() == 40.0 and mean[-1] == 1.0


def test_a_group_that_recorded_nothing_finite_has_no_band() -> None:
    assert all(part.size == 0 for part in curves.band([curve(np.full(5, np.nan), broken=(1, 2, 3, 4, 5))]))


def test_a_crowds_edges_hold_every_spike_and_its_sample_the_extremes() -> None:
    crowd = [curve(np.linspace(2.0, 1.0 + number / 100, 50)) for number in range(300)]
    spiked = np.linspace(2.0, 1.5, 50)
    spiked[31] = 40.0
    grid, _, low, high = curves.band([*crowd, curve(spiked)])
    assert high.max() == 40.0 and high[np.searchsorted(grid, 32, side="right") - 1] == 40.0
    assert low.min() == 1.0
    shown = curves.spread_out(crowd, 20)
    assert len(shown) == 20 and shown[0] is crowd[0] and shown[-1] is crowd[-1]


def test_a_crowd_goes_along_tokens_though_some_recorded_none() -> None:
    many = [curve(np.full(10, float(n)), f"run{n}") for n in range(40)]
    unknown = np.full(10, np.nan)
    tokens = charts.Axis("Tokens", lambda one: unknown if one.run_id == "run0" else 100 * one.steps)
    figure = charts.loss_curves(many, {}, {}, metric="loss", axis=tokens)
    low, high = figure.data[-2], figure.data[-1]
    assert np.nanmin(low.x) == 100.0 and np.nanmax(high.x) == 1000.0
    assert np.nanmin(low.y) == 1.0 and np.nanmax(high.y) == 39.0


def test_few_validation_points_are_never_smoothed_and_the_hover_says_raw_and_smoothed() -> None:
    loss, points = curve(np.linspace(3.0, 1.0, 40)), Curve(
        "a", np.array([20.0, 40.0]), *[np.array([2.0, 1.5])] * 3, np.empty(0)
    )  # fmt: skip
    figure = charts.loss_panels([charts.Panel("Loss", [loss], [points])], {"a": "a"}, {}, weight=0.9)
    validation = next(trace for trace in figure.data if trace.name == "a: validation")
    assert list(validation.y) == [2.0, 1.5]
    line = next(trace for trace in figure.data if trace.name == "a")
    assert "smoothed %{y" in line.hovertemplate and "raw %{customdata" in line.hovertemplate
    assert np.allclose(line.customdata, loss.values) and not np.allclose(line.y, loss.values)
    alone = charts.loss_curves([points], {}, {}, metric="Validation loss", weight=0.9)
    assert list(alone.data[0].y) == [2.0, 1.5] and "smoothed" not in alone.data[0].hovertemplate


def test_panels_share_one_axis_and_one_crosshair() -> None:
    panels = [charts.Panel(title, [curve(np.linspace(3.0, 1.0, 40))]) for title in ("Loss", "Gradient norm", "Pace")]
    figure = charts.loss_panels(panels, {}, {}, weight=0.0)
    assert {trace.yaxis or "y" for trace in figure.data} == {"y", "y2", "y3"}
    assert all((trace.xaxis or "x") == "x" for trace in figure.data)
    assert figure.layout.hoversubplots == "axis" and figure.layout.xaxis.spikemode == "across"
    bottoms = [figure.layout[name].domain[0] for name in ("yaxis", "yaxis2", "yaxis3")]
    tops = [figure.layout[name].domain[1] for name in ("yaxis2", "yaxis3")]
    assert all(top < bottom for top, bottom in zip(tops, bottoms, strict=False))
    assert figure.layout.xaxis.anchor == "y3"


def test_a_crowd_of_two_bases_has_no_mean_and_its_edges_are_each_bases_own() -> None:
    many = [curve(np.full(10, float(n)), f"run{n}") for n in range(40)]
    kin = {f"run{n}": "even" if n % 2 == 0 else "odd" for n in range(40)}
    figure = charts.loss_panels([charts.Panel("Loss", many)], {}, {}, together=charts.Together(kin))
    names = [trace.name for trace in figure.data]
    assert not any("mean" in name for name in names)
    highest = {trace.name: np.nanmax(trace.y) for trace in figure.data if trace.name.startswith("highest")}
    assert highest == {"highest of all 20 of even": 38.0, "highest of all 20 of odd": 39.0}


def test_the_table_of_a_chart_holds_every_panel_and_the_axis_that_is_drawn() -> None:
    loss, pace = curve(np.linspace(3.0, 1.0, 40)), curve(np.full(40, 7.0))
    found = curves.table(
        {"loss": [loss], "tokens_per_second": [pace]}, {"a": "mine"}, "Tokens", lambda c: c.steps * 9, 0.5
    )
    assert set(found["Metric"]) == {"loss", "tokens_per_second"} and set(found["Run"]) == {"mine"}
    assert list(found["Tokens"][:2]) == [9.0, 18.0] and len(found) == 80
    assert np.allclose(found["Smoothed"][:40], curves.smooth(loss.values, 0.5))


def test_a_loss_and_its_validation_share_a_panel() -> None:
    found = curves.panels(["loss", "validation_loss", "gradient_norm", "tokens_seen"])
    assert list(found.values()) == [["loss", "validation_loss"], ["gradient_norm"]]
    assert list(curves.panels(["validation_loss"]).values()) == [["validation_loss"]]
