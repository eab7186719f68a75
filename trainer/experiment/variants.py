"""An experiment becomes its runs: every base × setting × seed, each with a name for people and a lasting id.

    for variant in variants(load_experiment("experiments/demo.yaml")):
        print(variant.name, variant.settings)

Which of them go on after a cut, and what a sweep showed, is in `trainer.experiment.sweeps`.
"""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from results.records import Json, digest
from trainer.experiment.reading import with_settings
from trainer.experiment.schema import Distribution, Experiment, RandomSearch

OPERATIONAL = ("training.save_steps", "training.save_total_limit", "training.report_to", "training.mirror")
"""Settings that change no weight: a run stays the same run when they change."""


@dataclass(frozen=True)
class Variant:
    """One training of an experiment."""

    id: str
    """The run's id: name, and 8 digits of the digest of base, data, settings and seed."""
    name: str
    """E.g. demo-rank8."""
    base: str
    seed: int
    settings: Json
    """What the sweep set for it, by dotted key; the seed apart."""
    experiment: Experiment
    """The experiment with those settings, this base alone, and this seed."""
    config: Json
    """Everything that decides the weights, flat under dotted keys: what a checkpoint must have in common."""


def variants(experiment: Experiment) -> list[Variant]:
    """The runs of an experiment in a fixed order: bases outermost, seeds innermost.

    Raises: ExperimentInvalid when a swept setting does not exist or does not fit.
    """
    sweep = experiment.sweep
    seeds = sweep.seeds or (None,)
    found = []
    for base, (label, settings), seed in itertools.product(experiment.bases, _settings(experiment), seeds):
        parts = [] if len(experiment.bases) == 1 else [_slug(PurePath(base).name.removesuffix(".gguf"))]
        parts += [label or "-".join(_worded(key, value) for key, value in settings.items())]
        parts += [] if seed is None or len(seeds) == 1 else [f"seed{seed}"]
        found.append(_variant(experiment, base, settings, seed, "-".join(part for part in parts if part)))
    return found


def _variant(experiment: Experiment, base: str, settings: Mapping[str, Any], seed: int | None, slug: str) -> Variant:
    whole = {**settings, "bases": [base]} if seed is None else {**settings, "bases": [base], "training.seed": seed}
    own = with_settings(experiment, whole)
    config = {
        key: value
        for section in ("data", "training", "lora")
        for key, value in _flat(getattr(own, section).model_dump(mode="json"), section).items()
        if key not in OPERATIONAL
    }
    config = {"base": base, **config, "lora.alpha": own.lora.effective_alpha}
    del config["lora.alpha_ratio"]
    name = f"{experiment.name}-{slug}" if slug else experiment.name
    return Variant(
        id=f"{name}-{digest(config)[:8]}",
        name=name,
        base=base,
        seed=own.training.seed,
        settings=dict(settings),
        experiment=own,
        config=config,
    )


def _settings(experiment: Experiment) -> list[tuple[str, dict[str, Any]]]:
    """List the settings, equal ones once: a label or the empty string, and values by dotted key."""
    sweep = experiment.sweep
    if sweep.variants:
        written = [dict(variant) for variant in sweep.variants]
        return [(_slug(str(variant.pop("name", ""))), variant) for variant in written]
    grid = [dict(zip(sweep.grid, values, strict=True)) for values in itertools.product(*sweep.grid.values())]
    drawn = _drawn(sweep.random) if sweep.random else [{}]
    combined = [{**fixed, **random_} for fixed, random_ in itertools.product(grid, drawn)]
    return [("", settings) for number, settings in enumerate(combined) if settings not in combined[:number]]


def _drawn(search: RandomSearch) -> list[dict[str, Any]]:
    """The search's draws: the same for the same seed, on every machine and Python."""
    draws = random.Random(search.seed)
    return [{key: _draw(search.space[key], draws) for key in sorted(search.space)} for _ in range(search.trials)]


def _draw(space: Distribution, draws: random.Random) -> Any:
    if space.choice is not None:
        return space.choice[int(draws.random() * len(space.choice))]
    if space.log_uniform is not None:
        low, high = space.log_uniform
        value = math.exp(math.log(low) + draws.random() * (math.log(high) - math.log(low)))
    else:
        low, high = space.uniform or (0.0, 1.0)
        value = low + draws.random() * (high - low)
    return float(f"{value:.3g}")  # three digits: names stay short, and what is shown is what is trained


def _flat(value: Any, prefix: str) -> dict[str, Any]:
    if isinstance(value, dict) and value:
        return {name: inner for key in value for name, inner in _flat(value[key], f"{prefix}.{key}").items()}
    return {prefix: value}


def _worded(key: str, value: Any) -> str:
    """Name a setting in a run's name: `lora.rank` and 8 give rank8."""
    shown = (
        f"{value:g}"
        if isinstance(value, float)
        else "-".join(map(str, value))
        if isinstance(value, (list, tuple))
        else str(value)
    )
    return _slug(f"{key.rpartition('.')[2]}{shown}")


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-.")[:60]
