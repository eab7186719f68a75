"""dashboard: a Streamlit app over the results store, where people decide.

Pages are in `app_pages/`, one file each; `widgets/` are their parts, `views/` what they show, `charts/` draws, `chat/`
talks to the model server, `jobs/` keeps long work in processes of its own.
No torch, no engines: models are reached over HTTP alone.

The room's door: its names are in `__init__.pyi`, and no module of the room is public besides.

Try: bakeoff dashboard
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
