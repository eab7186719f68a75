"""What a set of answers looks like where it does not fit the way in which it was run, and the option that would fit.

Nothing is changed by itself: a score is by the rule that was asked for, and these are the words beside it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from evaluator.extraction import programs
from evaluator.extraction.extract import AFTER_STRIPPED, Taking, taken
from evaluator.extraction.markup import has_tokens, signs_of_chat
from evaluator.humaneval.scoring import ScoredAnswer, ScoringSettings
from evaluator.tasks.samples import Answer
from evaluator.tasks.task import Task

Pair = tuple[Answer, ScoredAnswer]
_MISSING = re.compile(r"NameError: name '(\w+)' is not defined")


def misfits(
    answers: Sequence[Answer],
    scored: Sequence[ScoredAnswer],
    tasks: Mapping[str, Task],
    settings: ScoringSettings,
    how: Taking,
) -> list[str]:
    """A sentence for each kind of misfit; none for answers that fit. `answers` as they were handed in."""
    pairs = list(zip(answers, scored, strict=True))
    found = [_missing_names(pairs, tasks, settings), _bodies(pairs, tasks, settings)] if how == "as given" else []
    return [sentence for sentence in (_chats(pairs, tasks, settings) if how == "as given" else "", *found) if sentence]


def _chats(pairs: Sequence[Pair], tasks: Mapping[str, Task], settings: ScoringSettings) -> str:
    """Answers out of which code would have to be taken."""
    fits = {"as given", AFTER_STRIPPED} if settings.before_completion == "stripped" else {"as given"}
    signs: Counter[str] = Counter()
    looks = broken = changed = 0
    for answer, one in pairs:
        if one.verdict == "passed" and not has_tokens(answer.code):
            continue
        task, seen = tasks[answer.task_id], signs_of_chat(answer.code)
        signs.update(seen)
        looks += bool(seen)
        broken += one.verdict == "syntax_error"
        other = taken(answer, task, "extracted")
        if other.rule in fits or (not seen and _is_body(answer, one, task)):
            continue
        changed += bool(seen) or _parses(other.code, other.kind, task)
    if not changed:
        return ""
    about = f"{broken} of {len(pairs)} answers do not parse"
    if looks:
        said = ", ".join(f"{sign} in {count}" for sign, count in signs.most_common())
        about = f"{looks} of {len(pairs)} answers look like a chat's ({said})"
    return f"{about}; they were run as given, no code was taken out. --extract would change {changed} programs"


def _bodies(pairs: Sequence[Pair], tasks: Mapping[str, Task], settings: ScoringSettings) -> str:
    """Bodies of functions that are called whole programs."""
    if settings.before_solution == "prompt":
        return ""
    count = sum(_is_body(answer, one, tasks[answer.task_id]) for answer, one in pairs)
    if not count:
        return ""
    return (
        f"{count} of {len(pairs)} 'solution' answers are no whole programs (IndentationError), but parse after the "
        "prompt: --before-solution prompt"
    )


def _is_body(answer: Answer, one: ScoredAnswer, task: Task) -> bool:
    """Whether what is called a whole program is one only after the prompt."""
    indented = one.verdict == "syntax_error" and one.message.startswith("IndentationError")
    return answer.kind == "solution" and indented and programs.parses(task.prompt + answer.code)


def _missing_names(pairs: Sequence[Pair], tasks: Mapping[str, Task], settings: ScoringSettings) -> str:
    """Whole programs that lack what their prompts have."""
    if settings.before_solution != "nothing":
        return ""
    names: Counter[str] = Counter()
    for answer, one in pairs:
        lacks = _MISSING.search(one.message) if answer.kind == "solution" and one.verdict != "passed" else None
        if lacks and lacks[1] in programs.imported_names(tasks[answer.task_id].prompt):
            names[lacks[1]] += 1
    if not names:
        return ""
    what = ", ".join(sorted(names))
    return (
        f"{names.total()} of {len(pairs)} 'solution' answers fail with a NameError for what their prompts import "
        f"({what}): --before-solution imports"
    )


def _parses(code: str, kind: str, task: Task) -> bool:
    return bool(code) and programs.parses((task.prompt if kind == "completion" else "") + code)
