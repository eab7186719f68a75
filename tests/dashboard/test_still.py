"""The still picture before the chart: the same lines, nobody's markup."""

from __future__ import annotations

import base64
import re
from typing import Any
from xml.etree import ElementTree

import numpy as np
import plotly.graph_objects as go

from dashboard import charts
from dashboard.charts.still import SIZE
from dashboard.inert import chart_label

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


def test_nothing_to_draw_is_an_empty_picture() -> None:
    assert charts.still(charts.figure("x", "y")) == ""
    assert charts.still(figure(([0, 1], [np.nan, np.nan]))) == ""
