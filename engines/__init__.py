"""engines: answers prompts, writes GGUF, serves. Heavy libraries are imported on first use.

engine = open_engine(store.models.find("demo-rank8@lora"), workspace)
for chunk in engine.stream([{"role": "user", "content": "Why is the sky blue?"}], Sampling(max_tokens=64)):
    print(chunk.text, end="")

The room's door: its names are in `__init__.pyi`, and no module of the room is public besides.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
