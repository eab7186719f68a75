"""The judge's side: runs a task's own test, in another sandbox than the candidate's.

The test calls a stand-in that sends the arguments to the candidate's process and gets plain values back, so the test's
assertions, builtins and helpers are out of the candidate's reach, and arguments are passed by value: what a candidate does to
them is not seen here. Helpers that a prompt defines (`poly`, `encode_cyclic`) are the judge's own, from the prompt; the name
of the function asked for is the stand-in. The nonce of a request is answered only after the test has returned.

A test asks for the same calls each time, so from the second answer on all are sent ahead in the test's order. A pass is
tried once more in another process and another order: answers learnt by order of call then come out wrong.

Run by `evaluator.sandbox` as the sandbox's program. Standard library only.
"""

from __future__ import annotations

import builtins
import json
import random
import socket
import sys
import time
from types import CodeType
from typing import Any

from evaluator import frames, plain

MAX_CALLS = 100_000
"""Calls that one test may make; HumanEval's make at most a few hundred."""


class CandidateGone(BaseException):
    """The candidate's process ended or sent no message. Not an Exception, so that no test swallows it."""


class CandidateFailed(BaseException):
    """The program could not be executed, or the result cannot cross. Carries the verdict and a message."""


class Trial:
    """A task, compiled, and the calls that its test made last time."""

    def __init__(self, task: dict[str, str]) -> None:
        self.entry_point = task["entry_point"]
        self.prompt = _compiled(task["prompt"])
        self.test: CodeType = compile(task["test"], "<test>", "exec", dont_inherit=True)
        self.plan: list[str] = []
        """Encoded calls, in the test's order."""
        self.planned = False
        self.stable = True
        """False once the test has made other calls than planned: then none are sent ahead."""
        self.results: list[bytes] = []
        """Replies of the last run, in the test's order."""

    def run(self, stand_in: StandIn) -> None:
        """The test, from scratch. Raises what the test raises; returns after its last assertion."""
        namespace: dict[str, Any] = {}
        random.seed(0)
        numpy = sys.modules.get("numpy")
        if numpy is not None:
            numpy.random.seed(0)
        if self.prompt is not None:
            exec(self.prompt, namespace)  # noqa: S102 (the benchmark's own code, and in a sandbox)
        namespace[self.entry_point] = stand_in
        exec(self.test, namespace)  # noqa: S102
        namespace["check"](stand_in)


class StandIn:
    """Called by the test in the candidate's place."""

    def __init__(self, channel: socket.socket, plan: list[str], order: list[int]) -> None:
        self._channel = channel
        self._plan = plan
        self._order = order
        self._ahead = bool(order)
        self._received = 0
        self._replies: dict[int, bytes] = {}
        self.calls: list[str] = []
        self.results: list[bytes] = []
        if order:
            frames.send(channel, ("[" + ",".join(plan[index] for index in order) + "]").encode())

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        index = len(self.calls)
        if index >= MAX_CALLS:
            raise RuntimeError(f"the test makes more than {MAX_CALLS} calls")
        call = plain.dumps((list(arguments), keywords))
        self.calls.append(call)
        if self._ahead and not (index < len(self._plan) and self._plan[index] == call):
            self._ahead = False
            self._receive_until(len(self._plan))
        reply = self._planned_reply(index) if self._ahead else self._live_reply(call)
        self.results.append(reply)
        return _value(reply)

    def _planned_reply(self, index: int) -> bytes:
        while index not in self._replies:
            self._receive_until(self._received + 1)
        return self._replies.pop(index)

    def _receive_until(self, count: int) -> None:
        while self._received < count:
            self._replies[self._order[self._received]] = self._receive()
            self._received += 1

    def _live_reply(self, call: str) -> bytes:
        try:
            frames.send(self._channel, f"[{call}]".encode())
        except frames.Closed:
            raise CandidateGone from None
        return self._receive()

    def _receive(self) -> bytes:
        try:
            return frames.receive(self._channel, plain.MAX_BYTES + 100)
        except frames.Closed:
            raise CandidateGone from None


def _value(reply: bytes) -> Any:
    """The value in a reply; raises what the candidate raised, as a builtin exception made here."""
    try:
        message = json.loads(reply)
        [(kind, payload)] = message.items()
        if kind == "value":
            return plain.decode(payload)
        if kind == "refused":
            raise CandidateFailed("wrong", f"returned {str(payload)[:200]}")
        stage, name, text, number = payload
        name, text = str(name), str(text)[:200]
    except CandidateFailed:
        raise
    except Exception:
        raise CandidateFailed("wrong", "sent something that is no result") from None
    if stage == "syntax":
        raise CandidateFailed("syntax_error", f"{name}: {text}")
    if name == "MemoryError":
        raise CandidateFailed("memory", "needed more memory than allowed")
    if name == "PermissionError" or (name == "OSError" and number == 30):  # EROFS: nothing is writable
        raise CandidateFailed("forbidden", f"{name}: {text}")
    if stage == "import":
        raise CandidateFailed("wrong", f"{name}: {text}")
    error = getattr(builtins, name, None)
    if isinstance(error, type) and issubclass(error, Exception) and error is not StopIteration:
        try:
            raised = error(text)
        except TypeError:  # UnicodeDecodeError and its like want more than a text
            raised = Exception(f"{name}: {text}")
        raise raised
    raise CandidateFailed("wrong", f"raised {name}: {text}")


def judge(trial: Trial, channel: socket.socket, again: bool) -> dict[str, Any]:
    """Run the test against the candidate at the other end; {"verdict", "message"} and, of a pass, "order_matters"."""
    order: list[int] = []
    if again:
        order = other_order(trial.results)
    elif trial.planned and trial.stable:
        order = list(range(len(trial.plan)))
    verdict, message = "passed", ""
    stand_in = None
    try:
        stand_in = StandIn(channel, trial.plan, order)
        trial.run(stand_in)
    except CandidateFailed as failure:
        verdict, message = failure.args
    except (CandidateGone, frames.Closed):
        verdict = "gone"
    except AssertionError as error:
        verdict, message = "wrong", _text("assertion failed", error)
    except BaseException as error:
        verdict, message = "wrong", _text(type(error).__name__, error)
    if stand_in is None or verdict != "passed":
        return {"verdict": verdict, "message": message}
    if again:
        return {"verdict": "passed", "message": ""}
    if trial.planned and stand_in.calls != trial.plan:
        trial.stable = False
    trial.plan, trial.results, trial.planned = stand_in.calls, stand_in.results, True
    return {"verdict": "passed", "message": "", "order_matters": len(set(trial.results)) > 1}


def other_order(results: list[bytes]) -> list[int]:
    """A random order of the calls in which the right results form another sequence than in the test's order."""
    source = random.SystemRandom()
    order = list(range(len(results)))
    while len(set(results)) > 1 and all(results[place] == results[index] for place, index in enumerate(order)):
        source.shuffle(order)
    return order


def _text(start: str, error: BaseException) -> str:
    try:
        text = str(error)
    except BaseException:
        text = ""
    return f"{start}: {text}"[:300] if text else start


def _compiled(prompt: str) -> CodeType | None:
    """The prompt as a program, for its helpers; None where it is none, as with a sentence."""
    try:
        return compile(prompt, "<prompt>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return None


def serve() -> None:
    """Learn tasks ({"tasks": [...]}) and judge candidates ({"task", "nonce", "again"} and a socket); forever."""
    control = socket.socket(fileno=int(sys.argv[1]))
    trials: dict[str, Trial] = {}
    frames.send(control, b'"ready"')
    while True:
        try:
            message, descriptor = frames.receive_with_descriptor(control)
        except frames.Closed:
            return
        if "tasks" in message:
            trials.update((task["id"], Trial(task)) for task in message["tasks"])
        elif descriptor is not None:
            started = time.process_time()
            with socket.socket(fileno=descriptor) as channel:
                outcome = judge(trials[message["task"]], channel, message["again"])
            if outcome["verdict"] == "passed":
                outcome["nonce"] = message["nonce"]
            outcome["judge_cpu_seconds"] = time.process_time() - started
            frames.send(control, json.dumps(outcome).encode())


if __name__ == "__main__":
    serve()
