"""The trainer: makes fine-tunes. Experiment files, conversations, bases, LoRA, sweeps, checkpoints, Hub push.

This is the room's door: other rooms import from `trainer`, never from its modules. Names are loaded when first used,
so that `import trainer` costs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainer.bases.loading import LoadedBase, base_identity, base_tokenizer, load_base
    from trainer.bases.miniatures import miniature
    from trainer.data.examples import Example, PreparedData
    from trainer.data.pipeline import prepare, validation_rows
    from trainer.data.report_words import data_words, removed_words
    from trainer.data.shown_rows import Preview, Shown, previews
    from trainer.errors import TrainerError
    from trainer.experiment.reading import load_experiment
    from trainer.experiment.schema import Evaluate, Experiment
    from trainer.experiment.variants import Variant, variants
    from trainer.hub.push import Upload, push, upload_of
    from trainer.planning.plan import Group, Plan, plan
    from trainer.planning.rehearsals import Rehearsal, rehearsal
    from trainer.planning.shipping import impossible_forms
    from trainer.sources.conversations import Conversation
    from trainer.training import train

_HOME = {
    "Conversation": "sources.conversations",
    "Evaluate": "experiment.schema",
    "Example": "data.examples",
    "Experiment": "experiment.schema",
    "Group": "planning.plan",
    "LoadedBase": "bases.loading",
    "Plan": "planning.plan",
    "PreparedData": "data.examples",
    "Preview": "data.shown_rows",
    "Rehearsal": "planning.rehearsals",
    "Shown": "data.shown_rows",
    "TrainerError": "errors",
    "Upload": "hub.push",
    "Variant": "experiment.variants",
    "base_identity": "bases.loading",
    "base_tokenizer": "bases.loading",
    "data_words": "data.report_words",
    "impossible_forms": "planning.shipping",
    "load_base": "bases.loading",
    "load_experiment": "experiment.reading",
    "miniature": "bases.miniatures",
    "plan": "planning.plan",
    "prepare": "data.pipeline",
    "previews": "data.shown_rows",
    "push": "hub.push",
    "rehearsal": "planning.rehearsals",
    "removed_words": "data.report_words",
    "train": "training",
    "upload_of": "hub.push",
    "validation_rows": "data.pipeline",
    "variants": "experiment.variants",
}
"""Public name → the module that has it."""

__all__ = [
    "Conversation",
    "Evaluate",
    "Example",
    "Experiment",
    "Group",
    "LoadedBase",
    "Plan",
    "PreparedData",
    "Preview",
    "Rehearsal",
    "Shown",
    "TrainerError",
    "Upload",
    "Variant",
    "base_identity",
    "base_tokenizer",
    "data_words",
    "impossible_forms",
    "load_base",
    "load_experiment",
    "miniature",
    "plan",
    "prepare",
    "previews",
    "push",
    "rehearsal",
    "removed_words",
    "train",
    "upload_of",
    "validation_rows",
    "variants",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'trainer' has no attribute {name!r}")
    return getattr(importlib.import_module(f"trainer.{_HOME[name]}"), name)
