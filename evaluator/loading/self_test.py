"""The self-test before every evaluation: is what will be measured what the record says it is?

A run that trained for nothing, an adapter that was not loaded, a base that is not the base, a template other than the
trained one: each gives plausible numbers. Every check is seconds; a failure stops the evaluation and names the check.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from engines import PROBE, LlamaCppEngine, after_a_served_answer
from evaluator.errors import IdentityFailed
from evaluator.loading.bases import ADAPTED, BASE_ROW
from results import Model

if TYPE_CHECKING:
    from engines import HuggingFaceEngine


def check_identity(engine: HuggingFaceEngine, row: str, model: Model) -> dict[str, object]:
    """What was found about one model of a loaded family; for the evaluation's details.

    Raises: IdentityFailed with `check` one of adapter, base, template, end-of-turn.
    """
    found: dict[str, object] = {}
    if model.form in ADAPTED:
        alone = engine.mixed_logits(PROBE, [BASE_ROW, BASE_ROW])
        mixed = engine.mixed_logits(PROBE, [BASE_ROW, row])
        shift = float((mixed[1] - mixed[0]).abs().max())
        if not shift > 0:
            raise IdentityFailed(
                "adapter", f"{model.name}: the adapter changes no logit, so it is not active or was never trained"
            )
        found["adapter_shift"] = shift
        if not bool((mixed[0] == alone[0]).all()):
            raise IdentityFailed("base", f"{model.name}: beside its adapter the base answers otherwise than alone")
    _check_template(engine, row, model)
    return found


def check_served(engine: LlamaCppEngine, base: LlamaCppEngine, model: Model) -> None:
    """The same checks of a model that llama.cpp runs; `base` is the bare file in the same process.

    Raises: IdentityFailed with `check` one of adapter, base, template, end-of-turn.
    """
    if model.form in ADAPTED:
        alone, adapted, after = base.next_tokens(PROBE), engine.next_tokens(PROBE), base.next_tokens(PROBE)
        if adapted == alone:
            raise IdentityFailed(
                "adapter", f"{model.name}: the adapter changes no logit, so it is not active or was never trained"
            )
        if after != alone:
            raise IdentityFailed("base", f"{model.name}: after its adapter the base answers otherwise than before")
    template = str(engine.server.header.metadata.get("tokenizer.chat_template") or "")
    _check_recorded(template, model)
    if template:
        rest, ends = after_a_served_answer(engine)
        if not ends:
            raise IdentityFailed("end-of-turn", _does_not_end(model, rest))


def _check_template(engine: HuggingFaceEngine, row: str, model: Model) -> None:
    """The template is the recorded one, and an answer under it ends in a token that ends generation."""
    template = engine.chat_template_of(row)
    _check_recorded(template, model)
    if not template:
        return
    from engines import after_an_answer

    rest, ends = after_an_answer(engine, row)
    if not ends:
        raise IdentityFailed("end-of-turn", _does_not_end(model, rest))


def _check_recorded(template: str, model: Model) -> None:
    if model.template_sha256 and hashlib.sha256(template.encode()).hexdigest() != model.template_sha256:
        raise IdentityFailed(
            "template", f"{model.name}: its chat template is not the one that was registered with the model"
        )


def _does_not_end(model: Model, rest: str) -> str:
    return f"{model.name}: its chat template follows an answer by {rest[:20]!r}, which does not end generation"
