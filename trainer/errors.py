"""What can go wrong while making fine-tunes.

BakeoffError
└── TrainerError            the root of this room
    ├── ExperimentInvalid   an experiment file has problems; all of them are in the message
    ├── DataInvalid         a source cannot be read, or no usable row is left
    ├── BaseUnavailable     a base is missing, gated, hostile or does not fit this machine
    ├── CheckpointInvalid   a checkpoint is damaged, or belongs to another base, data set or configuration
    ├── TrainingFailed      a run ended by an error or diverged
    └── PublishRefused      a model cannot be pushed to the Hub
"""

from __future__ import annotations

from results.errors import BakeoffError


class TrainerError(BakeoffError):
    """The root of this room's errors."""


class ExperimentInvalid(TrainerError):
    """An experiment file has problems. The message lists every one: key, value, what would be right."""


class DataInvalid(TrainerError):
    """A data source cannot be read, or no usable row is left. Names source, row and reason."""


class SourceUnreachable(DataInvalid):
    """A data source cannot be reached from here: no network, and no copy in the cache."""


class BaseUnavailable(TrainerError):
    """A base is missing, gated, hostile, or does not fit this machine. Names the base and the remedy."""


class CheckpointInvalid(TrainerError):
    """A checkpoint is damaged, or belongs to another base, data set or configuration."""


class TrainingFailed(TrainerError):
    """A run ended by an error or diverged. Names the run, the step and the reason."""


class PublishRefused(TrainerError):
    """A model cannot be pushed to the Hub. Names the repository and the remedy."""
