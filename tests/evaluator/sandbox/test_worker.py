"""Whose failure a lost sandbox is, and what an answer's own words become."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from evaluator import Limits, SandboxUnavailable, Task
from evaluator.sandbox.bubblewrap import Role, Sandbox
from evaluator.sandbox.candidate import RUN
from evaluator.sandbox.worker import MAX_MESSAGE_CHARACTERS, MAX_PROGRAM_BYTES, Report, Worker

TASK = Task("Same/0", "def same(x):\n", "same", "def check(candidate):\n    assert candidate(3) == 3\n", "")
RIGHT = "def same(x):\n    return x\n"


class Mortal(Sandbox):
    """A real sandbox that dies at the answer after the last one that it may run: as one whose machine has no memory."""

    answers = 0

    def tell(self, command: bytes, descriptors: Sequence[int] = ()) -> None:
        if command == RUN and self.answers == 0:
            self.close()
        self.answers -= command == RUN
        super().tell(command, descriptors)


def scored(program: str, *answers: int, limits: Limits | None = None) -> Report:
    """Scored where the candidate's server may run so many answers, and each one entered after it the next number."""
    left = list(answers)

    def enter(role: Role) -> Sandbox:
        sandbox = Mortal(role)
        sandbox.answers = left.pop(0) if role == "candidate" and left else 1000
        return sandbox

    worker = Worker([TASK], enter=enter)
    try:
        return worker.score(TASK.id, program, limits or Limits())
    finally:
        worker.close()


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [((0,), "passed"), ((0, 1), "wrong"), ((0, 0), "error"), ((0, 1, 0), "error")],
    ids=["lost once", "lost twice, each time alone", "a good program is lost too", "a good program is lost at last"],
)
def test_a_lost_sandbox_is_ours_only_where_a_program_known_to_be_good_is_lost_too(answers, verdict):
    assert scored(RIGHT, *answers).verdict == verdict


def test_a_moment_without_room_for_a_sandbox_ends_no_batch():
    """What an answer used up is not given back at the moment when its sandbox is killed."""
    entered = []

    def enter(role: Role) -> Sandbox:
        entered.append(role)
        if len(entered) == 3:
            raise SandboxUnavailable("no memory")
        sandbox = Mortal(role)
        sandbox.answers = 0 if len(entered) == 1 else 1000
        return sandbox

    worker = Worker([TASK], enter=enter)
    try:
        assert worker.score(TASK.id, RIGHT, Limits()).verdict == "passed"
    finally:
        worker.close()
    assert entered == ["candidate", "test_runner", "candidate", "candidate", "test_runner"]


def test_the_size_of_a_program_is_that_of_its_encoding():
    """Twelve bytes a character: what one such answer costs to hand over is not an answer's time, nor an error."""
    largest = RIGHT + "#" + "😀" * ((MAX_PROGRAM_BYTES - 100) // 12)
    assert scored(largest, 1, limits=Limits(cpu_seconds=1.0)).verdict == "passed"
    assert scored(largest + "😀" * 100).verdict == "wrong"
    assert scored(RIGHT + "#" + "😀" * 6_000_000).verdict == "wrong"


@pytest.mark.parametrize("text", ["\x1b[2J\x07", "\ud800", "a\x00b", "\u202egnp", "x" * 10_000])
def test_what_an_answer_says_is_printable_and_short(text):
    report = scored(f"def same(x):\n    raise ValueError({text!r})\n")
    assert report.verdict == "wrong" and "ValueError" in report.message
    assert report.message.isprintable() and len(report.message) <= MAX_MESSAGE_CHARACTERS


def test_the_name_of_an_error_is_short_too():
    """Sent by hand, in the place of a reply."""
    program = (
        "import json, os, struct\n"
        'word = json.dumps({"raised": ["import", "N" * 5_000_000, "", None]}).encode()\n'
        "data = struct.pack('!I', len(word)) + word\nwhile data:\n    data = data[os.write(3, data):]\n"
    )
    report = scored(program)
    assert report.verdict == "wrong" and report.message.startswith("NNN")
    assert len(report.message) <= MAX_MESSAGE_CHARACTERS
