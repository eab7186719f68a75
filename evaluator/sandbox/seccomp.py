"""The system calls that an answer may make: those that computing needs. All others fail with "Operation not permitted".

No new processes (a thread is allowed, a fork is not), no sockets, no signals to others, no namespaces, no tracing, no
shared memory, no timers that outlive the process: whatever an answer does ends with its one process. Unknown and
future calls are refused because the list is one of allowed calls. `clone3` fails as if the kernel lacked it, so that
the C library falls back to `clone`, whose flags a filter can see.

Nor does an answer learn how many there were before it, or what machine this is: process and thread ids are told as 0,
clocks of other processes, the machine's memory and the kernel's release are refused, and of a descriptor only what
concerns it alone can be changed or asked.

In two filters, because the kernel takes 0.3 ms to accept a long one: the server binds itself to the list and to the
few calls by which it forks and ends answers; the forked process, which inherits that, gives up those few by a short
filter before it executes anything of an answer's. Of two filters the stricter decides.

Standard library only: this runs inside the sandbox.
Sources: seccomp(2), <linux/filter.h>, <linux/seccomp.h>, <linux/audit.h>; numbers from <asm/unistd_64.h> and
<asm-generic/unistd.h>.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

# name: (x86_64, aarch64); -1 where the architecture has no such call
_ALLOWED = {
    "read": (0, 63), "write": (1, 64), "open": (2, -1), "close": (3, 57), "stat": (4, -1), "fstat": (5, 80),
    "lstat": (6, -1), "poll": (7, -1), "lseek": (8, 62), "mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215),
    "brk": (12, 214), "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139),
    "pread64": (17, 67), "readv": (19, 65), "writev": (20, 66), "access": (21, -1), "pipe": (22, -1),
    "select": (23, -1), "sched_yield": (24, 124), "mremap": (25, 216), "madvise": (28, 233), "dup": (32, 23),
    "dup2": (33, -1), "nanosleep": (35, 101), "getitimer": (36, 102), "alarm": (37, -1), "setitimer": (38, 103),
    "sendto": (44, 206), "recvfrom": (45, 207), "exit": (60, 93), "getcwd": (79, 17), "chdir": (80, 49),
    "readlink": (89, -1), "gettimeofday": (96, 169), "getrlimit": (97, 163), "getrusage": (98, 165),
    "times": (100, 153), "getuid": (102, 174), "getgid": (104, 176), "geteuid": (107, 175), "getegid": (108, 177),
    "sigaltstack": (131, 132), "arch_prctl": (158, -1), "setrlimit": (160, 164), "futex": (202, 98),
    "sched_getaffinity": (204, 123), "getdents64": (217, 61),
    "restart_syscall": (219, 128), "clock_gettime": (228, 113), "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115), "exit_group": (231, 94), "epoll_wait": (232, -1), "epoll_ctl": (233, 21),
    "openat": (257, 56), "newfstatat": (262, 79), "readlinkat": (267, 78), "faccessat": (269, 48),
    "pselect6": (270, 72), "ppoll": (271, 73), "set_robust_list": (273, 99), "epoll_pwait": (281, 22),
    "eventfd2": (290, 19), "epoll_create1": (291, 20), "dup3": (292, 24), "pipe2": (293, 59), "getrandom": (318, 278),
    "statx": (332, 291), "membarrier": (324, 283), "rseq": (334, 293), "faccessat2": (439, 439),
    "close_range": (436, 436), "socketpair": (53, 199),
}  # fmt: skip
_SERVER = {
    "recvmsg": (47, 212), "wait4": (61, 260), "kill": (62, 129), "setsid": (112, 157), "prctl": (157, 167),
    "prlimit64": (302, 261),
}  # fmt: skip
"""What the server needs besides, and every answer gives up; forking too."""
_COUNTERS = {"getpid": (39, 172), "getppid": (110, 173), "gettid": (186, 178)}
"""Answered with 0."""
_LIMITED = {
    "fcntl": (72, 25, (0, 1, 2, 3, 4, 1030)),  # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC
    # TCGETS, TCGETS2, TIOCGWINSZ (is it a terminal?), FIONREAD, FIONBIO, FIONCLEX, FIOCLEX
    "ioctl": (16, 29, (0x5401, 0x802C542A, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)),
}
"""Allowed where the second argument, a command of 32 bits, is one of these: no locks, no owners, no signals."""
_CLOCKS = ("clock_gettime", "clock_getres", "clock_nanosleep")
_MAX_CLOCK = 15
"""The system's clocks and the process's own have small numbers; another process's is negative."""
_CLONE = (56, 220)
_CLONE3 = (435, 435)
_CLONE_THREAD = 0x10000
_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Machine: (column above, AUDIT_ARCH of the kernel's headers)."""

_LOAD, _EQUAL, _ABOVE_EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _PR_SET_DUMPABLE, _MODE_FILTER = 22, 38, 4, 2


def supported() -> bool:
    """Whether this machine's system call numbers are known here."""
    return os.uname().machine in _ARCHITECTURES


def server_program() -> bytes:
    """The list and what the server needs, as `struct sock_filter[]`, eight bytes an instruction. KeyError elsewhere."""
    column, architecture = _ARCHITECTURES[os.uname().machine]
    pairs = [*_ALLOWED.values(), *_SERVER.values(), _CLONE]
    code = [
        _instruction(_LOAD, 0, 0, 4),  # seccomp_data.arch: a 32-bit call would number the calls differently
        _instruction(_EQUAL, 1, 0, architecture),
        _instruction(_RETURN, 0, 0, _KILL),
        _instruction(_LOAD, 0, 0, 0),  # seccomp_data.nr
    ]
    if column == 0:
        code += [_instruction(_ABOVE_EQUAL, 0, 1, 0x40000000), _refuse()]  # the x32 interface
    code += [_instruction(_EQUAL, 0, 1, _CLONE3[column]), _refuse(errno.ENOSYS)]
    for number in sorted(pair[column] for pair in pairs if pair[column] >= 0):
        code += [_instruction(_EQUAL, 0, 1, number), _allow()]
    for pair in _COUNTERS.values():
        code += [_instruction(_EQUAL, 0, 1, pair[column]), _refuse(0)]
    for *numbers, commands in _LIMITED.values():
        choices = [part for value in commands for part in (_instruction(_EQUAL, 0, 1, value), _allow())]
        branch = [_instruction(_LOAD, 0, 0, 24), *choices, _refuse()]  # the low half of the second argument
        code += [_instruction(_EQUAL, 0, len(branch), numbers[column]), *branch]
    return b"".join([*code, _refuse()])


def answer_program() -> bytes:
    """What takes from an answer the calls that only its server needs. KeyError elsewhere."""
    column, _ = _ARCHITECTURES[os.uname().machine]
    code = [_instruction(_LOAD, 0, 0, 0)]
    for pair in _SERVER.values():
        code += [_instruction(_EQUAL, 0, 1, pair[column]), _refuse()]
    for name in _CLOCKS:
        code += [
            _instruction(_EQUAL, 0, 4, _ALLOWED[name][column]),
            _instruction(_LOAD, 0, 0, 16),
            _instruction(_ABOVE_EQUAL, 0, 1, _MAX_CLOCK + 1),
            _refuse(),
            _allow(),
        ]
    code += [
        _instruction(_EQUAL, 0, 3, _CLONE[column]),
        _instruction(_LOAD, 0, 0, 16),  # the low half of the first argument: the flags of clone
        _instruction(_ANY_BIT, 1, 0, _CLONE_THREAD),
        _refuse(),
    ]
    return b"".join([*code, _allow()])


def _instruction(operation: int, if_true: int, if_false: int, value: int) -> bytes:
    return struct.pack("HBBI", operation, if_true, if_false, value)


def _allow() -> bytes:
    return _instruction(_RETURN, 0, 0, _ALLOW)


def _refuse(number: int = errno.EPERM) -> bytes:
    """The call is not made and fails with this error; with 0 it returns 0."""
    return _instruction(_RETURN, 0, 0, _REFUSE | number)


class Filter:
    """Both filters. Each method raises OSError when the kernel refuses: then nothing may be run."""

    def __init__(self) -> None:
        self._server, self._answer = _Program(server_program()), _Program(answer_program())
        # Prepared once: whatever a forked process touches first is copied for it.
        self._prctl = ctypes.CDLL(None, use_errno=True).prctl
        self._prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4

    def bind_server(self) -> None:
        """Bind the calling process and all that it forks to the server's calls, for good; close its memory to others
        of its user."""
        self._call(_PR_SET_DUMPABLE, 0)
        self._call(_PR_SET_NO_NEW_PRIVS, 1)
        self._call(_PR_SET_SECCOMP, _MODE_FILTER, self._server.address)

    def bind_answer(self) -> None:
        """Bind a process forked by the server to what an answer may call, for good."""
        self._call(_PR_SET_SECCOMP, _MODE_FILTER, self._answer.address)

    def _call(self, option: int, first: int, second: int = 0) -> None:
        if self._prctl(option, first, second, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), f"prctl({option}) failed")


class _Program:
    """`struct sock_fprog` in memory."""

    def __init__(self, code: bytes) -> None:
        self._code = ctypes.create_string_buffer(code)
        self._header = ctypes.create_string_buffer(
            struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(self._code))
        )
        self.address = ctypes.addressof(self._header)
