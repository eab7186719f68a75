"""What the two filters let through together, found by executing them as the kernel does."""

from __future__ import annotations

import errno
import struct

import pytest

from evaluator.sandbox import seccomp

ALLOWED, REFUSED, WITHOUT = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
X86_64 = 0xC000003E
FORK_FLAGS, THREAD_FLAGS = 0x01200011, 0x003D0F00

pytestmark = pytest.mark.skipif(not seccomp.supported(), reason="system call numbers of this machine are not known")


def decided(program: bytes, number: int, first: int = 0, architecture: int = X86_64, second: int = 0) -> int:
    """What a filter returns; the instructions are those that seccomp.py uses. Source: <linux/bpf_common.h>."""
    data = struct.pack("<iIQ6Q", number, architecture, 0, first, second, 0, 0, 0, 0)
    place, accumulator = 0, 0
    while True:
        operation, if_true, if_false, value = struct.unpack_from("HBBI", program, 8 * place)
        place += 1
        if operation == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, value)
        elif operation == 0x06:
            return value
        else:
            holds = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: accumulator & value != 0}[operation]
            place += if_true if holds else if_false


@pytest.fixture
def x86_64(monkeypatch):
    monkeypatch.setattr(seccomp, "_ARCHITECTURES", dict.fromkeys(("x86_64", "aarch64"), (0, X86_64)))
    return seccomp.server_program(), seccomp.answer_program()


def test_an_answer_may_call_what_is_listed_and_nothing_else(x86_64):
    server, answer = x86_64
    both = {number for number in range(1024) if decided(server, number) == decided(answer, number) == ALLOWED}
    limited = {name: numbers[0] for name, numbers in seccomp._LIMITED.items()}
    assert both == {pair[0] for pair in seccomp._ALLOWED.values()} - {-1} | {limited["fcntl"]}  # F_DUPFD is 0


def test_of_descriptors_only_what_concerns_them_alone(x86_64):
    """No locks, owners, signals or sizes of pipes; no input for terminals. The kernel reads 32 bits of a command."""
    server, answer = x86_64
    for name, allowed in (("fcntl", range(5)), ("ioctl", (0x5401, 0x5421))):
        number = seccomp._LIMITED[name][0]
        for command in (*range(32), 0x5401, 0x5412, 0x5421, 0x8901, 1024, 1031, 1033):
            decision = ALLOWED if command in allowed else REFUSED
            assert (
                decided(server, number, second=command) == decided(server, number, second=command | 1 << 32) == decision
            )
            assert decided(answer, number, second=command) == ALLOWED  # what its server may not do, it may not either


def test_what_counts_answers_is_told_as_nothing(x86_64):
    server, _ = x86_64
    assert {decided(server, number) for number in (39, 110, 186)} == {0x00050000}
    assert {decided(server, number) for number in (63, 99, 218)} == {REFUSED}  # uname, sysinfo, set_tid_address


def test_an_answer_reads_no_clock_but_the_systems_and_its_own(x86_64):
    server, answer = x86_64
    for number in (228, 229, 230):
        for clock in (0, 1, 2, 3, 11):
            assert decided(server, number, clock) == decided(answer, number, clock) == ALLOWED
        for process in (1, 2, 300):
            clock = (~process << 3 | 2) & 0xFFFFFFFF
            assert (decided(server, number, clock), decided(answer, number, clock)) == (ALLOWED, REFUSED)


def test_a_server_forks_and_an_answer_only_makes_threads(x86_64):
    server, answer = x86_64
    assert decided(server, 56, FORK_FLAGS) == ALLOWED
    assert decided(answer, 56, FORK_FLAGS) == REFUSED
    assert decided(server, 56, THREAD_FLAGS) == decided(answer, 56, THREAD_FLAGS) == ALLOWED


@pytest.mark.parametrize("name", sorted(seccomp._SERVER))
def test_an_answer_gives_up_what_its_server_needs(x86_64, name):
    server, answer = x86_64
    number = seccomp._SERVER[name][0]
    assert (decided(server, number), decided(answer, number)) == (ALLOWED, REFUSED)


def test_other_numberings_and_clone3_come_to_nothing(x86_64):
    server, _ = x86_64
    assert decided(server, 0, architecture=0x40000003) == 0x80000000  # a 32-bit call kills
    assert decided(server, 0x40000000) == REFUSED
    assert decided(server, 435) == WITHOUT
