"""Code is found in answers of every habit, and the rule says how."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluator import Task, extract_code

PROMPT = 'from typing import List\n\n\ndef double(x: int) -> int:\n    """ Twice x. """\n'
TASK = Task("Double/0", PROMPT, "double", "def check(candidate):\n    assert candidate(2) == 4\n", "    return 2 * x\n")
WHOLE = "def double(x):\n    return 2 * x\n"


def works(found) -> bool:
    """Whether the program that the extraction leads to defines a right function."""
    space: dict = {}
    exec((PROMPT if found.kind == "completion" else "") + found.code, space)
    return space["double"](21) == 42


CHAT = [
    ("one fence", f"Sure!\n\n```python\n{WHOLE}```\nThis doubles it.", "fence"),
    ("fence without a language", f"```\n{WHOLE}```", "fence"),
    ("unclosed fence", f"Here you are:\n```python\n{WHOLE}", "fence"),
    ("tildes", f"~~~py\n{WHOLE}~~~", "fence"),
    ("CRLF", f"```python\n{WHOLE}```".replace("\n", "\r\n"), "fence"),
    ("several blocks", f"```python\ndef double(x):\n    return 0\n```\nBetter:\n```python\n{WHOLE}```\nThen:\n"
     "```python\nprint(double(2))\n```", "last fence that defines it"),
    ("helper in an earlier block", "```python\ndef twice(x):\n    return 2 * x\n```\n```python\ndef double(x):\n"
     "    return twice(x)\n```", "last fence that defines it+helpers"),
    ("other language first", f"```bash\npip install x\n```\n```python\n{WHOLE}```", "fence"),
    ("body only, fenced", "```python\n    return 2 * x\n```", "fence+body"),
    ("body at the margin, fenced", "```python\ny = x\nreturn 2 * y\n```", "fence+body+indented"),
    ("repeated prompt", PROMPT + "    return 2 * x\n", "text+repeated prompt removed"),
    ("prose and code without fences", f"The function is:\n\n{WHOLE}\nIt returns 2x. That's all, isn't it?",
     "text from first definition"),
    ("indented code without fences", "You can use\n\n    return 2 * x\n\nwhich doubles.", "indented text+body"),
    ("block in a list", "1. Write\n   ```python\n   def double(x):\n       return 2 * x\n   ```", "fence"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "rule"), [case[1:] for case in CHAT], ids=[case[0] for case in CHAT])
def test_chat(answer, rule):
    found = extract_code(answer, TASK, "chat")
    assert found.rule == rule
    assert works(found), found


COMPLETION = [
    ("body", "    return 2 * x\n", "completion"),
    ("whole function", WHOLE, "completion"),
    ("repeated prompt", PROMPT + "    return 2 * x\n", "completion+repeated prompt removed"),
    ("fenced", f"```python\n{WHOLE}```\n", "fence"),
    ("closing fence and prose", "    return 2 * x\n```\nThis works because", "completion+cut at fence"),
]


@pytest.mark.parametrize(("answer", "rule"), [case[1:] for case in COMPLETION], ids=[case[0] for case in COMPLETION])
def test_completion(answer, rule):
    found = extract_code(answer, TASK, "completion")
    assert found.rule == rule
    assert works(found), found


def test_no_code():
    assert extract_code("I cannot help with that.", TASK).code == ""
    assert extract_code("", TASK).rule == "none"
    assert extract_code("```python\n```", TASK).code == ""


def test_a_broken_program_stays_broken():
    """A syntax error is the model's: it is not cut away."""
    found = extract_code("```python\ndef double(x):\n    return 2 *\n```", TASK)
    assert (found.code, found.rule) == ("def double(x):\n    return 2 *\n", "fence")
    assert extract_code("def double(x):\n    return 2 *\n", TASK).code == "def double(x):\n    return 2 *\n"


@given(st.text(st.characters() | st.sampled_from("`\n #()def:"), max_size=300), st.sampled_from(["chat", "completion"]))
def test_any_text_gives_an_extraction(text, mode):
    found = extract_code(text, TASK, mode)
    assert found.rule
    assert found.kind in ("completion", "solution")


def test_long_answers_are_bounded():
    prose = "def double(x):\n    return 2 * x\n" + "And then, (as said.\n" * 5000
    assert works(extract_code(prose, TASK))
    assert extract_code("x\n" * 500_000, TASK).rule == "too long to search"
    for piece in ("```\n'''\n", "import x\n", "~~~ ", "<|im_start|> ", "> ", "```python\nx = (\n"):
        assert extract_code(piece * 4000, TASK).rule
