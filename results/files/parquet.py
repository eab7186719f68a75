"""Parquet files that other people made, in batches whose memory is bounded whatever the file claims.

A column may say one long value once and point at it from every row: 500 bytes of file, 20 GB of text. So before a row
group is read, its longest shared value is looked at, and batches are as short as that demands. Not here: what a row
means, and values that are long one by one, which a row has to bear like a line of a text file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from results.errors import FileUnreadable
from results.files.reading import LARGEST_BYTES, MOST_TIMES, UNSUSPECTED_BYTES

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

ROWS = 1024
"""Rows of a batch, where nothing demands fewer."""

BATCH_BYTES = 64 * 2**20
"""What the text of a batch may come to by values that its rows share."""

Texts = dict[int, tuple[str, bool]]

REPEATING = frozenset(("DELTA_BYTE_ARRAY",))
"""Encodings in which a value may take its beginning from the one before: as good as a shared value."""


def parquet_batches(path: Path, data: bytes | None = None) -> Iterator[pa.RecordBatch]:
    """Record batches of a file, not validated yet, each of at most `ROWS` rows and about `BATCH_BYTES` of shared text.

    data: what the file holds, where it was read already.
    Raises: FileUnreadable where it is no Parquet file, is damaged, or unpacks to more than is believed.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    def opened(shared: Iterable[str]) -> pq.ParquetFile:
        return pq.ParquetFile(path if data is None else pa.BufferReader(data), read_dictionary=list(shared))

    try:
        file = opened(())
        metadata, texts = file.metadata, _texts(file)
        packed = path.stat().st_size if data is None else len(data)
        weigher = opened(paths := [path for path, _ in texts.values()])
    except (OSError, ValueError, pa.ArrowException) as error:
        raise FileUnreadable(path, f"not a Parquet file: {_one_line(error)}") from error
    claimed = sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
    if claimed > max(UNSUSPECTED_BYTES, MOST_TIMES * packed):
        raise FileUnreadable(path, f"it unpacks to {claimed >> 20:,} MiB, over {MOST_TIMES} times its size")
    done = 0
    try:
        for group in range(metadata.num_row_groups):
            rows, doubtful = _rows_at_once(weigher, metadata.row_group(group), group, texts)
            weighed = weigher.iter_batches(rows, row_groups=[group], columns=paths) if doubtful else None
            batches = file.iter_batches(rows, row_groups=[group])
            while True:
                text = sum(map(_spelled_out, _leaves(next(weighed, ())))) if weighed is not None else 0
                if text > LARGEST_BYTES:
                    raise FileUnreadable(path, f"{rows} rows after row {done} are {text >> 20:,} MiB of text")
                if (batch := next(batches, None)) is None:
                    break
                yield batch
                done += batch.num_rows
    except (OSError, ValueError, pa.ArrowException, OverflowError) as error:
        raise FileUnreadable(path, f"damaged after row {done}: {_one_line(error)}") from error


def _texts(file: pq.ParquetFile) -> Texts:
    """Number of each column of text or bytes → its path, and whether a row may have several of its values."""
    columns = (file.schema.column(number) for number in range(len(file.schema)))
    return {
        number: (column.path, column.max_repetition_level > 0)
        for number, column in enumerate(columns)
        if column.physical_type == "BYTE_ARRAY"
    }


def _rows_at_once(weigher: pq.ParquetFile, group: Any, number: int, texts: Texts) -> tuple[int, bool]:
    """How many rows of a row group make a batch, and whether even so each has to be weighed before it is read."""
    if not texts:
        return ROWS, False
    first = next(weigher.iter_batches(1, row_groups=[number], columns=[path for path, _ in texts.values()]), ())
    shared = [_longest(leaf) for leaf in _leaves(first)]
    a_row, doubtful = 1, False
    for (column, (_, repeated)), value in zip(texts.items(), shared, strict=False):  # an empty group has no leaves
        chunk = group.column(column)
        value = chunk.total_uncompressed_size if REPEATING & set(chunk.encodings) else value
        doubtful |= repeated and value * chunk.num_values > BATCH_BYTES
        a_row += value
    return max(1, min(ROWS, BATCH_BYTES // a_row)), doubtful


def _leaves(columns: Iterable[Any]) -> Iterator[Any]:
    """The arrays of values inside arrays of lists, structs and maps, in Parquet's order of columns."""
    import pyarrow as pa

    for column in columns:
        kind = column.type
        if pa.types.is_struct(kind):
            yield from _leaves(column.flatten())
        elif pa.types.is_map(kind):
            yield from _leaves((column.keys, column.items))
        elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
            yield from _leaves((column.flatten(),))
        else:
            yield column


def _longest(leaf: Any) -> int:
    """Bytes of the longest value of a dictionary; 0 where values are not shared."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.max(pc.binary_length(leaf.dictionary)).as_py() or 0 if pa.types.is_dictionary(leaf.type) else 0


def _spelled_out(leaf: Any) -> int:
    """Bytes of all values of an array, each as often as it stands."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(leaf.type):
        return int(leaf.nbytes)
    return pc.sum(pc.take(pc.binary_length(leaf.dictionary), leaf.indices)).as_py() or 0


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
