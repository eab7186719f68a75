"""engines: answers prompts, writes GGUF, serves. Heavy libraries are imported on first use.

engine = open_engine(store.models.find("demo-rank8-lora"), workspace)
for chunk in engine.stream([{"role": "user", "content": "Why is the sky blue?"}], Sampling(max_tokens=64)):
    print(chunk.text, end="")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from engines.errors import DeviceUnavailable, EngineBusy, EngineCrashed, EngineError, ExportRefused, FileRefused
from engines.interface import Chunk, Completion, Engine, FinishReason, Message, Sampling

if TYPE_CHECKING:
    from engines.advisor import Advice, advise
    from engines.bandwidth import memory_bandwidth
    from engines.builds import CUDA_WHEELS, llamacpp_gpus
    from engines.devices import BF16_FLAGS, OVERFLOWS, Device, cpu_flags, free_bytes, gpus, this_device, unusable_gpu
    from engines.estimates import (
        EngineName,
        Sizes,
        engine_of,
        export_seconds,
        loading_seconds,
        reading_seconds,
        step_seconds,
    )
    from engines.forms import base_in_gguf, export
    from engines.gguf import FolderSource, write_model
    from engines.header import read_header
    from engines.huggingface import HuggingFaceEngine, chat_template
    from engines.identity import file_sha256, folder_sha256, model_id
    from engines.llamacpp import LlamaCppEngine
    from engines.llamaserver import DEFAULT_CONTEXT, Threading, cache_bytes, expected_bytes
    from engines.openai import AT_ONCE, masked
    from engines.opening import open_engine, open_engines
    from engines.possible import why_not
    from engines.references import References
    from engines.rows import Answer, Request
    from engines.serving import serve
    from engines.speeds import A100, LISTED, RTX_4090, T4, Place, of_devices, places, this_gpus
    from engines.threads import calibrated
    from engines.unpacking import cache_folder, silence, unpacked
    from engines.vocabulary import gguf_tokenizer

_LAZY = {
    "A100": "speeds",
    "AT_ONCE": "openai",
    "Advice": "advisor",
    "Answer": "rows",
    "BF16_FLAGS": "devices",
    "CUDA_WHEELS": "builds",
    "DEFAULT_CONTEXT": "llamaserver",
    "Device": "devices",
    "EngineName": "estimates",
    "FolderSource": "gguf",
    "HuggingFaceEngine": "huggingface",
    "LISTED": "speeds",
    "LlamaCppEngine": "llamacpp",
    "OVERFLOWS": "devices",
    "Place": "speeds",
    "RTX_4090": "speeds",
    "References": "references",
    "Request": "rows",
    "Sizes": "estimates",
    "T4": "speeds",
    "Threading": "llamaserver",
    "advise": "advisor",
    "base_in_gguf": "forms",
    "cache_bytes": "llamaserver",
    "cache_folder": "unpacking",
    "calibrated": "threads",
    "chat_template": "huggingface",
    "cpu_flags": "devices",
    "engine_of": "estimates",
    "expected_bytes": "llamaserver",
    "export": "forms",
    "export_seconds": "estimates",
    "file_sha256": "identity",
    "folder_sha256": "identity",
    "free_bytes": "devices",
    "gguf_tokenizer": "vocabulary",
    "give_back": "memory",
    "gpus": "devices",
    "llamacpp_gpus": "builds",
    "loading_seconds": "estimates",
    "masked": "openai",
    "memory_bandwidth": "bandwidth",
    "model_id": "identity",
    "of_devices": "speeds",
    "open_engine": "opening",
    "open_engines": "opening",
    "places": "speeds",
    "read_header": "header",
    "reading_seconds": "estimates",
    "serve": "serving",
    "silence": "unpacking",
    "step_seconds": "estimates",
    "this_device": "devices",
    "this_gpus": "speeds",
    "unpacked": "unpacking",
    "unusable_gpu": "devices",
    "why_not": "possible",
    "write_model": "gguf",
}
"""Name → the module that has it. None is imported before its name is used."""

__all__ = [
    "A100",
    "AT_ONCE",
    "Advice",
    "Answer",
    "BF16_FLAGS",
    "CUDA_WHEELS",
    "Chunk",
    "Completion",
    "DEFAULT_CONTEXT",
    "Device",
    "DeviceUnavailable",
    "Engine",
    "EngineBusy",
    "EngineCrashed",
    "EngineError",
    "EngineName",
    "ExportRefused",
    "FileRefused",
    "FinishReason",
    "FolderSource",
    "HuggingFaceEngine",
    "LISTED",
    "LlamaCppEngine",
    "Message",
    "OVERFLOWS",
    "Place",
    "RTX_4090",
    "References",
    "Request",
    "Sampling",
    "Sizes",
    "T4",
    "Threading",
    "advise",
    "base_in_gguf",
    "cache_bytes",
    "cache_folder",
    "calibrated",
    "chat_template",
    "cpu_flags",
    "engine_of",
    "expected_bytes",
    "export",
    "export_seconds",
    "file_sha256",
    "folder_sha256",
    "free_bytes",
    "gguf_tokenizer",
    "give_back",
    "gpus",
    "llamacpp_gpus",
    "loading_seconds",
    "masked",
    "memory_bandwidth",
    "model_id",
    "of_devices",
    "open_engine",
    "open_engines",
    "places",
    "read_header",
    "reading_seconds",
    "serve",
    "silence",
    "step_seconds",
    "this_device",
    "this_gpus",
    "unpacked",
    "unusable_gpu",
    "why_not",
    "write_model",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'engines' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"engines.{_LAZY[name]}"), name)
    globals()[name] = value
    return value
