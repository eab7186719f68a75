"""Held-out loss: how surprised each model is by the same rows, in nats per token and in bits per byte.

Bits per byte compare models of different tokenizers; nats per token compare only models that share one, and where
they do not the evaluation says so. Two figures each: over the answers (with the token that ends each), which is what
fine-tuning optimises, and over all turns' contents. The template's own words count in neither.

Not here: which rows are held out; the caller brings them, the same for every model.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from engines import FileRefused, Message
from evaluator import recording
from evaluator.errors import ModelUnmeasurable
from evaluator.loading.bases import Family, families, opened, reached_by
from evaluator.loading.self_test import check_identity
from results import Evaluation, Model, Outcome, Progress, Score, Store, Workspace, digest
from results.analysis.statistics import bits_per_byte, ratio_interval

if TYPE_CHECKING:
    import torch

    from engines import HuggingFaceEngine

MAX_TOKENS = 2048
"""Tokens of a row at most; what is beyond is not measured, and the evaluation counts such rows."""

ROWS_TOGETHER = 64
"""Rows measured and stored at once: what a kill at the wrong moment costs."""


class Conversation(Protocol):
    """A held-out row; `trainer.validation_rows` gives such."""

    @property
    def messages(self) -> Sequence[Mapping[str, Any]]:
        """Turns with `role` and `content`."""
        ...


@dataclass(frozen=True)
class _Text:
    """One row as a model reads it."""

    ids: tuple[int, ...]
    answers: torch.Tensor
    """(n - 1,) bool: whether the token after place i belongs to an answer or ends one."""
    contents: torch.Tensor
    """(n - 1,) bool: the same for any turn's content."""
    answer_bytes: int
    content_bytes: int
    cut: bool


def evaluate_heldout(
    models: Sequence[Model],
    rows: Sequence[Conversation],
    store: Store,
    workspace: Workspace,
    progress: Progress | None = None,
    anew: bool = False,
) -> list[Evaluation]:
    """Measure each model on the same rows; what is stored, on whatever machine, is not measured again unless `anew`.

    Raises: ModelUnmeasurable without rows, IdentityFailed, FileRefused.
    """
    if not rows:
        raise ModelUnmeasurable("No held-out rows: set data.validation_fraction above 0 in the experiment file")
    turns = [[_turn(turn) for turn in row.messages] for row in rows]
    settings = {"rows": len(rows), "rows_sha256": digest(turns), "max_tokens": MAX_TOKENS, "engine": "huggingface"}
    measurements = recording.Measurements("heldout", store, anew)
    total = len(rows) * len(models)
    stored = {model.id: settings for model in models}
    for family, left in measurements.each_open(families(models, workspace), lambda _: stored):
        with opened(family, workspace) as engine:
            tokenizer = digest(engine.tokenizer.get_vocab())
            for one in left:
                done = len(rows) * measurements.finished
                for measured in _measure(engine, family, one, turns, store):
                    done += measured
                    if progress is not None:
                        progress("held-out rows", done, total)
                details = {**reached_by(family), **engine.details()}
                measurements.found[one.model.id] = _conclude(one.evaluation, tokenizer, details, store)
    return measurements.of(models)


def _measure(
    engine: HuggingFaceEngine,
    family: Family,
    one: recording.Open,
    turns: Sequence[Sequence[Mapping[str, Any]]],
    store: Store,
) -> Iterator[int]:
    """Measure and store what is open of a model; yields how many rows were done."""
    row, evaluation = family.row(one.model), one.evaluation
    recording.self_test([one], lambda model: check_identity(engine, row, model), store)
    there = {outcome.item for outcome in store.evaluations.outcomes(evaluation.id)}
    left = [place for place in range(len(turns)) if str(place) not in there]
    yield len(turns) - len(left)
    for start in range(0, len(left), ROWS_TOGETHER):
        batch = left[start : start + ROWS_TOGETHER]
        texts = [_read(engine, row, turns[place]) for place in batch]
        losses = engine.token_losses([text.ids for text in texts], row)
        recording.add(
            store,
            evaluation.id,
            [_outcome(place, *pair) for place, pair in zip(batch, zip(texts, losses, strict=True), strict=True)],
        )
        yield len(batch)


def _read(engine: HuggingFaceEngine, row: str, turns: Sequence[Mapping[str, Any]]) -> _Text:
    """Tokenise a conversation and mark what belongs to contents and to answers.

    Contents are looked up in the rendered text in order: templates trim and wrap them, and none changes them.
    """
    import torch

    text = _rendered(engine, row, turns)
    start = engine.tokenizer.bos_token
    encoded = engine.tokenizer(
        text, add_special_tokens=not (start and text.startswith(start)), return_offsets_mapping=True
    )
    ids, spans = encoded.input_ids[:MAX_TOKENS], encoded.offset_mapping[:MAX_TOKENS]
    contents, answers = torch.zeros(len(ids), dtype=torch.bool), torch.zeros(len(ids), dtype=torch.bool)
    content_bytes = answer_bytes = place = 0
    for turn in turns:
        content = turn["content"].strip()
        found = text.find(content, place)
        if not content or found < 0:
            continue
        place = found + len(content)
        inside = [i for i, (low, high) in enumerate(spans) if low < place and high > found]
        if not inside:
            continue
        size = len(text[found : min(place, spans[inside[-1]][1])].encode("utf-8", "surrogatepass"))
        contents[inside] = True
        content_bytes += size
        if turn["role"] == "assistant" and turn.get("train", True):
            answers[inside] = True
            answer_bytes += size
            after = inside[-1] + 1
            if after < len(ids) and ids[after] in engine.end_ids:
                contents[after] = answers[after] = True
    return _Text(
        tuple(ids), answers[1:], contents[1:], answer_bytes, content_bytes, len(encoded.input_ids) > MAX_TOKENS
    )


def _turn(turn: Mapping[str, Any]) -> dict[str, Any]:
    """A turn as templates take it: role and content, and where a row has them its thought, calls and weight."""
    more = ("reasoning_content", "tool_calls", "tool_call_id", "name", "train")
    return {"role": turn["role"], "content": str(turn["content"]), **{key: turn[key] for key in more if key in turn}}


def _rendered(engine: HuggingFaceEngine, row: str, turns: Sequence[Mapping[str, Any]]) -> str:
    """The conversation as the model reads it: without a template its turns alone.

    A system turn goes into the first question where the template refuses the role, as in training. What a template
    takes in no way (tools, for most) is read as its turns alone too: the same text for every model.
    """
    if engine.chat_template_of(row):
        shown = [{key: value for key, value in turn.items() if key != "train"} for turn in turns]
        tried = [shown]
        if len(shown) > 1 and shown[0]["role"] == "system":
            first = {"role": "user", "content": f"{shown[0]['content']}\n\n{shown[1]['content']}"}
            tried.append([first, *shown[2:]])
        for messages in tried:
            with contextlib.suppress(FileRefused):
                return engine.render(cast(Sequence[Message], messages), row, answer_next=False)
    return "\n\n".join(turn["content"] for turn in turns)


def _outcome(place: int, text: _Text, losses: torch.Tensor) -> Outcome:
    nats, tokens = float(losses[text.answers].double().sum()), int(text.answers.sum())
    details = {
        "nats": nats, "tokens": tokens, "bytes": text.answer_bytes,
        "whole_nats": float(losses[text.contents].double().sum()), "whole_tokens": int(text.contents.sum()),
        "whole_bytes": text.content_bytes, "cut": text.cut,
    }  # fmt: skip
    return Outcome(str(place), value=nats / tokens if tokens else None, details=details)


def _conclude(evaluation: Evaluation, tokenizer: str, reached: Mapping[str, Any], store: Store) -> Evaluation:
    outcomes = store.evaluations.outcomes(evaluation.id)
    scores = [
        score for prefix, suffix in (("", ""), ("whole_", "_whole")) for score in _scores(outcomes, prefix, suffix)
    ]
    others = [
        store.models.get(other.model_id).name
        for other in store.evaluations.list(benchmark="heldout")
        if other.settings.get("rows_sha256") == evaluation.settings["rows_sha256"]
        and other.details.get("tokenizer_sha256") not in (None, tokenizer)
    ]
    details: dict[str, Any] = {
        "reached": reached,
        "tokenizer_sha256": tokenizer,
        "rows_cut": sum(bool(outcome.details.get("cut")) for outcome in outcomes),
        "rows_without_answer": sum(not outcome.details.get("tokens") for outcome in outcomes),
    }
    if others:
        details["warnings"] = [
            f"nats per token do not compare with {', '.join(sorted(set(others)))}: another tokenizer. "
            "Compare bits per byte"
        ]
    return recording.finish(store, evaluation.id, scores, details)


def _scores(outcomes: Sequence[Outcome], prefix: str, suffix: str) -> list[Score]:
    """Nats per token and bits per byte: sums over sums, with their intervals over rows."""
    table = np.array(
        [[float(outcome.details[f"{prefix}{name}"]) for name in ("nats", "tokens", "bytes")] for outcome in outcomes]
    )
    table = table[table[:, 1] > 0]
    if not len(table):
        return []
    nats, tokens, sizes = table.T
    figures = (
        (f"loss_nats_per_token{suffix}", ratio_interval(nats, tokens)),
        (f"bits_per_byte{suffix}", bits_per_byte(nats, sizes)),
    )
    scores = []
    for metric, found in figures:
        low, high = (end if math.isfinite(end) else None for end in (found.low, found.high))
        scores.append(Score(metric, found.value, low, high, len(table)))
    return scores
