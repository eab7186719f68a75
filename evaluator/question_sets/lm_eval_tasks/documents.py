"""A task's documents with the requests that lm-eval makes of each: what is asked of every model, the same for all.

Turns of a chat are kept as turns until a model's own template renders them (`turns_of`).
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from engines import Message
from evaluator.errors import BenchmarkUnreadable
from evaluator.question_sets.lm_eval_tasks.finding import Tasks
from evaluator.question_sets.lm_eval_tasks.installed import FEWSHOT_SEED, quiet
from evaluator.tasks.subsets import choose_tasks
from results import digest

GROUPS = ("group_id", "passage_id")
"""Columns that say which documents are related; in a task of one's own `group` too, which others use for kinds."""

CHAT = "\x00turns:"
"""What a prompt begins with whose turns are not rendered yet."""


@dataclass(frozen=True)
class Manner:
    """How lm-eval is told to make requests."""

    chat: bool = False
    """Whether the model's chat template is used; lm-eval's own default is without."""
    system: str = ""
    num_fewshot: int | None = None
    """Examples before each question; None: as the task says."""
    tasks: int | tuple[str | int, ...] | None = None
    """How many documents, spread evenly over all tasks, or which; all by default."""


@dataclass(frozen=True)
class Document:
    """One document and what is asked of a model about it."""

    id: str
    """Its number and a digest of what it says, as imported samples are called; in a group after the task's name."""
    task: str
    place: int
    """Its number in the task's split."""
    group: str = ""
    """What its group of related documents is called, where its row says it (`GROUPS`)."""
    requests: tuple[Any, ...] = ()
    """`lm_eval.api.instance.Instance`s, in lm-eval's order."""

    @property
    def repeats(self) -> int:
        """How often each request is answered."""
        return max((int(one.repeats or 1) for one in self.requests), default=1)


@dataclass(frozen=True)
class Documents:
    """Those that are measured."""

    tasks: Tasks
    manner: Manner
    chosen: tuple[Document, ...]
    subset: str
    """What is said of them where not all are."""
    digest: str = field(default="", compare=False)
    """SHA-256 of all that is asked."""

    @property
    def places(self) -> dict[str, list[int]]:
        """Task name → the numbers of its documents, sorted: what lm-eval calls samples."""
        found: dict[str, list[int]] = {}
        for one in self.chosen:
            found.setdefault(one.task, []).append(one.place)
        return {task: sorted(places) for task, places in found.items()}


def documents(tasks: Tasks, manner: Manner) -> Documents:
    """The documents that are measured, with their requests. Raises: BenchmarkUnreadable, ModelUnmeasurable."""
    several, columns = len(tasks.tasks) > 1, (*GROUPS, "group") if tasks.path else GROUPS
    every = [one for name, task in tasks.tasks.items() for one in _named(name, task, several, columns)]
    chosen, subset = choose_tasks(every, manner.tasks)
    order = {one.id: place for place, one in enumerate(every)}
    ordered = tuple(sorted(chosen, key=lambda one: order[one.id]))
    found = Documents(tasks, manner, ordered, subset.replace("tasks", "items"))
    asked = requests_of(found)
    complete = tuple(replace(one, requests=tuple(asked[one.task, one.place])) for one in ordered)
    said = [[one.id, [[each.request_type, each.args, each.repeats] for each in one.requests]] for one in complete]
    return replace(found, chosen=complete, digest=digest(json.loads(json.dumps(said, default=str))))


def document_texts(of: Documents) -> dict[str, str]:
    """Document → its question, without examples, and the answer that its task calls right."""
    found = {}
    for one in of.chosen:
        task = of.tasks.tasks[one.task]
        document = task.eval_docs[one.place]
        with quiet():
            target = task.doc_to_target(document)
            choices = task.doc_to_choice(document) if getattr(task.config, "doc_to_choice", None) else ()
            numbered = isinstance(target, int) and 0 <= target < len(choices)
            right = choices[target] if numbered else target
            found[one.id] = f"{task.doc_to_text(document)}\n{right}"
    return found


def requests_of(of: Documents) -> dict[tuple[str, int], list[Any]]:
    """(task, number) → the requests that lm-eval makes of a document, few-shot examples drawn anew from their seed."""
    found: dict[tuple[str, int], list[Any]] = {}
    for name, places in of.places.items():
        task = prepared(of.tasks.tasks[name], of.manner)
        try:
            with quiet():
                task.build_all_requests(samples=places, **building(of.manner))
        except Exception as error:  # templates and functions of tasks: anything may come out
            said = " ".join(str(error).split())[:300] or type(error).__name__
            raise BenchmarkUnreadable(f"lm-eval cannot make the requests of {name}: {said}") from error
        for one in task.instances:
            found.setdefault((name, places[one.doc_id]), []).append(one)
    return {key: sorted(requests, key=lambda one: int(one.idx)) for key, requests in found.items()}


def prepared(task: Any, manner: Manner) -> Any:
    """A task with its number of examples and their seed set as lm-eval sets them."""
    said = task.get_config("num_fewshot")
    if manner.num_fewshot is not None and said != 0:
        task.set_config(key="num_fewshot", value=manner.num_fewshot)
    elif said is None:
        task.set_config(key="num_fewshot", value=0)
    random.seed(0)
    task.set_fewshot_seed(seed=FEWSHOT_SEED)
    return task


def building(manner: Manner) -> dict[str, Any]:
    """What `build_all_requests` is told of prompts."""
    return {
        "system_instruction": manner.system or None,
        "apply_chat_template": manner.chat,
        "fewshot_as_multiturn": manner.chat,
        "chat_template": unrendered if manner.chat else None,
    }


def unrendered(turns: Sequence[Mapping[str, str]], add_generation_prompt: bool = True) -> str:
    """Turns as a prompt that a model's template renders later."""
    return CHAT + json.dumps([list(map(dict, turns)), add_generation_prompt])


def turns_of(prompt: str) -> tuple[tuple[Message, ...], str]:
    """(turns to be rendered, what the answer is begun with); without turns (), the text that is continued."""
    if not prompt.startswith(CHAT):
        return (), prompt
    turns, answered_next = json.loads(prompt.removeprefix(CHAT))
    begun = "" if answered_next else turns.pop()["content"]
    return tuple(cast(Message, {"role": turn["role"], "content": turn["content"]}) for turn in turns), begun


def request_shown(prompt: str) -> str:
    """A prompt for people: turns with their roles before them."""
    turns, begun = turns_of(prompt)
    return "\n\n".join(f"[{turn['role']}] {turn['content']}" for turn in turns) + (f"\n\n{begun}" if turns else begun)


def _named(name: str, task: Any, several: bool, groups: Sequence[str]) -> list[Document]:
    from lm_eval.utils import handle_non_serializable, hash_string

    found = []
    for place, document in enumerate(task.eval_docs):
        said = json.dumps(document, indent=2, default=handle_non_serializable, ensure_ascii=False)
        told = f"{place} {hash_string(said)[:8]}"
        group = next((str(document[key]) for key in groups if document.get(key) not in (None, "")), "")
        group = f"{name}/{group}" if several and group else group
        found.append(Document(f"{name}/{told}" if several else told, name, place, group))
    return found
