"""Some hundreds of damaged files for every reader; `benchmarks/fuzz_files.py` tries ten thousand."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.fuzz_files import Found, Kind, every_kind, tried_all, write

FILES = 20
"""For each reader; three of them have hundreds in tests of their own."""


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> list[Kind]:
    return every_kind(tmp_path_factory.mktemp("samples"))


@pytest.mark.slow
def test_every_reader_reads_what_is_whole(kinds: list[Kind], tmp_path: Path) -> None:
    """Else nothing that it refuses would say anything."""
    for kind in kinds:
        read = 0
        for place, sample in enumerate(kind.samples[:1] if kind.beside else kind.samples):
            folder = tmp_path / f"{kind.name} {place}"
            for name, content in kind.samples if kind.beside else (sample,):
                write(folder / name, content)
            try:
                kind.read(folder)
                read += 1
            except Exception as error:
                print(kind.name, error)
        assert read >= max(1, 0.4 * place), kind.name


@pytest.mark.slow
def test_a_damaged_file_is_read_or_refused_in_one_line(kinds: list[Kind], tmp_path: Path) -> None:
    faults: list[str] = []
    for kind in kinds:
        found: Found = tried_all(kind, range(FILES), tmp_path)
        assert found.files == FILES
        faults += [f"{kind.name}, {found.first}"] if found.faults else []
    assert not faults, "\n\n".join(faults)
