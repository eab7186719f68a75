"""What a data source becomes, to look at before anything is spent: its report, and rows as a base reads them.

Try: bakeoff data FILE --base NAME
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from results import Json, Progress
from trainer.bases.loading import base_tokenizer
from trainer.bases.templates import answer_spans
from trainer.bases.tokenizer import Tokenizer
from trainer.data.chat_masks import mask_conversations, prompts
from trainer.errors import BaseUnavailable, DataInvalid
from trainer.experiment.reading import load_experiment
from trainer.experiment.schema import Experiment, Source
from trainer.sources.conversations import Conversation, Turn, turn_text
from trainer.sources.reading import examined

SEEDLESS = 10**9
"""More tokens than any row has: a preview without an experiment cuts nothing."""


@dataclass(frozen=True)
class Shown:
    """A row as the model reads it."""

    row: int
    text: str
    trained: tuple[tuple[int, int], ...]
    """Characters of `text` that are learned: [start, end)."""


@dataclass(frozen=True)
class Preview:
    """One source, as it was read and as it will be trained on."""

    report: Json
    """What was read and what was not: `trainer.sources.reading.examined`, and `tokens` where a base is given."""
    shown: tuple[Shown, ...]
    base: str
    """Whose chat template rendered the rows; empty: the turns as they were read."""


def previews(
    path: Path | str, rows: int, base: str = "", progress: Progress | None = None
) -> tuple[list[Preview], list[str]]:
    """Return a preview of each source of a data file, folder, Hub id or experiment file, and what to say besides.

    base: whose template renders; of an experiment the first one of its own that can be had, unless given.
    Raises: DataInvalid when a source cannot be read, BaseUnavailable when the given base cannot be had.
    """
    if Path(path).suffix.lower() in (".yaml", ".yml"):
        experiment = load_experiment(path)
        tokenizer, name, said = _tokenizer(experiment, base)
        found = [
            _preview(source, rows, tokenizer, name, experiment.training.max_length, progress, experiment)
            for source in experiment.data.sources
        ]
        return found, said
    tokenizer = base_tokenizer(base) if base else None
    return [_preview(Source(name=str(path)), rows, tokenizer, base, SEEDLESS, progress)], []


def _tokenizer(experiment: Experiment, base: str) -> tuple[Tokenizer | None, str, list[str]]:
    """Return a tokenizer or None, the base whose it is, and what to say about it."""
    if base:
        return base_tokenizer(base), base, []
    said: list[str] = []
    for name in experiment.bases:
        try:
            return base_tokenizer(name), name, []
        except BaseUnavailable as error:
            said.append(f"rows are shown as they are read, not as the base reads them: {error}")
    return None, "", said[:1]


def _preview(
    source: Source,
    rows: int,
    tokenizer: Tokenizer | None,
    base: str,
    max_length: int,
    progress: Progress | None,
    experiment: Experiment | None = None,
) -> Preview:
    quality = experiment.data.quality if experiment else None
    columns = (quality.score_column, quality.language_column) if quality else ()
    found, report = examined(source, columns)
    if tokenizer is not None:
        masked = mask_conversations(found, tokenizer, max_length, progress, f"rendering {source.name}")
        report = {**report, "tokens": masked.report()}
    shown: list[Shown] = []
    for row in found:
        if len(shown) >= rows:
            break
        try:
            if tokenizer is None:
                shown.append(_turns(row))
            else:
                shown += [_rendered(row, turns, tokenizer) for turns in prompts(row, tokenizer)]
        except DataInvalid:
            continue  # counted above, with its reason
    return Preview(report, tuple(shown[:rows]), base)


def _rendered(row: Conversation, turns: Sequence[Turn], tokenizer: Tokenizer) -> Shown:
    text, spans, _ = answer_spans(turns, tokenizer, row.tools)
    return Shown(row.row, text, tuple((start, end) for start, _, end in spans))


def _turns(row: Conversation) -> Shown:
    """The turns as they were read, a heading each."""
    text = ""
    trained = []
    if row.tools:
        text += f"[tools] {', '.join(str(tool['function']['name']) for tool in row.tools)}\n"
    for turn in row.messages:
        learned = turn["role"] == "assistant" and turn.get("train", True)
        text += f"[{turn['role']}{'' if learned or turn['role'] != 'assistant' else ', not trained'}] "
        start = len(text)
        text += turn_text(turn)
        if learned:
            trained.append((start, len(text)))
        text += "\n"
    return Shown(row.row, text, tuple(trained))
