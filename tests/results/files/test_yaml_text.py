"""YAML of unknown origin: what grows when it is followed, and what PyYAML stumbles over, is one line with its place."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from results import FileUnreadable, read_yaml, safe_yaml, short_repr

PATH = Path("some.yaml")


def aliases(item: str, levels: int = 9) -> str:
    """Nine lists of nine aliases each: 400 million values."""
    names = "abcdefghi"[:levels]
    rows = [f"{name}: &{name} {item.replace('*', f'*{below}')}" for below, name in pairwise(names)]
    return "\n".join(["a: &a {x: 1}", *rows])


HOSTILE = {
    "lists of aliases": (aliases("[*, *, *, *, *, *, *, *, *]"), "once its aliases are followed"),
    "keys that are merged": (aliases("{<<: [*, *, *, *, *, *, *, *, *]}"), "once its aliases are followed"),
    "a list that holds itself": ("&a [*a]", "holds itself"),
    "a mapping that merges itself": ("&a {<<: *a}", "holds itself"),
    "digits": (f"a: {'9' * 6000}", "line 1, column 4: an integer of 6000 digits"),
    "digits of base sixteen": (f"a: 0x{'f' * 6000}", "digits"),
    "digits of base sixty": (f"a: 1{':59' * 3000}", "digits"),
    "a date that is none": ("a: 1\nb: 2020-99-99", "line 2, column 4: '2020-99-99' is no timestamp"),
    "a zone that is none": ("a: 2020-01-01T00:00:00+99:99", "no timestamp"),
    "brackets": ("[" * 20_000, "lists and mappings in each other"),
    "brackets on lines": ("[\n" * 20_000, "lists and mappings in each other"),
    "dashes": ("- " * 20_000, "lists and mappings in each other"),
    "keys of keys": ("? " * 20_000, "lists and mappings in each other"),
    "many values": (f"[{'1,' * 30_000}]", "more than 20,000 values"),
    "an integer of nothing": ("!!int ''", "'' is no int"),
    "a float of nothing": ("!!float ''", "'' is no float"),
    "a truth of nothing": ("!!bool x", "'x' is no bool"),
    "a time of nothing": ("!!timestamp x", "'x' is no timestamp"),
    "bytes of nothing": ("!!binary 'é'", "base64"),
    "an object": ("!!python/object/apply:os.system [id]", "could not determine a constructor"),
    "a key twice": ("a: 1\nb: 1\na: 2", "line 3, column 1: key 'a' is given twice"),
    "a list as a key": ("? [a]\n: 1", "unhashable"),
    "a control character": ("a: \0", "special characters"),
    "several documents": ("---\n---\n", "single document"),
    "too long": ("#" * 2**20, "KiB"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_yaml_is_one_line(name: str) -> None:
    text, reason = HOSTILE[name]
    with pytest.raises(FileUnreadable, match=reason) as caught:
        safe_yaml(text, PATH)
    assert str(caught.value).startswith("some.yaml: ") and "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_what_people_write_is_read(tmp_path: Path) -> None:
    text = "a: &a {x: 1, y: [2020-01-01, 0x1F, 1.0e-4]}\nb:\n  <<: *a\n  z: *a\nc: null\n"
    (tmp_path / "file.yaml").write_text(text)
    found = read_yaml(tmp_path / "file.yaml")
    assert found["b"]["x"] == 1 and found["b"]["z"]["y"][1] == 31 and found["c"] is None


def test_values_are_shown_in_short() -> None:
    assert short_repr([1, "x"]) == "[1, 'x']"
    assert len(short_repr([["x" * 1000] * 1000] * 1000)) <= 200 and len(short_repr(10**4000)) <= 200
