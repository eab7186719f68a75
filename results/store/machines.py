"""Machines: on what a number was measured."""

from __future__ import annotations

import importlib.metadata
import math
import os
import platform
import shutil
import subprocess
from dataclasses import asdict
from functools import cache
from pathlib import Path

import sqlalchemy as sa

from results.errors import NotFound
from results.process.systems import processors
from results.records import Machine, digest
from results.schema.database import Database
from results.schema.rows import columns, record_of, records, row_of
from results.schema.tables import MachineRow

ISA = frozenset(
    [
        *("sse4_2", "avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16", "avx512_fp16"),
        *("avx_vnni", "amx_tile", "amx_int8", "amx_bf16", "neon", "asimd", "asimddp", "sve", "sve2", "i8mm", "bf16"),
    ]
)
"""Instruction sets that change how fast a model answers."""

PACKAGES = ("bakeoff", "ctransformers", "peft", "torch", "transformers", "trl", "xllamacpp")

_RAM_GRAIN = 2**26
"""RAM is rounded to 64 MiB: what the kernel keeps for itself differs from one start to the next."""


class Machines:
    """`store.machines`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, machine: Machine) -> None:
        """Register a machine; again is fine."""
        with self._database.write(lock="machines") as connection:
            self._database.upsert(connection, MachineRow, [row_of(machine, MachineRow)])

    def get(self, machine_id: str) -> Machine:
        """The machine with this id. Raises NotFound."""
        with self._database.read() as connection:
            row = connection.execute(columns(MachineRow).where(MachineRow.id == machine_id)).mappings().one_or_none()
        if row is None:
            raise NotFound(f"no machine {machine_id!r} in the store")
        return record_of(Machine, row)

    def list(self) -> list[Machine]:
        """All machines, by id."""
        with self._database.read() as connection:
            return records(Machine, connection, columns(MachineRow).order_by(sa.asc(MachineRow.id)))


def this_machine() -> Machine:
    """The fingerprint of this machine, within the limits of its container; the same at every call. Imports no torch."""
    cpu, flags = _processor()
    described = Machine(
        id="",
        cpu=cpu,
        isa=tuple(sorted(ISA & flags)),
        cores=_cores(),
        ram_bytes=_ram_bytes(),
        gpu=_gpu(),
        system=f"{platform.system()} {platform.machine()}",
        versions={"python": platform.python_version(), **_versions()},
    )
    content = {name: value for name, value in asdict(described).items() if name != "id"}
    return Machine(**{**content, "id": digest(content)[:12]})


def _processor() -> tuple[str, frozenset[str]]:
    """(name, flags) from /proc/cpuinfo; where there is none, the platform's word and no flags."""
    name, flags = "", ""
    for line in _lines("/proc/cpuinfo"):
        field, _, value = line.partition(":")
        if field.strip() in ("model name", "Processor") and not name:
            name = value.strip()
        if field.strip() in ("flags", "Features") and not flags:
            flags = value
    return name or platform.processor() or platform.machine(), frozenset(flags.split())


def _cores() -> int:
    usable = processors()
    quota, _, period = " ".join(_lines("/sys/fs/cgroup/cpu.max")[:1]).partition(" ")
    if quota.isdigit() and period.strip().isdigit():
        usable = min(usable, max(1, math.ceil(int(quota) / int(period))))
    return usable


def _ram_bytes() -> int:
    installed = 0
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemTotal:"):
            installed = int(line.split()[1]) * 1024
    if not installed and hasattr(os, "sysconf"):
        installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = "".join(_lines("/sys/fs/cgroup/memory.max")[:1]).strip()
    if limit.isdigit():
        installed = min(installed, int(limit)) if installed else int(limit)
    return -(-installed // _RAM_GRAIN) * _RAM_GRAIN


def _gpu() -> str:
    program = shutil.which("nvidia-smi")
    return "" if program is None else _listed(program)


@cache
def _listed(program: str) -> str:
    """All GPUs of the machine, whichever of them a process sees. Asked once: it takes up to a second each time, and an
    answer that fails now and then would make two machines of one."""
    query = [program, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=120, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return "; ".join(line.strip() for line in answer.stdout.splitlines() if line.strip())


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(errors="replace").splitlines()
    except OSError:
        return []
