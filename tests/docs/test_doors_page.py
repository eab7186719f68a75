"""docs/reference/doors.md is what the code says."""

from __future__ import annotations

from tests.docs import doors
from tests.docs.names import document


def test_the_page_of_the_doors_is_up_to_date() -> None:
    assert document("docs/reference/doors.md") == doors.page(), "Write it anew: make docs"
