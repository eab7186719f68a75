"""An experiment's data section becomes tokenised examples: read, convert, filter, decontaminate, split, tokenise.

Reading is in `trainer.sources.reading`, row formats in `trainer.sources.formats`, filters in `trainer.data.quality`,
benchmark overlap in `trainer.data.contamination`, templates and the answers-only mask in `trainer.data.chat_masks`.

Try: bakeoff plan experiments/demo.yaml
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from results import Workspace
from results.records import Progress, digest
from trainer.bases.tokenizer import Tokenizer
from trainer.data.cache import cached_reading, keep_reading
from trainer.data.chat_masks import Masked, mask_conversations
from trainer.data.contamination import overlap, overlap_with
from trainer.data.examples import Example, PreparedData
from trainer.data.quality import filtered
from trainer.errors import DataInvalid
from trainer.experiment.schema import Data, Experiment
from trainer.sources.conversations import Conversation, Reading
from trainer.sources.reading import read_sources
from trainer.sources.shelf import Picked


def prepare(
    data: Data, tokenizer: Tokenizer, max_length: int, workspace: Workspace, progress: Progress | None = None
) -> PreparedData:
    """Read, filter, split and tokenise. Deterministic: the same rows, tokenizer and settings give the same identity.

    Raises: DataInvalid when a source cannot be read or nothing usable is left; the message has the reasons.
    """
    reading = read_conversations(data, workspace, progress)
    train_rows, validation_rows = split(reading.rows, data)
    train = mask_conversations(train_rows, tokenizer, max_length, progress, "tokenising training rows")
    validation = mask_conversations(validation_rows, tokenizer, max_length, progress, "tokenising validation rows")
    for part, masked in (("training", train), ("validation", validation)):
        if masked.refused and not masked.examples:
            raise DataInvalid(f"The base's chat template takes no {part} row: {masked.refusal}")
        if not masked.examples:
            raise DataInvalid(
                f"No {part} row has an answer within {max_length} tokens ({masked.cut_off} lost it to the cut): "
                "raise training.max_length"
            )
    examples = _examples(train), _examples(validation)
    report = {
        **reading.report,
        "rows_sha256": _rows_sha256(train_rows, validation_rows),
        "tokens": {"training": train.report(), "validation": validation.report()},
    }
    return PreparedData(
        train=examples[0],
        validation=examples[1],
        train_rows=Picked(train_rows, train.kept),
        validation_rows=Picked(validation_rows, validation.kept),
        identity=_identity(examples),
        report=report,
    )


def validation_rows(experiment: Experiment, workspace: Workspace) -> Sequence[Conversation]:
    """The held-out conversations: untokenised, so the same for every base and model of the experiment."""
    reading = read_conversations(experiment.data, workspace)
    return split(reading.rows, experiment.data)[1]


def rows_now(data: Data, workspace: Workspace) -> tuple[str, int]:
    """(The `rows_sha256` that `prepare` reports, number of rows), of what the sources hold at present.

    Raises: DataInvalid when a source cannot be read or has too little.
    """
    reading = read_conversations(data, workspace)
    return _rows_sha256(*split(reading.rows, data)), len(reading.rows)


def training_overlap(
    data: Data, workspace: Workspace, benchmark: str, tasks: Mapping[str, str], progress: Progress | None = None
) -> dict[str, Any]:
    """What of a test's items the training rows of a data section hold, as the report "contamination" says it.

    tasks: id → what of it a row may hold.
    """
    rows = split(read_conversations(data, workspace).rows, data)[0]
    return overlap_with(rows, benchmark, tasks, progress)[0].report(rows)


def read_conversations(data: Data, workspace: Workspace, progress: Progress | None = None) -> Reading:
    """The conversations that are left after conversion, filters and decontamination, with the report of what went.

    Done once for a data section: the workspace keeps them (`trainer.data.cache`).
    """
    if kept := cached_reading(data, workspace):
        return kept
    reading = read_sources(data, progress)
    rows, removed = filtered(reading.rows, data.quality, progress)
    found: list[dict[str, Any]] = []
    dirty: set[int] = set()
    for benchmark in data.decontaminate:
        overlapping, contaminating = overlap(rows, benchmark, progress)
        found.append(overlapping.report(rows))
        dirty |= contaminating
    if data.remove_contaminated:
        rows = Picked(rows, (place for place in range(len(rows)) if place not in dirty))
    # A report has one subject and one kind: further benchmarks stand inside the first one's.
    contamination = {**found[0], "others": found[1:]} if found else {}
    report = {**reading.report, "filters": removed, "kept": len(rows), "contamination": contamination}
    report["contaminating_rows"] = {"found": len(dirty), "removed": len(dirty) if data.remove_contaminated else 0}
    result = Reading(rows, report)
    keep_reading(data, workspace, result)
    return result


def split(rows: Sequence[Conversation], data: Data) -> tuple[Picked, Picked]:
    """Split rows into training and validation, by a hash of each row's prompt and the seed.

    A prompt falls on the same side whatever else is in the mix: variants of one experiment with other sources never
    train on each other's validation rows, and one prompt with two answers is never on both sides. At least one row
    lands on each side.
    Raises: DataInvalid with fewer than two different prompts.
    """
    keys = np.fromiter((_draw(row, data.seed) for row in rows), np.uint64, len(rows))
    different = np.unique(keys)
    if len(different) < 2:
        raise DataInvalid(
            f"{len(different)} different prompt left of {len(rows)} rows: two are needed, one to validate"
        )
    limit = np.uint64(data.validation_fraction * 16**16)
    # The first key held whatever the fraction, and the last one not.
    held = (keys < max(limit, different[0] + np.uint64(1))) & (keys < different[-1])
    validation = np.flatnonzero(held)[np.argsort(keys[held], kind="stable")][: data.validation_limit]
    return Picked(rows, np.flatnonzero(~held).tolist()), Picked(rows, validation.tolist())


def _draw(row: Conversation, seed: int) -> int:
    """A number in [0, 2⁶⁴), the same for rows of one prompt."""
    return int.from_bytes(hashlib.sha256(f"{seed}\0{row.prompt}".encode("utf-8", "surrogatepass")).digest()[:8])


def _rows_sha256(*parts: Sequence[Conversation]) -> str:
    """Digest of the conversations of each part in their order, whatever tokenizer reads them."""
    sha = hashlib.sha256()
    for part in parts:
        for row in part:
            sha.update(row.identity.encode())
        sha.update(b"\0")
    return sha.hexdigest()


def _examples(masked: Masked) -> tuple[Example, ...]:
    return tuple(
        Example(input_ids=ids, labels=labels, answer_bytes=size, row=row)
        for row, (ids, labels, size) in enumerate(masked.examples)
    )


def _identity(parts: tuple[tuple[Example, ...], ...]) -> str:
    sha = hashlib.sha256()
    for part in parts:
        for example in part:
            sha.update(json.dumps([example.input_ids, example.labels]).encode())
        sha.update(b"\0")
    return digest(sha.hexdigest())
