"""What the stand-in is asked by test_device.py, in a process of its own: prints its answers as JSON."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Callable
from typing import Any

import torch

answers: dict[str, Any] = {}


def refused(work: Callable[[], Any]) -> str:
    """The kind of error that something raises, with its words; empty when it does not."""
    try:
        work()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def ones(*shape: int, **options: Any) -> torch.Tensor:
    return torch.ones(*shape, device="cuda", **options)


answers["before"] = [torch.cuda.is_available(), torch.cuda.device_count(), torch.cuda.is_initialized()]
first = torch.randn(1000, device="cuda")
answers["opened"] = torch.cuda.is_initialized()
answers["name"] = [torch.cuda.get_device_name(), *torch.cuda.get_device_capability()]
answers["bf16"] = [torch.cuda.is_bf16_supported(), torch.cuda.is_bf16_supported(including_emulation=False)]

# Memory: what is taken is counted, what is freed given back, what is not there refused.
start = torch.cuda.memory_allocated()
more = ones(1_000_000)
answers["taken"] = torch.cuda.memory_allocated() - start
doubled = more * 2
view = doubled[10:].view(-1)
answers["taken by a product, not by a view"] = torch.cuda.memory_allocated() - start
del more, doubled, view
gc.collect()
answers["left"] = torch.cuda.memory_allocated() - start
answers["peak"] = torch.cuda.max_memory_allocated() - start
torch.cuda.reset_peak_memory_stats()
answers["peak after its reset"] = torch.cuda.max_memory_allocated() - start
free, total = torch.cuda.mem_get_info()
answers["free and held"] = free + torch.cuda.memory_allocated() - total
answers["too much"] = refused(lambda: torch.empty(total, dtype=torch.uint8, device="cuda"))
answers["an out-of-memory error is torch's"] = "no"
try:
    torch.empty(total, dtype=torch.uint8, device="cuda")
except torch.cuda.OutOfMemoryError:
    answers["an out-of-memory error is torch's"] = "yes"

# Devices do not mix, but for single numbers of the host and indices.
answers["mixed sum"] = refused(lambda: ones(2) + torch.ones(2))
answers["mixed product"] = refused(lambda: ones(2, 2) @ torch.ones(2, 2))
answers["mixed embedding"] = refused(lambda: torch.nn.functional.embedding(torch.tensor([0]), ones(3, 2)))
answers["host rows by device indices"] = refused(lambda: torch.ones(3)[ones(1, dtype=torch.int64)])
answers["device rows by host indices"] = refused(lambda: ones(3)[torch.tensor([0])])
answers["host values into device rows"] = refused(lambda: ones(3).index_put_((torch.tensor([0]),), torch.ones(1)))
answers["a host's number"] = refused(lambda: ones(2) * torch.tensor(2.0))
answers["numpy"] = refused(lambda: ones(2).numpy())
answers["product of integers"] = refused(lambda: ones(2, 2, dtype=torch.int64) @ ones(2, 2, dtype=torch.int64))
answers["no such GPU"] = refused(lambda: torch.empty(1, device="cuda:1"))

# Random numbers: the device's own, the same for a seed, untouched by the host's and the other way round.
torch.manual_seed(1)
drawn, of_host = torch.rand(5, device="cuda"), torch.rand(5)
torch.manual_seed(1)
answers["same seed, same numbers"] = torch.equal(drawn, torch.rand(5, device="cuda"))
answers["the host's are others"] = not torch.equal(drawn.cpu(), of_host)
torch.manual_seed(1)
torch.nn.functional.dropout(ones(50))
answers["dropout leaves the host's alone"] = torch.equal(of_host, torch.rand(5))
state = torch.cuda.get_rng_state()
once = torch.nn.functional.dropout(ones(50))
torch.cuda.set_rng_state(state)
answers["a state brings dropout back"] = torch.equal(once, torch.nn.functional.dropout(ones(50)))
answers["host generator"] = refused(lambda: torch.rand(2, device="cuda", generator=torch.Generator()))
answers["device generator on the host"] = refused(lambda: torch.rand(2, generator=torch.Generator("cuda")))

# The rest of what training uses.
answers["pinned"] = [torch.ones(4).is_pinned(), torch.ones(4).pin_memory()[2:].is_pinned()]
with torch.autocast("cuda", torch.float16):
    answers["autocast"] = str((ones(2, 2) @ ones(2, 2)).dtype)
with torch.cuda.stream(torch.cuda.Stream()):
    answers["stream"] = torch.cuda.current_stream().query()
device = __import__("sys").modules["stand_in_gpu_device"]
before = device.counts()
(ones(2, 2) @ ones(2, 2)).sum().item()
after = device.counts()
answers["one product"] = after["launches"]["aten::mm"] - before["launches"].get("aten::mm", 0)
answers["one wait"] = after["synchronisations"]["aten::_local_scalar_dense"] - before["synchronisations"].get(
    "aten::_local_scalar_dense", 0
)

reading, writing = os.pipe()
if (child := os.fork()) == 0:
    os.write(writing, refused(lambda: ones(1)).encode())
    os._exit(0)
os.waitpid(child, 0)
answers["in a fork"] = os.read(reading, 1000).decode()

print(json.dumps(answers))
