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
    from engines.exporting.export import base_in_gguf, export
    from engines.exporting.possible import why_not
    from engines.exporting.references import References
    from engines.gguf_format.header import read_header
    from engines.gguf_format.unpacking import cache_folder, silence, unpacked
    from engines.gguf_format.vocabulary import gguf_tokenizer
    from engines.gguf_format.writer import FolderSource, write_model
    from engines.hardware.bandwidth import memory_bandwidth
    from engines.hardware.devices import (
        BF16_FLAGS,
        OVERFLOWS,
        Device,
        cpu_flags,
        free_bytes,
        gpus,
        this_device,
        unusable_gpu,
    )
    from engines.hardware.estimates import (
        EngineName,
        Sizes,
        engine_of,
        export_seconds,
        loading_seconds,
        reading_seconds,
        step_seconds,
    )
    from engines.hardware.speeds import A100, LISTED, RTX_4090, T4, Place, of_devices, places, this_gpus
    from engines.huggingface.engine import HuggingFaceEngine, chat_template
    from engines.huggingface.requests import Answer, Request
    from engines.identity import file_sha256, folder_sha256, model_id
    from engines.llamacpp.builds import CUDA_WHEELS, llamacpp_gpus
    from engines.llamacpp.engine import LlamaCppEngine
    from engines.llamacpp.server_process import DEFAULT_CONTEXT, Threading, cache_bytes, expected_bytes
    from engines.llamacpp.thread_count import calibrated
    from engines.openai_endpoint import AT_ONCE, masked
    from engines.opening import open_engine, open_engines
    from engines.server.address import Address
    from engines.server.run import serve

_LAZY = {
    "A100": "hardware.speeds",
    "AT_ONCE": "openai_endpoint",
    "Address": "server.address",
    "Advice": "advisor",
    "Answer": "huggingface.requests",
    "BF16_FLAGS": "hardware.devices",
    "CUDA_WHEELS": "llamacpp.builds",
    "DEFAULT_CONTEXT": "llamacpp.server_process",
    "Device": "hardware.devices",
    "EngineName": "hardware.estimates",
    "FolderSource": "gguf_format.writer",
    "HuggingFaceEngine": "huggingface.engine",
    "LISTED": "hardware.speeds",
    "LlamaCppEngine": "llamacpp.engine",
    "OVERFLOWS": "hardware.devices",
    "Place": "hardware.speeds",
    "RTX_4090": "hardware.speeds",
    "References": "exporting.references",
    "Request": "huggingface.requests",
    "Sizes": "hardware.estimates",
    "T4": "hardware.speeds",
    "Threading": "llamacpp.server_process",
    "advise": "advisor",
    "base_in_gguf": "exporting.export",
    "cache_bytes": "llamacpp.server_process",
    "cache_folder": "gguf_format.unpacking",
    "calibrated": "llamacpp.thread_count",
    "chat_template": "huggingface.engine",
    "cpu_flags": "hardware.devices",
    "engine_of": "hardware.estimates",
    "expected_bytes": "llamacpp.server_process",
    "export": "exporting.export",
    "export_seconds": "hardware.estimates",
    "file_sha256": "identity",
    "folder_sha256": "identity",
    "free_bytes": "hardware.devices",
    "gguf_tokenizer": "gguf_format.vocabulary",
    "give_back": "huggingface.memory",
    "gpus": "hardware.devices",
    "llamacpp_gpus": "llamacpp.builds",
    "loading_seconds": "hardware.estimates",
    "masked": "openai_endpoint",
    "memory_bandwidth": "hardware.bandwidth",
    "model_id": "identity",
    "of_devices": "hardware.speeds",
    "open_engine": "opening",
    "open_engines": "opening",
    "places": "hardware.speeds",
    "read_header": "gguf_format.header",
    "reading_seconds": "hardware.estimates",
    "serve": "server.run",
    "silence": "gguf_format.unpacking",
    "step_seconds": "hardware.estimates",
    "this_device": "hardware.devices",
    "this_gpus": "hardware.speeds",
    "unpacked": "gguf_format.unpacking",
    "unusable_gpu": "hardware.devices",
    "why_not": "exporting.possible",
    "write_model": "gguf_format.writer",
}
"""Name → the module that has it. None is imported before its name is used."""

__all__ = [
    "A100",
    "AT_ONCE",
    "Address",
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
