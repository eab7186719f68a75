"""The house keeps its measure: rooms that a stranger finds a file in, files and functions that fit a screen or two."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("bakeoff", "trainer", "evaluator", "engines", "results", "dashboard")
BESIDE = ("tests", "benchmarks")
"""What is no room and is read all the same."""

MOST_ENTRIES = 16
"""At a room's top, its door apart; and files of a folder."""
LONGEST_CHAIN = 8
"""Modules of a room that stand one on another."""
MOST_LINES = {"file": 450, "function": 60}
MOST_PARAMETERS = 7

NOT_YET: dict[str, dict[str, int]] = {
    "chain": {},
    "lines": {},
    "parameters": {},
}
"""What is still over the measure, and by how much: entries only ever go."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def sources(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


@cache
def parsed(path: Path) -> ast.Module:
    """A file's syntax tree, which several tests read and none changes."""
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(path: Path, modules: frozenset[str]) -> set[str]:
    """The room's modules that one imports when it is imported; a folder's lazy door those that its stub names."""
    found: set[str] = set()
    if (stub := path.with_suffix(".pyi")).is_file():
        named = [node for node in parsed(stub).body if isinstance(node, ast.ImportFrom)]
        return {f"{name_of(path)}.{node.module}" for node in named} & modules
    for node in statements(parsed(path).body):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (whole & modules) or {node.module}
    return (found & modules) - {name_of(path)}


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.If | ast.Try):
            yield from statements(node.body)
        else:
            yield node


def longest_chain(room: str) -> list[str]:
    paths = {name_of(path): path for path in sources(room)}
    del paths[room]
    modules = frozenset(paths)

    @cache
    def chain(name: str) -> list[str]:
        below = [chain(other) for other in sorted(imported(paths[name], modules))]
        return [name, *max(below, key=len, default=[])]

    return max((chain(name) for name in modules), key=len)


def functions(room: str) -> Iterator[tuple[str, Path, Function]]:
    for path in sources(room):
        for node in ast.walk(parsed(path)):
            if isinstance(node, Function):
                yield f"{path.relative_to(ROOT).as_posix()} {node.name}", path, node


def parameters(node: Function) -> int:
    given = [each.arg for each in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    return len(given) - (given[:1] in (["self"], ["cls"]))


def over(kind: str, found: dict[str, int], most: int, room: str) -> None:
    """Nothing is over the measure but what is known to be, and that is no worse; what is mended is struck off."""
    known = {name: size for name, size in NOT_YET[kind].items() if name.split("/")[0] == room}
    too_many = {name: size for name, size in found.items() if size > most}
    assert not {name: size for name, size in too_many.items() if size > known.get(name, most)}
    assert known.keys() <= too_many.keys(), "strike what is mended off NOT_YET"


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_and_its_folders_have_few_entries(room: str) -> None:
    top = [entry.name for entry in (ROOT / room).iterdir() if entry.suffix == ".py" or any(entry.glob("*.py"))]
    assert len(set(top) - {"__init__.py"}) <= MOST_ENTRIES
    folders = {path.parent for path in sources(room)}
    assert not {folder.name: count for folder in folders if (count := len([*folder.glob("*.py")])) > MOST_ENTRIES}


@pytest.mark.parametrize("room", ROOMS)
def test_few_modules_of_a_room_stand_one_on_another(room: str) -> None:
    chain = longest_chain(room)
    print(" > ".join(chain))
    over("chain", {room: len(chain)}, LONGEST_CHAIN, room)


@pytest.mark.parametrize("room", (*ROOMS, *BESIDE))
def test_files_and_functions_are_short(room: str) -> None:
    files = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in sources(room)}
    assert not {name: lines for name, lines in files.items() if lines > MOST_LINES["file"]}
    lengths = {
        name: (node.end_lineno or 0) - node.lineno + 1
        for name, path, node in functions(room)
        if "migrations" not in path.parts  # the first schema is a list of tables, and history
    }
    over("lines", lengths, MOST_LINES["function"], room)


def test_no_benchmark_hides_a_module_of_pythons_own() -> None:
    """A script's folder comes first where it looks for modules: a benchmark called `statistics` felled three others."""
    assert not {path.stem for path in (ROOT / "benchmarks").glob("*.py")} & set(sys.stdlib_module_names)


@pytest.mark.parametrize("room", (*ROOMS, *BESIDE))
def test_functions_take_few_parameters(room: str) -> None:
    counts = {
        name: parameters(node)
        for name, path, node in functions(room)
        if (room, node.name) != ("bakeoff", path.stem)  # a verb's parameters are the options of the command line
    }
    over("parameters", counts, MOST_PARAMETERS, room)


CUTTING = ("startswith", "endswith", "partition", "rpartition", "index", "find", "removeprefix", "removesuffix")
"""How text is cut or looked into."""


def words_looked_into(room: str) -> Iterator[str]:
    """Where an `except` block decides by the words of the error that it caught."""
    for path in sources(room):
        for handler in ast.walk(parsed(path)):
            if not isinstance(handler, ast.ExceptHandler) or not handler.name:
                continue
            said = f"str({handler.name})"
            for node in ast.walk(handler):
                looked = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CUTTING:
                    looked = [node.func.value]
                if any(ast.unparse(one).startswith(said) for one in looked):
                    yield f"{path.relative_to(ROOT).as_posix()}:{node.lineno}"


@pytest.mark.parametrize("room", ROOMS)
def test_errors_are_told_by_their_class_and_fields_and_not_by_their_words(room: str) -> None:
    assert list(words_looked_into(room)) == []


OURS = "what Bakeoff wrote itself, in its workspace or cache"
SYSTEM = "the system's own: /proc, /sys, a device, a descriptor"
PARTS = "a file of the installation"
CHECKED = "weights, whose header `read_safetensors_header` has read just before"

READERS = {
    "results.files.reading": "the one way in",
    "trainer.sources.encodings": "training rows of any size, after `rows_of_file` has read their start the one way",
    "trainer.sources.files": "training rows of any size, line by line, after `rows_of_file` has read their start",
    "trainer.sources.tables": "tables of any size, row by row, after `rows_of_file` has read their start",
    "trainer.sources.reading": "the Hub's data sets and URLs, by fsspec, into the cache",
    "trainer.sources.stdlib": "Python's own library",
    "engines.identity": "bytes that are hashed and never understood",
    "engines.gguf_format.peft_files": CHECKED,
    "engines.gguf_format.writer": CHECKED + "; and what it has just written",
    "trainer.multi_lora.run_state": OURS,
    "trainer.runs.checkpoints": OURS,
    "trainer.data.cache": OURS,
    "trainer.trl_loop.trainer": OURS,
    "trainer.gpu_runs.handover": OURS + "; handed over by a descriptor",
    "trainer.gpu_runs.child_process": OURS,
    "trainer.gpu_runs.child_main": SYSTEM,
    "trainer.hub.push": OURS,
    "results.artifacts": OURS + ", or uploaded",
    "results.curves.spool": OURS,
    "results.files.locks": OURS,
    "results.store.machines": SYSTEM,
    "results.process.belonging": SYSTEM,
    "dashboard.jobs.jobs": OURS,
    "dashboard.jobs.batch": OURS,
    "dashboard.jobs.looks": OURS,
    "dashboard.publishing.wllama": "a package whose pinned digest is proven before it is unpacked",
    "dashboard.publishing.wheel": PARTS + ", packed and never unpacked",
    "dashboard.publishing.space": PARTS,
    "dashboard.app_server": PARTS,
    "dashboard.widgets.scoreboard.board": PARTS,
    "bakeoff.streams": SYSTEM,
    "engines.hardware.devices": SYSTEM,
    "engines.processes.child_process": SYSTEM,
    "evaluator.sandbox.bubblewrap": PARTS,
    "evaluator.sandbox.candidate": SYSTEM,
    "evaluator.sandbox.stopwatch": SYSTEM,
    "evaluator.tasks.transfers": OURS,
}
"""Modules that open files by themselves, and why these are nothing that a stranger can have made, or are safe so."""

PACKED = frozenset(("gzip", "lzma", "bz2", "zipfile", "tarfile", "pickle", "shelve", "dill", "joblib"))
LOADING = frozenset(
    ("open", "read_text", "read_bytes", "load", "safe_load", "full_load", "unsafe_load", "load_all", "safe_load_all",
     "load_file", "safe_open", "fdopen")
)  # fmt: skip
LOADERS = frozenset(("json", "yaml", "torch", "np", "numpy", "pickle", "marshal", "tomllib", "safetensors"))
"""Libraries whose `load` reads a file."""
OPENING_NO_FILE = frozenset(("Workspace", "results.Workspace", "LlamaCppEngine", "webbrowser"))


def readings(tree: ast.Module) -> Iterator[ast.AST]:
    """Where a module opens a file to read it, or unpacks or unpickles one. Writing is no concern here."""
    ours = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("results")
        for alias in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            named = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            if PACKED & {name.split(".")[0] for name in named}:
                yield node
        elif isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            owner = ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else ""
            if name not in LOADING or owner in OPENING_NO_FILE or (owner or name) in ours:
                continue
            if (name == "load" or name.endswith("_load")) and owner not in LOADERS:
                continue
            mode = next((arg.value for arg in node.args if isinstance(arg, ast.Constant)), None)
            if name in ("open", "fdopen") and isinstance(mode, str) and mode[:1] in ("w", "x") and "+" not in mode:
                continue
            yield node


def test_files_are_opened_in_one_place() -> None:
    """Whoever reads a file of a stranger's goes through `results.files`, which bounds it and says what is wrong."""
    found: dict[str, list[int]] = {}
    for path in (path for room in ROOMS for path in sources(room)):
        lines = [getattr(node, "lineno", 0) for node in readings(parsed(path))]
        if lines:
            found[name_of(path)] = lines
    assert {name: lines for name, lines in found.items() if name not in READERS} == {}
    assert READERS.keys() <= found.keys(), "strike what opens nothing any more off READERS"


@pytest.mark.parametrize(
    "line",
    ["open(p)", "p.open()", "p.open('rb')", "p.open('r+b')", "p.read_text()", "p.read_bytes()", "json.load(f)",
     "yaml.safe_load(t)", "yaml.load(t, L)", "torch.load(p)", "np.load(p)", "import gzip",
     "from zipfile import ZipFile",
     "import pickle", "load_file(p)", "os.open(p, 0)", "safe_open(p)", "tomllib.load(f)"],
)  # fmt: skip
def test_every_way_to_open_a_file_is_seen(line: str) -> None:
    assert list(readings(ast.parse(line)))


@pytest.mark.parametrize("line", ["p.open('w')", "p.write_text(t)", "Workspace.open(p)", "json.loads(t)",
                                  "from results import read_text\nread_text(p)", "self.load(p)"])  # fmt: skip
def test_what_opens_none_is_let_be(line: str) -> None:
    assert not list(readings(ast.parse(line)))
