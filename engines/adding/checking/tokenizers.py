"""Whether an adapter's tokenizer is its base's: another gives the same weights other numbers for the same text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.adding.checking.checks import Checklist
from engines.adding.settings import read_settings
from engines.errors import FileRefused
from results import digest

FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model")
"""One of these makes a folder one with a tokenizer."""

PROBE = "def add(a, b):\n    return a + b  # naïve, 12345 tests\n"


def load(folder: Path) -> Any | None:
    """A folder's tokenizer; None where it has none. Code that came with it is never run.

    Raises: FileRefused for one that cannot be read.
    """
    from transformers import AutoTokenizer

    from engines.gguf_format.unpacking import silence

    if not any((folder / name).is_file() for name in FILES):
        return None
    if read_settings(folder / "tokenizer_config.json").get("auto_map"):
        raise FileRefused(f"{folder}/tokenizer_config.json has auto_map, which would run code; it is never run here.")
    try:
        with silence():
            return AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:  # tokenizers are files of many hands: anything may come out
        reason = " ".join(str(error).split())[:200]
        raise FileRefused(f"The tokenizer in {folder} cannot be read: {reason}. Remove its files.") from error


def tokenizer_sha256(tokenizer: Any) -> str:
    """SHA-256 of a tokenizer's words with their numbers."""
    return digest(tokenizer.get_vocab())


@dataclass(frozen=True)
class Difference:
    """How an adapter's tokenizer differs from its base's."""

    added: tuple[str, ...] = ()
    """Tokens that the base's lacks."""
    moved: int = 0
    """Tokens with another number."""
    splits: bool = False
    """The same words, and a text is split otherwise or begun otherwise."""
    highest: int = -1
    """The highest number of a token that is new."""

    def __bool__(self) -> bool:
        return bool(self.added or self.moved or self.splits)


def difference(own: Any, base: Any) -> Difference:
    """Compare two tokenizers; a padding token that is new is no difference, since no prompt has it."""
    ours, theirs = own.get_vocab(), base.get_vocab()
    added = {token: number for token, number in ours.items() if token not in theirs and token != own.pad_token}
    moved = sum(1 for token, number in ours.items() if token in theirs and theirs[token] != number)
    splits = not added and not moved and own(PROBE).input_ids != base(PROBE).input_ids
    return Difference(tuple(sorted(added, key=added.__getitem__)), moved, splits, max(added.values(), default=-1))


def compare(own: Any | None, base: Any, rows: int, saved_rows: int, checklist: Checklist) -> bool:
    """Whether the model needs the adapter's own tokenizer; the finding goes into the checklist.

    rows: of the base's embedding. saved_rows: of the one that the adapter brings, 0 for none.
    """
    sha256 = tokenizer_sha256(base)[:12]
    if own is None:
        used = f"the base's is used ({len(base):,} tokens, SHA-256 {sha256})"
        checklist.note("tokenizer", f"The folder has none; {used}.")
        return False
    found = difference(own, base)
    if not found:
        checklist.ok("tokenizer", f"the base's ({len(base):,} tokens, SHA-256 {sha256})")
        return False
    words = ", ".join(repr(token) for token in found.added[:3]) + ("…" if len(found.added) > 3 else "")
    said = f"{len(found.added)} tokens more than the base's ({words})" if found.added else "splits text otherwise"
    if found.moved and not saved_rows:
        checklist.fail(
            "tokenizer",
            f"{found.moved:,} tokens have other numbers than in the base's (SHA-256 {sha256}): it is another base's.",
            "Name the base that it was trained over: --base NAME",
        )
    elif found.highest >= max(rows, saved_rows):
        checklist.fail(
            "tokenizer",
            f"{said}, up to number {found.highest}, and neither the base ({rows:,} rows) nor the adapter has rows for "
            "them: the trained embeddings were not saved.",
            "Save the adapter again with modules_to_save=['embed_tokens', 'lm_head'], or remove the folder's tokenizer "
            "files if these tokens were never trained",
        )
    elif saved_rows:
        checklist.ok("tokenizer", f"its own: {said or 'other numbers'}, whose embeddings the adapter brings")
    else:
        checklist.note("tokenizer", f"its own: {said}. Their embeddings are the base's, untrained.")
    return True
