"""Which forms of an experiment its fine-tunes could never take: said by `bakeoff plan`, and before the first step.

Not here: exporting (`engines.export`), and what only the finished file can tell (its parity gate).
"""

from __future__ import annotations

from engines import why_not
from trainer.bases.loading import base_path
from trainer.errors import BaseUnavailable
from trainer.experiment.schema import Experiment
from trainer.experiment.variants import variants


def impossible_forms(experiment: Experiment) -> list[str]:
    """A sentence for each form of `evaluate.forms` that a base or a way to train rules out, with the remedy.

    A base that cannot be had here is passed over: loading it says so.
    Raises: ExperimentInvalid when a swept setting does not fit.
    """
    found = []
    ways = {(one.base, one.experiment.lora.dora, one.experiment.lora.method == "full") for one in variants(experiment)}
    for base, dora, whole in sorted(ways):
        try:
            path = base_path(base)
        except BaseUnavailable:
            continue
        for form in experiment.evaluate.forms:
            if reason := why_not(form, path, dora, whole):
                found.append(f"evaluate.forms: {form} is impossible for {base}: {reason}")
    return found
