"""One answer through both sandboxes: start it, watch it, stop it, read the verdict.

A worker owns a judge and a candidate server, entered once. Each answer gets a fresh socket between the two, and a fresh
process. The clock is only looked at when an answer takes long. A sandbox that is lost is entered anew and the answer
tried once more; lost again, a judge's loss is the answer's doing, a candidate server's is an error of ours.

Not here: which answers, in what order, and what they are made of (`evaluator.humaneval.scoring`).
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import secrets
import signal
import socket
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluator.sandbox import messages
from evaluator.sandbox.bubblewrap import Sandbox
from evaluator.sandbox.candidate import END, RUN, USAGE
from evaluator.sandbox.limits import Limits
from evaluator.tasks.benchmarks import Task
from results.records import Verdict

LOOK_SECONDS = 0.1
"""Wall time between two looks at the clock."""
GRACE_SECONDS = 30.0
"""Wall time for a server's own reply; it has nothing to compute."""
LAST_WORD_SECONDS = 1.0
"""Wall time for a judge whose candidate has been stopped: it is through, or busy with what it was sent."""
ATTEMPTS = 2
MAX_PROGRAM_CHARACTERS = 8_000_000


@dataclass(frozen=True)
class Report:
    """What became of one answer."""

    verdict: Verdict
    message: str
    cpu_seconds: float
    """Of the candidate's processes."""
    wall_seconds: float


Plans = dict[str, Mapping[str, list[str]]]
"""By task id: the calls that its test makes ("plan") and a passing answer's replies ("results")."""


class JudgeLost(Exception):
    """The judge's sandbox ended or does not answer."""


class CandidateLost(Exception):
    """The candidate server's sandbox ended or does not answer."""


class Worker:
    """A judge and a candidate server. For one thread; `close` it in the end."""

    def __init__(self, tasks: Iterable[Task], plans: Plans | None = None) -> None:
        """`plans` is added to, and may be shared between workers."""
        self._tasks = {
            task.id: {"id": task.id, "prompt": task.prompt, "entry_point": task.entry_point, "test": task.test}
            for task in tasks
        }
        self._plans: Plans = {} if plans is None else plans
        self._candidate = Sandbox("candidate")
        try:
            self._judge = Sandbox("test_runner")
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
        if len(program) > MAX_PROGRAM_CHARACTERS:
            return Report("wrong", f"a program of {len(program)} characters", 0.0, 0.0)
        started = time.monotonic()
        lost: type[Exception] | None = None
        for _ in range(ATTEMPTS):
            try:
                return self._attempt(task_id, program, limits, started)
            except (JudgeLost, CandidateLost) as loss:
                lost = type(loss)
                self._renew()
        wall = time.monotonic() - started
        if lost is JudgeLost:
            # Never an error, which is left out of the denominator: an answer must not be able to leave it.
            return Report("wrong", "its results made the test run out of time or memory", 0.0, wall)
        return Report("error", "the sandbox was lost twice", 0.0, wall)

    def _attempt(self, task_id: str, program: str, limits: Limits, started: float) -> Report:
        outcome, cpu = self._run(task_id, program, limits, again=False)
        learnt = outcome.get("learnt")
        if outcome["verdict"] == "passed" and outcome.get("order_matters"):
            outcome, more = self._run(task_id, program, limits, again=True)
            cpu += more
            if outcome["verdict"] != "passed":
                outcome["message"] = f"passes in the test's order of calls only: {outcome['message']}"
        if learnt and outcome["verdict"] == "passed":
            self._plans.setdefault(task_id, learnt)
        return Report(outcome["verdict"], outcome["message"], cpu, time.monotonic() - started)

    def _run(self, task_id: str, program: str, limits: Limits, *, again: bool) -> tuple[dict[str, Any], float]:
        """({"verdict", "message", …}, CPU seconds) of one process. Raises JudgeLost, CandidateLost."""
        nonce = secrets.token_hex(16)
        judge_end, candidate_end = socket.socketpair()
        with judge_end:
            with candidate_end:
                self._start(candidate_end)
            self._hand_over(task_id, program, limits, judge_end)
            self._tell_judge(task_id, nonce, again, judge_end)
        stopped, outcome = self._watch(limits)
        end = self._end()
        if outcome is None:
            try:
                outcome = self._judge.receive(GRACE_SECONDS if stopped is None else LAST_WORD_SECONDS)
            except (messages.Closed, OSError):
                if stopped is None:
                    raise JudgeLost from None
                # The judge is still busy with what it was sent. It is replaced, and the verdict stands.
                self._renew()
                outcome = {"verdict": "gone", "message": ""}
        if outcome["verdict"] == "lost":
            raise CandidateLost
        if outcome["verdict"] == "passed" and not secrets.compare_digest(str(outcome.get("nonce")), nonce):
            raise JudgeLost
        if stopped is not None and outcome["verdict"] != "passed":
            outcome.update(verdict="timed_out", message=stopped)
        elif outcome["verdict"] == "gone":
            outcome.update(_ending(end, limits))
        return outcome, float(end["cpu_seconds"])

    def _renew(self) -> None:
        """Enter both sandboxes anew: after a loss, what the other one still has to say belongs to nothing."""
        self.close()
        self._candidate, self._judge = Sandbox("candidate"), Sandbox("test_runner")
        self._known.clear()

    def _start(self, channel: socket.socket) -> None:
        """Have a child forked that holds the other end of the answer's socket."""
        try:
            socket.send_fds(self._candidate.control, [RUN], [channel.fileno()])
        except OSError:
            raise CandidateLost from None

    def _hand_over(self, task_id: str, program: str, limits: Limits, channel: socket.socket) -> None:
        """The program goes straight to the forked child: the server never holds one."""
        channel.settimeout(GRACE_SECONDS)
        message = {"code": program, "entry_point": self._tasks[task_id]["entry_point"], **_rlimits(limits)}
        try:
            messages.send(channel, json.dumps(message).encode())
        except (messages.Closed, OSError):
            raise CandidateLost from None
        channel.settimeout(None)

    def _tell_judge(self, task_id: str, nonce: str, again: bool, channel: socket.socket) -> None:
        try:
            request: dict[str, Any] = {"task": task_id, "nonce": nonce, "again": again}
            if task_id not in self._known:
                request["is"] = {**self._tasks[task_id], **self._plans.get(task_id, {})}
                self._known.add(task_id)
            self._judge.send(request, [channel.fileno()])
        except (messages.Closed, OSError):
            raise JudgeLost from None

    def _watch(self, limits: Limits) -> tuple[str | None, dict[str, Any] | None]:
        """(why it was stopped or None, the judge's outcome or None). Returns at the verdict or at a limit."""
        started = time.monotonic()
        first: _Look | None = None
        while True:
            try:
                return None, self._judge.receive(LOOK_SECONDS)
            except TimeoutError:
                pass
            except (messages.Closed, OSError, ValueError):
                raise JudgeLost from None
            used = self._cpu_seconds()
            look = _look(self._candidate.pid, self._judge.pid, used)
            first = first or look
            if used >= limits.cpu_seconds:
                return f"used {limits.cpu_seconds:g} s of CPU time", None
            # Comparisons with NaN are false: where the kernel does not say, only the wall time counts.
            if look.test - first.test >= limits.cpu_seconds:
                return "its results keep the test busy", None
            if (look.wall - first.wall) - (look.busy - first.busy) >= limits.idle_seconds:
                return f"waited {limits.idle_seconds:g} s", None
            if look.wall - started >= limits.wall_multiple * limits.cpu_seconds:
                return f"took {limits.wall_multiple * limits.cpu_seconds:g} s", None

    def _cpu_seconds(self) -> float:
        return float(self._ask(USAGE))

    def _end(self) -> Mapping[str, Any]:
        """Kill and reap the answer's process; how it had ended."""
        reply: Mapping[str, Any] = self._ask(END)
        return reply

    def _ask(self, question: bytes) -> Any:
        try:
            self._candidate.control.sendall(question)
            return self._candidate.receive(GRACE_SECONDS)
        except (messages.Closed, OSError, ValueError):
            raise CandidateLost from None


@dataclass(frozen=True)
class _Look:
    """Seconds, the last two NaN where the kernel does not say."""

    wall: float
    busy: float
    """That candidate and judge have computed or waited for a processor, and that the host took processors away."""
    test: float
    """That the judge has computed."""


def _look(candidate: int, judge: int, used: float) -> _Look:
    """Now. `used` is the CPU time of the answer's process, of threads that have ended too."""
    try:
        children = Path(f"/proc/{candidate}/task/{candidate}/children").read_text().split()
    except OSError:
        children = []
    computed, waited = _schedule(str(judge))
    for thread in (place for child in children for place in Path("/proc", child, "task").glob("*")):
        delay = _schedule(f"{thread.parts[2]}/task/{thread.name}")[1]
        waited += 0.0 if math.isnan(delay) else delay  # a thread may have ended meanwhile
    return _Look(time.monotonic(), used + computed + waited + _stolen() if children else math.nan, computed)


def _stolen() -> float:
    """Seconds that the most disturbed processor spent on interrupts or on other virtual machines; in no task's account.

    Source: proc(5), /proc/stat.
    """
    try:
        lines = Path("/proc/stat").read_text().splitlines()
        ticks = [sum(int(part) for part in line.split()[6:9]) for line in lines if re.match(r"cpu\d", line)]
        return max(ticks) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError):
        return 0.0


def _schedule(task: str) -> tuple[float, float]:
    """Seconds that a process's first thread, or the thread "<pid>/task/<tid>", computed and that it waited for a
    processor; NaN when unknown.

    Source: the kernel's document on scheduler statistics, /proc/<pid>/schedstat.
    """
    try:
        computed, waited, _ = Path(f"/proc/{task}/schedstat").read_text().split()
        return int(computed) / 1e9, int(waited) / 1e9
    except (OSError, ValueError):
        return math.nan, math.nan


def _rlimits(limits: Limits) -> dict[str, int]:
    """What the kernel enforces should the clock not be looked at; whole seconds."""
    return {
        "memory_bytes": limits.memory_bytes,
        "cpu_seconds": math.ceil(limits.cpu_seconds) + 1,
        "threads": limits.threads,
    }


def _ending(end: Mapping[str, Any], limits: Limits) -> dict[str, str]:
    """The verdict on a process that ended or fell silent before the test was through."""
    code = end["exit"]
    if end["cpu_seconds"] >= limits.cpu_seconds or code in (-signal.SIGXCPU, -signal.SIGALRM):
        return {"verdict": "timed_out", "message": f"used {end['cpu_seconds']:.1f} s of CPU time"}
    if code == -signal.SIGKILL:
        return {"verdict": "memory", "message": "was killed for memory by the kernel"}
    if code == -signal.SIGSYS:
        return {"verdict": "forbidden", "message": "made a forbidden system call"}
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            return {"verdict": "wrong", "message": f"crashed ({signal.Signals(-code).name})"}
    return {"verdict": "wrong", "message": "ended before the test did"}
