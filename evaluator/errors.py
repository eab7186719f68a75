"""Errors of the evaluator.

    BakeoffError
    ├── SandboxUnavailable   no bubblewrap, or the kernel refuses: answers are not run at all
    ├── BenchmarkUnreadable  a benchmark file is missing, empty or of another shape
    └── SamplesUnreadable    a file of answers is missing, empty or of another shape
"""

from __future__ import annotations

from results.errors import BakeoffError


class SandboxUnavailable(BakeoffError):
    """Nothing can be run in isolation on this machine, so nothing is run. Says what to install or to allow."""


class BenchmarkUnreadable(BakeoffError):
    """A benchmark file is missing, empty or of another shape. Names the file, the line and the field."""


class SamplesUnreadable(BakeoffError):
    """A file of answers is missing, empty or of another shape. Names the file, the line and the field."""
