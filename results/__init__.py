"""results: remembers and judges. `Workspace.open().store()` opens the store; records go in and come out.

The room's door: its names are in `__init__.pyi`, each loaded when first asked for, so that `bakeoff --help` answers at
once. Public besides are `results.records` and `results.errors`, which load nothing, and `results.analysis.statistics`,
pure functions.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
