"""Files from anywhere: plain ones are read whole, everything else is one line that names the file."""

from __future__ import annotations

import gzip
import io
import os
import zlib
from pathlib import Path

import pytest

from results import FileUnreadable, below, file_start, is_there, leads_out, open_file, read_bytes, read_text, text_lines
from results.files import reading
from results.files.reading import UNSUSPECTED_BYTES


def refusal(path: Path, most: int = 1000) -> str:
    with pytest.raises(FileUnreadable) as caught:
        read_bytes(path, most)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    return caught.value.reason


def test_plain_and_packed_files_are_read_alike(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"[1]")
    (tmp_path / "b.json").write_bytes(gzip.compress(b"[1]"))  # by its content, whatever its name
    assert read_bytes(tmp_path / "a.json") == read_bytes(tmp_path / "b.json") == b"[1]"
    assert file_start(tmp_path / "b.json", 2) == b"\x1f\x8b"


@pytest.mark.parametrize(
    ("data", "text"),
    [("é".encode(), "é"), ("é".encode("utf-8-sig"), "é"), ("é".encode("utf-16"), "é"), (b"", ""), (b"\0", "\0")],
)
def test_text_is_decoded_by_its_mark(tmp_path: Path, data: bytes, text: str) -> None:
    (tmp_path / "text").write_bytes(data)
    assert read_text(tmp_path / "text") == text


def test_bytes_that_are_no_text_are_named_with_their_line(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"a\nb\n\xe9")
    with pytest.raises(FileUnreadable, match=r"not UTF-8 text \(byte 4, line 3: 0xe9\); save it as UTF-8"):
        read_text(tmp_path / "text")


def test_what_is_no_plain_file_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "folder").mkdir()
    assert "no plain file" in refusal(tmp_path / "pipe") and "no plain file" in refusal(tmp_path / "device")
    assert "folder" in refusal(tmp_path / "folder")
    assert refusal(tmp_path / "none") == "no such file" == refusal(tmp_path / "a\0b")
    assert "cannot be read" in refusal(tmp_path / "loop")
    assert "cannot be read" in refusal(tmp_path / ("n" * 300))


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    assert "larger than" in refusal(tmp_path / "sparse")
    (tmp_path / "fits").write_bytes(bytes(1000))
    (tmp_path / "beyond").write_bytes(bytes(1001))
    (tmp_path / "packed").write_bytes(gzip.compress(bytes(1001)))
    assert len(read_bytes(tmp_path / "fits", 1000)) == 1000
    assert "larger than" in refusal(tmp_path / "beyond") and "larger than" in refusal(tmp_path / "packed")


def bomb(path: Path, count: int) -> None:
    """A gzip file of so many line feeds, written without holding them."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    path.write_bytes(b"".join(packer.compress(b"\n" * 2**20) for _ in range(count >> 20)) + packer.flush())


def test_a_small_file_of_a_huge_one_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    bomb(tmp_path / "bomb.gz", 64 << 20)
    assert "times its size" in refusal(tmp_path / "bomb.gz", 1 << 30)
    with open_file(tmp_path / "bomb.gz") as file, pytest.raises(FileUnreadable):
        for count in range(64):
            file.read(1 << 20)
            assert count << 20 <= 2 * UNSUSPECTED_BYTES


def test_lines_without_end_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blank ones cost nothing but time, of which 500 million take minutes."""
    monkeypatch.setattr(reading, "MOST_LINES", 1000)
    (tmp_path / "blank").write_bytes(b"\n" * 1000 + b"x")
    with pytest.raises(FileUnreadable, match="more than 1,000 lines"):
        list(text_lines(tmp_path / "blank"))


def test_a_well_packed_file_that_is_none_is_read(tmp_path: Path) -> None:
    lines = b"".join(b'{"task_id": "HumanEval/%d", "completion": "    return 1"}\n' % (n % 164) for n in range(330_000))
    (tmp_path / "answers.gz").write_bytes(gzip.compress(lines))
    assert len(lines) > UNSUSPECTED_BYTES and read_bytes(tmp_path / "answers.gz") == lines


@pytest.mark.parametrize("cut", [1, 9, 12, -9, -1])
def test_damaged_packing_is_one_line(tmp_path: Path, cut: int) -> None:
    packed = gzip.compress(b"x" * 5000)
    (tmp_path / "cut.gz").write_bytes(packed[:cut] if cut != 1 else packed[:2])
    assert "damaged as a gzip file" in refusal(tmp_path / "cut.gz", 10_000)
    (tmp_path / "cut.gz").write_bytes(packed[:12] + b"\xff" + packed[13:])
    assert "damaged as a gzip file" in refusal(tmp_path / "cut.gz", 10_000)


def test_a_link_that_leads_out_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("token")
    folder = tmp_path / "import"
    (folder / "inner").mkdir(parents=True)
    (folder / "own").write_text("own")
    (folder / "leak").symlink_to(tmp_path / "secret")
    (folder / "way").symlink_to(tmp_path)
    (folder / "inner" / "up").symlink_to("../own")
    with below(folder):
        assert read_text(folder / "own") == read_text(folder / "inner" / "up") == "own"
        for name in ("leak", "way/secret", "../import/leak"):
            with pytest.raises(FileUnreadable, match="leads out of import"):
                read_text(folder / name)
    assert read_text(folder / "leak") == "token"  # nobody asked for a bound


def test_what_the_user_named_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "rows").write_text("rows")
    (tmp_path / "folder").symlink_to(tmp_path / "there")
    (tmp_path / "file").symlink_to(tmp_path / "there" / "rows")
    with below(tmp_path / "folder"):
        assert read_text(tmp_path / "folder" / "rows") == "rows"
    with below(tmp_path, named=tmp_path / "file"):
        assert read_text(tmp_path / "file") == "rows"


def test_a_snapshot_of_the_hubs_cache_holds_links_to_its_blobs(tmp_path: Path) -> None:
    snapshot = tmp_path / "datasets--a--b" / "snapshots" / "c0ffee"
    snapshot.mkdir(parents=True)
    (snapshot / "rows.jsonl").symlink_to("../../blobs/1")
    (snapshot / "secret.jsonl").symlink_to("../../../secret")
    assert not leads_out(snapshot / "rows.jsonl", snapshot) and leads_out(snapshot / "secret.jsonl", snapshot)


def test_what_breaks_while_it_is_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "cut.gz").write_bytes(gzip.compress(os.urandom(1 << 20))[:-100])
    with pytest.raises(FileUnreadable), open_file(tmp_path / "cut.gz") as file:
        io.TextIOWrapper(file, "latin-1").read()


def test_a_name_that_no_file_can_have_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    assert is_there(tmp_path / "a")
    assert not any(is_there(tmp_path / name) for name in ("b", "n" * 300, "a\0b", "a/b", "."))
