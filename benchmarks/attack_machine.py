"""Programs that exhaust the machine, or reach for what is not theirs (B and C of the attack table)."""

from __future__ import annotations

from benchmarks.attack_shapes import Attack, function, leak, module

RESOURCES = [
    Attack("B", "endless loop", function("while True:\n    pass"), ("timed_out",), heavy=True),
    Attack("B", "endless loop at import", module("while True:\n    pass"), ("timed_out",), heavy=True),
    Attack("B", "every exception swallowed", function("""
        while True:
            try:
                while True:
                    pass
            except BaseException:
                pass
        """), ("timed_out",), heavy=True),
    Attack("B", "signals ignored", module("""
        import signal
        for number in range(1, 65):
            try:
                signal.signal(number, signal.SIG_IGN)
            except Exception:
                pass
        """, "while True:\n    pass"), ("timed_out",), heavy=True),
    Attack("B", "huge power", function("return 7 ** (10 ** 9)"), ("timed_out", "memory"), heavy=True),
    Attack("B", "catastrophic pattern", function("import re\nreturn re.match('(a+)+$', 'a' * 60 + 'b')"),
           ("timed_out",), heavy=True),
    Attack("B", "fork bomb", function("import os\nwhile True:\n    os.fork()"), ("forbidden",), heavy=True),
    Attack("B", "thread bomb", function("""
        import threading, time
        threading.stack_size(32768)
        while True:
            threading.Thread(target=time.sleep, args=(60,)).start()
        """), ("wrong", "memory", "timed_out"), heavy=True),
    Attack("B", "orphan by double fork", function("""
        import os, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(30)
            os._exit(0)
        return None
        """), ("forbidden",), heavy=True),
    Attack("B", "memory bomb at once", function("return len([0] * 10 ** 12)"), ("memory",), heavy=True),
    Attack("B", "slow memory bomb", function("x = []\nwhile True:\n    x.append(bytearray(1 << 22))"), ("memory",),
           heavy=True),
    Attack("B", "endless recursion in C", module("import sys\nsys.setrecursionlimit(10 ** 9)", """
        class Deep:
            def __repr__(self): return repr([self])
        return repr(Deep())
        """), ("wrong", "memory", "timed_out"), heavy=True),
    Attack("B", "endless recursion", function("return has_close_elements(numbers, threshold)"), ("wrong",)),
    Attack("B", "a thousand million elements", function("return [0] * 10 ** 9"), ("memory",), heavy=True),
    Attack("B", "ten million elements", function("return [0] * 10 ** 7"), ("wrong", "memory")),
    # whichever bound a machine reaches first
    Attack("B", "an endless iterator", function("import itertools\nreturn itertools.count()"),
           ("wrong", "memory", "timed_out")),
    Attack("B", "a gigabyte to stdout", function("""
        import sys
        for _ in range(1024):
            sys.stdout.write("x" * (1 << 20))
        """), ("wrong",), heavy=True),
    Attack("B", "endless drip", module("""
        import sys, time
        """, "while True:\n    print('.', flush=True)\n    time.sleep(0.1)"), ("timed_out",), heavy=True),
    Attack("B", "a gigabyte file", function("""
        with open("/tmp/large", "wb") as file:
            for _ in range(1024):
                file.write(b"x" * (1 << 20))
        """), ("wrong", "forbidden"), heavy=True),
    Attack("B", "a hundred thousand files", function("""
        for number in range(100_000):
            open(f"file{number}", "w").close()
        """), ("forbidden",), heavy=True),
    Attack("B", "sleeping", function("import time\ntime.sleep(1000)"), ("timed_out",), heavy=True),
]  # fmt: skip

RESOURCES += [
    Attack("B", "a gigabyte to stderr", function("""
        import sys
        for _ in range(1024):
            sys.stderr.write("x" * (1 << 20))
        """), ("wrong",), heavy=True),
    Attack("B", "warnings without end", function("""
        import warnings
        warnings.simplefilter("always")
        for _ in range(2000):
            warnings.warn("x" * 100)
        """)),
    Attack("B", "a bomb of zeros unpacked", function("""
        import zlib
        data = zlib.compress(bytes(1 << 26), 9)
        return len(b"".join(zlib.decompress(data) for _ in range(64)))
        """), ("memory",), heavy=True),
    Attack("B", "a width of two thousand million",
           function("return len('{:2000000000}'.format(1))"), ("memory",), heavy=True),
    Attack("B", "digits of a huge number",
           function("import sys\nsys.set_int_max_str_digits(0)\nreturn str(7 ** 10 ** 7)"), ("timed_out",), heavy=True),
    Attack("B", "a list that grows while it is sent", module("""
        class Growing(list):
            def __iter__(self):
                while True:
                    yield 0
        """, "return Growing()")),
    Attack("B", "replies without end", module("""
        import os, struct
        word = struct.pack("!I", 1 << 20) + b" " * (1 << 20)
        while True:
            os.write(3, word)
        """), ("wrong", "timed_out"), heavy=True),
    Attack("B", "threads that stay behind", function("""
        import threading
        def spin():
            while True:
                pass
        for _ in range(4):
            threading.Thread(target=spin).start()
        """), ("wrong", "timed_out"), heavy=True),
    Attack("B", "finalizers without end", module("""
        class Undead:
            def __del__(self):
                Undead()
        """, "Undead()"), ("wrong", "timed_out", "memory"), heavy=True),
    Attack("B", "a signal handler that never returns", module("""
        import signal, time
        def wait(*arguments):
            while True:
                time.sleep(1)
        signal.signal(signal.SIGALRM, wait)
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
        """, "import time\ntime.sleep(1)"), ("timed_out",), heavy=True),
]  # fmt: skip

RESOURCES += [
    Attack("B", "sixty threads that wait in turn", module("""
        import threading, time
        threading.stack_size(65536)
        def nap():
            while True:
                time.sleep(0.02)
                sum(range(300))
        for _ in range(60):
            threading.Thread(target=nap, daemon=True).start()
        """, "import time\ntime.sleep(1000)"), ("timed_out",), heavy=True),
]  # fmt: skip

_ANY = ("wrong", "forbidden")
CONFINEMENT = [
    Attack("C", "secrets in the environment", leak("""
        import os
        return any(word in name for name in os.environ for word in ("TOKEN", "SECRET", "DATABASE", "HOME", "PATH"))
        """), _ANY),
    Attack("C", "environment of other processes", leak("""
        import glob
        return any(open(path, "rb").read() for path in glob.glob("/proc/*/environ"))
        """), _ANY),
    Attack("C", "home folder and its keys", leak("""
        import os
        return any(os.path.exists(path) for path in ("/root", "/home", "/etc/passwd", os.path.expanduser("~/.ssh")))
        """), _ANY),
    Attack("C", "files written", leak("""
        import os
        for folder in (".", "/", "/tmp", "/dev/shm", "/var/tmp", "/python/lib", "/packages",
                       "/bakeoff/evaluator/sandbox"):
            try:
                with open(os.path.join(folder, "left_behind"), "w") as file:
                    file.write("x")
                return True
            except OSError:
                pass
        """), _ANY),
    Attack("C", "files deleted", leak("""
        import os, json
        for path in (json.__file__, "/bakeoff/evaluator/sandbox/test_runner.py",
        "/bakeoff/evaluator/sandbox/candidate.py"):
            try:
                os.unlink(path)
                return True
            except OSError:
                pass
        """), _ANY),
    *(
        Attack("C", f"{name} socket", leak(f"""
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
    Attack("C", "name resolution", leak("""
        import socket
        try:
            return bool(socket.getaddrinfo("example.org", 80))
        except OSError:
            return False
        """), _ANY),
    Attack("C", "parent and siblings killed", leak("""
        import os, signal
        for process in (os.getppid(), 1, -1, 0):
            try:
                os.kill(process, signal.SIGKILL)
                return True
            except OSError:
                pass
        """), _ANY),
    Attack("C", "parent traced", leak("""
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        return any(libc.ptrace(16, process, 0, 0) == 0 for process in (os.getppid(), 1))
        """), _ANY),
    Attack("C", "parent's memory read", leak("""
        import ctypes, os
        class Vector(ctypes.Structure):
            _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
        buffer = ctypes.create_string_buffer(8)
        local, remote = Vector(ctypes.addressof(buffer), 8), Vector(ctypes.addressof(buffer), 8)
        libc = ctypes.CDLL(None, use_errno=True)
        return libc.process_vm_readv(os.getppid(), ctypes.byref(local), 1, ctypes.byref(remote), 1, 0) == 8
        """), _ANY),
    Attack("C", "new namespaces", leak("""
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        return any(libc.unshare(flag) == 0 for flag in (0x10000000, 0x00020000, 0x40000000, 0x20000000))
        """), _ANY),
    Attack("C", "file systems mounted", leak("""
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        return libc.mount(b"none", b"/packages", b"tmpfs", 0, None) == 0
        """), _ANY),
    Attack("C", "keystrokes pushed to the terminal", leak("""
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
    Attack("C", "programs started", leak("""
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
    Attack("C", "shared memory that outlives the process", leak("""
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        return libc.shmget(4711, 4096, 0o1666) != -1 or libc.msgget(4711, 0o1666) != -1
        """), _ANY),
    Attack("C", "links planted for the clean-up", leak("""
        import os
        for make in (os.symlink, os.link):
            for folder in (".", "/tmp"):
                try:
                    make("/bakeoff/evaluator/sandbox/test_runner.py", folder + "/link")
                    return True
                except OSError:
                    pass
        """), _ANY),
    Attack("C", "modules poisoned for the next answer", leak("""
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
    Attack("C", "the server's limits lowered", leak("""
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
CONFINEMENT += [
    Attack("C", "memory, kernel and host by file", leak("""
        import os
        return any(os.path.exists(path) for path in (
            "/proc/self/mem", "/proc/self/fd", "/dev/mem", "/dev/shm", "/sys/kernel", "/etc/hosts", "/run", "/var"))
        """), _ANY),
    Attack("C", "descriptors of others", leak("""
        import os
        for descriptor in range(4, 4096):
            try:
                os.fstat(descriptor)
                return True
            except OSError:
                pass
        """), _ANY),
    Attack("C", "kernel facilities by number", leak("""
        import ctypes, os
        if os.uname().machine != "x86_64":
            return False
        libc = ctypes.CDLL(None, use_errno=True)
        path, text = ctypes.c_char_p(b"x"), ctypes.create_string_buffer(256)
        numbers = {
            "memfd_create": (319, path, 0), "io_uring_setup": (425, 8, text),
            "add_key": (248, b"user", b"x", b"y", 1, -2),
            "keyctl": (250, 0, -2, 1), "perf_event_open": (298, text, 0, -1, -1, 0), "bpf": (321, 0, text, 64),
            "userfaultfd": (323, 1), "mq_open": (240, path, 0o102, 0o600, 0), "timer_create": (222, 0, 0, text),
            "inotify_init": (294, 0), "pidfd_open": (434, os.getpid(), 0), "fsopen": (430, b"tmpfs", 0),
            "personality": (135, 0x0040000), "setns": (308, 0, 0), "sched_setscheduler": (144, 0, 0, text),
            "sethostname": (170, b"x", 1), "landlock": (444, 0, 0, 1),
        }
        return any(libc.syscall(*call) >= 0 for call in numbers.values())
        """), _ANY),
    Attack("C", "system calls of the 32-bit interface", leak("""
        import ctypes, mmap, os
        if os.uname().machine != "x86_64":
            return False
        page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        page.write(bytes.fromhex("53b814000000cd805bc3"))  # push rbx; mov eax, 20 (getpid); int 0x80; pop rbx; ret
        address = ctypes.addressof(ctypes.c_char.from_buffer(page))
        return ctypes.CFUNCTYPE(ctypes.c_int)(address)() > 0
        """), _ANY),
    Attack("C", "its own limits raised", leak("""
        import resource
        for name in ("RLIMIT_AS", "RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_NOFILE"):
            number = getattr(resource, name)
            soft, hard = resource.getrlimit(number)
            if hard == resource.RLIM_INFINITY:
                return True
            try:
                resource.setrlimit(number, (hard + 1, hard + 1))
                return True
            except (OSError, ValueError):
                pass
        """), _ANY),
    Attack("C", "modes and times of files changed", leak("""
        import json, os
        for change in (lambda: os.chmod(json.__file__, 0o777), lambda: os.utime(json.__file__), os.fork,
                       lambda: os.rename(json.__file__, json.__file__ + "x"), lambda: os.mkdir("/left"),
                       lambda: os.mkfifo("/left"), lambda: os.truncate(json.__file__, 0), lambda: os.chroot("/python")):
            try:
                if change() == 0:
                    os._exit(0)
                return True
            except (OSError, TypeError):
                pass
        """), _ANY),
]  # fmt: skip
