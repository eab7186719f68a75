"""Adapters that QLoRA trained: over the 16-bit base, or over its weights quantized to 4 bits and back?

Training saw the latter, and most tools merge into the former. Which loses less is measured on the held-out rows, where
an experiment has any.
"""

from __future__ import annotations

from bakeoff.experiment.elsewhere import Elsewhere, over_dequantized
from bakeoff.experiment.failures import Failure
from results import Progress, Store, Workspace, compare
from trainer import Experiment


def over_both_bases(
    experiment: Experiment, others: Elsewhere, store: Store, workspace: Workspace, progress: Progress
) -> tuple[tuple[str, ...], tuple[Failure, ...]]:
    """Measure each such adapter's held-out loss over both bases: what came out, a sentence each, and what failed.

    Raises: what ends everything (`bakeoff.experiment.failures`).
    """
    import evaluator
    import trainer

    if not others.four_bit or experiment.evaluate.heldout is None or not experiment.data.sources:
        return (), ()
    rows = trainer.validation_rows(experiment, workspace)
    told: list[str] = []
    failures: list[Failure] = []
    for model, entry in others.four_bit:
        try:
            other = over_dequantized(model, entry, store, workspace, progress)
            evaluator.evaluate_heldout([model, other], rows, store=store, workspace=workspace, progress=progress)
            found = compare(store, model, other, "heldout")
        except Exception as error:
            failures.append(Failure.of(model, "heldout over the dequantized base", error))
            continue
        trained = model.details["added"]["base"]
        told.append(
            f"{model.name} was trained over the 4-bit copy {trained}. Over its 16-bit base ({model.name}) and over "
            f"that quantized to 4 bits and back ({other.name}): {found.verdict}"
        )
    return tuple(told), tuple(failures)
