"""A source, as a person writes it, to the models that lie there.

    find("./outputs/my-lora")                    # a PEFT folder, or a folder above several models
    find("model-Q4_K_M.gguf")                    # a file; of a split one any part
    find("http://localhost:8000/v1#my-model")    # a model behind an endpoint

Nothing is loaded and nothing is registered. `FINDERS` has the sources that begin with a word of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from engines.adding import endpoints, hub, ollama
from engines.adding.folders import look
from engines.adding.found import Found


def find(source: str) -> list[Found]:
    """The models at a source, in the order of their paths: one, or each below a folder.

    Raises: FileRefused where there is none, or none of a kind that is read, with the remedy.
    """
    scheme = source.partition(":")[0]
    finder = FINDERS.get(scheme.lower()) if ":" in source else None
    return finder(source) if finder else look(Path(source))


FINDERS: dict[str, Callable[[str], list[Found]]] = {
    "http": endpoints.find,
    "https": endpoints.find,
    "hub": hub.find,
    "ollama": ollama.find,
}
"""What a source begins with, before its colon → what finds the models there."""
