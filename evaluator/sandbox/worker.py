"""One answer through both sandboxes: start it, watch it, stop it, read the verdict.

A worker owns a judge and a candidate server, entered once. Each answer gets a fresh socket between the two, and a fresh
process. Its clock starts when that process is ready, before anything of the answer's is executed, and is only looked at
when an answer takes long. A sandbox that is lost is entered anew, and a program known to be good is tried in it: if
that fails, the failure is ours; if not, the answer is tried once more, and lost again, it is the answer's doing.

Not here: which answers, in what order, and what they are made of (`evaluator.humaneval.scoring`).
"""

from __future__ import annotations

import contextlib
import json
import math
import secrets
import signal
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from evaluator.errors import SandboxUnavailable
from evaluator.sandbox import messages, stopwatch
from evaluator.sandbox.bubblewrap import Role, Sandbox
from evaluator.sandbox.candidate import END, RUN, USAGE
from evaluator.sandbox.limits import Limits
from evaluator.tasks.task import Task
from results.records import Verdict

LOOK_SECONDS = 0.1
"""Wall time between two looks at the clock."""
GRACE_SECONDS = 30.0
"""Wall time for a server's own reply; it has nothing to compute."""
LAST_WORD_SECONDS = 1.0
"""Wall time for a judge whose candidate has been stopped: it is through, or busy with what it was sent."""
ATTEMPTS = 2
LOTS, MAX_LOTS_SECONDS = 3, 0.5
"""Orders of its calls, each drawn by lot, in which the first pass of a task is tried again: whoever computes some
results and knows the order of the others is right in one by chance. One is enough for programs of more CPU time."""
PAUSES_SECONDS = (0.1, 1.0, 5.0)
"""Wall time between tries to enter a sandbox in the place of a lost one."""
MAX_PROGRAM_BYTES = 1_000_000
"""Largest program as it is handed over, in JSON."""
MAX_MESSAGE_CHARACTERS = 300
MAX_PLANS_BYTES = 64_000_000
"""Bytes of what is known of all tasks; each has its share."""
_KNOWN_GOOD = "\0known good"
"""Id of the task by which a sandbox is tried."""


@dataclass(frozen=True)
class Report:
    """What became of one answer."""

    verdict: Verdict
    message: str
    cpu_seconds: float
    """CPU time of the candidate's processes."""
    wall_seconds: float


Plans = dict[str, Mapping[str, list[str]]]
"""Known by task id: the calls that its test makes ("plan") and a passing answer's replies ("results")."""


class JudgeLost(Exception):
    """The judge's sandbox ended or does not answer."""

    blame = "its results made the test run out of time or memory"


class CandidateLost(Exception):
    """The candidate server's sandbox ended or does not answer."""

    blame = "ended the sandbox it was run in"


class Worker:
    """A judge and a candidate server. For one thread; `close` it in the end."""

    def __init__(
        self, tasks: Iterable[Task], plans: Plans | None = None, enter: Callable[[Role], Sandbox] = Sandbox
    ) -> None:
        """`plans` is added to, and may be shared between workers."""
        self._tasks = {
            task.id: {"prompt": task.prompt, "entry_point": task.called, "test": task.test} for task in tasks
        }
        self._tasks[_KNOWN_GOOD] = {
            "prompt": "", "entry_point": "same", "test": "def check(candidate):\n    assert candidate(1) == 1\n",
        }  # fmt: skip
        self._enter = enter
        self._plans: Plans = {} if plans is None else plans
        self._candidate = enter("candidate")
        try:
            self._judge = enter("test_runner")
        except BaseException:
            self._candidate.close()
            raise
        self._known: set[str] = set()

    def close(self) -> None:
        """End both sandboxes and everything in them."""
        self._candidate.close()
        self._judge.close()

    def score(self, task_id: str, program: str, limits: Limits) -> Report:
        """Execute a program and let its task's test judge it. Raises SandboxUnavailable when no sandbox can be made."""
        if 12 * len(program) > MAX_PROGRAM_BYTES and len(json.dumps(program)) > MAX_PROGRAM_BYTES:
            return Report("wrong", f"a program of more than {MAX_PROGRAM_BYTES} bytes", 0.0, 0.0)
        started = time.monotonic()
        message = ""
        for _ in range(ATTEMPTS):
            try:
                return self._attempt(task_id, program, limits, started)
            except (JudgeLost, CandidateLost) as loss:
                message = loss.blame
                self._renew()
                if not self._is_sound():
                    wall = time.monotonic() - started
                    return Report("error", "the sandbox was lost, and fails a program known to be good", 0.0, wall)
        # Not an error, which is left out of the denominator: an answer must not be able to leave it.
        return Report("wrong", message, 0.0, time.monotonic() - started)

    def _is_sound(self) -> bool:
        """Whether a program known to be good passes now; with sandboxes entered anew if they are lost over it."""
        try:
            outcome, _ = self._run(_KNOWN_GOOD, "def same(value):\n    return value\n", Limits(), again=0)
            return bool(outcome["verdict"] == "passed")
        except (JudgeLost, CandidateLost):
            self._renew()
            return False

    def _attempt(self, task_id: str, program: str, limits: Limits, started: float) -> Report:
        outcome, cpu = self._run(task_id, program, limits, again=0)
        learnt = outcome.get("learnt")
        if outcome["verdict"] == "passed" and outcome.get("order_matters"):
            # Of a test that never asks the same, all calls come twice here, and another lot would tell no more.
            twice = replace(limits, cpu_seconds=2 * limits.cpu_seconds, idle_seconds=2 * limits.idle_seconds)
            for lot in range(LOTS if outcome.get("repeats") and cpu < MAX_LOTS_SECONDS else 1):
                outcome, more = self._run(task_id, program, twice, again=lot + 1)
                cpu += more
                if outcome["verdict"] != "passed":
                    outcome["message"] = f"passes in the test's order of calls only: {outcome['message']}"
                    break
        if learnt and outcome["verdict"] == "passed" and _size(learnt) <= MAX_PLANS_BYTES / len(self._tasks):
            self._plans.setdefault(task_id, learnt)
        return Report(outcome["verdict"], _readable(outcome["message"]), cpu, time.monotonic() - started)

    def _run(self, task_id: str, program: str, limits: Limits, *, again: int) -> tuple[dict[str, Any], float]:
        """({"verdict", "message", …}, CPU seconds) of one process. Raises JudgeLost, CandidateLost."""
        nonce = secrets.token_hex(16)
        judge_end, candidate_end = socket.socketpair()
        with judge_end:
            with candidate_end:
                self._start(candidate_end)
            before = self._hand_over(task_id, program, limits, judge_end)
            self._tell_judge(task_id, nonce, again, judge_end)
        stopped, outcome = self._watch(limits, before)
        try:
            end = self._end()
            if outcome is None:
                outcome = self._judge.receive(GRACE_SECONDS if stopped is None else LAST_WORD_SECONDS)
        except CandidateLost:
            if stopped is None:
                raise
            # What was stopped stays stopped, whatever else it has broken; sandboxes are entered anew.
            self._renew()
            end, outcome = {"exit": None, "cpu_seconds": 0.0}, {"verdict": "gone", "message": ""}
        except (messages.Closed, OSError):
            if stopped is None:
                raise JudgeLost from None
            # The judge is still busy with what it was sent.
            self._renew()
            outcome = {"verdict": "gone", "message": ""}
        if outcome["verdict"] == "passed" and not secrets.compare_digest(str(outcome.get("nonce")), nonce):
            raise JudgeLost
        if stopped is not None and outcome["verdict"] != "passed":
            outcome.update(verdict="timed_out", message=stopped)
        elif outcome["verdict"] == "gone":
            outcome.update(_ending(end["exit"], float(end["cpu_seconds"]) - before, limits))
        return outcome, float(end["cpu_seconds"])

    def _renew(self) -> None:
        """Enter both sandboxes anew: after a loss, what the other one still has to say belongs to nothing."""
        self.close()
        self._candidate, self._judge = self._entered_anew("candidate"), self._entered_anew("test_runner")
        self._known.clear()

    def _entered_anew(self, role: Role) -> Sandbox:
        """Patiently: what an answer used up is given back a moment after its sandbox is killed. Raises as Sandbox."""
        for pause in PAUSES_SECONDS:
            try:
                return self._enter(role)
            except SandboxUnavailable:
                time.sleep(pause)
        return self._enter(role)

    def _start(self, channel: socket.socket) -> None:
        """Have a child forked that holds the other end of the answer's socket."""
        try:
            self._candidate.tell(RUN, [channel.fileno()])
        except OSError:
            raise CandidateLost from None

    def _hand_over(self, task_id: str, program: str, limits: Limits, channel: socket.socket) -> float:
        """The program goes straight to the forked child: the server never holds one. CPU seconds that the child had
        used when it was ready, before it executes anything of it."""
        channel.settimeout(GRACE_SECONDS)
        message = {"code": program, "entry_point": self._tasks[task_id]["entry_point"], **_rlimits(limits)}
        try:
            messages.send(channel, json.dumps(message).encode())
            before = float(json.loads(messages.receive(channel)))
        except (messages.Closed, OSError):
            raise CandidateLost from None
        channel.settimeout(None)
        return before

    def _tell_judge(self, task_id: str, nonce: str, again: int, channel: socket.socket) -> None:
        try:
            request: dict[str, Any] = {"task": task_id, "nonce": nonce, "again": again}
            if task_id not in self._known:
                request["is"] = {**self._tasks[task_id], **self._plans.get(task_id, {})}
                self._known.add(task_id)
            self._judge.send(request, [channel.fileno()])
        except (messages.Closed, OSError):
            raise JudgeLost from None

    def _watch(self, limits: Limits, before: float) -> tuple[str | None, dict[str, Any] | None]:
        """(why it was stopped or None, the judge's outcome or None). Returns at the verdict or at a limit."""
        started = time.monotonic()
        watch = stopwatch.Stopwatch()
        while True:
            try:
                return None, self._judge.receive(LOOK_SECONDS)
            except TimeoutError:
                pass
            except (messages.Closed, OSError, ValueError):
                raise JudgeLost from None
            used = self._cpu_seconds()
            watch.add(stopwatch.look(self._candidate.pid, self._judge.pid, used))
            if used - before >= limits.cpu_seconds:
                return f"used {limits.cpu_seconds:g} s of CPU time", None
            # Comparisons with NaN are false: where the kernel does not say, only the wall time counts.
            if watch.test >= limits.cpu_seconds:
                return "its results keep the test busy", None
            if watch.idle >= limits.idle_seconds:
                return f"waited {limits.idle_seconds:g} s", None
            if time.monotonic() - started >= limits.wall_multiple * limits.cpu_seconds:
                return f"took {limits.wall_multiple * limits.cpu_seconds:g} s", None

    def _cpu_seconds(self) -> float:
        return float(self._ask(USAGE))

    def _end(self) -> Mapping[str, Any]:
        """Kill and reap the answer's process; how it had ended."""
        reply: Mapping[str, Any] = self._ask(END)
        return reply

    def _ask(self, question: bytes) -> Any:
        try:
            self._candidate.tell(question)
            return self._candidate.receive(GRACE_SECONDS)
        except (messages.Closed, OSError, ValueError):
            raise CandidateLost from None


def _size(learnt: Mapping[str, list[str]]) -> int:
    return sum(len(text) for texts in learnt.values() for text in texts)


def _rlimits(limits: Limits) -> dict[str, int]:
    """What the kernel enforces should the clock not be looked at; whole seconds."""
    return {
        "memory_bytes": limits.memory_bytes,
        "cpu_seconds": math.ceil(limits.cpu_seconds) + 1,
        "threads": limits.threads,
    }


def _ending(code: int | None, cpu_seconds: float, limits: Limits) -> dict[str, str]:
    """The verdict on a process that ended or fell silent before the test was through."""
    if cpu_seconds >= limits.cpu_seconds or code in (-signal.SIGXCPU, -signal.SIGALRM):
        return {"verdict": "timed_out", "message": f"used {cpu_seconds:.1f} s of CPU time"}
    if code == -signal.SIGKILL:
        return {"verdict": "memory", "message": "was killed for memory by the kernel"}
    if code == -signal.SIGSYS:
        return {"verdict": "forbidden", "message": "made a forbidden system call"}
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            return {"verdict": "wrong", "message": f"crashed ({signal.Signals(-code).name})"}
    return {"verdict": "wrong", "message": "ended before the test did"}


def _readable(message: str) -> str:
    """A message that any store, terminal and page takes: of bounded length, without control characters or halves of
    characters, which an answer may have put into an exception's text."""
    shown = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in message[:MAX_MESSAGE_CHARACTERS])
    return "".join(shown)[:MAX_MESSAGE_CHARACTERS]
