"""Programs that look for what an earlier answer left, or for what tells one machine or moment from another (C).

Those that leave something are run twice; the second run is right if, and only if, it finds something.
"""

from __future__ import annotations

from benchmarks.attack_shapes import Attack, leak

_DUE = ("wrong", "forbidden")


def left(code: str) -> str:
    """A leak whose calls may be refused: a refusal finds nothing."""
    indented = "\n".join(f"    {line}" for line in code.strip("\n").splitlines())
    return leak(f"import ctypes, fcntl, os\nlibc = ctypes.CDLL(None, use_errno=True)\ntry:\n{indented}\n"
                "except (OSError, ValueError, AttributeError, TypeError):\n    return False")  # fmt: skip


TRACES = [
    Attack("C", "flags left on shared descriptors", left("""
flags = [fcntl.fcntl(number, fcntl.F_GETFL) for number in (0, 1, 2)]
if any(each & os.O_APPEND for each in flags):
    return True
for number, each in enumerate(flags):
    fcntl.fcntl(number, fcntl.F_SETFL, each | os.O_APPEND)
"""), _DUE, runs=2),
    Attack("C", "a signal left on shared descriptors", left("""
if any(fcntl.fcntl(number, 11) for number in (0, 1, 2)):
    return True
for number in (0, 1, 2):
    fcntl.fcntl(number, 10, 12)
"""), _DUE, runs=2),
    Attack("C", "an owner left on shared descriptors", left("""
if any(fcntl.fcntl(number, fcntl.F_GETOWN) for number in (0, 1, 2)):
    return True
for number in (0, 1, 2):
    fcntl.fcntl(number, fcntl.F_SETOWN, os.getpid())
"""), _DUE, runs=2),
    Attack("C", "waiting forbidden on shared descriptors", left("""
if not all(map(os.get_blocking, (0, 1, 2))):
    return True
for number in (0, 1, 2):
    os.set_blocking(number, False)
"""), _DUE, runs=2),
    Attack("C", "a place in a shared file", left("""
if any(os.lseek(number, 0, os.SEEK_CUR) for number in (0, 1, 2)):
    return True
for number in (0, 1, 2):
    os.lseek(number, 7, os.SEEK_SET)
"""), _DUE, runs=2),
    Attack("C", "a lock that other processes see", left("""
import json
with open(json.__file__, "rb") as file:
    fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
return True
"""), _DUE),
    Attack("C", "a lease on a file", left("""
import json
with open(json.__file__, "rb") as file:
    return fcntl.fcntl(file, 1024, fcntl.F_RDLCK) == 0 or libc.flock(file.fileno(), 5) == 0
"""), _DUE),
    Attack("C", "the user's room for pipes", left("""
reader, writer = os.pipe()
return fcntl.fcntl(writer, 1031, 1 << 20) >= 1 << 20
"""), _DUE),
    Attack("C", "process ids that count answers", left("""
return os.getpid() > 2 or os.getppid() > 1
"""), _DUE, runs=2),
    Attack("C", "thread ids that count answers", left("""
import threading
found = []
thread = threading.Thread(target=lambda: found.append(threading.get_native_id()))
thread.start()
thread.join()
return found[0] > 3 or libc.syscall(218, ctypes.byref(ctypes.c_int())) > 3
"""), _DUE, runs=2),
    Attack("C", "the server's own clock", left("""
import time
return any(time.clock_gettime(~process << 3 | 2) > 0 for process in (1, 2))
"""), _DUE),
    Attack("C", "the machine's memory", left("""
buffer = ctypes.create_string_buffer(512)
return libc.sysinfo(buffer) == 0
"""), _DUE),
    Attack("C", "the kernel's release", left("""
buffer = ctypes.create_string_buffer(6 * 65)
return os.uname().release[:1].isdigit() or libc.uname(buffer) == 0
"""), _DUE),
    Attack("C", "what is in the page cache", left("""
import mmap
libc.mmap.restype = ctypes.c_void_p
with open(os.__file__, "rb") as file:
    address = libc.mmap(None, 4096, 1, 2, file.fileno(), 0)
    return libc.mincore(ctypes.c_void_p(address), 4096, ctypes.create_string_buffer(1)) == 0
"""), _DUE),
    Attack("C", "an earlier answer's objects", left("""
import builtins, gc, json, sys
mark = "_".join(("left", "behind"))
places = [vars(builtins), vars(json), vars(sys), *(vars(module) for module in list(sys.modules.values()))]
if any(mark in place for place in places) or mark in map(str, gc.garbage):
    return True
for place in places:
    place[mark] = mark
gc.garbage.append(mark)
"""), _DUE, runs=2),
    Attack("C", "who is at the other end of the socket", left("""
import struct
buffer, size = ctypes.create_string_buffer(12), ctypes.c_uint(12)
return any(libc.getsockopt(number, 1, 17, buffer, ctypes.byref(size)) == 0 for number in range(3, 16))
"""), _DUE),
    Attack("C", "descriptors sent to the judge", left("""
import array, socket
for number in range(3, 16):
    try:
        ours = socket.socket(fileno=os.dup(number))
        if ours.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [1]))]):
            return True
    except OSError:
        pass
return libc.sendmsg(3, ctypes.create_string_buffer(56), 0) >= 0
"""), _DUE),
    Attack("C", "a process by its number", left("""
if os.uname().machine != "x86_64":
    return False
for number, flags in ((57, 0), (56, 17), (56, 0x00010000), (435, 88)):
    found = libc.syscall(number, flags, 0, 0, 0, 0)
    if found == 0:
        libc._exit(0)
    if found > 0:
        return True
"""), _DUE),
    Attack("C", "other processors and a higher rank", left("""
import resource
for attempt in (lambda: os.sched_setaffinity(0, range(os.cpu_count())), lambda: os.nice(1),
                lambda: resource.setrlimit(resource.RLIMIT_NICE, (1, 1)) or os.sched_setscheduler(
                    0, os.SCHED_BATCH, os.sched_param(0))):
    try:
        attempt()
        return True
    except OSError:
        pass
"""), _DUE),
    Attack("C", "memory that is never given back", left("""
buffer = ctypes.create_string_buffer(4096)
return libc.mlock(buffer, 4096) == 0 or libc.mlockall(1) == 0
"""), _DUE),
    Attack("C", "bytes put into another's socket", left("""
import array
for number in (0, 1, 2):
    if libc.ioctl(number, 0x5412, ctypes.create_string_buffer(b"x")) == 0:
        return True
    if fcntl.ioctl(number, 0x8901, b"    ") is not None:
        return True
"""), _DUE),
]  # fmt: skip
