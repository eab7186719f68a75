"""Batched decoding on several processors: each strand is a thread that decodes its own share of the requests.

A decode step of a small model is a thousand short operations. Splitting each over the processors means a thousand
barriers a step, and a neighbour that takes a processor for a moment stops all of them; giving each processor its own
rows means none. PyTorch releases the interpreter's lock inside operations, so threads are enough and share the weights.

Shares are dealt out in advance (every n-th of the sorted requests), so the same requests meet in the same batches at
every run: greedy decoding stays deterministic.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence

import torch

from engines.hardware.torch_threads import own_threads
from engines.huggingface.batching import BatchedDecoder
from engines.huggingface.requests import Generated, Request, in_order

SMALL = 4
"""Rows a strand should have at least: below, splitting the operations is the better use of the processors."""


def strand_count(requests: int, slots: int) -> int:
    """How many strands on a CPU: one a thread that PyTorch may use, each with at least `SMALL` rows."""
    return max(1, min(torch.get_num_threads(), min(requests, slots) // SMALL))


def answers(decoders: Sequence[BatchedDecoder], requests: Sequence[Request]) -> Iterator[tuple[int, Generated]]:
    """Yield (index of the request, answer) as rows finish on any strand. Closing the iterator stops them all.

    The decoders may share a model. Raises what a strand raised.
    """
    if len(decoders) == 1:
        yield from decoders[0].run(requests)
        return
    order = in_order(requests)
    found: queue.SimpleQueue[tuple[int, Generated] | BaseException | None] = queue.SimpleQueue()
    stopped = threading.Event()
    threads_before = torch.get_num_threads()
    share = max(1, threads_before // len(decoders))

    def strand(number: int) -> None:
        own_threads(share)
        own = order[number :: len(decoders)]
        try:
            # All events, not only answers: a stop is noticed at the next piece of text.
            for place, event in decoders[number].events([requests[i] for i in own]):
                if isinstance(event, Generated):
                    found.put((own[place], event))
                if stopped.is_set():
                    return
        except BaseException as error:
            found.put(error)
        finally:
            found.put(None)

    threads = [
        threading.Thread(target=strand, args=(i,), name=f"strand-{i}", daemon=True) for i in range(len(decoders))
    ]
    for thread in threads:
        thread.start()
    running = len(threads)
    try:
        while running:
            event = found.get()
            if event is None:
                running -= 1
            elif isinstance(event, BaseException):
                raise event
            else:
                yield event
    finally:
        stopped.set()
        for thread in threads:
            thread.join()
        torch.set_num_threads(threads_before)
