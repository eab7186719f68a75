"""The cache folder: where it is, and one line where this user cannot write there."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines import EngineError, cache_folder


def test_it_is_in_the_home_unless_told_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("BAKEOFF_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_folder() == tmp_path / "home" / ".cache" / "bakeoff"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert cache_folder() == tmp_path / "caches" / "bakeoff"
    monkeypatch.setenv("BAKEOFF_CACHE", "~/elsewhere")
    assert cache_folder() == tmp_path / "home" / "elsewhere"
    assert cache_folder().is_dir()


@pytest.mark.parametrize("home", ["/proc/nobody", "file"])
def test_a_home_that_cannot_be_written_to_is_one_line_with_the_remedy(
    home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / home))
    monkeypatch.delenv("BAKEOFF_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    with pytest.raises(EngineError, match=r"cannot be used.*BAKEOFF_CACHE"):
        cache_folder()
