"""The program in a model's answer, and the rule by which it was found.

In completion mode the text goes on where the prompt ends; a model that was given the raw prompt may still repeat it,
fence it or write a whole function. In chat mode the program stands somewhere in prose. The rule is stored with each
outcome, because the same answers score very differently under different rules.

Not here: cutting off generation (the engine stops), running (`evaluator.scoring`).
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from evaluator.benchmarks import Task
from evaluator.samples import AnswerKind

Mode = Literal["chat", "completion"]

_FENCE = re.compile(
    r"^[ \t]*(```+|~~~+)[ \t]*([\w+#.-]*)[^\n`]*\n(.*?)(?:^[ \t]*\1[ \t]*$|\Z)", re.DOTALL | re.MULTILINE
)
_PYTHON_NAMES = ("python", "py", "python3", "")
MAX_CUTS = 200
"""Attempts to find where a program in prose ends."""
MAX_CHARACTERS = 200_000
"""Of an answer that is searched; a longer one is taken as it is."""
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

    completion: the text as it is, unless it is fenced or defines the function itself.
    chat: the fenced blocks, else the first part of the text that parses, else the text as it is.
    """
    text = answer.replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff")
    if len(text) > MAX_CHARACTERS:
        return Extraction(text, "too long to search", "completion" if mode == "completion" else "solution")
    if mode == "completion":
        return _completion(text, task)
    blocks = _blocks(text)
    if blocks:
        return _from_blocks(blocks, task)
    return _from_prose(text, task)


def _completion(text: str, task: Task) -> Extraction:
    if text.startswith(task.prompt):
        return Extraction(text[len(task.prompt) :], "completion+repeated prompt removed", "completion")
    blocks = _blocks(text)
    if blocks and text.lstrip().startswith(("```", "~~~")):
        return _from_blocks(blocks, task)
    # What follows a closing fence is prose: the model had begun inside a fence of its own.
    cut = re.split(r"^```.*$", text, maxsplit=1, flags=re.MULTILINE)[0]
    rule = "completion" if cut == text else "completion+cut at fence"
    return Extraction(cut, rule, "completion")


def _blocks(text: str) -> list[str]:
    """Fenced blocks in Python or in no stated language, in order; an unclosed last one counts."""
    found = [(match.group(2).lower(), match.group(3)) for match in _FENCE.finditer(text)]
    return [textwrap.dedent(body) if _all_indented(body) else body for name, body in found if name in _PYTHON_NAMES]


def _all_indented(body: str) -> bool:
    """Whether a block is indented as a whole although it holds a definition: it stood in a list."""
    return re.match(r"\s+(def|from|import|class|@)", body) is not None


def _from_blocks(blocks: list[str], task: Task) -> Extraction:
    defining = [block for block in blocks if _defines(block, task.entry_point)]
    if defining:
        # The last one that defines it is the model's final word; helpers may stand in earlier blocks.
        chosen = defining[-1]
        rule = "fence" if len(blocks) == 1 else "last fence that defines it"
        missing = _free_names(chosen)
        helpers = [b for b in blocks if b is not chosen and b not in defining and _defined_names(b) & missing]
        if helpers:
            return Extraction("\n".join([*helpers, chosen]), rule + "+helpers", "solution")
        return Extraction(chosen, rule, "solution")
    body = next((block for block in blocks if block.strip()), "")
    return _body(body, "first fence" if len(blocks) > 1 else "fence", task)


def _from_prose(text: str, task: Task) -> Extraction:
    """Without fences: from the first line that starts code, as much as parses."""
    if text.startswith(task.prompt):
        return Extraction(text[len(task.prompt) :], "text+repeated prompt removed", "completion")
    start = _CODE_START.search(text)
    if start:
        code = _longest_program(text[start.start() :])
        if code and _defines(code, task.entry_point):
            return Extraction(code, "text from first definition", "solution")
        if _defines(text[start.start() :], task.entry_point):
            return Extraction(text[start.start() :], "text from first definition", "solution")
    indented = re.search(r"(?:^(?: {4}|\t).*\n?(?:^[ \t]*\n)*)+", text, re.MULTILINE)
    if indented:
        return _body(indented.group(0), "indented text", task)
    if text.strip() and _parses(text):
        return _body(text, "text", task)
    return Extraction("", "none", "solution")


def _body(code: str, rule: str, task: Task) -> Extraction:
    """Code that does not define the function: its body, if it can be one after the prompt."""
    if not code.strip():
        return Extraction("", "none", "solution")
    for name, candidate in (
        ("body", code),
        ("body+indented", textwrap.indent(textwrap.dedent(code).strip("\n") + "\n", "    ")),
    ):
        tree = _tree(task.prompt + candidate)
        if tree and not _returns(tree.body):
            return Extraction(candidate, f"{rule}+{name}", "completion")
    return Extraction(code, rule, "solution")


def _returns(statements: Iterable[ast.AST]) -> bool:
    """Whether there is a return outside of functions, which parses but does not compile."""
    return any(
        isinstance(node, ast.Return)
        or (not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _returns(ast.iter_child_nodes(node)))
        for node in statements
    )


def _longest_program(text: str) -> str:
    """The longest run of whole lines from the start that parses, cut where the prose goes on; empty if none."""
    lines = text.split("\n")
    end = len(lines)
    for _ in range(MAX_CUTS):
        code = "\n".join(lines[:end]) + "\n"
        try:
            ast.parse(code)
            return code
        except SyntaxError as error:
            # What stands after the error cannot mend it: cut before the statement at the margin that it is in.
            end = min(end - 1, error.lineno or end)
        except (ValueError, RecursionError, MemoryError):
            return ""
        while end > 0 and (not lines[end].strip() or lines[end][0] in " \t)]}"):
            end -= 1
        if end <= 0:
            return ""
    return ""


def _parses(code: str) -> bool:
    return _tree(code) is not None


def _tree(code: str) -> ast.Module | None:
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _defines(code: str, name: str) -> bool:
    """Whether the code defines the function, in text if it does not parse: a syntax error in it is the model's."""
    tree = _tree(code)
    if tree is None:
        return re.search(rf"^(async )?def {re.escape(name)}\s*\(", code, re.MULTILINE) is not None
    return name in _top_names(tree)


def _defined_names(code: str) -> set[str]:
    tree = _tree(code)
    return _top_names(tree) if tree else set()


def _top_names(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update(alias.asname or alias.name for alias in node.names)
    return names


def _free_names(code: str) -> set[str]:
    """Names that the code reads and does not define at its top."""
    tree = _tree(code)
    if tree is None:
        return set()
    read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    return read - _top_names(tree)
