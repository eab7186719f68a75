"""Which threads and which form answer fastest on this machine: for `bakeoff doctor --engines MODEL`.

Every candidate is really run for a moment; the advice is what was measured, with the figures it rests on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engines.llamacpp.thread_count import TOKENS, Opener, measured, trial_options
from engines.opening import is_llama, open_engines
from results import Model, Workspace


@dataclass(frozen=True)
class Advice:
    """One form with one choice of threads."""

    model: str
    """Its name."""
    form: str
    bytes: int
    """Size of its files, with an adapter's base."""
    threads: int
    patient: bool
    """Waiting threads soon sleep: for machines with other work."""
    tokens_per_second: float
    best: bool


def advise(models: Sequence[Model], workspace: Workspace, tokens: int = TOKENS) -> list[Advice]:
    """All candidates for these forms of one model, fastest first; the first is `best`. Only what llama.cpp answers for.

    Raises: FileRefused, EngineError.
    """
    timed = [one for one in models if one.form not in ("adapter", "remote", "ggml") and is_llama(one, workspace)]
    by_id = {model.id: model for model in timed}

    def opener(model: Model) -> Opener:
        return lambda choice: open_engines([model], workspace, **trial_options(choice))[model.id]

    trials = measured({model.id: opener(model) for model in timed}, tokens) if timed else []
    return [
        Advice(
            by_id[trial.key].name, by_id[trial.key].form, by_id[trial.key].bytes, trial.choice.threads,
            trial.choice.patient, trial.tokens_per_second, place == 0,
        )
        for place, trial in enumerate(trials)
    ]  # fmt: skip
