"""Rehearsal: an experiment's whole plan with a miniature of each base and a few rows, in about a minute on a CPU.

Same architectures (the real configuration classes), same code for data, training, export and measurement. It catches a
wrong column, template, path or setting before a GPU is rented; its scores mean nothing. Rows are the source's own where
it can be reached; where it cannot, they are made from the columns that the file declares, and nothing is learned about
the source.

Every variant is trained and measured in the file's first form; the other forms, with their gates and latency, are those
of the bases and of one variant for each way to train (`leads`).

Try: bakeoff run experiments/study-c.yaml --rehearse
"""

from __future__ import annotations

import json
import re
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from engines import FileRefused, FolderSource, read_model_json, write_model
from results import Workspace, digest
from trainer.bases.loading import base_folder, base_path
from trainer.bases.miniatures import ARCHITECTURES, miniature
from trainer.bases.registry import base_entry, packaged_path, shape_of
from trainer.errors import BaseUnavailable, DataInvalid, ExperimentInvalid, SourceUnreachable
from trainer.experiment.reading import with_settings
from trainer.experiment.schema import Columns, Experiment, Source
from trainer.experiment.variants import variants
from trainer.sources.fields import BadRow
from trainer.sources.reading import raw_rows
from trainer.sources.stdlib import module_rows

ROWS = 32
"""Rows a source."""

STEPS = 3

LENGTH = 2048
"""Tokens a row, whatever the file says: miniatures' tokenizers cut a text into two or three times as many."""

TOO_LONG = ("training.max_steps", "training.epochs", "training.max_length", "training.dtype")
"""Swept settings that a rehearsal sets itself; also `data.quality.min_score`, since few rows would be left."""

GUESSES = {"llama": "llama", "qwen3": "qwen3", "qwen": "qwen2", "gemma": "gemma2", "mistral": "mistral", "phi": "phi3"}
"""Part of an unreachable base's name → the architecture that is rehearsed in its stead."""


@dataclass(frozen=True)
class Rehearsal:
    """An experiment in miniature, and what its success will mean."""

    experiment: Experiment
    leads: frozenset[str]
    """Ids of the runs that are exported to every form: the first of each base and way to train."""
    words: tuple[str, ...]
    """What is rehearsed and what is not, in sentences."""


def rehearsal(experiment: Experiment, workspace: Workspace) -> Rehearsal:
    """The experiment in miniature, named `<name>-rehearsal`: every base, variant, form and measurement is kept.

    Its bases and rows are written into `workspace`: best one of its own.
    Raises: BaseUnavailable for a base whose architecture has no miniature; DataInvalid when a source is reached and
    cannot be read; ExperimentInvalid when a setting does not fit.
    """
    if not experiment.bases:
        raise ExperimentInvalid(
            f"{experiment.name} trains nothing, so there is nothing to rehearse. What it would do: bakeoff plan FILE"
        )
    sources = _Sources(workspace.path / "data")
    sweep, evaluate = experiment.sweep, experiment.evaluate
    shown = {
        "name": f"{experiment.name[:69]}-rehearsal",
        "models": [],
        "bases": [str(_small_base(base, workspace.path / "bases")) for base in experiment.bases],
        **_small_data(experiment, sources),
        **_small_training(experiment),
        "sweep.seeds": list(sweep.seeds[:2]),
        "sweep.grid": {key: sources.values(key, values) for key, values in sweep.grid.items() if key not in TOO_LONG},
        "sweep.variants": [sources.variant(variant) for variant in sweep.variants],
        "evaluate.humaneval": _fewer(evaluate.humaneval, tasks=2, max_tokens=24),
        "evaluate.stopping": _fewer(evaluate.stopping, max_tokens=16),
        "evaluate.tests": [{**test, "tasks": 2, "max_tokens": 24} for test in evaluate.tests],
        "evaluate.latency": _fewer(evaluate.latency, repetitions=1, tokens=4, natural_tokens=4, threads=1),
    }
    if sweep.random:
        space = {key: value.model_dump() for key, value in sweep.random.space.items() if key not in TOO_LONG}
        shown["sweep.random"] = {"trials": min(3, sweep.random.trials), "seed": sweep.random.seed, "space": space}
        if not space:
            shown["sweep.random"] = None
    if sweep.halving:
        shown["sweep.halving"] = {"first_steps": 1, "factor": sweep.halving.factor}
    small = with_settings(experiment, shown)
    leading = leads(small)
    return Rehearsal(small, leading, _words(experiment, small, leading, sources.unreached))


def _small_data(experiment: Experiment, sources: _Sources) -> dict[str, Any]:
    return {
        "data.sources": sources.of(experiment.data.sources),
        "data.validation_fraction": max(0.2, experiment.data.validation_fraction),
        "data.validation_limit": 4,
        "data.quality.min_score": None,
    }


def _small_training(experiment: Experiment) -> dict[str, Any]:
    return {
        "training.max_steps": STEPS,
        "training.batch_size": min(2, experiment.training.batch_size),
        "training.gradient_accumulation": min(2, experiment.training.gradient_accumulation),
        "training.max_length": LENGTH,
        "training.dtype": "auto",
        "training.eval_steps": 2,
        "training.save_steps": 2,
        "training.report_to": [],
        "training.mirror": "",
    }


def leads(experiment: Experiment) -> frozenset[str]:
    """Ids of the first run of each base and way to train: what differs in nothing else is exported by the same code."""
    first: dict[str, str] = {}
    for variant in variants(experiment):
        lora = variant.experiment.lora
        way = [variant.base, variant.experiment.training.quantization, lora.method, lora.dora, lora.rslora, lora.target]
        first.setdefault(digest(way), variant.id)
    return frozenset(first.values())


def _words(whole: Experiment, small: Experiment, leading: frozenset[str], unreached: list[str]) -> tuple[str, ...]:
    """Say what a rehearsal shows and what it leaves open."""
    runs, forms = variants(small), whole.evaluate.forms
    rows = f"{ROWS} rows of each source" + (f" (made up for {', '.join(unreached)}: not reached)" if unreached else "")
    told = [
        f"rehearsing {len(runs)} runs of {STEPS} steps on miniatures of {', '.join(whole.bases)}, {rows}; "
        "the scores mean nothing"
    ]
    if len(forms) > 1 and len(leading) < len(runs):
        named = ", ".join(run.name for run in runs if run.id in leading)
        told.append(f"every format is made from the bases and from {named}; from the others {forms[0]} alone")
    left_out = ["memory, time, the real weights and templates", "the best number of threads"]
    left_out += [f"the {len(whole.models)} models made elsewhere"] if whole.models else []
    left_out += [f"data.quality.min_score {whole.data.quality.min_score}"] if whole.data.quality.min_score else []
    left_out += [f"report_to {', '.join(whole.training.report_to)}"] if whole.training.report_to else []
    left_out += [f"the mirror {whole.training.mirror}"] if whole.training.mirror else []
    left_out += [f"the sweep over {key}" for key in whole.sweep.grid if key not in small.sweep.grid]
    return (*told, f"not rehearsed: {'; '.join(left_out)}")


def _fewer(settings: Mapping[str, Any] | None, **small: Any) -> dict[str, Any] | None:
    return None if settings is None else {**settings, **small}


def _small_base(name: str, folder: Path) -> Path:
    """The miniature of a base, under the base's own short name; a GGUF file where the base is one."""
    slug = re.sub(r"[^A-Za-z0-9.-]+", "-", Path(name).name).removesuffix(".gguf").lower()
    small = miniature(architecture_of(name), folder / slug)
    if not (packaged_path(name) or name.endswith(".gguf")):
        return small
    file = small.with_name(f"{slug}.gguf")
    if not file.is_file():
        part = file.with_suffix(".part")
        write_model(part, FolderSource(small), "gguf-q8_0")
        part.replace(file)
    return file


def architecture_of(name: str) -> str:
    """The architecture of a base: from the registry, its config.json, or, where neither is at hand, its name.

    Raises: BaseUnavailable when it cannot be told, or has no miniature.
    """
    if known := base_entry(name):
        return known.shape.architecture
    try:
        path = base_path(name)
    except BaseUnavailable:
        guess = next((found for part, found in GUESSES.items() if part in name.lower()), None)
        if guess is None:
            raise
        return guess
    folder = base_folder(path)
    try:
        architecture = shape_of(read_model_json(folder / "config.json")).architecture
    except (FileRefused, KeyError, TypeError, ValueError) as error:
        raise BaseUnavailable(f"The base {name!r} has no readable config.json: {error}") from error
    if architecture not in ARCHITECTURES:
        raise BaseUnavailable(
            f"The base {name!r} is a {architecture}, which has no miniature; there are {', '.join(ARCHITECTURES)}"
        )
    return architecture


class _Sources:
    """Few-row stand-ins for the sources of a file and of its variants."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.unreached: list[str] = []
        """Names of sources whose rows had to be made up."""

    def of(self, sources: tuple[Source, ...]) -> list[dict[str, Any]]:
        """Each source as a local file of a few rows, its format, columns and weight kept."""
        return [self._small(source).model_dump(mode="json") for source in sources]

    def values(self, key: str, values: tuple[Any, ...]) -> list[Any]:
        """A swept setting's values, data sources replaced."""
        return [self._value(key, value) for value in values]

    def variant(self, variant: Mapping[str, Any]) -> dict[str, Any]:
        """A written-out variant without what a rehearsal sets itself."""
        left_out = (*TOO_LONG, "data.quality.min_score")
        return {key: self._value(key, value) for key, value in variant.items() if key not in left_out}

    def _value(self, key: str, value: Any) -> Any:
        return self.of(tuple(Source.model_validate(one) for one in value)) if key == "data.sources" else value

    def _small(self, source: Source) -> Source:
        if source.name == "python-stdlib":
            return source.model_copy(update={"limit": ROWS})
        few = source.model_copy(update={"limit": ROWS, "streaming": True})
        try:
            rows: list[Mapping[str, Any]] = [
                row for _, row in islice(raw_rows(few), ROWS) if not isinstance(row, BadRow)
            ]
        except SourceUnreachable:
            self.unreached += [source.name] if source.name not in self.unreached else []
            rows = declared_rows(source)
        if not rows:
            raise DataInvalid(f"The first {ROWS} rows of {source.name} cannot be read")
        self._folder.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(row, default=str) + "\n" for row in rows)
        path = self._folder / f"{Path(source.name).stem[:60]}-{digest(text)[:8]}.jsonl"
        path.write_text(text, encoding="utf-8")
        # Few rows, whatever their shares: a weight of 0.01 would leave none.
        weight = None if source.weight is None else 1.0
        update = {"name": str(path), "limit": None, "streaming": None, "weight": weight, "encoding": ""}
        update |= {"subset": "", "revision": "", "split": "train"}
        return source.model_copy(update=update)


def declared_rows(source: Source) -> list[Mapping[str, Any]]:
    """Rows with the columns that a source declares; conversations where it declares none."""
    root = Path(sysconfig.get_paths()["stdlib"])
    known = (
        row for module in ("datetime", "statistics", "random") for row in module_rows(root / f"{module}.py", module)
    )
    short = [row for row in known if len(row["prompt"]) + len(row["answer"]) < 800][:ROWS]
    return [{**_declared(source, row["prompt"], row["answer"]), "score": 5.0} for row in short]


def _declared(source: Source, question: str, answer: str) -> dict[str, Any]:
    if source.columns is not None:
        return _filled(source.columns, question, answer)
    if source.format == "alpaca":
        return {"instruction": question, "input": "", "output": answer}
    if source.format == "prompt-completion":
        return {"prompt": question, "completion": answer}
    if source.format == "sharegpt":
        return {"conversations": [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]}
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def _filled(columns: Columns, question: str, answer: str) -> dict[str, Any]:
    """One row whose columns, nested ones too, are those of the templates."""
    row: dict[str, Any] = {}
    for template, text in ((columns.prompt, question), (columns.answer, answer)):
        for name in re.findall(r"\{+\s*([\w.\- ]+?)\s*\}+", template):
            *parents, last = name.split(".")
            place = row
            for parent in parents:
                place = place.setdefault(parent, {})
            place[last] = text
    return row
