"""What the server asks of whatever holds its models: which there are, and their engines for the time of an answer.

`engines.server.residency.Residency` lends every model of a store, `engines.server.worker.OneModel` exactly one.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Literal, Protocol

from engines.interface import Engine
from results import Model, Store

State = Literal["resident", "loading", "unloaded"]

OnWait = Callable[[str, int], None]
"""`on_wait(state, position)`: state is "waiting" or "loading", position 1 is next; called at each change."""


class Lender(Protocol):
    """Lends engines. Thread-safe."""

    @property
    def store(self) -> Store:
        """Where models are found by name."""
        ...

    @property
    def budget_bytes(self) -> int:
        """Memory of the machine that loaded models may take together."""
        ...

    @property
    def used_bytes(self) -> int:
        """Memory of the machine that loaded models count for."""
        ...

    @property
    def gpu_budget_bytes(self) -> int:
        """Memory of the GPU that loaded models may take together."""
        ...

    @property
    def gpu_used_bytes(self) -> int:
        """Memory of the GPU that loaded models count for."""
        ...

    def models(self) -> list[Model]:
        """Every model that is served."""
        ...

    def state(self, model: Model) -> State:
        """Whether a model is in memory."""
        ...

    def lease(
        self, model: Model, cancelled: Callable[[], bool] = lambda: False, on_wait: OnWait | None = None
    ) -> AbstractContextManager[Engine | None]:
        """The model's engine while the block runs; None if cancelled while it waited. Raises: what loading raises."""
        ...
