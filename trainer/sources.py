"""Reading data sources: built-in, JSON, JSONL, CSV, TSV and Parquet here or at a URL, and the Hub.

Yields rows as mappings; what a row means is `trainer.formats`' business. Nothing from a data set is executed.
"""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import socket
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlparse
from urllib.request import getproxies

from engines import cache_folder
from results.records import Progress, digest
from trainer.conversations import Conversation
from trainer.errors import DataInvalid, SourceUnreachable
from trainer.experiment import Data, Source
from trainer.formats import BadRow, conversation_messages
from trainer.stdlib import stdlib_rows

BUILT_IN = ("python-stdlib",)
READABLE = (".jsonl", ".json", ".csv", ".tsv", ".parquet")
EXAMPLES = 5
"""Bad rows shown per reason."""

KEPT_COLUMNS = ("score", "source", "language", "lang", "category", "module", "name", "id")
"""Short columns kept beside the turns, for filters and for naming a row to a person."""


@dataclass(frozen=True)
class Reading:
    """Conversations of all sources, mixed, with the report of what was read and what was not usable."""

    rows: list[Conversation]
    report: dict[str, Any]


def read_sources(data: Data, progress: Progress | None = None) -> Reading:
    """Read every source, convert its rows, and mix them.

    Raises: DataInvalid when a source cannot be read or has no usable row.
    """
    parts: list[list[Conversation]] = []
    reports: list[dict[str, Any]] = []
    for number, source in enumerate(data.sources):
        rows, report = _conversations(source, data)
        parts.append(rows)
        reports.append(report)
        if progress:
            progress("reading sources", number + 1, len(data.sources))
    rows = mix(parts, [source.weight for source in data.sources], data.seed)
    return Reading(rows, {"sources": reports, "rows": len(rows)})


def mix(parts: list[list[Conversation]], weights: list[float | None], seed: int) -> list[Conversation]:
    """All rows in a seeded order; with weights, as many rows of each source as its share allows without repeating.

    The scarcest source sets the size: weights 3 and 1 over 100 and 100 rows give 100 and 33.
    """
    chosen = [list(part) for part in parts]
    for part in chosen:
        random.Random(seed).shuffle(part)
    if all(weight is not None for weight in weights):
        size = min(len(part) / weight for part, weight in zip(parts, weights, strict=True) if weight)
        chosen = [part[: round(size * weight)] for part, weight in zip(chosen, weights, strict=True) if weight]
    rows = [row for part in chosen for row in part]
    random.Random(seed).shuffle(rows)
    return rows


def _conversations(source: Source, data: Data) -> tuple[list[Conversation], dict[str, Any]]:
    """Usable rows of one source and its report: read, usable, bad rows by reason with places."""
    rows: list[Conversation] = []
    reasons: Counter[str] = Counter()
    examples: dict[str, list[str]] = {}
    read = 0
    kept_columns = {*KEPT_COLUMNS, data.quality.score_column, data.quality.language_column}
    for place, raw in islice(raw_rows(source), source.limit):
        read += 1
        try:
            if isinstance(raw, BadRow):
                raise raw
            messages = conversation_messages(raw, source)
        except BadRow as reason:
            reasons[str(reason)] += 1
            shown = examples.setdefault(str(reason), [])
            if len(shown) < EXAMPLES:
                shown.append(place)
            continue
        extra = {
            key: raw[key]
            for key in sorted(kept_columns & raw.keys())
            if isinstance(raw[key], str | int | float) and len(str(raw[key])) <= 200
        }
        rows.append(Conversation(messages, source.name, read - 1, extra))
    bad: dict[str, dict[str, Any]] = {
        reason: {"rows": count, "examples": examples[reason]} for reason, count in reasons.most_common()
    }
    if not rows:
        why = "; ".join(
            f"{reason} ({found['rows']} rows, first {found['examples'][0]})" for reason, found in bad.items()
        )
        raise DataInvalid(f"No usable row in {source.name}: {why or 'it is empty'}")
    return rows, {"source": source.name, "read": read, "usable": len(rows), "bad": bad}


def raw_rows(source: Source) -> Iterator[tuple[str, Mapping[str, Any] | BadRow]]:
    """(place, row) of a source: the place names file and line; an unreadable line is a BadRow in the row's stead."""
    if source.name == "python-stdlib":
        for row in stdlib_rows():
            yield f"{row['module']}:{row['line']}", row
        return
    if "://" in source.name:
        path = _downloaded(source.name)
        yield from _READERS[path.suffix.lower()](path)
        return
    if is_local(source):
        for file in _files(Path(source.name).expanduser()):
            yield from _READERS[file.suffix.lower()](file)
        return
    yield from _hub_rows(source)


def is_local(source: Source) -> bool:
    """Whether the source is a file or folder, there or not, rather than a built-in or a Hub id."""
    path = Path(source.name).expanduser()
    if "://" in source.name:
        return False
    local = path.exists() or path.suffix.lower() in READABLE or source.name.startswith((".", "/", "~"))
    return source.name not in BUILT_IN and local


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in READABLE)
        if not files:
            raise DataInvalid(f"No {', '.join(READABLE)} file in the folder {path}")
        return files
    if not path.is_file():
        raise DataInvalid(f"No data file {path}; paths are relative to the experiment file. Built in: {BUILT_IN[0]}")
    if path.suffix.lower() not in READABLE:
        raise DataInvalid(f"{path}: files of type {path.suffix or '(none)'} are not read; {', '.join(READABLE)} are")
    return [path]


def _jsonl_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any] | BadRow]]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    row = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
                except (ValueError, RecursionError) as error:
                    yield f"{path.name}:{number}", BadRow(f"not JSON: {type(error).__name__}")
                    continue
                is_row = isinstance(row, dict)
                yield f"{path.name}:{number}", row if is_row else BadRow("the line is not a JSON object")


def _json_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any] | BadRow]]:
    text = path.read_text(encoding="utf-8-sig")
    try:
        rows = json.loads(text)
    except ValueError as error:
        if text.lstrip().startswith("{") and "\n" in text.strip():
            yield from _jsonl_rows(path)  # JSON lines under the wrong suffix are common
            return
        raise DataInvalid(f"{path} is not JSON: {error}") from error
    if isinstance(rows, dict):
        rows = _rows_inside(rows)
    for number, row in enumerate(rows):
        yield f"{path.name}[{number}]", row if isinstance(row, dict) else BadRow("the item is not a JSON object")


def _rows_inside(document: dict[str, Any]) -> list[Any]:
    """Rows of a JSON object: the list it holds, or objects under their ids (PubMedQA), or the object itself."""
    if lists := [value for value in document.values() if isinstance(value, list)]:
        return lists[0]
    if document and all(isinstance(value, dict) for value in document.values()):
        return [{"id": key, **value} for key, value in document.items()]
    return [document]


def _table_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any] | BadRow]]:
    with path.open(encoding="utf-8-sig", newline="", errors="replace") as file:
        reader = csv.DictReader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
        for row in reader:
            place = f"{path.name}:{reader.line_num}"
            if None in row or None in row.values():
                yield place, BadRow(f"not the header's {len(reader.fieldnames or [])} columns")
            else:
                yield place, row


def _parquet_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any] | BadRow]]:
    import pyarrow.parquet as parquet

    try:
        file = parquet.ParquetFile(path)
    except (OSError, ValueError) as error:
        raise DataInvalid(f"{path} is not a Parquet file: {error}") from error
    number = 0
    for batch in file.iter_batches(1024):
        for row in batch.to_pylist():
            yield f"{path.name}[{number}]", row
            number += 1


_READERS = {
    ".jsonl": _jsonl_rows,
    ".json": _json_rows,
    ".csv": _table_rows,
    ".tsv": _table_rows,
    ".parquet": _parquet_rows,
}


def _hub_rows(source: Source) -> Iterator[tuple[str, Mapping[str, Any] | BadRow]]:
    import datasets

    streaming = source.streaming if source.streaming is not None else source.limit is not None
    if streaming and _without_network():
        raise _hub_error(source, ConnectionError("the Hub's name is not known here"))
    try:
        rows = datasets.load_dataset(
            source.name,
            source.subset or None,
            split=source.split,
            revision=source.revision or None,
            streaming=streaming,
        )
    except Exception as error:
        raise _hub_error(source, error) from error
    for number, row in enumerate(rows):
        yield f"{source.name}[{number}]", row


def _without_network() -> bool:
    """Whether the Hub's name cannot even be looked up; the Hub client finds that out in 25 s of trying again.

    Behind a proxy names are the proxy's to look up, so nothing is said there.
    """
    from huggingface_hub import constants

    host = urlparse(constants.ENDPOINT)
    if getproxies():
        return False
    try:
        socket.getaddrinfo(host.hostname, host.port or 443)
    except OSError:
        return True
    return False


UNREACHED = ("OfflineModeIsEnabled", "ConnectionError", "ConnectError", "ConnectTimeout", "LocalEntryNotFoundError")
"""Names of errors, of the Hub client's several HTTP libraries, that mean: no network."""


def _hub_error(source: Source, error: Exception) -> DataInvalid:
    """What to do about a Hub data set that does not load, by what the Hub client said."""
    said = " ".join(str(error).split())[:200]
    kinds = {type(cause).__name__ for cause in _causes(error)}
    start = f"Cannot read the data set {source.name!r} (split {source.split})"
    if kinds & {*UNREACHED} or "offline" in said.lower() or "Couldn't reach" in said:
        remedy = "the Hub cannot be reached: go online, unset HF_HUB_OFFLINE where it is set, or give a local file"
        return SourceUnreachable(f"{start}: {remedy}. Built in: {', '.join(BUILT_IN)}")
    page = f"https://huggingface.co/datasets/{source.name}"
    if "gated" in said.lower() or "401" in said or "403" in said:
        remedy = f"accept its terms at {page} and set HF_TOKEN"
    elif "Config name" in said:
        remedy = "set the source's `subset`"
    else:
        remedy = f"is the name right? {page}. Built in: {', '.join(BUILT_IN)}"
    return DataInvalid(f"{start}: {remedy} ({type(error).__name__}: {said})")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _downloaded(url: str) -> Path:
    """A copy of a file at an HTTP or fsspec URL, in the cache; fetched once."""
    path = cache_folder() / "downloads" / digest(url)[:16] / Path(urlparse(url).path).name
    if path.is_file():
        return path
    if path.suffix.lower() not in READABLE:
        raise DataInvalid(f"{url}: files of type {path.suffix or '(none)'} are not read; {', '.join(READABLE)} are")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        with part.open("wb") as local:
            _fetch(url, local)
        part.replace(path)
    except FileNotFoundError as error:
        raise DataInvalid(f"There is no data file at {url}") from error
    except Exception as error:
        raise SourceUnreachable(f"Cannot fetch {url}: {type(error).__name__}: {error}") from error
    finally:
        part.unlink(missing_ok=True)
    return path


def _fetch(url: str, local: IO[bytes]) -> None:
    if url.startswith(("http://", "https://")):  # fsspec would need two more libraries for it
        import httpx

        with httpx.stream("GET", url, follow_redirects=True, timeout=60) as answer:
            if answer.status_code == 404:
                raise FileNotFoundError(url)
            answer.raise_for_status()
            for piece in answer.iter_bytes():
                local.write(piece)
        return
    import fsspec

    with fsspec.open(url, "rb") as remote:
        shutil.copyfileobj(remote, local)
