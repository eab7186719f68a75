"""What the judge keeps of right answers is theirs alone in meaning, not in bytes, and bounded over all tasks."""

from __future__ import annotations

import gc
import json
import socket
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluator.sandbox import messages, value_codec
from evaluator.sandbox.test_runner import MAX_KEPT_BYTES, StandIn, Trial, bound, judge, mark, shuffled, telling_order

TAGS = sorted(value_codec.Decoder().tags)
TASK = {
    "prompt": "",
    "entry_point": "f",
    "test": "def check(candidate):\n    assert candidate(1) == [1]\n    assert candidate(2) == [2]\n",
}


def judged(trial: Trial, spaces: int, again: int = 0) -> dict:
    """The judge's outcome on a candidate that answers rightly, with so many spaces in every reply."""
    ours, theirs = socket.socketpair()

    def candidate() -> None:
        try:
            while True:
                for call in json.loads(messages.receive(theirs)):
                    (argument,), _ = value_codec.decode(call)
                    messages.send(theirs, b'{"value":' + b" " * spaces + b"[%d]}" % argument)
        except messages.Closed:
            pass

    thread = threading.Thread(target=candidate)
    thread.start()
    with ours:
        outcome = judge(trial, ours, again)
    thread.join()
    theirs.close()
    return outcome


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(TAGS) | st.text(max_size=3), inner,
                                                                max_size=2),
    max_leaves=12,
)  # fmt: skip
REPLIES = (
    st.binary(max_size=60)
    | VALUES.map(lambda value: json.dumps({"value": value}).encode())
    | st.tuples(st.sampled_from(["call", "import", "syntax"]), VALUES, VALUES, VALUES).map(
        lambda parts: json.dumps({"raised": parts}).encode()
    )
    | VALUES.map(lambda value: json.dumps(value).encode())
)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.lists(REPLIES, max_size=4), st.booleans())
def test_whatever_a_candidate_sends_there_is_a_verdict_and_no_pass(replies, known):
    """The test wants what no reply can be."""
    trial = Trial({**TASK, "test": "def check(candidate):\n    assert candidate(1) is check\n"})
    if known:
        trial.plan, trial.results, trial.stable = [value_codec.dumps(([1], {}))], [b"!"], True
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            for reply in replies:
                messages.send(theirs, reply)
        outcome = judge(trial, ours, 0)
    assert outcome["verdict"] in {"wrong", "gone", "memory", "forbidden", "syntax_error"}
    assert len(outcome["message"]) < 1000 and "nonce" not in outcome


def test_padded_replies_are_kept_in_the_shortest_spelling():
    trial = Trial(TASK)
    assert judged(trial, 3_000_000)["verdict"] == "passed"
    assert trial.results == [b'{"value":[1]}', b'{"value":[2]}']
    assert judged(trial, 3_000_000, again=2)["verdict"] == "passed"
    assert judged(trial, 0)["verdict"] == "passed"  # by its bytes, without the test
    assert 0 < trial.kept_bytes < 200


def test_of_long_results_a_digest_is_kept_that_no_reply_can_be():
    long = value_codec.dumps(["x" * 1000]).encode()
    assert mark(b"1") == b"1" and mark(long) != mark(long + b" ")
    assert mark(mark(long)) != mark(long) and len(mark(long)) < 100


def test_nothing_of_a_run_waits_for_the_collector():
    """It comes after so many objects, not bytes: twelve answers' results were kept at once."""
    gc.collect()
    gc.disable()
    try:
        judged(Trial(TASK), 1000)
        assert not [one for one in gc.get_objects() if type(one) is StandIn]
    finally:
        gc.enable()


def test_what_is_kept_of_all_tasks_is_bounded():
    """The tasks asked longest ago forget; the one that is asked never does, for it may be asked again at once."""
    trials = {name: Trial(TASK) for name in "bcda"}
    for trial in trials.values():
        trial.plan, trial.results, trial.stable, trial.kept_bytes = ["x"], [b"y"], True, MAX_KEPT_BYTES // 2
    bound(trials)
    assert [name for name, trial in trials.items() if trial.results] == ["c", "d", "a"]
    assert (trials["b"].plan, trials["b"].stable, trials["b"].kept_bytes) == ([], None, 0)
    trials["a"].kept_bytes = 10 * MAX_KEPT_BYTES
    bound(trials)
    assert [name for name, trial in trials.items() if trial.results] == ["c", "d", "a"]


def test_a_forgotten_task_is_judged_as_at_first():
    trial = Trial(TASK)
    first = judged(trial, 0)
    trial.forget()
    assert judged(trial, 0) == first and first["learnt"]["results"] == ['{"value":[1]}', '{"value":[2]}']
    assert first["learnt"]["order"] == ["1", "0"]


@pytest.mark.parametrize("results", [[b"1", b"2"], [b"1", b"1", b"2"], [b"2", *[b"1"] * 30]])
def test_an_order_by_lot_gives_other_results_somewhere(results):
    for _ in range(50):
        order = shuffled(list(range(len(results))), results)
        assert sorted(order) == list(range(len(results)))
        assert [results[index] for index in order] != results


@pytest.mark.parametrize(
    ("test", "spelt"),
    [
        ("== (number % 2)", ["0", "1", "0.0", "true", "false", '{"complex":[1,0]}']),
        ("* 10 // 10 == number % 2", ["0.001", "1", "0", "1.05", "false", "1.0"]),
        ("is not None", ["0", "1", "2", "3", "4", "5"]),
    ],
    ids=["equal values of several types", "values that the test takes for the same", "no order tells"],
)
def test_an_order_tells_by_the_tests_own_measure(test, spelt):
    """Replies that differ in their bytes alone are no order: a program that answers by order would pass by chance."""
    source = f"def check(candidate):\n    for number in range(6):\n        assert candidate(number) {test}\n"
    trial = Trial({**TASK, "test": source})
    trial.plan = [value_codec.dumps(([number], {})) for number in range(6)]
    trial.results = [b'{"value":%b}' % text.encode() for text in spelt]
    trial.stable = True
    for _ in range(30):
        order = telling_order(trial, trial.results)
        assert sorted(order) == list(range(6)) and order != list(range(6))
        parities = [index % 2 for index in order]  # of the calls as they are sent; a cheat answers 0, 1, 0, 1, …
        assert test == "is not None" or parities != [0, 1, 0, 1, 0, 1]


def test_equal_calls_get_their_replies_in_the_order_of_the_plan():
    """A test may ask the same twice, and a program may answer it differently."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        call = value_codec.dumps(([1], {}))
        stand_in = StandIn(ours, [call, call], [], {0: b'{"value":"first"}', 1: b'{"value":"second"}'})
        assert [stand_in(1), stand_in(1)] == ["first", "second"]
