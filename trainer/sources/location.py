"""Where a source lies, and which of its files are the wanted split: what is known before one is opened.

A source is built in, a file or folder here, a file at a URL, or a data set of the Hub. Folders are clones of Hub data
sets, `save_to_disk` folders, or of one's own: a file belongs to a split by a word of its name or of a folder above it
(`train-00000-of-00002.parquet`, `test/a.csv`), as the Hub has it; by the `data_files` of the README's configurations
where there are some. What is left out is said.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from results import FileUnreadable, is_there, leads_out, read_bytes, read_json, safe_yaml
from trainer.errors import DataInvalid
from trainer.experiment.schema import Source

BUILT_IN = ("python-stdlib",)

READABLE = (".jsonl", ".json", ".csv", ".tsv", ".parquet")
ARROW = ".arrow"
"""Read where `save_to_disk` says so: elsewhere such files are caches."""

SPLITS = ("train", "training", "test", "testing", "validation", "valid", "val", "dev", "eval", "evaluation")

KINDS = {
    **dict.fromkeys(("training",), "train"),
    **dict.fromkeys(("testing", "eval", "evaluation"), "test"),
    **dict.fromkeys(("valid", "val", "dev"), "validation"),
}
"""Other names of the three splits, as the Hub has them."""


PACKED = (".gz", ".zst", ".xz", ".bz2", ".zip", ".tar", ".xlsx", ".xls", ".ods", ".pkl", ".feather")
"""Files that may hold rows and are not read: named, so that nobody believes they were."""

NOT_ROWS = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "package.json")


def is_local(source: Source) -> bool:
    """Whether the source is a file or folder, there or not, rather than a built-in or a Hub id."""
    path = Path(source.name).expanduser()
    if "://" in source.name:
        return False
    local = path.exists() or path.suffix.lower() in READABLE or source.name.startswith((".", "/", "~"))
    return source.name not in BUILT_IN and local


def same_split(one: str, other: str) -> bool:
    """Whether two names mean one split: val, valid, dev and validation do."""
    return KINDS.get(one.lower(), one.lower()) == KINDS.get(other.lower(), other.lower())


def split_of(path: Path) -> str:
    """The split that a path names: the file's own word first, then those of the folders above it; empty without one."""
    if shard := re.match(r"(\w+)-\d{5}-of-\d{5}", path.stem):
        return shard.group(1)
    for part in reversed((*path.parts[:-1], path.stem)):
        words = [word for word in re.split(r"[^a-z]+", part.lower()) if word in SPLITS]
        if words:
            return words[0]
    return ""


def source_files(source: Source, tell: Callable[[str], None]) -> list[Path]:
    """The files of a local source that hold its split, in order of their paths.

    Raises: DataInvalid when there is none.
    """
    path = Path(source.name).expanduser()
    if "[" in source.split or "+" in source.split:
        raise DataInvalid(f"{path}: the split {source.split!r} is a slice, which only the Hub cuts: use `limit`")
    if path.is_dir():
        if saved := _saved(path, source, tell):
            return saved
        return _of_split(path, source, tell)
    if not path.is_file():
        raise DataInvalid(f"No data file {path}; paths are relative to the experiment file. Built in: python-stdlib")
    if path.suffix.lower() not in (*READABLE, ARROW):
        remedy = "unpack it first; " if path.suffix.lower() in PACKED else ""
        raise DataInvalid(
            f"{path}: files of type {path.suffix or '(none)'} are not read; {remedy}{', '.join(READABLE)} are"
        )
    own = split_of(Path(path.name))
    if own and not same_split(own, source.split):
        tell(f"{path.name} is named like a {KINDS.get(own, own)} split, and is trained on all the same")
    return [path]


def _of_split(folder: Path, source: Source, tell: Callable[[str], None]) -> list[Path]:
    everything = [file for file in sorted(folder.rglob("*")) if file.is_file() and not _hidden(file, folder)]
    files = [file for file in everything if file.suffix.lower() in READABLE and file.name not in NOT_ROWS]
    if out := [file for file in files if file.is_symlink() and leads_out(file, folder)]:
        tell(f"not read: {_named([file.name for file in out])}: links that lead out of {folder.name}")
        files = [file for file in files if file not in out]
    if packed := [file.name for file in everything if file.suffix.lower() in PACKED]:
        tell(f"not read: {_named(packed)}; {', '.join(READABLE)} are: unpack or convert them")
    configs = _configurations(folder, tell)
    files = _of_subset(folder, files, source, configs)
    if not files:
        raise DataInvalid(f"No {', '.join(READABLE)} file in the folder {folder}")
    if configured := _configured(folder, source, configs):
        chosen = [file for file in files if any(file.match(pattern) for pattern in configured)]
        if chosen:
            return _told(files, chosen, source, tell)
    splits = {file: split_of(file.relative_to(folder)) for file in files}
    known = sorted({KINDS.get(split, split) for split in splits.values() if split})
    if not known:
        if not same_split(source.split, "train"):
            raise DataInvalid(f"{folder} has no file of the split {source.split!r}: {_named([f.name for f in files])}")
        return files
    # Beside files of named splits, one without a name is training data: `rows.jsonl` and `test.jsonl`.
    chosen = [file for file, split in splits.items() if same_split(split or "train", source.split)]
    if not chosen:
        raise DataInvalid(f"{folder} has no file of the split {source.split!r}; its splits are {', '.join(known)}")
    return _told(files, chosen, source, tell)


def _told(files: Sequence[Path], chosen: list[Path], source: Source, tell: Callable[[str], None]) -> list[Path]:
    if left := [file.name for file in files if file not in chosen]:
        tell(f"not read: {_named(left)} (the split {source.split} is)")
    return chosen


def _of_subset(folder: Path, files: list[Path], source: Source, configs: Sequence[Mapping[str, Any]]) -> list[Path]:
    """The files of a configuration, which clones keep in a folder or under a prefix of its name."""
    if not source.subset or configs:
        return files
    found = [file for file in files if source.subset in file.relative_to(folder).parts[:-1]]
    found = found or [file for file in files if file.name.startswith(source.subset)]
    if not found:
        raise DataInvalid(f"{folder} has no folder and no files named {source.subset!r}: mend the source's `subset`")
    return found


def _configurations(folder: Path, tell: Callable[[str], None]) -> list[dict[str, Any]]:
    """`configs` of the head of a data set's README; a head that cannot be read is told."""
    readme = folder / "README.md"
    if not readme.is_file():
        return []
    try:
        head = re.match(r"---\r?\n(.*?)\n---", read_bytes(readme).decode("utf-8", "replace"), re.DOTALL)
        found = safe_yaml(head.group(1), readme) if head else None
    except FileUnreadable as error:
        tell(f"README.md says nothing of the files: {error.reason}")
        return []
    configs = found.get("configs") if isinstance(found, dict) else None
    return [one for one in configs if isinstance(one, dict)] if isinstance(configs, list) else []


def _configured(folder: Path, source: Source, configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Patterns of the wanted configuration's files of the wanted split; none without a README that says so.

    Raises: DataInvalid when there are several configurations and none is chosen, or the wanted one is not there.
    """
    if not configs:
        return []
    names = [str(one.get("config_name", "default")) for one in configs]
    standard = [one for one in configs if one.get("default") or one.get("config_name") == "default"]
    chosen = [one for one, name in zip(configs, names, strict=True) if name == source.subset]
    if source.subset and not chosen:
        raise DataInvalid(f"{folder} has no subset {source.subset!r}; its README has {', '.join(names)}")
    if not source.subset and not standard and len(configs) > 1:
        raise DataInvalid(f"{folder} has the subsets {', '.join(names)}: set the source's `subset`")
    files = (chosen or standard or configs)[0].get("data_files")
    if isinstance(files, list) and all(isinstance(one, dict) for one in files):
        patterns = [one.get("path") for one in files if same_split(str(one.get("split", "train")), source.split)]
    else:
        patterns = [files]
    flat = [path for one in patterns for path in (one if isinstance(one, list) else [one])]
    return [str(path).replace("**/", "*/") for path in flat if path]


def _saved(folder: Path, source: Source, tell: Callable[[str], None]) -> list[Path]:
    """Arrow files of a folder that `save_to_disk` wrote; none for another folder.

    Raises: DataInvalid when it holds splits without the wanted one.
    """
    if (folder / "dataset_dict.json").is_file():
        splits = [str(name) for name in _json(folder / "dataset_dict.json").get("splits", [])]
        wanted = next((name for name in splits if same_split(name, source.split)), None)
        if wanted is None:
            raise DataInvalid(f"{folder} has no split {source.split!r}; it has {', '.join(splits)}: set `split`")
        if left := [name for name in splits if name != wanted]:
            tell(f"not read: {_named(left)} (the split {source.split} is)")
        folder = folder / wanted
    if not (folder / "state.json").is_file():
        return []
    named = [str(file.get("filename", "")) for file in _json(folder / "state.json").get("_data_files", [])]
    files = [folder / Path(name).name for name in named if name.endswith(ARROW)]
    if missing := [file for file in files if not is_there(file)]:
        raise DataInvalid(f"{folder} was written by save_to_disk, and {missing[0].name[:80]} is missing: copy it too")
    return files


def _json(path: Path) -> dict[str, Any]:
    try:
        found = read_json(path)
    except FileUnreadable as error:
        raise DataInvalid(f"{path} of a save_to_disk folder cannot be read: {error.reason}") from error
    return found if isinstance(found, dict) else {}


def _hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith((".", "__")) for part in file.relative_to(folder).parts)


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + more
