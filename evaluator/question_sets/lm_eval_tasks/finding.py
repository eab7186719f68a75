"""Which tasks a name behind `lm-eval:` means: one that comes with lm-eval, a YAML file of one's own, a folder of them.

    found = named_tasks("lm-eval:gsm8k")
    found.tasks                       # task name → lm-eval's Task, its documents loaded

A name's own folder is looked through first: an index of all 15,000 tasks takes seconds. Rows come from where the task
says, for most of them the Hub; where they can neither be found here nor fetched, one line says which are missing.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluator.errors import BenchmarkUnreadable
from evaluator.question_sets.lm_eval_tasks.foreign import check_foreign
from evaluator.question_sets.lm_eval_tasks.installed import PREFIX, own_tasks, quiet, version
from results import short_repr


@dataclass(frozen=True)
class Tasks:
    """What one name stands for."""

    benchmark: str
    """What its evaluations are stored under, `lm-eval:` before it."""
    tasks: Mapping[str, Any]
    """Task name → `lm_eval.api.task.Task`."""
    groups: Mapping[str, Any]
    """Group name → `lm_eval.api.group.Group`."""
    path: str
    """The YAML file or folder; empty for a task that comes with lm-eval."""

    @property
    def kind(self) -> str:
        """What the tasks ask of a model: generate_until, loglikelihood or loglikelihood_rolling."""
        first: str = next(iter(self.tasks.values())).OUTPUT_TYPE
        return "loglikelihood" if first == "multiple_choice" else first

    @property
    def versions(self) -> dict[str, Any]:
        """lm-eval's versions of the tasks; of one task alone where all are the same."""
        return {name: task.VERSION for name, task in self.tasks.items()}


def named_tasks(benchmark: str) -> Tasks:
    """The tasks of a benchmark's name, loaded. Raises: BenchmarkUnreadable."""
    said, own = benchmark.removeprefix(PREFIX), own_tasks()
    path = Path(said).expanduser()
    named = "/" in said or path.suffix in (".yaml", ".yml")
    local = named and path.exists()
    if not said or local != named:
        raise BenchmarkUnreadable(f"{benchmark}: there is no task, file or folder {short_repr(said)}")
    with _here(path if local else None), _failures(benchmark), quiet():
        found = _foreign(path, own) if local else _own(said, own)
    tasks = Tasks(
        PREFIX + _name(said, found, local), found["tasks"], found.get("groups") or {}, str(path) if local else ""
    )
    _check(tasks)
    return tasks


def _own(name: str, own: Path) -> Any:
    """A task or group that comes with lm-eval."""
    from lm_eval.tasks import TaskManager

    folders = [folder for folder in (own / name, own / name.split("_")[0]) if folder.is_dir()]
    for folder in folders[:1]:
        manager = TaskManager(include_path=str(folder), include_defaults=False)
        if name in manager.all_tasks:
            _check_safe(name, manager)
            with contextlib.suppress(KeyError):  # it stands on others: the index of all has them
                return manager.load([name])
    manager = TaskManager()
    if name not in manager.all_tasks:
        near = [one for one in manager.all_tasks if name.lower() in one.lower()][:8]
        raise BenchmarkUnreadable(
            f"lm-eval {version()} has no task {short_repr(name)}"
            + (f"; it has {', '.join(near)}" if near else "; `lm-eval ls tasks` lists what it has")
        )
    _check_safe(name, manager)
    return manager.load([name])


def _check_safe(name: str, manager: Any) -> None:
    """Refuse a task that has programs run, before its own Python is loaded. Raises: BenchmarkUnreadable."""
    if (manager.task_index[name].cfg or {}).get("unsafe_code"):
        raise _unsafe(name)


def _unsafe(name: str) -> BenchmarkUnreadable:
    return BenchmarkUnreadable(
        f"{PREFIX}{name} runs programs outside of a sandbox, and is refused; humaneval, humaneval+, mbpp and mbpp+ are "
        "here without the prefix"
    )


def _foreign(path: Path, own: Path) -> Any:
    """A task of one's own: a YAML file, or the one task or group of a folder."""
    from lm_eval.tasks import TaskManager

    files = sorted(path.glob("**/*.y*ml")) if path.is_dir() else [path]
    values = {file: check_foreign(file, own) for file in files}
    if path.is_file():
        manager = TaskManager(include_path=str(path.resolve().parent), include_defaults=False)
        if "group" not in values[path]:
            return manager.load([str(path.resolve())])
        for beside in sorted(path.parent.glob("**/*.y*ml")):  # where what it names is looked for
            check_foreign(beside, own)
        return manager.load([str(values[path]["group"])])
    groups = [str(value["group"]) for value in values.values() if isinstance(value.get("group"), str)]
    names = groups or [str(value["task"]) for value in values.values() if isinstance(value.get("task"), str)]
    if len(names) != 1:
        raise BenchmarkUnreadable(
            f"{path} holds {', '.join(names) or 'no task'}: name one of its files, or make a group of them"
        )
    return TaskManager(include_path=str(path.resolve()), include_defaults=False).load(names)


def _name(said: str, found: Any, local: bool) -> str:
    """What the tasks are called: as they were asked for, a file or folder by the task or group in it."""
    return str(next(iter(found.get("groups") or found["tasks"]))) if local else said


def _check(found: Tasks) -> None:
    """Refuse what cannot be asked here. Raises: BenchmarkUnreadable."""
    if not found.tasks:
        raise BenchmarkUnreadable(f"{found.benchmark} holds no task")
    kinds = {task.OUTPUT_TYPE for task in found.tasks.values()}
    if len({"loglikelihood" if kind == "multiple_choice" else kind for kind in kinds}) > 1:
        raise BenchmarkUnreadable(
            f"{found.benchmark} asks in several ways ({', '.join(sorted(kinds))}): name its tasks one at a time"
        )
    for name, task in found.tasks.items():
        if getattr(task, "UNSAFE_CODE", False):
            raise _unsafe(name)
        if getattr(task, "MULTIMODAL", False):
            raise BenchmarkUnreadable(f"{PREFIX}{name} shows pictures or sounds, which models are not given here")


@contextlib.contextmanager
def _here(path: Path | None) -> Iterator[None]:
    """The folder of a foreign YAML is the current one meanwhile: the files that it names are found beside it."""
    if path is None:
        yield
        return
    with contextlib.chdir(path if path.is_dir() else path.resolve().parent):
        yield


OFFLINE = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")


@contextlib.contextmanager
def _failures(benchmark: str) -> Iterator[None]:
    """What lm-eval or datasets raise, as one line."""
    try:
        yield
    except (BenchmarkUnreadable, KeyboardInterrupt, MemoryError):
        raise
    except ImportError as error:
        raise BenchmarkUnreadable(f"{benchmark} needs a package that is not installed: {error}") from error
    except Exception as error:  # others' code: anything may come out
        said = " ".join(str(error).split())[:300] or type(error).__name__
        raise BenchmarkUnreadable(_words(benchmark, type(error).__name__, said)) from error


UNREACHED = (
    "ConnectionError",
    "OfflineModeIsEnabled",
    "DatasetNotFoundError",
    "LocalEntryNotFoundError",
    "ConnectError",
)
"""Names of errors where rows are neither here nor within reach."""


def _words(benchmark: str, kind: str, said: str) -> str:
    if kind not in UNREACHED:
        return f"lm-eval cannot load {benchmark}: {said}"
    off = [name for name in OFFLINE if os.environ.get(name, "").strip().lower() in ("1", "true", "yes", "on")]
    why = f"{' and '.join(off)} keep it offline" if off else "the Hub could not be reached, or has no such rows"
    return (
        f"The rows of {benchmark} are not on this machine, and {why}: {said}. Load it once where there is a network, "
        f"or name a YAML file with dataset_path: json and data_files: {PREFIX}mine.yaml"
    )
