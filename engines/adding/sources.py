"""A source, as a person writes it, to the models that lie there.

    find("./outputs/my-lora")                    # a PEFT folder, or a folder above several models
    find("model-Q4_K_M.gguf")                    # a file; of a split one any part
    find("http://localhost:8000/v1#my-model")    # a model behind an endpoint

Nothing is loaded and nothing is registered. `FINDERS` has the sources that begin with a word of their own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from engines.adding.folders import look
from engines.adding.found import Found
from engines.errors import FileRefused


def find(source: str) -> list[Found]:
    """The models at a source, in the order of their paths: one, or each below a folder.

    Raises: FileRefused where there is none, or none of a kind that is read, with the remedy.
    """
    scheme = source.partition(":")[0]
    finder = FINDERS.get(scheme.lower()) if ":" in source else None
    return finder(source) if finder else look(Path(source))


def _endpoint(source: str) -> list[Found]:
    """The one model that a URL names: http://host/v1#model."""
    url, _, model = source.partition("#")
    if not model:
        raise FileRefused(f"{source} names no model. Write which one it is to be asked for: {url}#MODEL")
    name = re.sub(r"[^\w.]+", "-", model).strip("-.") or "model"
    return [Found("endpoint", None, name, source, base=model)]


FINDERS: dict[str, Callable[[str], list[Found]]] = {"http": _endpoint, "https": _endpoint}
"""What a source begins with, before its colon → what finds the models there."""
