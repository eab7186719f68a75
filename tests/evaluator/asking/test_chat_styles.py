"""A right function is found however a chat dresses it up: fences, tokens, thoughts, quoting, demonstrations."""

from __future__ import annotations

import ast
import html
import textwrap

import pytest

from evaluator import Answer, Scorer, ScoringSettings, Task, extract_code, load_benchmark
from evaluator.asking.prompts import end_of_chat

TASKS = load_benchmark("humaneval")

# {prompt}: as the task has it. {body}: the canonical one. {bare}: the function alone, without its docstring; {rest}:
# what the prompt has besides. {name}: the function's.
STYLES = {
    "info string in braces": "```{{.python}}\n{prompt}{body}```",
    "info string with more": '```Python 3 title="a.py"\n{prompt}{body}```',
    "wrong language": "```javascript\n{prompt}{body}```",
    "prose before the fence's line": "Here it is: ```python\n{prompt}{body}```",
    "fence behind a list mark": "1. ```python\n{prompt}{body}```",
    "closing fence behind the code": "```python\n{stripped}```\nDone.",
    "four ticks around three": "````markdown\n# Solution\n```python\n{prompt}{body}```\n````",
    "begun inside of a fence": "{prompt}{body}```\n\nThis works, as `{name}` shows.",
    "unclosed, then the end of the turn": "Sure!\n```python\n{prompt}{body}<|im_end|>",
    "end of the turn": "```python\n{prompt}{body}```<|eot_id|>",
    "end of the text": "{prompt}{body}\n</s>",
    "a turn's head": "<|im_start|>assistant\n```python\n{prompt}{body}```<|im_end|>",
    "another turn": "```python\n{prompt}{body}```\n<|im_start|>user\n```python\ndef {name}():\n    pass\n```",
    "few-shot marks": "[BEGIN]\n{prompt}{body}\n[DONE]",
    "thoughts with a try": "<think>\n```python\n{prompt}    return 1\n```\n</think>\n\n```python\n{prompt}{body}```",
    "thoughts, then bare code": "<think>\ndef {name}(*a):\n    return 1\n</think>\n{prompt}{body}",
    "thoughts that began in the prompt": "```python\n{prompt}    return 1\n```\n</think>\n\n{prompt}{body}",
    "the task first": "You want\n```python\n{prompt}    pass\n```\nso\n```python\n{prompt}{body}```",
    "the task last": "```python\n{prompt}{body}```\nYour text was\n```python\n{prompt}```",
    "a test that imports it": "```python\n{prompt}{body}```\n```python\nfrom solution import {name}\n```",
    "an example first": "```python\nprint({name}(1))\n```\n```python\n{prompt}{body}```",
    "imports apart": "First\n```python\n{rest}\n```\nthen\n```python\n{bare}\n```",
    "output": "```python\n{prompt}{body}```\nOutput:\n```\nTrue\n{name}\n```",
    "prose in the fence": "```python\n{prompt}{body}\n\nThis function does it.\n```",
    "prose that looks like code": "import is a keyword.\ndef is another.\nclass too.\n\n{prompt}{body}",
    "demonstrations": "```python\n{prompt}{body}\nx = input()\ny = {name}(x)\nprint(y)\nassert {name}(y) == 'no'\n```",
    "a main part": "```python\n{prompt}{body}\nif __name__ == '__main__':\n    print({name}(input()))\n```",
    "a method": "```python\n{rest}\n\nclass Solution:\n{method}\n```",
    "a static method": "```python\n{rest}\n\nclass Solution:\n    @staticmethod\n{indented}\n```",
    "notebook commands": "```python\n%matplotlib inline\n!pip install x\n{prompt}{body}```",
    "a docstring with a fence": "```py\n{rest}\n{head}\n    '''\n    ```py\n    f()\n    ```\n    '''\n{inner}\n```",
    "form feed and CRLF": "```python\r\n\f{prompt}{body}```",
}  # fmt: skip


def dressed(style: str, task: Task) -> str:
    tree = ast.parse(task.prompt + task.canonical_solution)
    function = next(n for n in reversed(tree.body) if isinstance(n, ast.FunctionDef) and n.name == task.entry_point)
    function.body = function.body[1:] or function.body
    rest = "\n".join(ast.unparse(node) for node in tree.body if node is not function)
    bare = ast.unparse(function)
    head, _, inner = bare.partition("\n")
    method = bare.replace("(", "(self, ", 1)
    return STYLES[style].format(
        prompt=task.prompt, body=task.canonical_solution, name=task.entry_point, bare=bare, rest=rest or "import math",
        stripped=(task.prompt + task.canonical_solution).rstrip(), head=head, inner=inner,
        method=textwrap.indent(method, "    "), indented=textwrap.indent(bare, "    "),
    )  # fmt: skip


def shell(code: str) -> str:
    return "".join(f"{'...' if not line or line[0].isspace() else '>>>'} {line}\n" for line in code.split("\n"))


BY_HAND = {
    "block quote": lambda code: "\n".join(f"> {line}" for line in f"So:\n```python\n{code}```".split("\n")),
    "list": lambda code: "1. So:\n\n" + textwrap.indent(f"```python\n{code}```\n", "   "),
    "shell": lambda code: f"```python\n{shell(code)}```",
    "entities": lambda code: f"```python\n{html.escape(code)}```",
    "web page": lambda code: f'<pre><code class="python">{html.escape(code)}</code></pre>',
    "spaces that do not break": lambda code: f"```python\n{code.replace('    ', chr(0xA0) * 4)}```",
}


@pytest.mark.slow
def test_canonical_solutions_pass_in_every_style():
    tasks = TASKS[::20]
    answers = [(style, task, dressed(style, task)) for style in STYLES for task in tasks]
    answers += [
        (style, task, dress(task.prompt + task.canonical_solution))
        for style, dress in BY_HAND.items()
        for task in tasks
    ]
    found = [extract_code(text, task) for _, task, text in answers]
    with Scorer(tasks, ScoringSettings(calibrate=False)) as scorer:
        scored = scorer.score(
            [
                Answer(task.id, n, one.code, one.kind)
                for n, ((_, task, _), one) in enumerate(zip(answers, found, strict=True))
            ]
        )
    failed = [
        (style, task.id, one.rule, score.message)
        for (style, task, _), one, score in zip(answers, found, scored, strict=True)
        if score.verdict != "passed"
    ]
    assert failed == []


TASK = Task(
    "Double/0", 'def double(x):\n    """ Twice x. """\n', "double", "def check(c):\n    pass\n", "    return 2 * x\n"
)


@pytest.mark.parametrize(
    ("answer", "rule"),
    [
        ("```python\nclass S:\n    def double(self, x):\n        return 2 * x\n```", "fence+method"),
        ("```python\n>>> def double(x):\n...     return 2 * x\n>>> double(2)\n4\n```", "fence+prompts removed"
         "+demonstrations removed"),
        ("```python\ndef double(x):\n    return 2 * x\nThat is all.\n```", "fence+prose cut off"),
        ("```python\ndef double(x):\n    return 2 * x\n\nassert double(2) == 5\n```", "fence+demonstrations removed"),
    ],
)  # fmt: skip
def test_what_was_done_is_said(answer, rule):
    found = extract_code(answer, TASK)
    space: dict = {}
    exec(found.code, space)
    assert (found.rule, space["double"](4)) == (rule, 8)


@pytest.mark.parametrize(
    "after",
    ["double.calls = 0\n", "double = staticmethod(double).__func__\n",
     "TABLE = [double(1)]\ndef other():\n    return TABLE\n",
     "import sys\nsys.setrecursionlimit(5000)\n", "memo = {}\nmemo[0] = 0\n"],
)  # fmt: skip
def test_what_a_program_needs_is_no_demonstration(after):
    code = f"def double(x):\n    return 2 * x\n\n{after}"
    assert extract_code(f"```python\n{code}```", TASK).code == code


def test_imports_from_the_future_come_first():
    """Behind the prompt's imports, or behind a helper's block, they would be a syntax error."""
    task = Task("F/0", "import math\n\n" + TASK.prompt, "double", "def check(c):\n    assert c(2) == 4\n", "")
    code = "from __future__ import annotations\n\ndef double(x: int | None):\n    return twice(x)\n"
    helper = "def twice(x):\n    return 2 * x\n"
    found = extract_code(f"```python\n{helper}```\n```python\n{code}```", task)
    with Scorer([task], ScoringSettings(before_solution="imports", calibrate=False, workers=1)) as scorer:
        [score] = scorer.score([Answer(task.id, 0, found.code, found.kind)])
    assert (score.verdict, found.rule) == ("passed", "last fence that defines it+helpers")


def test_generation_goes_on_where_the_answer_is_still_to_come():
    end = end_of_chat("double")
    whole = "```python\ndef double(x):\n    return 2 * x\n```"
    for start in (
        "<think>\n" + whole, f"```python\n{TASK.prompt}```\n", "```python\n" + TASK.prompt + "    pass\n```\n",
        "```python\ndef double(x):\n    '''\n    ```\n    ```\n",
    ):  # fmt: skip
        assert end(start) is None
    assert end(f"<think>\n{whole}\n</think>\n{whole}\nMore") == len(f"<think>\n{whole}\n</think>\n{whole}")
