"""A base's sizes, before any weight of it is read."""

from __future__ import annotations

from engines import FileRefused, read_model_json
from trainer.bases.loading import base_folder, base_path
from trainer.bases.registry import Shape, base_entry, shape_of
from trainer.errors import BaseUnavailable


def base_shape(name: str) -> Shape:
    """A base's sizes: from the registry, else from its config.json.

    Raises: BaseUnavailable.
    """
    if known := base_entry(name):
        return known.shape
    try:
        return shape_of(read_model_json(base_folder(base_path(name)) / "config.json"))
    except (FileRefused, KeyError, TypeError, ValueError) as error:
        raise BaseUnavailable(f"The base {name!r} has no readable config.json: {error}") from error
