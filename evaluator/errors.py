"""Errors of the evaluator.

BakeoffError
├── SandboxUnavailable   no bubblewrap, or the kernel refuses: answers are not run at all
├── BenchmarkUnreadable  a benchmark file is missing, empty or of another shape
├── SamplesUnreadable    a file of answers is missing, empty or of another shape
├── ModelUnmeasurable    a form or setting that a measurement cannot take
└── IdentityFailed       what would be measured is not what the record says
"""

from __future__ import annotations

from pathlib import Path

from results.errors import BakeoffError, FileUnreadable


class SandboxUnavailable(BakeoffError):
    """Nothing can be run in isolation on this machine, so nothing is run. Says what to install or to allow."""


class BenchmarkUnreadable(BakeoffError):
    """A benchmark file is missing, empty or of another shape. Names the file, the line and the field."""

    @classmethod
    def of_file(cls, path: Path, error: FileUnreadable) -> BenchmarkUnreadable:
        """Why a file of questions cannot be read; of Python in its YAML, what to do instead."""
        if "!function" in error.reason:
            return cls(f"{path}: !function runs Python of the file, and is refused: write what it makes into the data")
        return cls(f"Cannot read {error}")


class SamplesUnreadable(BakeoffError):
    """A file of answers is missing, empty or of another shape. Names the file, the line and the field."""


class ModelUnmeasurable(BakeoffError):
    """A model is of a form that this measurement cannot take, or settings ask for what it cannot do."""


class IdentityFailed(BakeoffError):
    """The self-test found that what would be measured is not what the record says. Names the check that failed."""

    def __init__(self, check: str, message: str) -> None:
        super().__init__(message)
        self.check = check
