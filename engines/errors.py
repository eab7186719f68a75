"""Errors of the engines: each names the file or model, the reason and the remedy.

EngineError             an engine cannot do what was asked
├── EngineCrashed       its process ended amid an answer, or twice before one; only the request at hand is lost
├── EngineOverdue       a request took longer than its time
├── EngineBusy          the memory budget, the queue or an endpoint's rate limit has no room for one more
├── DeviceUnavailable   a GPU that is asked for is not there, or torch cannot use it
├── FileRefused         a weights file, folder or template is hostile, damaged or of a kind that nothing here reads
└── ExportRefused       an export that would not answer as the model does; the failed check is named
"""

from __future__ import annotations

from results.errors import BakeoffError


class EngineError(BakeoffError):
    """An engine cannot do what was asked."""

    def __init__(self, message: str, *, code: str = "", parameter: str = "") -> None:
        super().__init__(message)
        self.code = code
        """What the protocol calls it, where it has a name: `context_length_exceeded`, `unsupported_parameter`."""
        self.parameter = parameter
        """The parameter of a request at which it lies."""


class EngineCrashed(EngineError):
    """The engine's process ended in the middle of an answer, or twice before it began. Only this request is lost."""


class EngineOverdue(EngineError):
    """A request took longer than its time, and nobody waits for it any more."""


class EngineBusy(EngineError):
    """The memory budget, the queue or an endpoint's rate limit has no room for one more."""

    def __init__(self, message: str, retry_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds
        """When to ask again, where the endpoint says so."""


class DeviceUnavailable(EngineError):
    """A GPU that is asked for is not there, or torch cannot use it. Names the device and the remedy."""


class FileRefused(EngineError):
    """A weights file, folder or template is hostile, damaged, or of a kind that nothing here reads."""


class ExportRefused(EngineError):
    """An export that would not answer as the model does. `check` names the check that failed."""

    def __init__(self, check: str, message: str) -> None:
        super().__init__(message)
        self.check = check
