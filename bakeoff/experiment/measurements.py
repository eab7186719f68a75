"""An experiment's measurements: every model by everything that its file names, in the forms that each asks for.

What fails for one model ends nothing else (`bakeoff.experiment.failures`). The same here and on a node of a cluster
(`bakeoff.experiment.shards`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from bakeoff.experiment.failures import Failure, each_measured
from bakeoff.experiment.own_tests import compare_with_training, latency_settings, own_tests
from bakeoff.experiment.racing import race_or_whole
from results import Evaluation, Form, Model, Progress, Store, Workspace

if TYPE_CHECKING:
    from trainer import Experiment

Say = Callable[[str], None]
"""Called with one line about what is done or reused."""

TRAINED: tuple[Form, ...] = ("adapter", "merged")
"""Forms that training itself leaves: adapters, and whole models of full fine-tuning."""


def measured(
    experiment: Experiment,
    models: Sequence[Model],
    store: Store,
    workspace: Workspace,
    progress: Progress,
    say: Say,
    elsewhere: Collection[str] = (),
) -> tuple[tuple[Evaluation, ...], tuple[Failure, ...]]:
    """Measure the models by everything that the experiment names.

    elsewhere: identities of the models that were made elsewhere.
    A measurement measures the experiment's forms, or those of its own key `forms`; latency always GGUF files. One that
    fails for a model is a failure of its own. Raises: what ends everything (`bakeoff.experiment.failures`).
    """
    import evaluator
    import trainer

    wanted = experiment.evaluate
    found: list[Evaluation | Failure] = []

    def measure(
        what: str, settings: Mapping[str, Any], call: Callable[..., list[Evaluation]], files: bool = False
    ) -> None:
        forms = settings.get("forms", wanted.forms)
        fit = [model for model in models if fits(model, forms, experiment, elsewhere)]
        fit = [model for model in fit if is_gguf(model)] if files else fit
        if models and not fit:
            say(of_nothing(what, forms, files))
        for one in each_measured(fit, what, call):
            if isinstance(one, Failure):
                say(f"{one.what} of {one.model} failed: {one.reason}")
            found.append(one)

    common: dict[str, Any] = {"store": store, "workspace": workspace, "progress": progress}
    if wanted.humaneval is not None:
        settings = without_forms(wanted.humaneval)
        call = partial(evaluator.evaluate_humaneval, settings=settings, **common)
        test_of: Any = partial(evaluator.program_test, settings, progress)
        measure("humaneval", wanted.humaneval, race_or_whole(test_of, call, experiment, common, say))
    if wanted.heldout is not None and not experiment.data.sources:
        say(WITHOUT_ROWS)
    elif wanted.heldout is not None:
        rows = trainer.validation_rows(experiment, workspace)
        measure("heldout", wanted.heldout, partial(evaluator.evaluate_heldout, rows=rows, **common))
    if wanted.stopping is not None:
        settings = without_forms(wanted.stopping)
        measure("stopping", wanted.stopping, partial(evaluator.evaluate_stopping, settings=settings, **common))
    for test in own_tests(experiment, workspace, progress):
        if found_in_training := compare_with_training(test, experiment, store, workspace, progress):
            say(found_in_training)
        by_test = race_or_whole(test.race(store), test.whole(common), experiment, common, say)
        measure(test.name, {"forms": test.forms}, by_test)
    if wanted.latency is not None:
        settings = latency_settings(wanted.latency)
        measure("latency", wanted.latency, partial(evaluator.evaluate_latency, settings=settings, **common), files=True)
    return (
        tuple(one for one in found if isinstance(one, Evaluation)),
        tuple(one for one in found if isinstance(one, Failure)),
    )


WITHOUT_ROWS = "held-out loss is not measured: the file names no rows (data.sources)"


def fits(model: Model, forms: Sequence[Form], experiment: Experiment, elsewhere: Collection[str] = ()) -> bool:
    """Whether a model is measured where these forms are: bases and their counterparts if bases are measured at all.

    What full fine-tuning leaves counts as adapter too: it is what training left. elsewhere: identities of models that
    were made elsewhere; what no adapter or folder is has one form, and is measured in that.
    """
    if model.identity in elsewhere and model.form not in TRAINED:
        return True
    fine_tune = model.identity in elsewhere or model.details.get("source") in elsewhere
    if model.run_id is None and not fine_tune:
        counterpart = "lora-gguf" in forms and model.form == experiment.evaluate.lora_base
        return experiment.evaluate.base and (model.form == "base" or model.form in forms or counterpart)
    return model.form in forms or (model.form == "merged" and "source" not in model.details and "adapter" in forms)


def of_nothing(what: str, forms: Sequence[Form], files: bool) -> str:
    """The line for a measurement whose formats no model has."""
    if files:
        return f"{what} is measured on files that llama.cpp serves: add lora-gguf or gguf-q8_0 to evaluate.forms"
    return f"{what} measures nothing: no model is there as {' or '.join(forms)}; add that to evaluate.forms"


def without_forms(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A measurement's settings as its room knows them."""
    return {key: value for key, value in settings.items() if key != "forms"}


def is_gguf(model: Model) -> bool:
    """Whether llama.cpp serves this model: a GGUF file, or an adapter beside one."""
    return model.form == "lora-gguf" or model.form.startswith("gguf-") or model.path.endswith(".gguf")
