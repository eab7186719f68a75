"""The judge's side: runs a task's own test, in another sandbox than the candidate's.

The test calls a stand-in that sends the arguments to the candidate's process and gets plain values back, so the test's
assertions, builtins and helpers are out of the candidate's reach, and arguments are passed by value: what a candidate
does to them is not seen here. Helpers that a prompt defines (`poly`, `encode_cyclic`) are the judge's own, from the
prompt; the name of the function asked for is the stand-in. The nonce of a request is answered only after the test has
returned.

After a first pass the test is run once more on the same results, by the judge alone. If it makes the same calls and
passes again, what it calls and what it accepts is known: from then on all calls are sent ahead, in an order drawn by
lot in which a program that answers by order fails, and an answer whose results are the same, byte for byte, has passed,
because the test would see nothing else. Any other result is judged by running the test. A pass in the test's own order
is tried once more: all of its calls, in another process and in that order.

Run by `evaluator.sandbox.bubblewrap` as the sandbox's program. Standard library only.
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import hashlib
import json
import os
import random
import socket
import sys
import time
from types import CodeType
from typing import Any

from evaluator.sandbox import messages, numpy_values, value_codec

try:
    import resource
except ModuleNotFoundError:  # Windows, where no sandbox opens
    resource = None  # type: ignore[assignment]

MAX_CALLS = 100_000
"""Calls that one test may make; HumanEval's make at most a few hundred."""
MAX_RESULTS_BYTES = 512_000_000
"""Largest results of one run, encoded, taken together. Those of HumanEval+'s task 15 have 147 million."""
MAX_KEPT_BYTES = 64_000_000
"""Largest calls and results of all tasks but the last, kept to send ahead and to compare with."""
MAX_DRAWS, DRAW_SECONDS = 30, 0.5
"""Orders that are drawn until one tells, and the processor time after which the last one has to do."""
MAX_SPELT_BYTES = 64
"""Longest result that is kept as it is; of a longer one its digest is kept, which is longer than this."""
MAX_SHARED_BYTES = 4_000_000
"""Largest plan that other judges are told."""
NEVER_CALLED = (b'{"raised":["syntax"', b'{"raised":["import"')
"""How the one reply begins of a program that failed before any call, whichever call was sent first."""
MEMORY_BYTES = 4 << 30
"""Address space of this process."""
_RESULTS = value_codec.Decoder(numpy_values.judged)


class CandidateGone(BaseException):
    """The candidate's process ended or sent no message. Not an Exception, so that no test swallows it."""


class CandidateFailed(BaseException):
    """The program could not be executed, or the result cannot cross."""

    def __init__(self, verdict: str, message: str) -> None:
        super().__init__(verdict, message)
        self.verdict = verdict
        self.message = message


class Trial:
    """A task, and the calls that its test made in its last pass."""

    def __init__(self, task: dict[str, Any]) -> None:
        self.entry_point = task["entry_point"]
        self._sources = task["prompt"], task["test"]
        self.plan: list[str] = task.get("plan") or []
        """Encoded calls, in the test's order; only of a test that has been seen to make them twice."""
        self.stable: bool | None = True if self.plan else None
        """False where the test did not make the same calls again: then none are sent ahead. None before any pass."""
        self.results: list[bytes] = [reply.encode() for reply in task.get("results") or []]
        """Replies of the last pass, in the test's order, as `mark` makes them of their shortest spelling."""
        self.order: list[int] = [int(index) for index in task.get("order") or []]
        """The order in which the calls are sent ahead; empty where all results are the same."""
        self.kept_bytes = 0
        """Bytes of calls and results that are kept; what came with the task is bounded already."""

    def keep(self, stand_in: StandIn) -> None:
        """Remember a pass: not the replies as they came, which may be long, of white space too."""
        self.plan, self.results = stand_in.calls, [mark(value_codec.shortest(reply)) for reply in stand_in.results]
        self.kept_bytes = sum(map(len, self.plan)) + sum(map(len, self.results))

    def forget(self) -> None:
        """Give the memory back; the next pass is the first again."""
        self.plan, self.results, self.order, self.stable, self.kept_bytes = [], [], [], None, 0

    @functools.cached_property
    def prompt(self) -> CodeType | None:
        """The prompt, for its helpers; None where it is no program."""
        return _compiled(self._sources[0])

    @functools.cached_property
    def test(self) -> CodeType:
        """The test, compiled when an answer first needs it."""
        return compile(self._sources[1], "<test>", "exec", dont_inherit=True)

    def run(self, stand_in: StandIn) -> None:
        """The test, from scratch. Raises what the test raises; returns after its last assertion."""
        namespace: dict[str, Any] = {}
        random.seed(0)
        numpy = sys.modules.get("numpy")
        if numpy is not None:
            numpy.random.seed(0)
        try:
            if self.prompt is not None:
                exec(self.prompt, namespace)  # noqa: S102 (the benchmark's own code, and in a sandbox)
            namespace[self.entry_point] = stand_in
            exec(self.test, namespace)  # noqa: S102
            namespace["check"](stand_in)
        finally:
            namespace.clear()  # a circle through `check`, which would keep the results until the collector comes


class StandIn:
    """Called by the test in the candidate's place.

    A call that has been sent ahead is known by what it asks, wherever in the test it comes; any other is sent then.
    """

    def __init__(
        self, channel: socket.socket, plan: list[str], order: list[int], known: dict[int, bytes] | None = None
    ) -> None:
        self._channel = channel
        self._reader = messages.Reader(channel)
        self._plan = plan
        self._order = order
        self._received = 0
        self._bytes = 0
        self._replies = dict(known or {})
        self.calls: list[str] = []
        self.results: list[bytes] = []
        if order:
            # A program that has failed is gone already, and its failure waits to be read.
            with contextlib.suppress(messages.Closed):
                messages.send(channel, ("[" + ",".join(plan[index] for index in order) + "]").encode())

    @functools.cached_property
    def _ahead(self) -> dict[str, list[int]]:
        """Call → its places in the plan whose replies are not used yet, the last first."""
        places: dict[str, list[int]] = {}
        for index in sorted({*self._order, *self._replies}, reverse=True):
            places.setdefault(self._plan[index], []).append(index)
        return places

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        if len(self.calls) >= MAX_CALLS:
            raise RuntimeError(f"the test makes more than {MAX_CALLS} calls")
        call = value_codec.dumps((list(arguments), keywords))
        self.calls.append(call)
        places = self._ahead.get(call)
        reply = self._planned_reply(places.pop()) if places else self._live_reply(call)
        self.results.append(reply)
        return _value(reply)

    def _planned_reply(self, index: int) -> bytes:
        try:
            while index not in self._replies:
                self._receive_until(self._received + 1)
        except CandidateGone:
            first = self._replies.get(self._order[0], b"")
            if self._received == 1 and first.startswith(NEVER_CALLED):
                return first
            raise
        return self._replies.pop(index)

    def gives(self, results: list[bytes]) -> bool:
        """Whether all that was sent ahead comes back with these marks. Stops at the first that does not, and keeps what
        has come for the test."""
        with contextlib.suppress(CandidateGone, CandidateFailed):
            for count, index in enumerate(self._order, 1):
                self._receive_until(count)
                if mark(self._replies[index]) != results[index]:
                    return False
            return bool(self._order)
        return False

    def _receive_until(self, count: int) -> None:
        while self._received < count:
            self._replies[self._order[self._received]] = self._receive()
            self._received += 1

    def _live_reply(self, call: str) -> bytes:
        self._receive_until(len(self._order))
        with contextlib.suppress(messages.Closed):
            messages.send(self._channel, f"[{call}]".encode())
        return self._receive()

    def _receive(self) -> bytes:
        try:
            reply = self._reader.receive(value_codec.MAX_BYTES + 100)
        except messages.Closed:
            raise CandidateGone from None
        self._bytes += len(reply)
        if self._bytes > MAX_RESULTS_BYTES:
            raise CandidateFailed("wrong", f"returned more than {MAX_RESULTS_BYTES} bytes")
        return reply


def _value(reply: bytes) -> Any:
    """The value in a reply; raises what the candidate raised, as a builtin exception made here."""
    try:
        message = json.loads(reply)
        [(kind, payload)] = message.items()
        if kind == "value":
            return _RESULTS.value(payload)
        if kind == "refused":
            raise CandidateFailed("wrong", f"returned {str(payload)[:200]}")
        stage, name, text, number = payload
        name, text = str(name)[:100], str(text)[:200]
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


def judge(trial: Trial, channel: socket.socket, again: int) -> dict[str, Any]:
    """Run the test against the candidate at the other end; {"verdict", "message"} and, of a pass, "order_matters".
    `again` counts the tries after the first: the second one and those after it have orders of their own."""
    order = trial.order or list(range(len(trial.plan))) if again or trial.stable else []
    if again > 1:
        order = shuffled(order[:], trial.results)
    stand_in = StandIn(channel, trial.plan, order)
    if order and stand_in.gives(trial.results):
        return {"verdict": "passed", "message": ""}
    verdict, message = _run(trial, stand_in)
    if verdict != "passed" or again:
        return {"verdict": verdict, "message": message}
    if trial.stable and stand_in.calls != trial.plan:
        trial.stable = False
    trial.keep(stand_in)
    if trial.stable is None:
        trial.stable = bool(trial.plan) and _passes(trial, stand_in.results) == trial.plan
    if order and trial.stable:
        return {"verdict": "passed", "message": ""}
    trial.order = telling_order(trial, stand_in.results)
    outcome = {"verdict": "passed", "message": "", "order_matters": bool(trial.order), "repeats": trial.stable}
    if trial.stable and trial.kept_bytes <= MAX_SHARED_BYTES:
        texts = [reply.decode() for reply in trial.results]
        outcome["learnt"] = {"plan": trial.plan, "results": texts, "order": [str(index) for index in trial.order]}
    return outcome


def telling_order(trial: Trial, replies: list[bytes]) -> list[int]:
    """An order of the calls in which a program that answers by their order is found out; empty if all replies are one.

    Not every order that moves replies is: the same value may have been spelt in several ways, or a test may take
    several for the same. So the test is run on the replies where such a program would put them, until it fails.
    """
    if len(set(trial.results)) < 2:
        return []
    started = time.process_time()
    for _ in range(MAX_DRAWS):
        order = shuffled(list(range(len(replies))), trial.results)
        misplaced = [replies[place] for _, place in sorted((index, place) for place, index in enumerate(order))]
        if not trial.stable or _passes(trial, misplaced) is None or time.process_time() - started > DRAW_SECONDS:
            break
    return order


def bound(trials: dict[str, Trial]) -> None:
    """Have the tasks that were asked longest ago forget their passes, until all but the last one keep little enough.
    `trials` is in the order of asking."""
    left = MAX_KEPT_BYTES
    for trial in list(trials.values())[-2::-1]:
        left -= trial.kept_bytes
        if left < 0:
            trial.forget()


def mark(reply: bytes) -> bytes:
    """What tells a reply from any other: itself, or what no reply is."""
    return reply if len(reply) <= MAX_SPELT_BYTES else b"SHA-256 " + hashlib.sha256(reply).hexdigest().encode()


def _passes(trial: Trial, replies: list[bytes]) -> list[str] | None:
    """The calls that the test makes where the kept calls are answered so, without a candidate; None if it fails."""
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours:
        replayed = StandIn(ours, trial.plan, [], dict(enumerate(replies)))
        return replayed.calls if _run(trial, replayed)[0] == "passed" else None


def _run(trial: Trial, stand_in: StandIn) -> tuple[str, str]:
    """(verdict, message) of one run of the test; "gone" where its end has to say more."""
    try:
        trial.run(stand_in)
    except CandidateFailed as failure:
        return failure.verdict, failure.message
    except CandidateGone:
        return "gone", ""
    except AssertionError as error:
        return "wrong", _text("assertion failed", error)
    except BaseException as error:
        return "wrong", _text(type(error).__name__, error)
    return "passed", ""


def shuffled(calls: list[int], results: list[bytes]) -> list[int]:
    """The calls by lot, so that the right results differ from those of as many first calls where any two differ."""
    source = random.SystemRandom()
    source.shuffle(calls)
    while len({results[index] for index in calls}) > 1 and all(
        results[place] == results[index] for place, index in enumerate(calls)
    ):
        source.shuffle(calls)
    return calls


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
    """Judge a candidate for every {"task", "nonce", "again"} and a socket, where "is" tells of a new task; forever."""
    control = socket.socket(fileno=int(sys.argv[1]))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    trials: dict[str, Trial] = {}
    os.dup2(1, 2)  # the pipe is for complaints about the start: nobody reads what a test says
    messages.send(control, messages.READY)
    while True:
        try:
            message, descriptor = messages.receive_with_descriptor(control)
        except messages.Closed:
            return
        if "is" in message:
            trials[message["task"]] = Trial(message["is"])
        if descriptor is not None:
            started = time.process_time()
            trial = trials[message["task"]] = trials.pop(message["task"])
            kept = trial.kept_bytes
            with socket.socket(fileno=descriptor) as channel:
                outcome = judge(trial, channel, message["again"])
            if trial.kept_bytes > kept:
                bound(trials)
            if outcome["verdict"] == "passed":
                outcome["nonce"] = message["nonce"]
            outcome["judge_cpu_seconds"] = time.process_time() - started
            messages.send(control, json.dumps(outcome).encode())


if __name__ == "__main__":
    serve()
