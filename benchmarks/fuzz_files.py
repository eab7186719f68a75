"""Damaged files for every reader: each is read, or refused in one line that names it; none hangs, none eats memory.

Real samples of each kind have some of their bytes changed, cut, doubled or replaced by what parsers stumble over. A
reader may raise Bakeoff's own errors and nothing else, within five seconds of CPU time.

Try: nice python benchmarks/fuzz_files.py --files 10000
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from results import BakeoffError  # noqa: E402
from tests.damage import damaged  # noqa: E402

MOST_SECONDS = 5.0
"""CPU time for one file."""

PLACES, LENGTHS = (1, 1, 1, 2, 5, 20), (1, 1, 1, 4, 30, 400)
PIECES = (
    b"\x00", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\n", b"\r",
    b"\t", b"null", b"NaN", b"1e999", b"-1", b"true", b"\\ud800", b"'", b"- ", b"? ", b"!!int ", b"&a ", b"*a", b"<<: ",
    b"2020-99-99", b"9" * 6000, b"[" * 3000, b"- " * 3000, b"a.b" * 2000, b"{{ ", b" }}", b"{% for a in range(9999) %}",
    b"{% endfor %}", b" * 99999", b" ** 999", b"\xff\xff\xff\xff\xff\xff\xff\x7f", b"\x08\x00\x00\x00",
)  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """One reader and samples of what it reads."""

    name: str
    samples: Sequence[tuple[str, bytes]]
    """(path below the folder, content): of which one is damaged each time, the others lie beside it."""
    read: Callable[[Path], object]
    """Read the whole folder; `damaged` names the file below it that was changed."""
    beside: bool = False
    """The other samples are needed too: they are parts of one thing."""


class Overdue(BaseException):
    """A reader took more CPU time than any file needs."""


@contextmanager
def bounded() -> Iterator[None]:
    """Raise Overdue in the block once it has used its time."""

    def end(_: int, __: object) -> None:
        raise Overdue

    signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def only(folder: Path) -> Path:
    """The one file of a folder."""
    (file,) = (path for path in folder.rglob("*") if path.is_file())
    return file


def imports(scratch: Path) -> list[Kind]:
    from results.importers.detection import read_all
    from tests.results import foreign
    from tests.results.importers.test_import_fuzz import kinds

    made = scratch / "samples"
    made.mkdir()
    files = kinds(made)
    run = foreign.run_folder(scratch / "run" / "rank8")
    (run / "training_args.yaml").write_text(
        "learning_rate: 1.0e-4\nseed: 3\nwhen: 2024-01-01\nlist: &a [1]\nother: *a\n"
    )
    (run / "README.md").write_text("---\nbase_model: a/b\ntags: [trl, sft]\ndatasets: [x]\n---\n# A\n")
    mlflow = foreign.mlflow_folder(scratch / "mlruns")
    return [
        Kind("import of one file", files, lambda folder: read_all(only(folder))),
        Kind("import of a run's folder", below(run.parent), read_all, beside=True),
        Kind("import of an MLflow store", below(mlflow), read_all, beside=True),
    ]


def below(folder: Path) -> list[tuple[str, bytes]]:
    """Every file of a folder, and of the folders in it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [(path.relative_to(folder).as_posix(), path.read_bytes()) for path in files]


def sources() -> list[Kind]:
    from tests.trainer.sources.test_reader_fuzz import KINDS
    from trainer.data.contamination import benchmark_tasks
    from trainer.experiment.schema import Source
    from trainer.sources.reading import examined

    head = (
        b"---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: rows.jsonl\n---\n# rows\n"
    )
    rows = b'{"prompt": "a", "completion": "b"}\n' * 3
    saved = b'{"_data_files": [{"filename": "data.arrow"}], "_split": "train"}'
    arrow = next(make() for suffix, make in KINDS if suffix == ".arrow")

    def read(folder: Path) -> object:
        return examined(Source(name=str(folder)))

    return [
        Kind("training rows", [(f"rows{suffix}", make()) for suffix, make in KINDS], lambda one: read(only(one))),
        Kind("folder of a data set", [("README.md", head), ("rows.jsonl", rows)], read, beside=True),
        Kind("folder of save_to_disk", [("state.json", saved), ("data.arrow", arrow)], read, beside=True),
        Kind("decontamination", [("tasks.jsonl", b'{"task_id": "a", "prompt": "x"}\n' * 3)],
             lambda one: benchmark_tasks(str(only(one)))),
    ]  # fmt: skip


def settings() -> list[Kind]:
    from evaluator.style import prompt_set
    from results import read_published
    from trainer import load_experiment

    experiments = [(path.name, path.read_bytes()) for path in sorted((ROOT / "experiments").glob("*.yaml"))]
    prompts = [(path.name, path.read_bytes()[:2000]) for path in sorted((ROOT / "experiments/prompts").glob("*.yaml"))]
    published = below(ROOT / "experiments" / "published")
    studies = [(name, data) for name, data in published if name.endswith((".yaml", ".csv")) and len(data) < 50_000]
    return [
        Kind("experiment file", experiments, lambda one: load_experiment(only(one))),
        Kind("prompt set", prompts, lambda one: prompt_set(str(only(one)))),
        Kind("published study", studies, read_published, beside=True),
    ]


def tasks() -> list[Kind]:
    import gzip

    from evaluator import load_benchmark, read_samples
    from evaluator.tasks.published import published_file
    from evaluator.tasks.samples import matched
    from tests.evaluator.tasks.test_evalplus_and_mbpp import INPUTS, MBPP_KINDS, OWN_TEST
    from tests.evaluator.tasks.test_samples import ZOO

    known = load_benchmark("humaneval")
    whole = gzip.decompress(published_file("humaneval").read_bytes()).splitlines(keepends=True)[:4]
    rows = [[row] for row, _ in MBPP_KINDS.values()] + [[INPUTS], [{**INPUTS, "test": OWN_TEST}]]
    written = [json.dumps(one).encode() for one in rows] + [b"".join(whole), gzip.compress(b"".join(whole))]
    answers = [rows if isinstance(rows, str) else "\n".join(map(json.dumps, rows)) for rows, _ in ZOO.values()
               if isinstance(rows, list | str)]  # fmt: skip
    packed = [gzip.compress(one.encode()) for one in answers[:3]]
    programs = [(f"HumanEval_{number}/0.py", b"def f():\n    return 1\n") for number in range(3)]
    return [
        Kind("benchmark", [("tasks.jsonl", one) for one in written], lambda one: load_benchmark(only(one))),
        Kind("answers", [("answers.jsonl", one) for one in (*map(str.encode, answers), *packed)],
             lambda one: matched(read_samples(only(one)), known)),
        Kind("folder of programs", programs, lambda one: matched(read_samples(one), known), beside=True),
    ]  # fmt: skip


def questions() -> list[Kind]:
    from evaluator import QuestionSettings, read_question_set, shown
    from evaluator.question_sets.checking.verdicts import judged
    from tests.evaluator.question_sets.files import FILES, REPLIES

    def read(folder: Path, name: str = "") -> object:
        found = read_question_set(folder / name if name else only(folder))
        for item in found.items[:4]:
            shown(item, QuestionSettings())
            for reply in REPLIES:
                judged(item, reply)
        return found

    alone = [(one.name, one.content) for one in FILES if not one.beside]
    together = [one for one in FILES if one.beside]
    return [
        Kind("question set", alone, read),
        *(
            Kind(f"question set, {one.name}", [(one.name, one.content), *one.beside.items()],
                 lambda folder, name=one.name: read(folder, name), beside=True)
            for one in together
        ),
        Kind("reply to a question", [("reply.txt", one.encode()) for one in REPLIES], judge_all),
    ]  # fmt: skip


def judge_all(folder: Path) -> object:
    """Every check's verdict on one damaged reply."""
    from evaluator.question_sets.checking.verdicts import judged
    from tests.evaluator.question_sets.files import every_check

    reply = only(folder).read_bytes().decode(errors="replace")
    return [judged(item, reply) for item in every_check()]


def weights(scratch: Path, base: Path) -> list[Kind]:
    import torch
    from safetensors.torch import save_file

    from engines import FolderSource, check_model_folder, gguf_tokenizer, read_header, write_model
    from engines.gguf_format.peft_files import read_adapter

    write_model(scratch / "small.gguf", FolderSource(base), "gguf-q8_0")
    gguf, stored = (scratch / "small.gguf").read_bytes(), (base / "model.safetensors").read_bytes()
    end, head = read_header(scratch / "small.gguf").data_offset, 8 + int.from_bytes(stored[:8], "little")
    adapter = scratch / "adapter"
    adapter.mkdir()
    layer = "base_model.model.model.layers.0.self_attn"
    names = [f"{layer}.{one}_proj.lora_{part}.weight" for one in "qv" for part in "AB"]
    save_file({name: torch.zeros(4, 4) for name in names}, adapter / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "alpha_pattern": {"q_proj": 2}}
    (adapter / "adapter_config.json").write_text(json.dumps(config))

    def whole(folder: Path, rest: bytes) -> Path:
        file = only(folder)
        with file.open("ab") as opened:  # the tensors' bytes: their damage is nobody's business here
            opened.write(rest)
        return file

    def read_gguf(folder: Path) -> object:
        file = whole(folder, gguf[end:])
        read_header(file, keep=("tokenizer.ggml.tokens", "tokenizer.ggml.merges"))
        return gguf_tokenizer(file)

    return [
        Kind("GGUF file", [("model.gguf", gguf[:end])], read_gguf),
        Kind("safetensors file", [("model.safetensors", stored[:head])],
             lambda one: check_model_folder(whole(one, stored[head:]).parent)),
        Kind("adapter", below(adapter), lambda one: read_adapter(one, torch.float32), beside=True),
    ]  # fmt: skip


def words(base: Path) -> list[Kind]:
    from engines import rendered
    from engines.gguf_format.safetensors_header import read_template
    from trainer import base_tokenizer
    from trainer.bases.loading import describe_base
    from trainer.bases.miniature_tokenizers import STYLES, miniature_tokenizer

    parts = [(name, data) for name, data in below(base) if not name.startswith("model.")]
    tokenizers = {style: miniature_tokenizer(style) for style in STYLES}
    templates = [("chat_template.jinja", str(one.chat_template).encode()) for one in tokenizers.values()]
    talk = [{"role": role, "content": "hi"} for role in ("user", "assistant", "user")]

    def render(folder: Path) -> object:
        try:
            return rendered(tokenizers["smollm2"], talk, template=read_template(only(folder)), generation=True)
        except BakeoffError:
            raise
        except Exception as error:  # the template's own words: both callers make one line of them
            raise BakeoffError(" ".join(str(error).split())[:300]) from error

    return [
        Kind("tokenizer", parts, lambda one: base_tokenizer(str(one)), beside=True),
        Kind("base's configuration", parts, lambda one: describe_base(str(one), identity="x"), beside=True),
        Kind("chat template", templates, render),
    ]


def every_kind(scratch: Path) -> list[Kind]:
    """Every reader of files that other people made."""
    from trainer import miniature

    base = miniature("llama", scratch / "base")
    read = [*imports(scratch), *sources(), *settings(), *tasks(), *questions()]
    return [*read, *weights(scratch, base), *words(base)]


@dataclass
class Found:
    """What a reader made of its files."""

    files: int = 0
    read: int = 0
    slowest_seconds: float = 0.0
    faults: int = 0
    first: str = ""
    """The first fault: its seed and what happened."""

    def fault(self, seed: int, what: str) -> None:
        self.faults += 1
        self.first = self.first or f"seed {seed}: {what}"


def tried(kind: Kind, seed: int, found: Found, folder: Path) -> None:
    """Damage one file of a kind as the seed says, and read it."""
    draws = random.Random(f"{kind.name} {seed}")
    name, content = draws.choice(kind.samples)
    for other, whole in kind.samples if kind.beside else ():
        write(folder / other, whole)
    write(folder / name, damaged(content, draws, PIECES, PLACES, LENGTHS))
    began = time.process_time()
    try:
        with bounded():
            kind.read(folder)
        found.read += 1
    except BakeoffError as error:
        if "\n" in str(error).strip() and kind.name != "experiment file":  # all its mistakes, one a line
            found.fault(seed, f"several lines: {str(error)[:300]!r}")
        if len(str(error)) > 5000:
            found.fault(seed, f"a message of {len(str(error))} characters: {str(error)[:200]!r}")
    except Overdue:
        found.fault(seed, f"more than {MOST_SECONDS} s")
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        found.fault(seed, f"{type(error).__name__}: {str(error)[:200]}\n{''.join(traceback.format_exc()[-1500:])}")
    found.files += 1
    found.slowest_seconds = max(found.slowest_seconds, time.process_time() - began)


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def tried_all(kind: Kind, seeds: range, scratch: Path) -> Found:
    """Some damaged files of one kind."""
    found = Found()
    for seed in seeds:
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            tried(kind, seed, found, Path(folder))
    return found


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--files", type=int, default=10_000, help="in all, shared evenly between the readers")
    asked.add_argument("--only", default="", help="readers whose name holds this")
    chosen = asked.parse_args()
    with tempfile.TemporaryDirectory() as place:
        kinds = [kind for kind in every_kind(Path(place)) if chosen.only in kind.name]
        print("| reader | files | read | refused in one line | slowest (s of CPU) | faults |")
        print("|---|---:|---:|---:|---:|---:|")
        faults: list[str] = []
        total: dict[str, Any] = {"files": 0, "faults": 0}
        for kind in kinds:
            found = tried_all(kind, range(-(-chosen.files // len(kinds))), Path(place))
            cells = (found.files, found.read, found.files - found.read - found.faults, f"{found.slowest_seconds:.1f}")
            print(f"| {kind.name} | {' | '.join(map(str, cells))} | {found.faults} |", flush=True)
            total = {"files": total["files"] + found.files, "faults": total["faults"] + found.faults}
            if found.first:
                faults.append(f"{kind.name}, {found.first}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"\n{total['files']:,} files, {total['faults']} faults, at most {peak / 1e9:.2f} GB of memory")
    print(*faults, sep="\n\n", file=sys.stderr)
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
