"""Replies made by hand, to fool the judge, to keep it busy or to bring it down (A2 and B).

They are written to the descriptors that may lead to it. To the other scorers they are programs that print and fail.
"""

from __future__ import annotations

import textwrap

from benchmarks.attack_shapes import Attack, function, module

_SEND = """
import json, os, struct
def send(word, length=None):
    data = struct.pack("!I", len(word) if length is None else length) + word
    for number in (3, 4):
        try:
            rest = data
            while rest:
                rest = rest[os.write(number, rest):]
        except OSError:
            pass
def value(payload):
    return json.dumps({"value": payload}).encode()
"""


def sent(code: str, body: str = "return None") -> str:
    """A program that sends at import, and its function."""
    return module(_SEND + textwrap.dedent(code), body)


BUSY = ("wrong", "timed_out", "memory")
REPLIES = [
    Attack("A2", "a message of four thousand million bytes", sent("send(b'true', 0xFFFFFFFF)")),
    Attack("A2", "messages of no bytes", sent("for _ in range(10_000):\n    send(b'')")),
    Attack("A2", "half a number of bytes", sent(
        "os.write(3, b'\\0\\0') if os.path.exists('/bakeoff') else None\nos._exit(0)")),
    Attack("A2", "true in UTF-16", sent(
        "for _ in range(20):\n    send('{\"value\":true}'.encode('utf-16'))"), ("wrong",)),
    Attack("A2", "two values in one reply", sent(
        "for _ in range(20):\n    send(b'{\"value\":false,\"value\":true}')")),
    Attack("A2", "a reply that is also a message of ours", sent("""
        for word in (b'"ready"', b'0.0', b'{"verdict":"passed","message":"","nonce":""}', b'{"learnt":{"plan":[]}}'):
            send(word)
        """)),
    Attack("A2", "a digest in a result's place", sent("""
        import hashlib
        for word in (b"true", b"false", b'{"value":true}'):
            send(b"SHA-256 " + hashlib.sha256(word).hexdigest().encode())
        """)),
    Attack("A2", "errors of every name", sent("""
        import builtins
        for name in [*dir(builtins), "CandidateGone", "NotPlain", "__import__", "x" * 4_000_000]:
            for stage in ("call", "import", "syntax", [], {}):
                send(json.dumps({"raised": [stage, name, "passed", 30]}).encode())
        """), ("wrong", "syntax_error")),
    Attack("A2", "an error whose text is a container", sent(
        "send(json.dumps({'raised': ['call', 'ValueError', [[]] * 100_000, {}]}).encode())")),
    Attack("A2", "a refusal of a million words", sent(
        "send(json.dumps({'refused': ['passed'] * 1_000_000}).encode())")),
    Attack("A2", "a result that is no encoding", sent("""
        for payload in ({"text": "zz"}, {"text": "00d80000"}, {"fraction": [1, 0]}, {"int": "0x"}, {"int": None},
                        {"range": [1, 2, 0]}, {"dict": [[[], 1]]}, {"set": [[]]}, {"typed": ["u", [1]]},
                        {"array": ["<i8", [-1], [1]]}, {"array": ["<f8", [1 << 62, 1 << 62], []]},
                        {"scalar": ["U", 1]}):
            send(value(payload))
        """)),
    Attack("A2", "the judge's calls read before they come", module("""
        import os
        os.set_blocking(3, False) if os.path.exists("/bakeoff") else None
        """, """
        import os
        try:
            return bool(os.read(3, 1 << 20)) or True
        except OSError:
            return None
        """)),
    Attack("A2", "the judge's calls taken away", function(
        "import os\nreturn bool(os.read(3 if os.path.exists('/bakeoff') else 0, 1 << 20))"),
        ("wrong", "timed_out"), heavy=True),
    Attack("B", "numbers that all have one hash", sent("""
        send(json.dumps({"value": {"set": [number * ((1 << 61) - 1) for number in range(2, 200_000)]}}).encode()
             .replace(b"}}", b"}}"))
        """), BUSY, heavy=True),
    Attack("B", "a fraction of two long numbers", sent("""
        send(value({"fraction": [{"int": "0x" + "f1" * 3_000_000}, {"int": "0x" + "e3" * 3_000_000}]}))
        """), BUSY, heavy=True),
    Attack("B", "cells of a hundred thousand characters", sent("""
        for _ in range(20):
            send(value({"array": ["<U99999", [9000], ["a"] * 9000]}))
        """), BUSY),
    Attack("B", "an array of no items in a million million rows", sent(
        "send(value({'array': ['<f8', [1 << 40, 0], []]}))"), BUSY),
    Attack("B", "a number in a million digits", sent(
        "send(b'{\"value\":' + b'9' * 5_000_000 + b'}')"), BUSY),
    Attack("B", "a million empty containers", sent(
        "send(value([[]] * 1_500_000))"), BUSY),
    Attack("B", "containers nested nine hundred deep", function(
        "found = True\nfor _ in range(900):\n    found = [found]\nreturn found")),
    Attack("B", "results of thirty million bytes", function("return 'x' * 30_000_000"), BUSY),
    Attack("B", "an error with a hundred million letters", function("raise ValueError('x' * 10 ** 8)"), BUSY),
    Attack("B", "a decimal with a thousand million zeros", function(
        "from decimal import Decimal\nreturn Decimal('1e999999999')"), BUSY),
]  # fmt: skip
REPLIES += [
    Attack("B", "an error whose text never ends", function("""
        class Endless(Exception):
            def __str__(self):
                while True:
                    pass
        raise Endless
        """), ("timed_out",), heavy=True),
    Attack("B", "a main thread that leaves another at work", module("""
        import ctypes, threading
        def work():
            while True:
                pass
        """, """
        threading.Thread(target=work).start()
        ctypes.CDLL(None).pthread_exit(None)
        """), ("timed_out", "wrong"), heavy=True),
    Attack("B", "naps of a millionth of a second", function(
        "import time\nwhile True:\n    time.sleep(1e-6)"), ("timed_out",), heavy=True),
    Attack("B", "a pipe that nobody fills", function("import os\nreturn os.read(os.pipe()[0], 1)"), ("timed_out",),
           heavy=True),
    Attack("B", "a lock that nobody opens", function("""
        import threading
        lock = threading.Lock()
        lock.acquire()
        lock.acquire()
        """), ("timed_out",), heavy=True),
    Attack("B", "an event loop that waits for itself", function("""
        import asyncio
        async def wait():
            await asyncio.Event().wait()
        asyncio.run(wait())
        """), ("timed_out",), heavy=True),
    Attack("B", "every descriptor used up", function("""
        import os
        pipes = []
        while True:
            try:
                pipes.append(os.pipe())
            except OSError:
                break
        return len(pipes) > 30
        """), ("wrong", "forbidden")),
    Attack("B", "pipes filled to the brim", function("""
        import os
        for _ in range(28):
            writer = os.pipe()[1]
            os.set_blocking(writer, False)
            try:
                while os.write(writer, bytes(1 << 16)):
                    pass
            except BlockingIOError:
                pass
        return None
        """), ("wrong", "forbidden")),
    Attack("B", "a stack that runs over in a thread", module("""
        import sys, threading
        sys.setrecursionlimit(10 ** 9)
        threading.stack_size(1 << 16)
        """, """
        def deep(n): return max(map(deep, [n + 1]))
        thread = threading.Thread(target=deep, args=(0,))
        thread.start()
        thread.join()
        """), ("wrong", "memory", "timed_out"), heavy=True),
    Attack("B", "a collector that calls itself", module("""
        import gc
        class Node: pass
        def again(phase, information):
            node = Node()
            node.self = node
            gc.collect()
        gc.callbacks.append(again)
        """, "gc.collect()"), ("wrong", "timed_out", "memory"), heavy=True),
]  # fmt: skip
