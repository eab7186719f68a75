"""Gives a Python process the stand-in GPU before it imports torch; does nothing without its variable.

    PYTHONPATH=tests/stand_in_gpu BAKEOFF_STAND_IN_GPU=t4 .venv/bin/python -m bakeoff doctor

`BAKEOFF_STAND_IN_GPU` names a kind of `device.KINDS`, with a size where memory is to be scarcer: `t4:2GB`. Processes
that this one starts have the device too. A process that never imports torch pays nothing.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).resolve().parent


class Around(importlib.abc.Loader):
    """A module's own loader, with something done before it and after it."""

    def __init__(self, own: importlib.abc.Loader, before: Callable[[], None], after: Callable[[], None]) -> None:
        self.own, self.before, self.after = own, before, after

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self.own.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.before()
        try:
            self.own.exec_module(module)
        finally:
            self.after()

    def __getattr__(self, name: str) -> object:
        return getattr(self.own, name)


class Finder(importlib.abc.MetaPathFinder):
    """Finds torch and bitsandbytes as anyone does, and puts the device around their import."""

    def __init__(self) -> None:
        self.asking: set[str] = set()

    def find_spec(
        self, name: str, path: object = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in ("torch", "bitsandbytes") or name in self.asking:
            return None
        self.asking.add(name)  # the other finders
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self.asking.remove(name)
        if spec is None or spec.loader is None:
            return None
        neighbour("library")
        device = neighbour("device")
        before, after = (device.load, device.install) if name == "torch" else (device.hide, device.show)
        spec.loader = Around(spec.loader, before, after)
        return spec


def neighbour(name: str) -> ModuleType:
    """The module of that name beside this file, under a name that is nobody else's."""
    known = f"stand_in_gpu_{name}"
    if known not in sys.modules:
        spec = importlib.util.spec_from_file_location(known, HERE / f"{name}.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[known] = module
        spec.loader.exec_module(module)
    return sys.modules[known]


def other_sitecustomize() -> None:
    """Run the one that this file hides, as site would have."""
    rest = [place for place in sys.path if Path(place or ".").resolve() != HERE]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", rest)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


if os.environ.get("BAKEOFF_STAND_IN_GPU"):
    sys.meta_path.insert(0, Finder())
other_sitecustomize()
