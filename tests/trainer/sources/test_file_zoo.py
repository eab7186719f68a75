"""Files as people hand them in: read right, or refused in one line that names cause and remedy. All are invented."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from trainer import TrainerError
from trainer.errors import DataInvalid
from trainer.experiment.schema import Source
from trainer.sources import documents
from trainer.sources.reading import examined

ROW = {"prompt": "Señor or sir?", "completion": "señor"}
ROWS = [ROW, {"prompt": "q2", "completion": "a2"}]
CHAT = [{"role": "user", "content": "Señor or sir?"}, {"role": "assistant", "content": "señor"}]
CHINESE = {"prompt": "法国的首都是哪里？请用中文回答这个问题。", "completion": "法国的首都是巴黎，这是一个很大的城市。"}


def read(path: Path, **source: Any) -> tuple[list[tuple[str, ...]], dict[str, Any]]:
    """(question and answers of each row, the report)."""
    rows, report = examined(Source(name=str(path), **source))
    assert report["read"] == report["usable"] + sum(found["rows"] for found in report["bad"].values())
    assert report["usable"] == len(rows)
    return [(row.prompt, *row.answers) for row in rows], report


def lines(rows: list[Any]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


BOTH = [("Señor or sir?", "señor"), ("q2", "a2")]
PRETTY = json.dumps(ROWS, indent=2, ensure_ascii=False)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("array.jsonl", PRETTY),
        ("array-in-a-line.jsonl", json.dumps(ROWS)),
        ("pretty.jsonl", "\n".join(json.dumps(row, indent=2) for row in ROWS)),
        ("commas.jsonl", ",\n".join(json.dumps(row, indent=2) for row in ROWS)),
        ("lines.json", lines(ROWS)),
        ("data.json", json.dumps({"data": ROWS, "version": "1"})),
        ("instances.json", json.dumps({"type": "x", "instances": ROWS})),
        ("viewer.json", json.dumps({"features": [{"name": "a"}],
                                    "rows": [{"row_idx": at, "row": row} for at, row in enumerate(ROWS)]})),
        ("columns.json", json.dumps({key: [row[key] for row in ROWS] for key in ROW})),
        ("pandas.json", json.dumps({key: {str(at): row[key] for at, row in enumerate(ROWS)} for key in ROW})),
        ("ids.json", json.dumps({"one": ROWS[0], "two": ROWS[1]})),
        ("splits.json", json.dumps({"train": ROWS, "test": [{"prompt": "never", "completion": "trained"}]})),
        ("crlf.csv", "prompt,completion\r\nSeñor or sir?,señor\r\nq2,a2\r\n"),
        ("mac.csv", "prompt,completion\rSeñor or sir?,señor\rq2,a2\r"),
        ("semicolons.csv", "prompt;completion\nSeñor or sir?;señor\nq2;a2\n"),
        ("excel.csv", "sep=;\nprompt;completion\nSeñor or sir?;señor\nq2;a2\n"),
        ("tabs.csv", "prompt\tcompletion\nSeñor or sir?\tseñor\nq2\ta2\n"),
        ("bars.csv", "prompt|completion\nSeñor or sir?|señor\nq2|a2\n"),
        ("commas.tsv", "prompt,completion\nSeñor or sir?,señor\nq2,a2\n"),
        ("quoted.csv", "'prompt','completion'\n'Señor or sir?','señor'\n'q2','a2'\n"),
        ("index.csv", ",prompt,completion\n0,Señor or sir?,señor\n1,q2,a2\n"),
        ("capitals.csv", "Prompt,Completion\nSeñor or sir?,señor\nq2,a2\n"),
    ],
)  # fmt: skip
def test_one_table_in_every_dress(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    found, report = read(tmp_path / name)
    assert found == BOTH and not report["bad"], report


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("one.json", CHAT),
        ("one-object.json", {"messages": CHAT, "id": 3}),
        ("several.json", [CHAT, CHAT]),
        ("shared.json", {"conversations": [{"from": "human", "value": CHAT[0]["content"]},
                                           {"from": "gpt", "value": "señor"}]}),
    ],
)  # fmt: skip
def test_conversations_that_are_files_or_lines(tmp_path: Path, name: str, value: Any) -> None:
    (tmp_path / name).write_text(json.dumps(value, indent=1), encoding="utf-8")
    found, _ = read(tmp_path / name)
    assert found == BOTH[:1] * (2 if name == "several.json" else 1)
    (tmp_path / "lines.jsonl").write_text(lines([CHAT, {"messages": CHAT}]), encoding="utf-8")
    assert read(tmp_path / "lines.jsonl")[0] == BOTH[:1] * 2


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv"])
@pytest.mark.parametrize(
    ("encoding", "declared"),
    [("utf-8-sig", ""), ("utf-16", ""), ("utf-16-le", ""), ("utf-16-be", ""), ("utf-32", ""), ("cp1252", ""),
     ("cp1252", "cp1252"), ("latin-1", "latin-1"), ("utf-16-le", "utf-16-le")],
)  # fmt: skip
def test_every_encoding_reads_the_same(tmp_path: Path, suffix: str, encoding: str, declared: str) -> None:
    text = {
        ".jsonl": lines(ROWS),
        ".json": PRETTY,
        ".csv": "prompt,completion\nSeñor or sir?,señor\nq2,a2\n",
    }[suffix]
    path = tmp_path / f"rows{suffix}"
    path.write_bytes(text.encode(encoding))
    found, report = read(path, encoding=declared)
    assert found == BOTH
    assert bool(report["files"]) == (encoding != "utf-8-sig"), "another encoding is said"


def test_chinese_is_told_by_its_characters_or_declared(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(lines([CHINESE]).encode("gbk"))
    assert read(tmp_path / "rows.jsonl")[0] == [(CHINESE["prompt"], CHINESE["completion"])]
    (tmp_path / "short.jsonl").write_bytes(lines([{"prompt": "你", "completion": "好"}, ROWS[1]]).encode("gbk"))
    assert read(tmp_path / "short.jsonl", encoding="gbk")[0] == [("你", "好"), ("q2", "a2")]
    found, report = read(tmp_path / "short.jsonl")
    assert found == [("q2", "a2")]
    assert list(report["bad"]) == [
        "not UTF-8: set the source's `encoding`, e.g. cp1252 or gbk, or save the file as UTF-8"
    ]


@pytest.mark.parametrize("text", ["Zażółć gęślą jaźń.", "Příliš žluťoučký kůň.", "Türkiye'nin başkenti ığ"])
def test_what_several_encodings_fit_is_not_guessed(tmp_path: Path, text: str) -> None:
    encoding = "cp1254" if "ı" in text else "cp1250"
    (tmp_path / "rows.jsonl").write_bytes(lines([{"prompt": "q", "completion": text}]).encode(encoding))
    assert read(tmp_path / "rows.jsonl")[0] == []
    assert read(tmp_path / "rows.jsonl", encoding=encoding)[0] == [("q", text)]


def test_a_damaged_place_in_utf8_costs_its_row_alone(tmp_path: Path) -> None:
    whole = lines([ROW, ROW]).encode()
    (tmp_path / "rows.jsonl").write_bytes(whole + b'{"prompt": "q\xff", "completion": "a"}\n')
    found, report = read(tmp_path / "rows.jsonl")
    assert found == [BOTH[0]] * 2 and len(report["bad"]) == 1
    (tmp_path / "rows.csv").write_bytes("prompt,completion\nñ,á\n".encode() + b"q\xff,a\n")
    found, report = read(tmp_path / "rows.csv")
    assert found == [("ñ", "á")] and report["bad"][next(iter(report["bad"]))]["examples"] == ["rows.csv:3"]


def test_a_cell_of_any_size_and_quotes_of_any_kind(tmp_path: Path) -> None:
    (tmp_path / "long.csv").write_text(f'prompt,completion\nq,"{"word, " * 50_000}end"\n')
    [(_, answer)] = read(tmp_path / "long.csv")[0]
    assert len(answer) == 300_003
    (tmp_path / "doubled.csv").write_text('prompt,completion\n"say ""yes"", no?","a\nb"\n')
    assert read(tmp_path / "doubled.csv")[0] == [('say "yes", no?', "a\nb")]
    (tmp_path / "escaped.csv").write_text('prompt,completion\n"say \\"yes, no\\"?","a"\n')
    assert read(tmp_path / "escaped.csv")[0] == [('say "yes, no"?', "a")]
    (tmp_path / "path.csv").write_text('prompt,completion\n"C:\\dir\\","a"\n')
    assert read(tmp_path / "path.csv")[0] == [("C:\\dir\\", "a")]


def test_parquet_of_structs_has_no_keys_that_a_row_did_not_have(tmp_path: Path) -> None:
    call = {"type": "function", "function": {"name": "sky", "arguments": {"city": "Oslo"}}}
    rows = [
        {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]},
        {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": None, "tool_calls": [call]}]},
    ]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    found, _ = examined(Source(name=str(tmp_path / "rows.parquet")))
    assert found[0].messages[1] == {"role": "assistant", "content": "a"}
    assert found[1].messages[1]["tool_calls"] == [call]


def clone(folder: Path, names: list[str]) -> Path:
    """A folder of files, each with one row that names its file."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(lines([{"prompt": path.name, "completion": "x"}]))
    return folder


@pytest.mark.parametrize(
    ("names", "source", "read_names"),
    [
        (["data/train-00000-of-00002.jsonl", "data/train-00001-of-00002.jsonl", "data/test-00000-of-00001.jsonl"], {},
         ["train-00000-of-00002.jsonl", "train-00001-of-00002.jsonl"]),
        (["train.jsonl", "validation.jsonl", "test.jsonl"], {"split": "validation"}, ["validation.jsonl"]),
        (["train.jsonl", "dev.jsonl"], {"split": "validation"}, ["dev.jsonl"]),
        (["test/a.jsonl", "train/a.jsonl"], {}, ["a.jsonl"]),
        (["rows.jsonl", "test.jsonl"], {}, ["rows.jsonl"]),
        (["latest.jsonl", "contest.jsonl"], {}, ["contest.jsonl", "latest.jsonl"]),
        (["train_sft-00000-of-00001.jsonl", "train_gen-00000-of-00001.jsonl"], {"split": "train_sft"},
         ["train_sft-00000-of-00001.jsonl"]),
        (["en/train.jsonl", "de/train.jsonl"], {"subset": "de"}, ["train.jsonl"]),
        (["rows.jsonl", ".cache/old.jsonl", "dataset_infos.json"], {}, ["rows.jsonl"]),
    ],
)  # fmt: skip
def test_a_folder_gives_the_wanted_split_and_says_what_it_leaves(
    tmp_path: Path, names: list[str], source: dict[str, Any], read_names: list[str]
) -> None:
    found, report = read(clone(tmp_path / "set", names), **source)
    assert [prompt for prompt, _ in found] == read_names
    left = [Path(name).name for name in names if Path(name).name not in read_names and not name.startswith(".")]
    said = " ".join(report["files"])
    assert all(name in said for name in left if name != "dataset_infos.json")


def test_the_readme_of_a_clone_says_which_files_are_which(tmp_path: Path) -> None:
    folder = clone(tmp_path / "set", ["a/one.jsonl", "b/two.jsonl", "b/three.jsonl"])
    (folder / "README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_files:\n  - {split: train, path: a/*}\n"
        "  - {split: test, path: b/two.jsonl}\n"
        "- config_name: extra\n  data_files:\n  - {split: train, path: b/three*}\n"
        "---\n# A set\n"
    )
    assert read(folder)[0] == [("one.jsonl", "x")]
    assert read(folder, split="test")[0] == [("two.jsonl", "x")]
    assert read(folder, subset="extra")[0] == [("three.jsonl", "x")]
    with pytest.raises(TrainerError, match="no subset 'other'; its README has default, extra"):
        read(folder, subset="other")


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv"])
def test_a_file_without_rows_is_said_to_hold_none(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("" if name.endswith("jsonl") else "prompt,completion\n")
    assert read(tmp_path / name)[1]["files"] == [f"{tmp_path / name} holds no rows"]


def test_save_to_disk_folders_are_read_with_their_splits(tmp_path: Path) -> None:
    import datasets

    made = datasets.DatasetDict(
        train=datasets.Dataset.from_list(ROWS), test=datasets.Dataset.from_list([{"prompt": "t", "completion": "t"}])
    )
    made.save_to_disk(str(tmp_path / "saved"))
    rows, report = read(tmp_path / "saved")
    assert rows == BOTH and report["files"] == ["not read: test (the split train is)"]
    assert read(tmp_path / "saved", split="test")[0] == [("t", "t")]
    assert read(tmp_path / "saved" / "train")[0] == BOTH
    with pytest.raises(TrainerError, match="no split 'dev'; it has train, test"):
        read(tmp_path / "saved", split="dev")


def test_a_file_named_like_a_test_split_is_read_when_asked_for_and_said(tmp_path: Path) -> None:
    folder = clone(tmp_path, ["test.jsonl"])
    assert "is named like a test split" in read(folder / "test.jsonl")[1]["files"][0]


@pytest.mark.parametrize(
    ("names", "source", "message"),
    [
        (["test.jsonl"], {}, "no file of the split 'train'; its splits are test"),
        (["rows.jsonl"], {"split": "test"}, "no file of the split 'test': rows.jsonl"),
        (["train.jsonl"], {"split": "train[:10]"}, "a slice, which only the Hub cuts: use `limit`"),
        (["train.jsonl"], {"subset": "de"}, "no folder and no files named 'de'"),
        (["notes.txt"], {}, "No .jsonl, .* file in the folder"),
    ],
)
def test_a_folder_without_the_wanted_says_what_it_has(
    tmp_path: Path, names: list[str], source: dict[str, Any], message: str
) -> None:
    with pytest.raises(TrainerError, match=message):
        read(clone(tmp_path / "set", names), **source)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("pointer.parquet", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer.*lfs pull"),
        ("rows.jsonl.gz", b"x", "unpack it first"),
        ("double.csv", b"prompt,completion,prompt\na,b,c\n", "several columns named prompt"),
        (
            "lists.json",
            b'{"good": [{"a": 1}], "bad": [{"a": 1}]}',
            r"several lists \(bad, good\): keep the rows in one",
        ),
        (
            "splits.json",
            b'{"test": [{"prompt": "q", "completion": "a"}]}',
            "no split 'train', it has test: set `split`",
        ),
        ("broken.json", b'{"prompt": ', "is not JSON"),
        ("deep.json", b"[" * 100_000, "is not JSON"),
        ("rows.parquet", b"PAR1 but no more PAR1", "not a Parquet file"),
    ],
)
def test_files_that_cannot_be_read_say_what_they_are(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TrainerError, match=message):
        read(tmp_path / name)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ("klingon", "no text encoding 'klingon'"),
        ("rot13", "no text encoding 'rot13'"),
        ("ascii", "is not ascii, as the source's `encoding` says"),
    ],
)
def test_a_declared_encoding_must_exist_and_fit(tmp_path: Path, declared: str, message: str) -> None:
    (tmp_path / "rows.jsonl").write_text(lines(ROWS), encoding="utf-8")
    with pytest.raises(TrainerError, match=message):
        read(tmp_path / "rows.jsonl", encoding=declared)


def test_packed_files_of_a_folder_are_named(tmp_path: Path) -> None:
    folder = clone(tmp_path / "set", ["rows.jsonl"])
    (folder / "more.jsonl.gz").write_bytes(b"x")
    assert "not read: more.jsonl.gz" in read(folder)[1]["files"][0]


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds that small files exceed."""
    for name, most in (
        ("LONGEST_LINE", 2000), ("LARGEST_DOCUMENT_BYTES", 5000), ("UNSUSPECTED", 0), ("MOST_VALUES_OF_A_ROW", 60),
        ("MOST_VALUES_OF_A_DOCUMENT", 100),
    ):  # fmt: skip
        monkeypatch.setattr(documents, name, most)


LONG, MANY = {**ROW, "id": "x" * 2000}, {**ROW, "id": [[]] * 70}
COMMAS = {**ROW, "id": ",[" * 400}


@pytest.mark.parametrize("bad", [LONG, MANY], ids=["long", "of many values"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_line_that_is_too_large_is_one_unusable_row(narrow: None, tmp_path: Path, bad: Any, place: int) -> None:
    rows = [ROW, COMMAS]
    rows.insert(place, bad)
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "\n" * 5000)
    report = examined(Source(name=str(path)))[1]
    (reason,) = report["bad"]
    assert report["usable"] == 2 and report["read"] == 3 and "split it" in reason
    assert report["bad"][reason]["examples"] == [f"rows.jsonl:{place + 1}"]


@pytest.mark.parametrize("suffix", ["json", "jsonl"])
@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize(
    ("document", "said"),
    [([{**ROW, "id": "x" * 900}] * 6, "of more than 0 MiB"), ([{**ROW, "id": [[]] * 30}] * 4, "more than 100 values")],
    ids=["long", "of many values"],
)
def test_a_document_that_is_too_large_is_refused_with_what_to_do(
    narrow: None, tmp_path: Path, document: Any, said: str, indent: int | None, suffix: str
) -> None:
    path = tmp_path / f"rows.{suffix}"
    path.write_text(json.dumps(document, indent=indent))
    if suffix == "jsonl" and indent is None:  # a document on one line is a line
        (reason,) = examined(Source(name=str(path)))[1]["bad"]
        assert reason in (documents.TOO_LONG, documents.TOO_MANY)
        return
    with pytest.raises(DataInvalid, match="write its rows one a line") as told:
        examined(Source(name=str(path)))
    assert said in str(told.value)


def test_a_large_file_of_lines_under_a_document_s_name_is_read(narrow: None, tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text("".join(json.dumps(ROW) + "\n" for _ in range(100)))
    assert path.stat().st_size > documents.LARGEST_DOCUMENT_BYTES
    assert examined(Source(name=str(path)))[1]["usable"] == 100


@pytest.mark.parametrize("end", ["", '"'], ids=["never closed", "closed late"])
def test_a_row_of_a_table_that_is_too_long_is_refused(narrow: None, tmp_path: Path, end: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('question,answer\nQ,"A' + "\nQ,A" * 900 + end + "\n")
    with pytest.raises(DataInvalid, match="a quotation mark never closed"):
        examined(Source(name=str(path)))
    path.write_text("question,answer\n" + "Q,A\n" * 900)
    assert examined(Source(name=str(path)))[1]["usable"] == 900, "and rows of any number are read"
