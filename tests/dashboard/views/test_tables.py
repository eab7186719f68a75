"""Tables in words: the sentence that answers before them."""

from __future__ import annotations

import pandas as pd

from dashboard.views import tables


def test_latency_begins_with_who_answers_first_by_the_median() -> None:
    rows = [("slow", 0.5, 90.0), ("slow", 0.1, 90.0), ("slow", 0.6, 90.0), ("quick", 0.2, 51.6), ("quick", 0.3, 51.6)]
    requests = pd.DataFrame(rows, columns=["label", "ttft_seconds", "tokens_per_second"])
    said = "quick begins first: its first token comes after 0.25 s, then 52 tokens/s (medians)."
    assert tables.quickest(requests) == said
    assert tables.quickest(requests.drop(columns="ttft_seconds")) == ""
