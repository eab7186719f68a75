"""An experiment through the rooms: add, train, export, measure, decide. Every stage reuses what is there.

Killed anywhere, the same call goes on: a run at its newest checkpoint, an evaluation at its first open item. What
cannot be done at all is refused before the first step. What fails on the way is named (`bakeoff.experiment.failures`),
ends nothing else, and is all that the same call tries later.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from bakeoff.experiment.dequantizing import over_both_bases
from bakeoff.experiment.elsewhere import added, bases_of
from bakeoff.experiment.failures import Failure
from bakeoff.experiment.measurements import TRAINED, Say, is_gguf, measured, without_forms
from bakeoff.experiment.own_tests import check_judges, check_tests, latency_settings
from bakeoff.experiment.shards import spread
from results import BakeoffError, Evaluation, Form, Model, Progress, Report, Run, Store, Workspace
from trainer import Experiment

if TYPE_CHECKING:
    from trainer import OverRay


@dataclass(frozen=True)
class Outcome:
    """What an experiment left in the store."""

    experiment: str
    """Its name."""
    runs: tuple[Run, ...]
    models: tuple[Model, ...]
    evaluations: tuple[Evaluation, ...]
    reused: int
    """Runs and evaluations that were finished before and not done again."""
    failures: tuple[Failure, ...] = ()
    """What was not exported or not measured, while the rest went on."""
    told: tuple[str, ...] = ()
    """What was found out beside the scores, a sentence each."""

    @property
    def complete(self) -> bool:
        """Whether everything that the experiment asks for was done."""
        return not (self.unfinished or self.failures)

    @property
    def unscored(self) -> tuple[Evaluation, ...]:
        """Evaluations whose answers are stored and wait for a machine with a sandbox; no failure, and no figure yet."""
        return tuple(evaluation for evaluation in self.evaluations if evaluation.status == "unscored")

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
    over: OverRay | None = None,
) -> Outcome:
    """Add what was made elsewhere, train every variant, export the forms that the experiment names, measure them all.

    `leads`, in a rehearsal: ids of the runs that are exported to all formats; the others only to the first.
    `over`: the cluster whose nodes train, and measure what several of them can; the rest is done here.
    Raises: BakeoffError for what the user must mend, before the first step; KeyboardInterrupt, a full disk and a store
    out of reach leave everything resumable.
    """
    import engines
    import evaluator
    import trainer

    check(experiment, store, workspace, say)
    done_before = {summary.run.id for summary in store.runs.list() if summary.run.status == "finished"}
    measured_before = {evaluation.id for evaluation in store.evaluations.list() if evaluation.status == "finished"}
    others = added(experiment, store, workspace, progress, say)
    engines.give_back()
    runs = tuple(trainer.train(experiment, store, workspace, progress, over=over)) if experiment.bases else ()
    engines.give_back()
    for line in (*data_lines(runs, store), *trainer.rebuild(runs, store, workspace)):
        say(line)
    reused_runs = [run for run in runs if run.id in done_before]
    if reused_runs:
        say(f"reused {len(reused_runs)} finished runs: {', '.join(run.name for run in reused_runs)}")
    for run in runs:
        if run.status != "finished":
            say(f"{run.name} is {run.status}: {run.reason or 'no reason recorded'}")
    made = {model.id: model for model in (*trained(runs, store), *others.models)}
    models, refused = exported(experiment, tuple(made.values()), store, workspace, progress, say, leads)
    if over is not None:
        spread(over, experiment, models, store, workspace, progress, others.identities)
    evaluations, failed = measured(experiment, models, store, workspace, progress, say, others.identities)
    told, worse = over_both_bases(experiment, others, store, workspace, progress)
    for line in told:
        say(line)
    failures = (*others.failures, *refused, *failed, *worse)
    store.reports.put(Report(experiment.name, "failures", {"failures": [asdict(failure) for failure in failures]}))
    question = experiment.decide.model_dump(mode="json", exclude_defaults=True)
    store.reports.put(Report(experiment.name, "models", {"models": [one.id for one in models], "decide": question}))
    reused = [evaluation for evaluation in evaluations if evaluation.id in measured_before]
    if reused:
        say(f"reused {len(reused)} finished evaluations")
        for line in evaluator.of_other_files(reused, store, workspace):
            say(line)
    return Outcome(experiment.name, runs, models, evaluations, len(reused_runs) + len(reused), failures, told)


def check(experiment: Experiment, store: Store, workspace: Workspace, say: Say) -> None:
    """Refuse what could only be found out after training: impossible forms, wrong settings of a measurement.

    A missing sandbox is said, and refuses nothing. Raises: BakeoffError naming all of it.
    """
    import evaluator
    import trainer

    if impossible := trainer.impossible_forms(experiment):
        raise BakeoffError(" ".join(impossible))
    wanted = experiment.evaluate
    for settings, measure in (
        (wanted.humaneval, evaluator.evaluate_humaneval),
        (wanted.stopping, evaluator.evaluate_stopping),
    ):
        if settings is not None:  # with no model there is nothing to do but to check the settings
            measure([], store, workspace, without_forms(settings))
    if wanted.latency is not None:
        evaluator.evaluate_latency([], store, workspace, latency_settings(wanted.latency))
    check_tests(wanted, bool(experiment.data.sources))
    check_judges(experiment, store)
    if missing := without_sandbox(experiment):
        say(missing)


def without_sandbox(experiment: Experiment) -> str:
    """What becomes of the experiment's HumanEval on a machine without a sandbox, and the remedy; "" if nothing does."""
    import evaluator

    available, reason = evaluator.sandbox_available()
    if available or experiment.evaluate.humaneval is None:
        return ""
    return (
        f"HumanEval's answers will be generated and stored unscored, for no sandbox can be entered here: {reason} "
        "Everything else is measured. Mend that, or score them later, here or elsewhere: bakeoff evaluate --rescore"
    )


def data_lines(runs: Sequence[Run], store: Store) -> list[str]:
    """What became of the data, each line once; what holds for some bases only says for which."""
    import trainer

    bases: dict[str, list[str]] = {}
    for run in runs:
        report = store.reports.get(run.id, "data")
        payload = report.payload if report else {}
        for line in (f"data: {trainer.removed_words(payload)}", *trainer.data_words(payload)) if payload else ():
            if run.base not in bases.setdefault(line, []):
                bases[line].append(run.base)
    every = {base for named in bases.values() for base in named}
    return [line if len(named) == len(every) else f"{', '.join(named)}: {line}" for line, named in bases.items()]


def whole(experiment: Experiment) -> Experiment:
    """The experiment with all tasks of its benchmarks: limits in the file are left out."""
    humaneval = {key: value for key, value in (experiment.evaluate.humaneval or {}).items() if key != "tasks"}
    tests = tuple({key: value for key, value in one.items() if key != "tasks"} for one in experiment.evaluate.tests)
    evaluate = experiment.evaluate.model_copy(
        update={"humaneval": humaneval, "tests": tests, "until_decided": False, "margin": None}
    )
    return experiment.model_copy(update={"evaluate": evaluate})


def trained(runs: Sequence[Run], store: Store) -> list[Model]:
    """What finished runs left, before any export, in the order of the runs: which ended first, over a cluster or on
    several GPUs, is chance, and what is asked in one batch depends on its order."""
    finished = [run.id for run in runs if run.status == "finished"]
    made = [model for model in store.models.list() if model.run_id in finished and model.form in TRAINED]
    return sorted(made, key=lambda model: finished.index(model.run_id or ""))


def exported(
    experiment: Experiment,
    made: Sequence[Model],
    store: Store,
    workspace: Workspace,
    progress: Progress,
    say: Say,
    leads: Collection[str] | None = None,
) -> tuple[tuple[Model, ...], tuple[Failure, ...]]:
    """The experiment's models in every form that it names: bases first, then what was made, then the exports of both.

    made: what the runs left and what was made elsewhere, in any form.

    An export that is refused is a failure of its own. Raises: what ends everything (`bakeoff.experiment.failures`).
    """
    import engines

    bases = [model for model in store.models.list() if model.form == "base" and model.base in experiment.bases]
    bases.sort(key=lambda model: experiment.bases.index(model.base))
    bases = list({model.id: model for model in (*bases, *bases_of(made, store, workspace))}.values())
    known = {model.id: workspace.resolve(model.path).exists() for model in store.models.list()}
    references = engines.References(workspace, (*bases, *made))
    models = [*bases, *made]
    failures = []
    wanted = exports(experiment, bases, made, leads)
    for done, (model, form) in enumerate(wanted):
        progress("exporting", done, len(wanted))
        try:
            file = engines.export(model, form, workspace, store, experiment.evaluate.lora_base, references)
        except Exception as error:
            failures.append(Failure.of(model, form, error))
            say(f"{model.name} is not exported as {form}: {failures[-1].reason}")
            continue
        if file.id not in known:
            say(f"{file.name}: {file.bytes / 1e6:.0f} MB as {form}")
        elif not known[file.id]:
            say(f"{file.name}: its file was gone; made again from {model.name}, the same by SHA-256")
        models.append(file)
    if wanted:
        progress("exporting", len(wanted), len(wanted))
    return tuple(models), tuple(failures)


def exports(
    experiment: Experiment, bases: Sequence[Model], made: Sequence[Model], leads: Collection[str] | None = None
) -> list[tuple[Model, Form]]:
    """(model, form) of everything that is exported, each once, what needs the same base in one form together.

    A base has a counterpart of each GGUF form; that of lora-gguf is the file that the adapters stand beside.
    """
    forms, wanted = experiment.evaluate.forms, list[tuple[Model, Form]]()
    for form in (one for one in forms if one != "adapter"):
        beside: Form = experiment.evaluate.lora_base if form == "lora-gguf" else form
        if experiment.evaluate.base and beside != "merged":
            wanted += [(base, beside) for base in bases if not is_gguf(base)]
        for model in (one for one in made if one.form in TRAINED):
            rehearsed = leads is None or model.run_id in leads or form == forms[0]
            if rehearsed and (model.form == "adapter" or form.startswith("gguf-")):
                wanted.append((model, form))
    return list({(model.id, form): (model, form) for model, form in wanted}.values())
