"""The trainer: makes fine-tunes. Experiment files, conversations, bases, LoRA, sweeps, checkpoints, Hub push.

This is the room's door: other rooms import from `trainer`, never from its modules. Names are loaded when first used,
so that `import trainer` costs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# At once, not lazily: a module named like the function in it would otherwise stand in the function's place.
from trainer.variants import Variant, variants

if TYPE_CHECKING:
    from trainer.bases import LoadedBase, base_identity, base_tokenizer, load_base
    from trainer.conversations import Conversation
    from trainer.data import Example, PreparedData, prepare, validation_rows
    from trainer.errors import TrainerError
    from trainer.experiment import Evaluate, Experiment
    from trainer.experiment_file import load_experiment
    from trainer.hub import Upload, push, upload_of
    from trainer.miniatures import miniature
    from trainer.planning import Group, Plan, plan
    from trainer.rehearsals import Rehearsal, rehearsal
    from trainer.report_words import data_words, removed_words
    from trainer.shipping import impossible_forms
    from trainer.shown_rows import Preview, Shown, previews
    from trainer.training import train

_HOME = {
    "Conversation": "conversations",
    "Evaluate": "experiment",
    "Example": "data",
    "Experiment": "experiment",
    "Group": "planning",
    "LoadedBase": "bases",
    "Plan": "planning",
    "PreparedData": "data",
    "Preview": "shown_rows",
    "Rehearsal": "rehearsals",
    "Shown": "shown_rows",
    "TrainerError": "errors",
    "Upload": "hub",
    "base_identity": "bases",
    "base_tokenizer": "bases",
    "data_words": "report_words",
    "impossible_forms": "shipping",
    "load_base": "bases",
    "load_experiment": "experiment_file",
    "miniature": "miniatures",
    "plan": "planning",
    "prepare": "data",
    "previews": "shown_rows",
    "push": "hub",
    "rehearsal": "rehearsals",
    "removed_words": "report_words",
    "train": "training",
    "upload_of": "hub",
    "validation_rows": "data",
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
