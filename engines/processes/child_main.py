"""The child's half of a child process: take the task, bound the memory, answer, serve until stdin closes.

The parent's half is `engines.processes.child_process`.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, NoReturn

from results import bound_memory, leave_no_core


def take_task() -> dict[str, Any]:
    """The task from stdin, once."""
    task: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    leave_no_core()
    return task


def limit_memory(limit: int) -> None:
    """Bound the address space, in bytes: a hostile file's counts then end this process and not the machine."""
    bound_memory(limit)


def silence_stdout() -> int:
    """Send what native code prints to stderr; return the file descriptor on which the parent listens."""
    reply = os.dup(1)
    os.dup2(2, 1)
    return reply


def answer(reply: int, **fields: Any) -> None:
    """Send one JSON line to the parent; one that has died meanwhile is followed at once.

    An error that is raised here would end Python in order, which waits for ever for the threads of a loaded engine.
    """
    try:
        os.write(reply, json.dumps(fields).encode() + b"\n")
    except BrokenPipeError:
        os._exit(1)


def serve_until_orphaned() -> NoReturn:
    """Block until the parent closes stdin or dies, then end at once: there is nothing here to save."""
    while sys.stdin.buffer.read(4096):
        pass
    os._exit(0)
