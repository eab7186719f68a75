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
    from engines.batching import Answer, Request
    from engines.devices import BF16_FLAGS, Device, cpu_flags, free_bytes, gpus, this_device, unusable_gpu
    from engines.forms import export
    from engines.gguf import FolderSource, write_model
    from engines.header import read_header
    from engines.huggingface import HuggingFaceEngine, chat_template
    from engines.identity import file_sha256, folder_sha256, model_id
    from engines.llamacpp import LlamaCppEngine
    from engines.llamaserver import Threading
    from engines.openai import AT_ONCE, masked
    from engines.opening import open_engine, open_engines
    from engines.serving import serve
    from engines.threads import calibrated
    from engines.unpacking import cache_folder, silence, unpacked
    from engines.vocabulary import gguf_tokenizer

_LAZY = {
    "AT_ONCE": "openai",
    "Advice": "advisor",
    "Answer": "batching",
    "BF16_FLAGS": "devices",
    "Device": "devices",
    "FolderSource": "gguf",
    "HuggingFaceEngine": "huggingface",
    "LlamaCppEngine": "llamacpp",
    "Request": "batching",
    "Threading": "llamaserver",
    "advise": "advisor",
    "cache_folder": "unpacking",
    "calibrated": "threads",
    "chat_template": "huggingface",
    "cpu_flags": "devices",
    "export": "forms",
    "file_sha256": "identity",
    "folder_sha256": "identity",
    "free_bytes": "devices",
    "gguf_tokenizer": "vocabulary",
    "gpus": "devices",
    "masked": "openai",
    "model_id": "identity",
    "open_engine": "opening",
    "open_engines": "opening",
    "read_header": "header",
    "serve": "serving",
    "silence": "unpacking",
    "this_device": "devices",
    "unpacked": "unpacking",
    "unusable_gpu": "devices",
    "write_model": "gguf",
}
"""Name → the module that has it. None is imported before its name is used."""

__all__ = [
    "AT_ONCE",
    "Advice",
    "Answer",
    "BF16_FLAGS",
    "Chunk",
    "Completion",
    "Device",
    "DeviceUnavailable",
    "Engine",
    "EngineBusy",
    "EngineCrashed",
    "EngineError",
    "ExportRefused",
    "FileRefused",
    "FinishReason",
    "FolderSource",
    "HuggingFaceEngine",
    "LlamaCppEngine",
    "Message",
    "Request",
    "Sampling",
    "Threading",
    "advise",
    "cache_folder",
    "calibrated",
    "chat_template",
    "cpu_flags",
    "export",
    "file_sha256",
    "folder_sha256",
    "free_bytes",
    "gguf_tokenizer",
    "gpus",
    "masked",
    "model_id",
    "open_engine",
    "open_engines",
    "read_header",
    "serve",
    "silence",
    "this_device",
    "unpacked",
    "unusable_gpu",
    "write_model",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'engines' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"engines.{_LAZY[name]}"), name)
    globals()[name] = value
    return value
