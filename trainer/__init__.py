"""trainer: makes fine-tunes. Experiment files, conversations, bases, LoRA, sweeps, checkpoints, Hub push.

The room's door: its names are in `__init__.pyi`, each loaded when first asked for, so that `import trainer` costs no
torch; no module of the room is public besides.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
