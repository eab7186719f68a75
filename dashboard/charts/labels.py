"""Names beside points that do not run into each other, on a wide screen and on a phone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

WIDTHS = (760.0, 290.0)
"""The plot's width in pixels on a desk and on a phone: a place must be free on both."""
LETTER, LINE = 6.4, 16.0
"""Pixels of a letter, and of a line of text."""
GAP, POINT = 9.0, 8.0
"""Pixels between a point's middle and its name, and half of what a point covers."""


class Point(NamedTuple):
    """A point with its name; its place as shares of the plot's width and height, from the left and from below."""

    across: float
    up: float
    name: str


class Place(NamedTuple):
    """Where a name stands."""

    up: float
    """The share of the height that its middle is at."""
    right: bool
    """Whether it stands to the right of its point; else to the left."""


class Box(NamedTuple):
    """A rectangle in pixels."""

    left: float
    bottom: float
    right: float
    top: float

    def meets(self, other: Box) -> bool:
        """Whether the two share any area."""
        across = self.left < other.right and other.left < self.right
        return across and self.bottom < other.top and other.bottom < self.top


def places(points: Sequence[Point], height: float) -> list[Place | None]:
    """A place for each name, the first point's chosen first; None where no free one is near. height: in pixels."""
    dots = [[_dot(one, width, height) for one in points] for width in WIDTHS]
    taken: list[list[Box]] = [[] for _ in WIDTHS]
    found: list[Place | None] = []
    for at, point in enumerate(points):
        chosen, long = None, LETTER * len(point.name) + GAP > WIDTHS[-1] / 2  # on a phone it leaves the plot anyway
        for place in _wishes(point, height):
            boxes = [covered(point, place, width, height) for width in WIDTHS]
            free = all(
                not any(box.meets(other) for other in taken[number])
                and not any(box.meets(dot) for which, dot in enumerate(dots[number]) if which != at)
                for number, box in enumerate(boxes)
            )
            inside = all(one.left >= 0 and one.right <= width for one, width in zip(boxes, WIDTHS, strict=True))
            if free and (inside or long) and boxes[0].bottom >= 0 and boxes[0].top <= height:
                chosen = place
                for number, box in enumerate(boxes):
                    taken[number].append(box)
                break
        found.append(chosen)
    return found


def _wishes(point: Point, height: float) -> Iterator[Place]:
    """Places that would do, the nearest first: beside the point, then above and below that, then on the other side."""
    first = point.across <= 0.5
    for step in range(6):
        for sign in (1, -1) if step else (1,):
            for right in (first, not first):
                yield Place(point.up + sign * step * (LINE + 1) / height, right)


def _dot(point: Point, width: float, height: float) -> Box:
    x, y = point.across * width, point.up * height
    return Box(x - POINT, y - POINT, x + POINT, y + POINT)


def covered(point: Point, place: Place, width: float, height: float) -> Box:
    """What a name covers, in pixels of a plot of that width and height."""
    long = LETTER * len(point.name)
    near = point.across * width + (GAP if place.right else -GAP)
    left = near if place.right else near - long
    return Box(left, place.up * height - LINE / 2, left + long, place.up * height + LINE / 2)
