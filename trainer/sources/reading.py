"""Reading data sources: built-in, files and folders here or at a URL, and the Hub.

Files are read in `trainer.sources.files`, a folder's splits chosen in `trainer.sources.location`; what a row means is
`trainer.sources.formats`' business, what is counted of it `trainer.sources.tally`'s. Nothing from a data set is
executed.
"""

from __future__ import annotations

import os
import random
import shutil
import socket
from array import array
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, chain, count, islice
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlparse
from urllib.request import getproxies

from engines import cache_folder
from results.records import Progress, digest
from trainer.errors import DataInvalid, SourceUnreachable
from trainer.experiment.schema import Data, Source
from trainer.sources.conversations import Reading, uncollected
from trainer.sources.fields import BadRow
from trainer.sources.files import Rows, Tell, rows_of_file, without_nulls_inside
from trainer.sources.formats import converted
from trainer.sources.location import BUILT_IN, READABLE, is_local, source_files
from trainer.sources.shelf import Picked, Shelf
from trainer.sources.stdlib import stdlib_rows
from trainer.sources.tally import Tally

KEPT_COLUMNS = ("score", "source", "language", "lang", "category", "module", "name", "id")
"""Short columns kept beside the turns, for filters and for naming a row to a person."""


def read_sources(data: Data, progress: Progress | None = None) -> Reading:
    """Read every source, convert its rows, and mix them.

    Raises: DataInvalid when a source cannot be read or has no usable row.
    """
    rows = Shelf()
    sizes: list[int] = []
    reports: list[dict[str, Any]] = []
    for number, source in enumerate(data.sources):
        before = len(rows)
        with uncollected():
            reports.append(_read(source, data, rows))
        sizes.append(len(rows) - before)
        if progress:
            progress("reading sources", number + 1, len(data.sources))
    mixed = Picked(rows, mix(sizes, [source.weight for source in data.sources], data.seed))
    return Reading(mixed, {"sources": reports, "rows": len(mixed)})


def mix(sizes: Sequence[int], weights: Sequence[float | None], seed: int) -> Sequence[int]:
    """Places of all rows in a seeded order, the sources' rows counted on from one source to the next.

    With weights, as many rows of each source as its share allows without repeating: the scarcest source sets the size,
    so that weights 3 and 1 over 100 and 100 rows give 100 and 33.
    """
    ends = list(accumulate(sizes))
    chosen = [array("q", range(end - size, end)) for size, end in zip(sizes, ends, strict=True)]
    for part in chosen:
        random.Random(seed).shuffle(part)
    if all(weight is not None for weight in weights):
        size = min(len(part) / weight for part, weight in zip(chosen, weights, strict=True) if weight)
        chosen = [part[: round(size * weight)] for part, weight in zip(chosen, weights, strict=True) if weight]
    places = array("q", chain.from_iterable(chosen))
    random.Random(seed).shuffle(places)
    return places


def _read(source: Source, data: Data, rows: Shelf) -> dict[str, Any]:
    """Append the usable rows of one source; its report.

    Raises: DataInvalid when no row is usable.
    """
    before = len(rows)
    _, report = examined(source, {data.quality.score_column, data.quality.language_column}, rows)
    if len(rows) == before:
        why = "; ".join(
            f"{reason} ({found['rows']} rows, first {found['examples'][0]})" for reason, found in report["bad"].items()
        )
        raise DataInvalid(f"No usable row in {source.name}: {why or 'it is empty'}")
    return report


def examined(source: Source, columns: Collection[str] = (), shelf: Shelf | None = None) -> tuple[Shelf, dict[str, Any]]:
    """Usable rows of one source, none perhaps, appended to `shelf` or on one of their own, and the source's report.

    columns: kept for filters beside KEPT_COLUMNS.
    The report: source, read, usable, bad (reason → rows, examples), formats, columns (used, ignored, not_used → rows),
    notes (what a person should hear → rows, examples), files (how they were read, where that is no matter of course).
    Raises: DataInvalid when the source cannot be read.
    """
    rows = Shelf() if shelf is None else shelf
    tally = Tally(source.name)
    kept = frozenset((*KEPT_COLUMNS, *columns))
    for place, raw in islice(raw_rows(source, tally.tell), source.limit):
        if isinstance(raw, BadRow):
            tally.bad(place, str(raw))
            continue
        try:
            found = converted(raw, source)
        except BadRow as reason:
            tally.bad(place, str(reason))
            continue
        extra = {
            key: raw[key]
            for key in _among(kept, tuple(raw))
            if isinstance(raw[key], str | int | float) and len(str(raw[key])) <= 200
        }
        rows.put(found.messages, source.name, tally.read, extra, found.tools)
        tally.usable(place, found.format, found.fields)
    if not tally.read:
        tally.tell(f"{source.name} holds no rows")
    return rows, tally.report()


@lru_cache(4096)
def _among(kept: frozenset[str], names: tuple[str, ...]) -> list[str]:
    """Those of a row's columns that are kept."""
    return sorted(kept & {*names})


def raw_rows(source: Source, tell: Tell = lambda _: None) -> Rows:
    """Yield place and row of a source: the place names file and line; a BadRow stands for a line that cannot be read.

    `tell` hears how files were read where that is no matter of course: dialects, encodings, what was left out.
    """
    if source.name == "python-stdlib":
        for row in stdlib_rows():
            yield f"{row['module']}:{row['line']}", row
        return
    if "://" in source.name:
        yield from rows_of_file(_downloaded(source.name), source, tell)
        return
    if is_local(source):
        for file in source_files(source, tell):
            yield from rows_of_file(file, source, tell)
        return
    yield from _hub_rows(source)


def _hub_rows(source: Source) -> Rows:
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
    found = iter(rows)
    for number in count():
        try:
            row = next(found, None)
        except Exception as error:  # streamed rows are fetched and decoded here
            raise _hub_error(source, error) from error
        if row is None:
            return
        yield f"{source.name}[{number}]", without_nulls_inside(row)


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
    """Make the error of a Hub data set that does not load, with what to do by what the Hub client said."""
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
