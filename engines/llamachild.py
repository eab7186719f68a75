"""The child process of the llama.cpp engine: one base GGUF, its adapters, llama.cpp's own HTTP server on loopback.

Task: path, adapters (paths), context (tokens of one slot), slots, threads, key, memory_bytes. Not for direct use;
`engines.llamacpp` starts it.
"""

from __future__ import annotations

import time

from engines import child


def main() -> None:
    """Load and serve. Every adapter starts at scale 0: requests name the one they want."""
    task = child.take_task()
    reply = child.silence_stdout()
    import xllamacpp

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
        child.answer(reply, error=f"{problem} (llama.cpp cannot read this file or has too little memory for it)")
        return
    child.answer(
        reply,
        address=server.listening_address.removeprefix("http://"),
        load_seconds=time.perf_counter() - began,
        build=f"xllamacpp {xllamacpp.__version__}",
        system=xllamacpp.get_system_info().strip(),
    )
    child.serve_until_orphaned()


if __name__ == "__main__":
    main()
