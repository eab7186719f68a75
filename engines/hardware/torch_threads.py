"""How many threads torch computes with in one of this process's threads.

torch has one number for the process, and each thread takes it over at its first operation. Sums are split by it, so a
thread that is to compute the same bits every time must have its own number before that.
"""

from __future__ import annotations


def own_threads(count: int) -> None:
    """Let torch compute with so many threads in the calling thread, whatever other threads choose later."""
    import torch

    torch.get_num_threads()  # takes over the process's number now: at the first operation it would undo what is set
    torch.set_num_threads(count)
