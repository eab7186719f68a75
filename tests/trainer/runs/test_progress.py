"""The book of a run: what is the best, when to stop, and what a checkpoint remembers of it."""

from __future__ import annotations

import json
import math

from trainer.runs.progress import RunProgress, Step


def test_the_best_validation_is_remembered_and_too_many_worse_ones_stop_early() -> None:
    progress = RunProgress(patience=2)
    said = []
    for step, loss in ((5, 2.0), (10, 1.5), (15, math.nan), (20, 1.6)):
        progress.step = step
        points = progress.validated(loss, loss / 3)
        assert [(point.metric, point.step) for point in points] == [
            ("validation_loss", step),
            ("validation_bits_per_byte", step),
        ]
        said.append((progress.is_best, progress.stopped_early))
    assert said == [(True, False), (True, False), (False, False), (False, True)]
    assert (progress.best_step, progress.best_loss) == (10, 1.5)


def test_what_a_checkpoint_holds_makes_the_same_book_again() -> None:
    progress = RunProgress(patience=3, step=4, tokens_seen=900)
    points = progress.stepped(Step(loss=1.0, learning_rate=0.1, gradient_norm=2.0, tokens=300, seconds=1.5), 4, 0.5)
    assert {point.metric: point.value for point in points}["tokens_per_second"] == 200
    again = RunProgress(patience=3)
    again.restore(json.loads(json.dumps(progress.as_json())))
    assert again == progress
    assert again.best_loss == math.inf, "no validation yet"


def test_a_checkpoint_of_the_trl_loop_without_steps_and_tokens_is_still_read() -> None:
    progress = RunProgress()
    progress.restore({"elapsed_seconds": 9.5, "best_loss": 1.25, "best_step": 10, "without_better": 1})
    assert progress == RunProgress(elapsed_seconds=9.5, best_loss=1.25, best_step=10, without_better=1)
