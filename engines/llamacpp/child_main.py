"""The child process of the llama.cpp engine: one base GGUF, its adapters, llama.cpp's own HTTP server on loopback.

Task: path, adapters (paths), context (tokens of one slot), slots, threads, key, memory_bytes. Not for direct use;
`engines.llamacpp.engine` starts it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from engines.processes import child_main


def on_gpu(devices: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The devices of xllamacpp's `get_device_info()` that llama.cpp gives layers to: GPUs, integrated ones too."""
    return [device for device in devices if device["type"].name.endswith(("_GPU", "_IGPU"))]


def main() -> None:
    """Load and serve. Every adapter starts at scale 0: requests name the one they want.

    On the CPU the address space is bounded. A GPU build reserves far more of it than it uses, so it gets no bound.
    """
    task = child_main.take_task()
    reply = child_main.silence_stdout()
    import xllamacpp

    gpus = on_gpu(xllamacpp.get_device_info()) if task.get("gpu_layers", -1) else []
    if not gpus:
        child_main.limit_memory(int(task["memory_bytes"]))
    params = xllamacpp.CommonParams()
    params.model.path = task["path"]
    params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(path, 0.0) for path in task["adapters"]]
    params.n_ctx = task["context"] * task["slots"]
    params.n_parallel = task["slots"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = task["threads"]
    params.n_gpu_layers = task.get("gpu_layers", -1)
    params.api_keys = [task["key"]]
    params.hostnames = ["127.0.0.1"]
    params.ui = False
    params.endpoint_slots = False
    params.cache_ram_mib = 0  # a prompt cache in memory is not keyed by adapter
    params.fit_params = False  # context and layers are chosen by us, the same each time
    params.verbosity = -1
    params.warmup = task.get("warmup", False)
    began = time.perf_counter()
    try:
        server = xllamacpp.Server(params)
    except Exception as problem:
        child_main.answer(reply, error=f"{problem} (llama.cpp cannot read this file or has too little memory for it)")
        return
    child_main.answer(
        reply,
        address=server.listening_address.removeprefix("http://"),
        load_seconds=time.perf_counter() - began,
        build=f"xllamacpp {xllamacpp.__version__}",
        system=xllamacpp.get_system_info().strip(),
        device=", ".join(str(one["description"]) for one in gpus) or "CPU",
        gpu_bytes=_free(gpus) - _free(on_gpu(xllamacpp.get_device_info())) if gpus else 0,
    )
    child_main.serve_until_orphaned()


def _free(devices: Sequence[Mapping[str, Any]]) -> int:
    """Bytes of GPU memory that nobody uses."""
    return sum(int(device["memory_free"]) for device in devices)


if __name__ == "__main__":
    main()
