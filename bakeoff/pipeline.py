"""An experiment through the rooms: train, export, measure, decide. Every stage reuses what is there.

Killed anywhere, the same call goes on: a run at its newest checkpoint, an evaluation at its first open item.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from results import Evaluation, Form, Model, Progress, Run, Store, Workspace
from trainer import Experiment

Say = Callable[[str], None]
"""Called with one line about what is done or reused."""


@dataclass(frozen=True)
class Outcome:
    """What an experiment left in the store."""

    runs: tuple[Run, ...]
    models: tuple[Model, ...]
    evaluations: tuple[Evaluation, ...]
    reused: int
    """Runs and evaluations that were finished before and not done again."""

    @property
    def unfinished(self) -> tuple[Run, ...]:
        """Runs that did not finish; their reasons are in the records."""
        return tuple(run for run in self.runs if run.status != "finished")


def run_experiment(
    experiment: Experiment,
    store: Store,
    workspace: Workspace,
    progress: Progress,
    say: Say,
    leads: Collection[str] | None = None,
) -> Outcome:
    """Train every variant, export the forms that the experiment names, measure them all.

    `leads`, in a rehearsal: ids of the runs that are exported to all forms; the others only to the first.
    Raises: BakeoffError for what the user must mend; KeyboardInterrupt leaves everything resumable.
    """
    import trainer

    done_before = {summary.run.id for summary in store.runs.list() if summary.run.status == "finished"}
    measured_before = {evaluation.id for evaluation in store.evaluations.list() if evaluation.status == "finished"}
    runs = tuple(trainer.train(experiment, store, workspace, progress))
    data = store.reports.get(experiment.name, "data")
    if data and (unreadable := trainer.unreadable_rows(data.payload)):
        say(unreadable)
    reused_runs = [run for run in runs if run.id in done_before]
    if reused_runs:
        say(f"reused {len(reused_runs)} finished runs: {', '.join(run.name for run in reused_runs)}")
    for run in runs:
        if run.status != "finished":
            say(f"{run.name} is {run.status}: {run.reason or 'no reason recorded'}")
    models = exported(experiment, runs, store, workspace, progress, say, leads)
    evaluations = tuple(measured(experiment, models, store, workspace, progress, say))
    reused = [evaluation for evaluation in evaluations if evaluation.id in measured_before]
    if reused:
        say(f"reused {len(reused)} finished evaluations")
    return Outcome(runs, models, evaluations, len(reused_runs) + len(reused))


def whole(experiment: Experiment) -> Experiment:
    """The experiment with all tasks of its benchmarks: limits in the file are left out."""
    humaneval = {key: value for key, value in (experiment.evaluate.humaneval or {}).items() if key != "tasks"}
    return experiment.model_copy(update={"evaluate": experiment.evaluate.model_copy(update={"humaneval": humaneval})})


def exported(
    experiment: Experiment,
    runs: Sequence[Run],
    store: Store,
    workspace: Workspace,
    progress: Progress,
    say: Say,
    leads: Collection[str] | None = None,
) -> tuple[Model, ...]:
    """The experiment's models in every form that it names: bases first, then each run's adapter and its exports."""
    import engines

    finished = {run.id for run in runs if run.status == "finished"}
    bases = [model for model in store.models.list() if model.form == "base" and model.base in experiment.bases]
    trained = [model for model in store.models.list() if model.run_id in finished and model.form in TRAINED]
    known = {model.id for model in store.models.list()}
    first = experiment.evaluate.forms[:1]
    wanted = [
        (model, form)
        for form in experiment.evaluate.forms
        for model in (*bases, *trained)
        if (leads is None or model.form == "base" or model.run_id in leads or form in first)
        and form != model.form
        and not (model.form == "base" and (form in BESIDE_A_BASE or is_gguf(model)))
    ]
    models = [*bases, *trained]
    for done, (model, form) in enumerate(wanted):
        progress("exporting", done, len(wanted))
        made = engines.export(model, form, workspace, store)
        if made.id not in known:
            say(f"{made.name}: {made.bytes / 1e6:.0f} MB as {form}")
        models.append(made)
    if wanted:
        progress("exporting", len(wanted), len(wanted))
    return tuple(models)


TRAINED: tuple[Form, ...] = ("adapter", "merged")
"""Forms that training itself leaves: adapters, and whole models of full fine-tuning."""
BESIDE_A_BASE: tuple[Form, ...] = ("adapter", "merged", "lora-gguf")
"""Forms that an untouched base has no counterpart of."""


def measured(
    experiment: Experiment, models: Sequence[Model], store: Store, workspace: Workspace, progress: Progress, say: Say
) -> list[Evaluation]:
    """Measure the models by everything that the experiment names.

    A measurement measures the experiment's forms, or those of its own key `forms`; latency always GGUF files.
    """
    import evaluator
    import trainer

    wanted = experiment.evaluate

    def chosen(settings: Mapping[str, Any]) -> tuple[list[Model], dict[str, Any]]:
        forms = settings.get("forms", wanted.forms)
        fit = [model for model in models if model.form in forms or (model.form == "base" and wanted.base)]
        return fit, {key: value for key, value in settings.items() if key != "forms"}

    found: list[Evaluation] = []
    if wanted.humaneval is not None:
        fit, settings = chosen(wanted.humaneval)
        found += evaluator.evaluate_humaneval(fit, store, workspace, settings, progress)
    if wanted.heldout is not None:
        fit, _ = chosen(wanted.heldout)
        rows = trainer.validation_rows(experiment, workspace)
        found += evaluator.evaluate_heldout(fit, rows, store, workspace, progress)
    if wanted.stopping is not None:
        fit, settings = chosen(wanted.stopping)
        found += evaluator.evaluate_stopping(fit, store, workspace, settings, progress)
    if wanted.latency is not None:
        fit, settings = chosen(wanted.latency)
        fit = [model for model in fit if is_gguf(model)]
        if fit:
            found += evaluator.evaluate_latency(fit, store, workspace, settings, progress)
        else:
            say("latency is measured on files that llama.cpp serves: add lora-gguf or gguf-q8_0 to evaluate.forms")
    return found


def is_gguf(model: Model) -> bool:
    """Whether llama.cpp serves this model: a GGUF file, or an adapter beside one."""
    return model.path.endswith(".gguf")
