"""What transformers makes of the parity gate's corpus, for all models of one base from one load of its weights.

    references = References(workspace, [base, rank8, rank16])
    references.expected(rank8)      # loads the base, asks it and both adapters, and frees the memory again

What is kept is a few kilobytes a model, so nothing lies beside the file that is being checked.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from engines.exporting.parity import Expected, expected
from engines.huggingface.requests import BASE
from engines.opening import weights_path
from results import BakeoffError, Model, Workspace

if TYPE_CHECKING:
    import torch

    from engines.huggingface.engine import HuggingFaceEngine


class References:
    """The gate's references by model and dtype."""

    def __init__(self, workspace: Workspace, models: Iterable[Model] = ()) -> None:
        """`models`: those that will be asked about, so that what shares weights is asked in one load."""
        self._workspace = workspace
        self._models = tuple(models)
        self._found: dict[tuple[str, torch.dtype | None], Expected | BakeoffError] = {}
        self.loads = 0
        """How many times weights were loaded."""

    def expected(self, model: Model, dtype: torch.dtype | None = None) -> Expected:
        """The reference of one model; dtype None is the device's own.

        Raises: AdapterRefused, WeightsRefused.
        """
        if (model.identity, dtype) not in self._found:
            self._ask(model, dtype)
        found = self._found[model.identity, dtype]
        if isinstance(found, BakeoffError):
            raise found
        return found

    def _ask(self, model: Model, dtype: torch.dtype | None) -> None:
        from engines.huggingface.engine import HuggingFaceEngine

        weights = weights_path(model, self._workspace)
        family = [one for one in self._models if weights_path(one, self._workspace) == weights and _has_reference(one)]
        engine = HuggingFaceEngine(weights, dtype=dtype)
        self.loads += 1
        try:
            for one in {each.identity: each for each in (model, *family)}.values():
                self._found[one.identity, dtype] = self._of(engine, one)
        finally:
            engine.close()

    def _of(self, engine: HuggingFaceEngine, model: Model) -> Expected | BakeoffError:
        try:
            row = model.identity if model.form == "adapter" else BASE
            if row != BASE:
                engine.add_adapter(row, Path(self._workspace.resolve(model.path)))
            if template := str(model.details.get("chat_template", "")):
                engine.templates[row] = template
            return expected(engine, row)
        except BakeoffError as refused:  # one adapter's fault is not its siblings'
            return refused


def _has_reference(model: Model) -> bool:
    """Whether transformers runs this form as what others are exported from."""
    return model.form in ("base", "adapter", "merged")
