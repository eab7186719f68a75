"""What lies at a source, before anything is checked or registered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from results.records import Json

Kind = Literal["peft", "transformers", "gguf", "lora-gguf", "endpoint"]
"""peft: a folder with adapter_config.json. transformers: a folder with config.json and weights. endpoint: a URL."""


@dataclass(frozen=True)
class Found:
    """One model at a source. What the source says of it is here; whether it is true is the checklist's to say."""

    kind: Kind
    path: Path | None
    """Folder, or file (of a split GGUF the first part), absolute; None for an endpoint."""
    name: str
    """Suggested for the store: never empty, and told apart from the others of one source by its folders."""
    source: str
    """What the person wrote: a path, hub:user/repo, ollama:NAME, http://host/v1#model."""
    base: str = ""
    """The base as the source names it: a Hub id, a folder as it was on another machine, an Ollama name; "" for none."""
    base_path: Path | None = None
    """The base's weights where the source has them itself: an Ollama adapter's model, a GGUF beside its LoRA-GGUF."""
    template: str = ""
    """Chat template (Jinja) that the source keeps apart from the weights, as Ollama does; "" for none. What lies in the
    folder or in the GGUF is read by the checklist."""
    parameters: Json = field(default_factory=dict)
    """What the source has the model run with: sampling values under their OpenAI names, `stop` (list of texts) and
    `system` (text)."""
    notes: tuple[str, ...] = ()
    """What the person should know of how it was found, a sentence each."""
    details: Mapping[str, str] = field(default_factory=dict)
    """What the model's record keeps of where it came from: revision, digest, licence."""
