"""The names at the door: mypy reads this file, lazy_loader imports by it."""

from .bases.loading import (
    LoadedBase as LoadedBase,
    base_identity as base_identity,
    base_path as base_path,
    base_tokenizer as base_tokenizer,
    load_base as load_base,
)
from .bases.miniatures import miniature as miniature
from .bases.registry import BaseEntry as BaseEntry, base_entry as base_entry, packaged_base as packaged_base
from .data.examples import Example as Example, PreparedData as PreparedData
from .planning.shapes import base_shape as base_shape
from .data.pipeline import (
    prepare as prepare,
    training_overlap as training_overlap,
    validation_rows as validation_rows,
)
from .data.report_words import data_words as data_words, removed_words as removed_words
from .data.shown_rows import Preview as Preview, Shown as Shown, previews as previews
from .errors import TrainerError as TrainerError
from .experiment.reading import load_experiment as load_experiment, recorded_experiment as recorded_experiment
from .experiment.schema import Evaluate as Evaluate, Experiment as Experiment, MadeElsewhere as MadeElsewhere
from .experiment.variants import Variant as Variant, variants as variants
from .hub.card import public_name as public_name
from .hub.push import Upload as Upload, push as push, upload_of as upload_of
from .hub.space import docker_space_of as docker_space_of, space_of as space_of
from .planning.plan import Group as Group, Plan as Plan, plan as plan
from .planning.rehearsals import Rehearsal as Rehearsal, rehearsal as rehearsal
from .planning.shipping import impossible_forms as impossible_forms
from .ray_runs.dispatch import Errand as Errand, OverRay as OverRay
from .ray_runs.worker import Ground as Ground
from .runs.rebuilding import rebuild as rebuild
from .sources.conversations import Conversation as Conversation
from .training import Trains as Trains, changed_since as changed_since, train as train
