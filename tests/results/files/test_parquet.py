"""Parquet files are read in batches whose memory is bounded, whatever the file shares, packs or claims."""

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.errors import FileUnreadable
from results.files.parquet import BATCH_BYTES, ROWS, parquet_batches

PATH, LONG = Path("rows.parquet"), "x" * 1_000_000


def packed(columns: dict[str, Any], **how: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, **how)
    return sink.getvalue()


def shared(text: str, rows: int) -> Any:
    """A column whose every row points at one text, as a file holds it."""
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([text]))


def test_a_text_that_every_row_shares_makes_batches_short() -> None:
    file = packed({"prompt": ["a"] * 2000, "completion": shared(LONG, 2000)}, store_schema=False, compression="zstd")
    assert len(file) < 10_000, "two gigabytes of text"
    batches = parquet_batches(PATH, file)
    for _, batch in zip(range(3), batches, strict=False):
        assert 0 < batch.nbytes <= 1.1 * BATCH_BYTES


def test_a_row_that_repeats_a_shared_text_too_often_is_refused_before_it_is_unpacked() -> None:
    words = pa.ListArray.from_arrays(pa.array([0, 3000], pa.int32()), shared(LONG, 3000))
    with pytest.raises(FileUnreadable, match=r"rows\.parquet: \d+ rows after row 0 are 2,861 MiB of text"):
        list(parquet_batches(PATH, packed({"turns": words}, store_schema=False)))


@pytest.mark.slow
def test_many_short_conversations_with_one_long_prompt_are_read() -> None:
    turns = pa.array(
        [[{"role": "system", "content": "s" * 5000}, {"role": "user", "content": str(n)}] for n in range(30_000)]
    )
    rows = [row for batch in parquet_batches(PATH, packed({"messages": turns})) for row in batch.to_pylist()]
    assert rows == [{"messages": turn} for turn in turns.to_pylist()]


def test_a_file_that_unpacks_to_far_more_than_its_size_is_refused() -> None:
    file = packed({"text": ["\0" * 40_000_000]}, compression="zstd", use_dictionary=False)
    with pytest.raises(FileUnreadable, match="it unpacks to 38 MiB, over 250 times its size"):
        list(parquet_batches(PATH, file))


@given(
    st.lists(
        st.fixed_dictionaries({
            "text": st.none() | st.text(max_size=5),
            "turns": st.lists(
                st.fixed_dictionaries({"role": st.text(max_size=3), "n": st.none() | st.integers(0, 9)}), max_size=3
            ),
            "number": st.floats(allow_nan=False), "flag": st.booleans(),
        }),
        min_size=1, max_size=20,
    ),
    st.integers(1, 9), st.booleans(),
)  # fmt: skip
def test_what_was_written_is_read(rows: list[dict[str, Any]], group: int, dictionary: bool) -> None:
    sink = io.BytesIO()
    table = pa.Table.from_pylist(rows)
    pq.write_table(table, sink, row_group_size=group, use_dictionary=dictionary)
    batches = list(parquet_batches(PATH, sink.getvalue()))
    assert pa.Table.from_batches(batches, table.schema).to_pylist() == table.to_pylist()
    assert all(batch.num_rows <= ROWS for batch in batches)


def test_an_empty_table_has_no_rows_and_a_text_is_no_parquet(tmp_path: Path) -> None:
    nothing = parquet_batches(PATH, packed({"a": pa.array([], pa.string())}))
    assert not [row for batch in nothing for row in batch.to_pylist()]
    (tmp_path / "x.parquet").write_text("not one")
    with pytest.raises(FileUnreadable, match=r"x\.parquet: not a Parquet file"):
        list(parquet_batches(tmp_path / "x.parquet"))
