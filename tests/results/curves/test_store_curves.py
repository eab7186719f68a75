"""Curves: appended, replaced, cut, read from a cursor and drawn at screen resolution, on both databases."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from results import NotFound, Point, Run, Store

STEPS = st.integers(0, 40)
BATCH = st.lists(st.tuples(st.sampled_from(["loss", "lr"]), STEPS, st.floats()), max_size=30)
ACTION = st.one_of(BATCH, STEPS)


def points_of(store: Store, run_id: str, metric: str) -> list[tuple[int, float]]:
    steps, values = store.curves.read(run_id, metric)
    return list(zip(steps.tolist(), values.tolist(), strict=True))


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=st.lists(ACTION, max_size=8))
def test_any_order_of_writes_and_cuts_is_a_dictionary(
    store: Store, actions: list[list[tuple[str, int, float]] | int]
) -> None:
    """Against the plainest model there is: {(metric, step): value}, where the last write holds."""
    number = len(store.runs.list())
    store.runs.add(Run(f"r{number}", "r", "e", "b", {}, 0))
    expected: dict[tuple[str, int], float] = {}
    for action in actions:
        if isinstance(action, int):
            store.curves.truncate(f"r{number}", action)
            expected = {key: value for key, value in expected.items() if key[1] <= action}
        else:
            store.curves.append(f"r{number}", [Point(*point) for point in action])
            expected |= {(metric, step): value for metric, step, value in action}
    for metric in ("loss", "lr"):
        wanted = sorted((step, value) for (name, step), value in expected.items() if name == metric)
        found = points_of(store, f"r{number}", metric)
        assert repr(found) == repr([(step, value) for step, value in wanted])
        view = store.curves.overview([f"r{number}"], metric)
        if wanted:
            assert view[f"r{number}"].steps.tolist() == [step for step, _ in wanted]
            summary = store.runs.list()[-1]
            if metric == "loss":
                assert summary.steps == wanted[-1][0]
                assert summary.last_loss is not None  # as a column of SQLite's, which keeps no sign of zero
                assert repr(summary.last_loss + 0.0) == repr(wanted[-1][1] + 0.0)


def test_a_long_curve_written_in_uneven_batches_comes_back_whole(store: Store, run: Run) -> None:
    random = np.random.default_rng(5)
    values, start = random.normal(size=9000), 0
    while start < len(values):
        size = int(random.integers(1, 700))
        batch = values[start : start + size].tolist()
        store.curves.append(run.id, [Point("loss", 10 * (start + place), value) for place, value in enumerate(batch)])
        start += size
    steps, stored = store.curves.read(run.id, "loss")
    np.testing.assert_array_equal(steps, 10 * np.arange(9000))
    np.testing.assert_array_equal(stored, values)
    best = store.curves.overview([run.id], "loss", buckets=50)[run.id]
    assert best.low.min() == values.min()
    assert best.high.max() == values.max()
    assert best.last_step == 89990


def test_a_batch_sent_twice_is_the_same_rows(store: Store, run: Run) -> None:
    batch = [Point("loss", step, 1.0 / (step + 1)) for step in range(3000)]
    store.curves.append(run.id, batch)
    before = store.info()["rows"]
    store.curves.append(run.id, batch)
    store.curves.append(run.id, batch[500:700])
    assert store.info()["rows"] == before
    assert len(points_of(store, run.id, "loss")) == 3000


def test_a_resumed_run_replaces_its_tail_once(store: Store, run: Run) -> None:
    store.curves.append(run.id, [Point("loss", step, 1.0) for step in range(6000)])
    store.curves.truncate(run.id, 4499)
    assert store.runs.list()[0].steps == 4499
    store.curves.append(run.id, [Point("loss", step, 2.0) for step in range(4500, 6000)])
    found = points_of(store, run.id, "loss")
    assert [step for step, _ in found] == list(range(6000))
    assert [value for _, value in found] == [1.0] * 4500 + [2.0] * 1500
    view = store.curves.overview([run.id], "loss", buckets=6000)[run.id]
    assert view.low.tolist() == [1.0] * 4500 + [2.0] * 1500
    store.curves.truncate(run.id, -1)
    assert store.curves.metrics(run.id) == []
    assert store.runs.list()[0].steps == 0


def test_a_live_page_reads_on_from_its_cursor(store: Store, run: Run) -> None:
    seen: list[float] = []
    cursor = None
    for start in range(0, 5000, 250):
        store.curves.append(run.id, [Point("loss", step, float(step)) for step in range(start, start + 250)])
        steps, values = store.curves.read(run.id, "loss", after_step=cursor)
        assert len(steps) == 250
        seen.extend(values.tolist())
        cursor = int(steps[-1])
    assert seen == [float(step) for step in range(5000)]
    assert len(store.curves.read(run.id, "loss", after_step=cursor)[0]) == 0


@pytest.mark.parametrize("buckets", [1, 37, 256, 2000])
@pytest.mark.parametrize("finished", [True, False])
def test_a_spike_of_one_step_and_a_nan_are_in_every_view(store: Store, run: Run, buckets: int, finished: bool) -> None:
    random = np.random.default_rng(buckets)
    spikes = set(random.choice(np.arange(1, 7000), 20, replace=False).tolist())
    points = [Point("loss", step, 100.0 + step if step in spikes else 2.0) for step in range(7000)]
    points[3333] = Point("loss", 3333, math.nan)
    points[6999] = Point("loss", 6999, -math.inf)
    spikes -= {3333, 6999}
    store.curves.append(run.id, points)
    if finished:
        store.runs.finish(run.id, "finished")
    view = store.curves.overview([run.id], "loss", buckets)[run.id]
    assert len(view.steps) <= buckets
    for step in spikes:
        bucket = np.searchsorted(view.steps, step, side="right") - 1
        assert view.high[bucket] >= 100.0 + step
    assert np.nanmin(view.low) == 2.0
    assert 3333 in view.marks
    assert len(view.marks) == 2 or buckets == 1


def test_many_runs_come_in_one_view_in_the_order_asked(store: Store) -> None:
    for number in range(30):
        store.runs.add(Run(f"r{number:02}", "r", "e", "b", {}, 0))
        if number != 7:
            store.curves.append(f"r{number:02}", [Point("loss", step, float(number)) for step in range(20)])
    wanted = [f"r{number:02}" for number in (29, 7, 3, 3)]
    view = store.curves.overview([*wanted, "none"], "loss")
    assert list(view) == ["r29", "r03"]
    assert view["r03"].low.tolist() == [3.0] * 20
    assert view["r03"].width == 1
    assert store.curves.overview([], "loss") == {}
    every = store.curves.overview([f"r{number:02}" for number in range(30)] + [f"x{i}" for i in range(900)], "loss")
    assert len(every) == 29


def test_points_need_their_run(store: Store) -> None:
    with pytest.raises(NotFound, match="nope"):
        store.curves.append("nope", [Point("loss", 1, 1.0)])
    store.curves.append("nope", [])
    assert store.curves.metrics("nope") == []
    assert len(store.curves.read("nope", "loss")[0]) == 0


def test_opening_makes_no_curve_of_nothing(tmp_path: Path) -> None:
    with Store(f"sqlite:///{tmp_path / 'a.db'}") as store:
        store.runs.add(Run("r", "r", "e", "b", {}, 0))
        (summary,) = store.runs.list()
    assert (summary.steps, summary.last_loss, summary.best_validation_loss, summary.best_step) == (0, None, None, None)
