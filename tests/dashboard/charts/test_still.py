"""The still picture before the chart: the same lines, nobody's markup."""

from __future__ import annotations

import base64
import re
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard import charts
from dashboard.charts.still import SIZE
from dashboard.escaping import chart_label
from dashboard.palette import COLOURS, Style

SVG = "{http://www.w3.org/2000/svg}"


def picture(drawn: str) -> Any:
    """The SVG inside."""
    found = re.search(r"base64,([^\"]+)", drawn)
    assert found is not None
    return ElementTree.fromstring(base64.b64decode(found.group(1)))


def lines(drawn: str) -> list[list[tuple[int, int]]]:
    """Every stretch of every line: places from the upper left."""
    strokes = [stretch for path in picture(drawn).iter(f"{SVG}path") for stretch in path.get("d").split("M")[1:]]
    return [[(int(a), int(b)) for a, b in (place.split() for place in stroke.split("L"))] for stroke in strokes]


def figure(*rows: tuple[list[float], list[float]], **layout: Any) -> go.Figure:
    made = charts.figure("Step", "Loss", **layout)
    for number, (x, y) in enumerate(rows):
        made.add_scatter(x=x, y=y, mode="lines", name=f"run{number}", line={"color": f"#00000{number}", "dash": "dot"})
    return made


def test_a_line_goes_where_its_points_are_and_stops_where_one_is_missing() -> None:
    drawn = charts.still(figure(([0, 1, 2, 3, 4], [1.0, 3.0, np.nan, 2.0, 1.0])))
    first, second = lines(drawn)
    assert [x for x, _ in first] == [0, SIZE // 4]
    assert [x for x, _ in second] == [3 * SIZE // 4, SIZE]
    assert first[0][1] == second[1][1]  # both 1.0
    assert first[1][1] < second[0][1] < first[0][1]  # 3.0 is above 2.0 is above 1.0
    assert 0 < first[1][1] < first[0][1] < SIZE  # nothing touches the frame


def test_two_lines_share_their_axes_and_keep_their_colours() -> None:
    drawn = charts.still(figure(([0, 10], [0.0, 1.0]), ([0, 5], [0.0, 0.5])))
    long, short = lines(drawn)
    assert short[1] == (SIZE // 2, (long[0][1] + long[1][1]) // 2)
    assert [path.get("stroke") for path in picture(drawn).iter(f"{SVG}path")] == ["#000000", "#000001"]
    assert "run0" in drawn and "run1" in drawn and "Step" in drawn and "Loss" in drawn


def test_a_logarithmic_axis_spaces_decades_evenly_and_leaves_out_what_has_no_logarithm() -> None:
    drawn = charts.still(figure(([0, 1, 2, 3], [1.0, 10.0, 100.0, -1.0]), yaxis={"type": "log"}))
    ((_, one), (_, ten), (_, hundred)) = lines(drawn)[0]
    assert abs((one - ten) - (ten - hundred)) <= 1
    assert ">10<" in drawn and ">100<" in drawn


def test_a_name_is_escaped_once() -> None:
    made = figure(([0, 1], [0.0, 1.0]))
    made.data[0].name = chart_label("<script>x</script> & $1")
    made.update_layout(yaxis={"title": {"text": "<img src=x>"}})
    drawn = charts.still(made)
    assert "&lt;script&gt;x&lt;/script&gt; &amp; $1" in drawn
    assert "<script" not in drawn and "<img src=x" not in drawn


def test_a_point_lies_within_its_interval_in_the_row_of_its_name() -> None:
    rows = pd.DataFrame(
        [("a", "first", 0.5, 0.25, 0.75), ("b", "second", 0.25, 0.0, np.nan), ("c", "third", 1.0, 0.5, 1.0)],
        columns=["model_id", "label", "value", "low", "high"],
    )
    styles = {"a": Style("#000001"), "b": Style("#000002"), "c": Style("#000001")}
    made = charts.scores_with_intervals(rows, styles, title="Passed", percent=True)
    assert len(made.data) == 2  # a trace a colour, not a model
    drawn = charts.still(made)
    assert all(f">{name}<" in drawn for name in ("first", "second", "third", "40 %", "Passed"))
    first, third, dot, last_dot, *_ = lines(drawn)
    assert dot[0] == dot[1] == ((first[0][0] + first[1][0]) // 2, first[0][1])  # midway, in its row
    assert dot[0][1] == round(SIZE / 6) and last_dot[0][1] == round(SIZE * 5 / 6)  # of three rows the upper, the lowest
    assert third[0][0] == dot[0][0] and third[1] == last_dot[0]  # from 0.5 to its own value
    caps = [path.get("stroke-linecap") for path in picture(drawn).iter(f"{SVG}path")]
    assert caps == [None, None, "round", None, "round"]


def test_a_box_reaches_from_quartile_to_quartile() -> None:
    rows = pd.DataFrame({"model_id": "a", "label": "one", "item": "x", "seconds": [0.0, 1.0, 2.0, 3.0, 4.0, 40.0]})
    drawn = charts.still(charts.distributions(rows, {}, quantity="seconds", title="Seconds"))
    box, median, low, high, *dots = lines(drawn)
    left, middle, right = box[0][0], median[0][0], box[2][0]
    assert [each[0][0] for each in dots][1] == left and [each[0][0] for each in dots][4] == right
    assert left < middle < right and middle == (left + right) // 2
    assert low[0][0] == 0 and high[1][0] == right  # 40 lies beyond the whisker, and is a dot
    assert max(x for x, _ in dots[-1]) > right


def test_what_a_picture_cannot_show_has_none() -> None:
    made = charts.figure("Seconds", "")
    made.add_bar(x=[1.0], y=["a"], orientation="h")
    assert charts.still(made) == ""
    named = charts.figure("Prompt", "Seconds")
    named.add_scatter(x=["a", "b"], y=[1.0, 2.0], mode="lines")
    assert charts.still(named) == ""


def test_a_crowd_has_a_trace_a_colour_and_every_median() -> None:
    rows = pd.DataFrame(
        [
            (f"m{model}", f"model {model}", f"prompt {item}", float(model + item + more))
            for model in range(40)
            for item in range(3)
            for more in (-1, 0, 1)
        ],
        columns=["model_id", "label", "item", "seconds"],
    )
    styles = {f"m{model}": Style(COLOURS[model % len(COLOURS)]) for model in range(40)}
    made = charts.by_prompt(rows, styles, quantity="seconds", title="Seconds")
    assert len(made.data) == len(COLOURS)
    assert not any(trace.showlegend for trace in made.data)
    found = {
        (text, item): y
        for trace in made.data
        for text, item, y in zip(trace.text, trace.x, trace.y, strict=True)
        if np.isfinite(y)
    }
    assert found == {(f"model {m}", f"prompt {i}"): m + i for m in range(40) for i in range(3)}
    few = charts.by_prompt(rows[rows["model_id"].isin(["m1", "m2"])], styles, quantity="seconds", title="Seconds")
    assert [(trace.name, trace.showlegend) for trace in few.data] == [("model 1", True), ("model 2", True)]


def test_nothing_to_draw_is_an_empty_picture() -> None:
    assert charts.still(charts.figure("x", "y")) == ""
    assert charts.still(figure(([0, 1], [np.nan, np.nan]))) == ""


def test_an_interval_without_a_bound_is_drawn_as_a_point_without_one() -> None:
    """Three rows bound nothing: the chart and the picture before it stand all the same."""
    ends = {"y_low": [-np.inf, 0.4], "y_high": [np.inf, 0.6], "on_front": True, "standing": "not told apart"}
    rows = pd.DataFrame({"model_id": ["a", "b"], "name": ["a", "b"], "x": [1.0, 2.0], "y": [0.5, 0.5], **ends})
    made = charts.tradeoff(rows, {}, charts.Axes("Seconds", "Quality", percent=True))
    bars = [bar for trace in made.data if trace.error_y.array is not None for bar in trace.error_y.array]
    assert sorted(round(float(bar), 3) for bar in bars) == [0.0, 10.0]
    assert picture(charts.still(made)) is not None
