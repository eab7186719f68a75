"""evaluator: measures models. HumanEval in a sandbox, held-out loss, latency, stopping, contamination.

The room's door: its names are in `__init__.pyi`, each loaded when first asked for; no module of the room is public
besides. Imports engines and results; knows nothing of the trainer, the dashboard or the command line.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
