"""Names beside points: none over another or over a point, on a desk and on a phone."""

from __future__ import annotations

import random
from itertools import combinations

import pytest

from dashboard.charts.labels import POINT, WIDTHS, Box, Point, covered, places

HEIGHT = 376.0


def crowd(count: int, seed: int) -> list[Point]:
    """Points that stand as close as fine-tunes of one base do."""
    draw = random.Random(seed)
    return [
        Point(draw.uniform(0.4, 0.95), draw.uniform(0.3, 0.6), "demo-rank8@q4_0"[: draw.randint(4, 15)])
        for _ in range(count)
    ]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("width", WIDTHS)
def test_no_name_runs_into_another_or_over_a_point_or_out_of_the_plot(width: float, seed: int) -> None:
    points = crowd(20, seed)
    found = places(points, HEIGHT)
    boxes = [covered(point, place, width, HEIGHT) for point, place in zip(points, found, strict=True) if place]
    assert len(boxes) >= 5
    assert not [pair for pair in combinations(boxes, 2) if pair[0].meets(pair[1])]
    assert all(box.left >= 0 and box.right <= width and box.bottom >= 0 and box.top <= HEIGHT for box in boxes)
    for at, point in enumerate(points):
        x, y = point.across * width, point.up * HEIGHT
        dot = Box(x - POINT, y - POINT, x + POINT, y + POINT)
        others = [
            covered(other, place, width, HEIGHT)
            for which, (other, place) in enumerate(zip(points, found, strict=True))
            if place and which != at
        ]
        assert not any(box.meets(dot) for box in others)


def test_a_point_by_itself_has_its_name_right_beside_it() -> None:
    (left,) = places([Point(0.2, 0.5, "one")], HEIGHT)
    (right,) = places([Point(0.9, 0.5, "one")], HEIGHT)
    assert left is not None and right is not None
    assert (left.up, left.right) == (0.5, True) and (right.up, right.right) == (0.5, False)


def test_where_one_name_fits_it_is_the_firsts() -> None:
    low = 3 * POINT
    pair = [Point(0.45, 0.5, "to be shipped"), Point(0.45, 0.5, "another one")]
    first, second = places(pair, low)
    assert first is None or second is None or first.right != second.right
    alone, _, _ = places([Point(0.2, 0.1, "first"), Point(0.2, 0.5, "second"), Point(0.2, 0.9, "third")], HEIGHT)
    assert alone == (0.1, True)
