"""Choices by log-likelihood: the choice that a model finds likeliest behind the question is its answer.

All formats are read through transformers, GGUF files with their dequantized weights: the same rows and the same code
for all, and the quantization's own error alone between them. No text is generated, so none is cut and none is
misread. Beside the likeliest choice (pass@1) the likeliest by byte is kept (pass@1_by_bytes), which does not prefer
short choices.

Source: Gao et al., lm-evaluation-harness, docs/task_guide.md, `multiple_choice`: acc and acc_norm.
Not here: choices that are answered in text (`evaluator.question_sets.evaluate`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from engines import HuggingFaceEngine, chat_template
from evaluator import recording
from evaluator.asking.prompts import Prompting
from evaluator.errors import ModelUnmeasurable
from evaluator.loading.bases import Family, families, opened, reached_by
from evaluator.loading.self_test import check_identity
from evaluator.question_sets.concluding import conclude, wanted_words
from evaluator.question_sets.items import LETTERS, Check, Item, QuestionSet
from evaluator.question_sets.settings import QuestionSettings, continued, stored_settings, turns_of_chat
from results import Evaluation, Model, Outcome, Progress, Store, Workspace

ITEMS_TOGETHER = 32
"""Items measured and stored at once."""


def evaluate_likelihood(
    models: Sequence[Model],
    of: tuple[QuestionSet, Sequence[Item], str],
    where: tuple[Store, Workspace],
    chosen: QuestionSettings,
    progress: Progress | None,
    anew: bool,
) -> list[Evaluation]:
    """Measure each model. of: (set, its items that are measured, what is said of them where not all are).

    Raises: ModelUnmeasurable for items without choices and for models whose weights are out of reach.
    """
    (questions, items, label), (store, workspace) = of, where
    for item in items:
        _check_of(item)

    def stored(family: Family) -> dict[str, dict[str, Any]]:
        modes = _prompting(family, workspace, chosen)
        return {id_: stored_settings(chosen, questions, mode, "huggingface") for id_, mode in modes.items()}

    measurements, total = recording.Measurements(questions.name, store, anew, label), len(items) * len(models)
    for family, left in measurements.each_open(families(models, workspace), stored):
        with opened(family, workspace) as engine:
            for one in left:
                before = len(items) * measurements.finished
                for done in _measure(engine, family, one, items, chosen, store):
                    if progress is not None:
                        progress(f"choices of {questions.name}", before + done, total)
                details = {"reached": {**reached_by(family), **engine.details()}}
                measured = replace(questions, items=tuple(items))
                measurements.found[one.model.id] = conclude(one.evaluation.id, measured, store, details)
    return measurements.of(models)


def _check_of(item: Item) -> Check:
    """The one check of an item by likelihood."""
    if len(item.checks) != 1 or item.checks[0].kind != "choice" or item.checks[0].negated:
        raise ModelUnmeasurable(
            f"{item.where or item.id}: choices by likelihood need items with choices, "
            "one of them right; leave --choices out"
        )
    return item.checks[0]


def _prompting(family: Family, workspace: Workspace, chosen: QuestionSettings) -> dict[str, Prompting]:
    found: dict[str, Prompting] = {}
    for model in family.members:
        template = chosen.prompting or model.details.get("chat_template")
        template = template or chat_template(family.weights, workspace.resolve(model.path))
        found[model.id] = chosen.prompting or ("chat" if template else "raw")
    return found


def _measure(
    engine: HuggingFaceEngine,
    family: Family,
    one: recording.Open,
    items: Sequence[Item],
    chosen: QuestionSettings,
    store: Store,
) -> Iterator[int]:
    """Measure and store what is open of a model; yields how many items are done."""
    row, evaluation = family.row(one.model), one.evaluation
    recording.self_test([one], lambda model: check_identity(engine, row, model), store)
    there = {outcome.item for outcome in store.evaluations.outcomes(evaluation.id) if outcome.verdict != "error"}
    left = [item for item in items if item.id not in there]
    yield len(items) - len(left)
    for start in range(0, len(left), ITEMS_TOGETHER):
        batch = left[start : start + ITEMS_TOGETHER]
        read = [_read(engine, row, item, evaluation.settings["prompting"], chosen) for item in batch]
        losses = iter(engine.token_losses([ids for _, pairs in read for ids, _ in pairs], row))
        outcomes = []
        for item, (prompt, pairs) in zip(batch, read, strict=True):
            nats = [float(next(losses)[-count:].double().sum()) for _, count in pairs]
            outcomes.append(chosen_of(item, prompt, nats))
        recording.add(store, evaluation.id, outcomes)
        yield len(items) - len(left) + start + len(batch)


def _read(
    engine: HuggingFaceEngine, row: str, item: Item, prompting: Prompting, chosen: QuestionSettings
) -> tuple[str, list[tuple[list[int], int]]]:
    """(the prompt, for each choice the token ids of both and how many of them are the choice's)."""
    if prompting == "chat":
        prompt, gap = engine.render(list(turns_of_chat(item, chosen)), row), ""
    else:
        prompt = continued(item, chosen)
        gap = "" if prompt[-1:].isspace() else " "
    kept = prompt.rstrip(" ") if not gap and prompting == "raw" else prompt
    gap = gap or prompt[len(kept) :]  # spaces belong to the word behind them, as tokenizers have it
    context = _ids(engine, kept)
    pairs = []
    for choice in item.choices:
        whole = _ids(engine, kept + gap + choice)
        count = len(whole) - len(context)
        if count < 1:
            raise ModelUnmeasurable(f"{item.where or item.id}: the choice {choice[:40]!r} has no token of its own")
        pairs.append((whole, count))
    return prompt, pairs


def _ids(engine: HuggingFaceEngine, text: str) -> list[int]:
    start = engine.tokenizer.bos_token
    ids: list[int] = engine.tokenizer(text, add_special_tokens=not (start and text.startswith(start))).input_ids
    return ids


def chosen_of(item: Item, prompt: str, nats: Sequence[float]) -> Outcome:
    wanted = item.checks[0].wanted
    rounded = [round(one, 6) for one in nats]
    details: dict[str, Any] = {"prompt": prompt, "nats_of_choices": rounded, "choices": list(item.choices)}
    if not all(map(math.isfinite, nats)):
        return Outcome(item.id, 0, "error", details={**details, "message": "a choice has no finite likelihood"})
    place = min(range(len(nats)), key=lambda one: (nats[one], one))
    by_bytes = [loss / max(1, len(choice.encode())) for loss, choice in zip(nats, item.choices, strict=True)]
    normed = min(range(len(nats)), key=lambda one: (by_bytes[one], one))
    told = {
        "answer": item.choices[place], "found": LETTERS[place], "wanted": wanted_words(item), "message": "",
        "checks": ["choice by likelihood"], "passed_by_bytes": normed == wanted,
    }  # fmt: skip
    more = {**({"tags": list(item.tags)} if item.tags else {}), **({"group": item.group} if item.group else {})}
    return Outcome(item.id, 0, "passed" if place == wanted else "wrong", details={**details, **told, **more})
