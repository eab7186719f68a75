"""TensorBoard folders as runs: which of their event files tell one training, and which tell another.

A training that was resumed writes on in a new file: its steps go on from where the last file stood, or from a
checkpoint before that. A training that was begun anew starts from its first step again. One curve is never made of two
trainings; where a resumed one repeats steps, those of the later file count, and that is said.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from results.errors import ImportRefused
from results.importers.names import absolute, called_after, short
from results.importers.parcels import (
    Curves,
    ImportedRun,
    Parcel,
    beginning,
    former_run_id,
    metric_name,
    same,
    several_values,
    synonym,
)
from results.importers.refusals import refused, unknown
from results.importers.trainings.tensorboard_events import Stretch, is_events, stretches
from results.records import Run

OWN = (
    "resume_from_checkpoint",
    "logging_dir",
    "output_dir",
    "run_name",
    "local_rank",
    "overwrite_output_dir",
    "ignore_data_skip",
)
"""Arguments that a resumed training gives differently."""

SCHEDULED = ("learning_rate", "train/learning_rate", "train/epoch", "epoch")
"""Tags whose values follow from the step: a resumed training repeats them."""


def read_events(path: Path) -> Parcel:
    """One event file, or those of a folder in the order of their times: a run for each training."""
    files = [path] if path.is_file() else sorted(one for one in path.iterdir() if is_events(one))
    notes: list[str] = []
    found: list[Stretch] = []
    for file in files:
        try:
            found += stretches(file, notes)
        except ImportRefused as error:
            if len(files) == 1:
                raise
            notes.append(str(error))
    trainings = _trainings(found, path, notes)
    if not trainings:
        if notes:
            raise refused(path, "; ".join(notes))
        raise unknown(path, "holds no scalars")
    if len(trainings) > 1:
        notes.append(f"{absolute(path).name}: holds {len(trainings)} trainings, whose steps begin anew; each is a run")
    runs = tuple(_run(path, one, number if len(trainings) > 1 else 0) for number, one in enumerate(trainings, 1))
    return Parcel("TensorBoard events", runs, notes=tuple(notes))


def _trainings(found: list[Stretch], path: Path, notes: list[str]) -> list[Stretch]:
    """Stretches put together that are one training's. A configuration alone belongs to what follows it."""
    trainings: list[Stretch] = []
    waiting: dict[str, object] = {}
    for one in sorted(found, key=lambda each: each.first_time or 0.0):
        if not one.values:
            waiting |= one.config
            continue
        one.config = {**waiting, **one.config} if waiting else one.config
        waiting = {}
        own = [each for each in reversed(trainings) if each.writer == one.writer]
        others = [each for each in reversed(trainings) if each.writer != one.writer]
        resumed = next((each for each in (*own, *others) if _goes_on(each, one)), None)
        if resumed is None:
            trainings.append(one)
        else:
            repeated = _join(resumed, one)
            if repeated:
                notes.append(
                    f"{absolute(path).name}: resumed; {repeated} steps were trained twice, the later ones count"
                )
    return trainings


def _goes_on(before: Stretch, after: Stretch) -> bool:
    """Whether a stretch is the same training further on."""
    shared = before.config.keys() & after.config.keys() - {
        f"{section}.{key}" for section in ("training", "model") for key in OWN
    }
    if any(before.config[key] != after.config[key] for key in shared):
        return False
    tags = before.values.keys() & after.values.keys()
    if not tags:  # another part of it, its validation, say; not what the store would call by one name
        named = ({metric_name(synonym(tag)) for tag in each.values} for each in (before, after))
        return not set.intersection(*named)
    if all(min(after.values[tag]) > max(before.values[tag]) for tag in tags):
        spacing, first = _spacing(after.values), min(min(after.values[tag]) for tag in tags)
        # a short trial before the training itself: that one begins at its own first log
        fresh = spacing is not None and first == spacing and spacing != _spacing(before.values) and not shared
        return not fresh
    if len({step for tag in tags for step in after.values[tag]}) == 1:
        return _adds_to_the_end(before, after)
    if any(min(after.values[tag]) <= min(before.values[tag]) for tag in tags):
        return False
    scheduled = [tag for tag in SCHEDULED if tag in tags]
    agree = all(_agree(before.values[tag], after.values[tag]) for tag in scheduled)
    return agree and _spacing(before.values) == _spacing(after.values)


def _adds_to_the_end(before: Stretch, after: Stretch) -> bool:
    """Whether one more step of it stands at the end: the evaluation that a finished training ends with."""
    last = max(step for values in before.values.values() for step in values)
    only = {step for values in after.values.values() for step in values}
    return only == {last} and last > min(step for values in before.values.values() for step in values)


def _agree(one: Mapping[int, float], other: Mapping[int, float]) -> bool:
    return all(
        abs(one[step] - other[step]) <= 1e-5 * abs(one[step]) or same(one[step], other[step])
        for step in one.keys() & other.keys()
    )


def _spacing(values: Mapping[str, Mapping[int, float]]) -> int | None:
    """The most frequent distance of two steps of the tag with the most; None for a single step."""
    steps = sorted(max(values.values(), key=lambda one: len(list(one))))
    gaps = [later - earlier for earlier, later in itertools.pairwise(steps)]
    return max(set(gaps), key=lambda gap: (gaps.count(gap), -gap)) if gaps else None


def _join(before: Stretch, after: Stretch) -> int:
    """Take a resumed stretch in; how many steps it trained again. What came after its first step is replaced."""
    repeated: set[int] = set()
    for tag, values in after.values.items():
        first = min(values)
        kept = before.values.get(tag, {})
        repeated |= {step for step in kept if step >= first and not same(kept[step], values.get(step, float("nan")))}
        before.values[tag] = {**{step: one for step, one in kept.items() if step < first}, **values}
    before.config = {**after.config, **before.config}
    times = [one for one in (before.last_time, after.last_time) if one is not None]
    before.last_time = max(times, default=None)
    before.others |= after.others
    for tag, count in after.again.items():
        before.again[tag] = before.again.get(tag, 0) + count
    return len(repeated)


def _run(path: Path, told: Stretch, number: int) -> ImportedRun:
    """A training as a run. number: which of several in one folder; 0 for the only one."""
    curves = Curves()
    for tag, values in told.values.items():
        for step, value in values.items():
            curves.add(tag, step, value)
    points = curves.points()
    place = absolute(path)
    folder = place if path.is_dir() else place.parent
    called = called_after(folder / "events")
    started = datetime.fromtimestamp(told.first_time, UTC) if told.first_time else None
    names = tuple(short(f"{one} ({number})") for one in called.names) if number else called.names
    called = replace(called, names=names, place=f"{folder} {told.first_time if number else ''}")
    missing = ["whether the run had ended: event files do not say"]
    if not told.config:
        missing.append("the configuration: the events hold no arguments")
    if told.others:
        missing.append(f"what is no scalar (images, histograms, texts): {', '.join(told.others)[:120]}")
    again = [*several_values(told.again), *curves.said()]
    seed = told.config.get("training.seed")
    run = Run(
        id="",
        name=called.names[0],
        experiment="imported",
        base=str(told.config.get("model._name_or_path") or ""),
        config=told.config,
        seed=seed if isinstance(seed, int) and abs(seed) < 2**62 else 0,
        status="stopped",
        reason="event files do not say whether it had ended",
        started_at=started,
        finished_at=datetime.fromtimestamp(told.last_time, UTC) if told.last_time else None,
        origin="imported",
        source=f"{place.parent.name}/{path.name} (TensorBoard)",
    )
    former_name = folder.parent.name if folder.name in ("runs", "logs", "tensorboard") else folder.name
    former = former_run_id("TensorBoard", former_name, [told.first_time, beginning(points)])
    return ImportedRun(run, points, called, former, (*missing, *again))
