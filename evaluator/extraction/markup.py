"""What chats put around code: templates' tokens, thoughts, fences, quoting; and how code looks that went through them.

Not here: which of several blocks is the answer (`evaluator.extraction.extract`).
"""

from __future__ import annotations

import html
import itertools
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass

from evaluator.extraction.programs import leaves_string_open, parses

PYTHON_NAMES = frozenset({"", "python", "py", "python3", "py3", "python2", "ipython", "ipython3", "pycon"})
MAX_NESTED = 8
"""Closing fences that may stand inside of a block's strings."""

_FIRST_TOKENS = re.compile(r"\A\s*(?:(?:<\|\w{2,40}\|>|<s>|<start_of_turn>)\s*(?:(?:assistant|model)\b\s*)?)+")
_TOKEN = re.compile(
    r"<\|\w{2,40}\|>|<｜[^｜\n]{2,40}｜>|</s>[ \t]*$|<(?:end|start)_of_turn>|^\[(?:DONE|/PYTHON|END)\][ \t]*$",
    re.MULTILINE,
)
"""Where a model's turn is over: end-of-turn tokens of the usual templates as text, and MBPP's few-shot marks."""
# The look-ahead keeps long runs of ticks from being tried at every length.
_OPENING = re.compile(r"^(?P<before>[^\n`~]*)(?P<fence>```+|~~~+)(?![`~])(?P<info>[^\n`]*)\n", re.MULTILINE)
_LIST_MARK = re.compile(r"[ \t]*(?:[-*+]|\d{1,3}[.)])?[ \t]*")
_QUOTED_FENCE = re.compile(r"^> ?(?:```|~~~)", re.MULTILINE)
_CHARACTERS = str.maketrans("\u00a0\u3000“”„‘’", '  """\'\'', "\u200b\ufeff")


@dataclass(frozen=True)
class Block:
    """What stands in a fence."""

    language: str
    """The info string's first word in lower case, or empty."""
    code: str
    start: int
    """Where its fence opens in the text."""


def bare(text: str) -> str:
    """An answer without what is no part of it: marks before it, thoughts, all after the end of the turn, quoting."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff\u200b")
    text = _FIRST_TOKENS.sub("", text)
    answer = text.rpartition("</think>")[2]
    text = answer.lstrip("\n") if answer != text and answer.strip() else text
    end = _TOKEN.search(text)
    text = text[: end.start()] if end else text
    return re.sub(r"^> ?", "", text, flags=re.MULTILINE) if _QUOTED_FENCE.search(text) else text


def has_tokens(text: str) -> bool:
    """Whether a chat template's tokens stand in a text."""
    return bool(_FIRST_TOKENS.match(text) or _TOKEN.search(text))


def signs_of_chat(text: str) -> list[str]:
    """The signs by which a text looks like a chat's answer: none where it may be code as it is."""
    signs = {
        "code fences": _OPENING.search(text) is not None or text.lstrip().startswith(("```", "~~~")),
        "thoughts": "</think>" in text or text.lstrip().startswith("<think>"),
        "tokens of a chat template": has_tokens(text),
    }
    return [sign for sign, there in signs.items() if there]


def blocks(text: str) -> list[Block]:
    """All fenced blocks, in order; an unclosed last one counts."""
    found = []
    place = 0
    while opening := _OPENING.search(text, place):
        named = re.match(r"[\s{.]*([\w+#-]*)", opening["info"])
        language = named[1].lower() if named else ""
        place = opening.end()
        if language in ("markdown", "md"):
            continue  # the whole answer is fenced once more
        code, place = _body(text, opening["fence"], place)
        margin = len(opening["before"]) if _LIST_MARK.fullmatch(opening["before"]) else 0
        code = re.sub(rf"^[ \t]{{0,{margin}}}", "", code, flags=re.MULTILINE) if margin else code
        if re.match(r"\s+(def|from|import|class|@)", code):
            code = textwrap.dedent(code)
        found.append(Block(language, code, opening.start()))
    return found


def _body(text: str, fence: str, start: int) -> tuple[str, int]:
    """(what stands in a fence opened before `start`, where the text goes on)."""
    mark = re.escape(fence[0])
    closing = re.compile(rf"(?:^[ \t]*|(?<=[^\s{mark}])){mark}{{{len(fence)},}}[ \t]*$", re.MULTILINE)
    closings = list(itertools.islice(closing.finditer(text, start), MAX_NESTED))
    for end in closings:
        code = text[start : end.start()]
        if not leaves_string_open(code):
            return code, end.end()
    if closings:
        return text[start : closings[0].start()], closings[0].end()
    return text[start:], len(text)


def mended(code: str) -> tuple[str, str]:
    """(code, what was done to it, each word after a "+"): marks of a shell, a notebook or a web page are taken away if
    the code then parses; else it is returned as it was."""
    done, changed = "", code
    if parses(code):
        return code, done
    for what, mend in _MENDS.items():
        after = mend(changed)
        if after != changed:
            changed, done = after, f"{done}+{what}"
            if parses(changed):
                return changed, done
    return code, ""


def _without_prompts(code: str) -> str:
    """The lines typed at `>>>` and `...`; what the shell replied is dropped."""
    lines = code.split("\n")
    if not any(line.startswith(">>>") for line in lines):
        return code
    return "\n".join(line[4:] for line in lines if re.match(r"(?:>>>|\.\.\.)(?: |$)", line)) + "\n"


def _without_commands(code: str) -> str:
    return re.sub(r"^[%!].*$", "", code, flags=re.MULTILINE)


_MENDS: dict[str, Callable[[str], str]] = {
    "prompts removed": _without_prompts,
    "notebook commands removed": _without_commands,
    "entities decoded": html.unescape,
    "characters mended": lambda code: code.translate(_CHARACTERS),
}
