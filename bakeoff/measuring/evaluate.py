"""`bakeoff evaluate`: measure models by HumanEval, held-out rows or how their answers end."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bakeoff.options import DownloadOption, JsonOption, WorkspaceOption

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from evaluator import Rule, Until, Wishes
    from results import Evaluation, FormCost, Model, Progress, Store, Workspace


BenchmarkOption = Annotated[
    str,
    typer.Option(
        help="humaneval, humaneval+, mbpp, mbpp+, pubmedqa, boolq, mmlu, openbookqa, commonsenseqa, asdiv, heldout, "
        "stopping, lm-eval:TASK (or lm-eval:FILE.yaml), a file of HumanEval's or MBPP's shape, or one of your own "
        "questions: CSV, JSON Lines, Parquet, promptfoo's or lm-eval's YAML."
    ),
]
CheckOption = Annotated[
    str | None,
    typer.Option(
        help="Of your questions: exact, contains, regex, number, choice, json, token_f1 (docs/reference/test_files.md)."
    ),
]
QuestionOption = Annotated[
    str, typer.Option(help="Of your questions: the column, or a template over columns: '{context} {question}'.")
]
AnswerOption = Annotated[str, typer.Option(help="Of your questions: the column of the right answer.")]
ChoicesOption = Annotated[
    Literal["answer", "likelihood"],
    typer.Option(help="Of your questions: choices are answered in text, or the likeliest one is the answer."),
]
FewshotOption = Annotated[
    int | None, typer.Option(help="Of lm-eval's tasks: examples before each question. Default: as the task says.")
]
DryRunOption = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Of your questions and lm-eval's tasks: show what would be asked and checked, and ask nothing.",
    ),
]
SkipBadOption = Annotated[
    bool, typer.Option("--skip-bad", help="Of your questions: measure without those that cannot be read.")
]
EngineOption = Annotated[
    str | None, typer.Option(help="Engine for GGUF models: llamacpp, which will serve them, or huggingface.")
]
FormsOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Measure the named models in this format too, exported if need be, and say what it costs. "
        "Without names: only models of this format. Repeat the option for more."
    ),
]
UrlOption = Annotated[str, typer.Option(help="OpenAI-compatible endpoint, http://host/v1; the names are its models.")]
ExtractOption = Annotated[
    bool, typer.Option("--extract", help="With --rescore: take the code out of imported answers, such as chats.")
]
BeforeOption = Annotated[
    Literal["prompt", "imports", "nothing"] | None,
    typer.Option(help="With --rescore: what is put before an imported whole program."),
]
UntilDecidedOption = Annotated[
    bool,
    typer.Option(
        "--until-decided",
        help="A race: the same items in a drawn order, losers stop, and it ends when it is clear which model is best.",
    ),
]
MarginOption = Annotated[
    float | None, typer.Option(help="With --until-decided: the smallest difference that matters, 0.02 for 2 points.")
]
BudgetOption = Annotated[
    int | None, typer.Option(help="With --until-decided: answers of all models together, at most.")
]
JudgeOption = Annotated[
    str, typer.Option(help="Of your questions: a model that judges the answers too: its name, or http://host/v1#model.")
]
RubricOption = Annotated[
    str, typer.Option(help="With --judge: what makes an answer correct, a text or a .txt or .md file.")
]
LabelsOption = Annotated[
    str, typer.Option(help="With --judge: people's labels on answers (columns item, model, label), to hold it against.")
]
SCORE = ("metric", "value", "low", "high", "n")


def evaluate(
    models: Annotated[list[str] | None, typer.Argument(help="Names or ids. Default: all models.")] = None,
    benchmark: BenchmarkOption = "humaneval",
    experiment: Annotated[
        Path | None, typer.Option(help="For heldout: whose validation rows are read. A file, or a run of this store.")
    ] = None,
    tasks: Annotated[int | None, typer.Option(help="Number of tasks, spread evenly. Default: all.")] = None,
    prompting: Annotated[
        str | None, typer.Option(help="chat or raw. Default: chat where the model has a chat template.")
    ] = None,
    samples: Annotated[int, typer.Option(help="Samples per task; more than one needs --temperature.")] = 1,
    temperature: Annotated[float, typer.Option(help="0 is greedy.")] = 0.0,
    max_tokens: Annotated[int | None, typer.Option(help="Max new tokens per answer.", show_default="512")] = None,
    slots: Annotated[
        int | None, typer.Option(help="Answers at a time (an endpoint's requests in flight). Default: as many as pay.")
    ] = None,
    engine: EngineOption = None,
    forms: FormsOption = None,
    url: UrlOption = "",
    rescore: Annotated[bool, typer.Option(help="Judge the stored answers (again) and ask no model.")] = False,
    extract: ExtractOption = False,
    before_solution: BeforeOption = None,
    check: CheckOption = None,
    question: QuestionOption = "",
    answer: AnswerOption = "",
    choices: ChoicesOption = "answer",
    num_fewshot: FewshotOption = None,
    dry_run: DryRunOption = False,
    skip_bad: SkipBadOption = False,
    judge: JudgeOption = "",
    rubric: RubricOption = "",
    labels: LabelsOption = "",
    until_decided: UntilDecidedOption = False,
    margin: MarginOption = None,
    budget: BudgetOption = None,
    download: DownloadOption = False,
    workspace: WorkspaceOption = None,
    json_: JsonOption = False,
) -> None:
    """Measure models, all adapters of a base in one batch. What is measured already is not measured again.

    Examples: bakeoff evaluate demo-rank8 smollm2-135m-instruct --tasks 40 ·
    bakeoff evaluate demo-rank8 --forms gguf-q8_0 --forms gguf-q4_0 ·
    bakeoff evaluate qwen3:8b --url http://127.0.0.1:11434/v1 ·
    bakeoff evaluate a b --benchmark open.csv --judge qwen3-4b --rubric "Polite, and names the refund period" ·
    bakeoff evaluate a b c --benchmark mine.csv --until-decided --margin 0.02
    """
    import evaluator
    from bakeoff.measuring.question_sets import fewshot_of, judge_of, wishes_of
    from bakeoff.measuring.racing import until_of

    settings = {"tasks": tasks, "prompting": prompting, "samples": samples, "temperature": temperature}
    settings |= {"engine": engine, "slots": slots, "max_tokens": max_tokens, **fewshot_of(num_fewshot)}
    own = {"choices": choices, "skip_bad": skip_bad, **judge_of(judge, rubric, labels)}
    rule = evaluator.Rule(extract, before_solution=before_solution) if rescore else None
    until = until_of(until_decided, margin, budget, rescore)
    told = _Told(benchmark, experiment, rule, wishes_of(question, answer, check), own, dry_run, json_, until)
    if download:
        typer.echo(evaluator.download(benchmark), err=True)
    _evaluate(models or (), forms or (), url, told, settings, workspace)


@dataclasses.dataclass(frozen=True)
class _Told:
    """What the options say beside the settings that all benchmarks share."""

    benchmark: str
    experiment: Path | None
    rule: Rule | None
    """How stored answers are run again; None where answers are asked for."""
    wishes: Wishes | None
    own: Mapping[str, Any]
    """Settings that question sets alone have."""
    dry_run: bool
    json: bool
    until: Until | None
    """When a race is decided; None where all items are measured."""

    @property
    def judged(self) -> bool:
        """Whether a model judges the answers too."""
        return "judge" in self.own


def _evaluate(
    names: Sequence[str], forms: Sequence[str], url: str, told: _Told, settings: Mapping[str, Any],
    workspace: Path | None,
) -> None:  # fmt: skip
    """Choose the models, measure them and print their scores; or show what would be asked."""
    import evaluator
    from bakeoff.experiment.summary import say
    from bakeoff.measuring.question_sets import asked_for, rescored, show_questions
    from bakeoff.measuring.racing import raced, scores_event
    from bakeoff.progress import drawn
    from bakeoff.writing import writable
    from results import Workspace, form_costs

    place = Workspace.open(workspace) if told.dry_run else writable(workspace)
    with place.passing_store() if told.dry_run else place.store() as store, drawn() as progress:
        if evaluator.is_lm_eval(told.benchmark):
            _evaluate_tasks(names, forms, url, told, settings, (store, place, progress))
            return
        questions = asked_for(told.benchmark, told.wishes, store, told.dry_run or told.own != _USUAL, told.judged)
        chosen = evaluator.choose_models(store, place, names, () if told.dry_run else forms, url)
        benchmark = questions.name if questions else told.benchmark
        if questions is not None and told.dry_run:
            show_questions(questions, {**settings, **told.own}, chosen, told.json)
            return
        if told.until is not None:
            own = {**settings, **told.own}
            found = raced(chosen, questions or benchmark, (store, place), own, told.until, progress, told.json)
        elif questions is not None and told.rule is not None:
            found = rescored(chosen, questions, store, bool(told.own["skip_bad"]), told.json)
        elif questions is not None:
            own = {**settings, **told.own}
            found = evaluator.evaluate_questions(chosen, questions, store, place, own, progress)
        elif told.rule is not None:
            found = evaluator.rescore_stored(chosen, benchmark, store, progress, told.rule)
        else:
            rows = _held_out(told.experiment, place, store) if benchmark == "heldout" and told.experiment else None
            settings = {**settings, "max_tokens": settings["max_tokens"] or 512}
            found = evaluator.measure(chosen, benchmark, store, place, settings, rows, progress)
        known = {one.id: one for one in store.models.list()}
        costs = {one.model: one for one in form_costs(store, benchmark, chosen)} if forms else {}
        for line in evaluator.of_other_files(found, store, place) if told.rule is None else ():
            say(line)
    if told.until is not None and told.json:
        scores_event(_rows(found, known, costs))
        return
    _print(found, known, costs, told.json)
    if told.rule is not None and questions is None and not told.json:
        _print_rules(found, known)


def _evaluate_tasks(
    names: Sequence[str], forms: Sequence[str], url: str, told: _Told, settings: Mapping[str, Any],
    where: tuple[Store, Workspace, Progress],
) -> None:  # fmt: skip
    """The same for tasks of lm-eval."""
    import evaluator
    from bakeoff.experiment.summary import say
    from bakeoff.measuring.lm_eval_tasks import show_tasks, tasks_settings
    from results import form_costs

    store, place, progress = where
    own = tasks_settings(
        settings, told.wishes is not None or told.own != _USUAL or told.rule is not None or told.until is not None
    )
    tasks = evaluator.named_tasks(told.benchmark)
    chosen = evaluator.choose_models(store, place, names, () if told.dry_run else forms, url)
    if told.dry_run:
        show_tasks(tasks, own, chosen, told.json)
        return
    found = evaluator.evaluate_tasks(chosen, tasks, store, place, own, progress)
    known = {one.id: one for one in store.models.list()}
    costs = {one.model: one for one in form_costs(store, tasks.benchmark, chosen)} if forms else {}
    for line in evaluator.of_other_files(found, store, place):
        say(line)
    _print(found, known, costs, told.json)


_USUAL = {"choices": "answer", "skip_bad": False}
"""What question sets are asked by unless told."""


def _held_out(experiment: Path, place: Workspace, store: Store) -> Sequence[Any]:
    """The rows that an experiment file holds back, or that a run of the store did, by its name or id."""
    import trainer
    from results import BakeoffError

    runs = [one.run for one in store.runs.list() if str(experiment) in (one.run.name, one.run.id)]
    if runs and not experiment.exists():
        return trainer.validation_rows(trainer.recorded_experiment(runs[-1]), place)
    if not experiment.exists() and not experiment.suffix:
        raise BakeoffError(
            f"{experiment} is no file, nor a run of this store. Name either: bakeoff runs lists the runs"
        )
    return trainer.validation_rows(trainer.load_experiment(experiment), place)


def _print(
    found: Sequence[Evaluation], known: Mapping[str, Model], costs: Mapping[str, FormCost], as_json: bool
) -> None:
    """The scores as a table, then what forms cost and which answers wait for a sandbox."""
    from bakeoff.listing import output, show, spelt_out
    from results import judge_sentences, left_out_words

    columns = {name: name for name in ("model", *SCORE, "subset", "engine")}
    unscored = [f"{known[one.model_id].name}: {one.reason}" for one in found if one.status == "unscored"]
    empty = "No scores." if unscored else "No models to measure. Make some: bakeoff run EXPERIMENT.yaml"
    show(_rows(found, known, costs), columns, as_json=as_json, empty=empty)
    unscored += [
        f"{known[one.model_id].name}: errors of ours and in no score are {len(failed)} tasks, whose reference "
        f"solutions do not pass here: {', '.join(f'{task} ({why})' for task, why in failed.items())}"
        for one in found
        if (failed := one.details.get("limits", {}).get("failed_references"))
    ]
    sets = {one.benchmark: one.details["published"] for one in found if "published" in one.details}
    unscored += [f"{name}: licence {of['licence']}; {of['source']}" for name, of in sets.items()]
    apart = (left_out_words(known[one.model_id].name, one.details) for one in found if one.benchmark != "heldout")
    unscored += [words for words in apart if words]
    unscored += dict.fromkeys(said for one in found for said in judge_sentences(known[one.model_id].name, one.details))
    unscored += [
        f"{known[one.model_id].name}: {near} wrong answers hold the right one among other words, "
        "which --check contains would count"
        for one in found
        if (near := one.details.get("near_misses"))
    ]
    unscored += _next(found)
    for sentence in () if as_json else [*(cost.sentence for cost in costs.values()), *unscored]:
        output().print(spelt_out(sentence), markup=False, highlight=False)


def _next(found: Sequence[Evaluation]) -> list[str]:
    """How several models by one test are told apart, a line for each test; none for one model."""
    measured: dict[str, set[str]] = {}
    for one in found:
        if one.status == "finished" and one.benchmark != "stopping":
            measured.setdefault(one.benchmark, set()).add(one.model_id)
    several = [name for name, models in measured.items() if len(models) > 1]
    return [f"Which to ship, by paired tests: bakeoff decide --by {shlex.quote(name)}" for name in several]


def _print_rules(found: Sequence[Evaluation], known: Mapping[str, Model]) -> None:
    """Print the rule by which stored answers were run again, and what was noticed."""
    from bakeoff.listing import output, printable
    from bakeoff.measuring.score import extraction_words, label_lines

    for one in found:
        details = one.details
        before = f"before completion: {details['before_completion']}, before solution: {details['before_solution']}"
        lines = [f"{known[one.model_id].name}: extraction {extraction_words(details)}; {before}"]
        lines += [*label_lines(details.get("labels")), *(f"note: {note}" for note in details["notes"])]
        for line in lines:
            output().print(printable(line), markup=False, highlight=False)


def _rows(
    found: Iterable[Evaluation], known: Mapping[str, Model], costs: Mapping[str, FormCost]
) -> list[dict[str, object]]:
    """A row for each score, with what the model's form costs beside the score that it is reckoned by.

    An evaluation whose answers wait for a sandbox has one row without a score, which says so.
    """
    from results import engine_words

    rows: list[dict[str, object]] = []
    for one in found:
        name = known[one.model_id].name
        about = {"model": name, "subset": one.subset, "engine": engine_words(known[one.model_id], one)}
        about |= {key: one.details[key] for key in ("extraction", "labels", "notes", "changes") if key in one.details}
        if one.status in ("unscored", "failed"):
            rows.append({**about, **dict.fromkeys(SCORE), "status": one.status, "reason": one.reason})
        for score in one.scores:
            row = {**about, **dataclasses.asdict(score)}
            cost = costs.get(name)
            if cost and score.metric == cost.contrast.metric:
                row["form_cost"] = cost.as_json()
            rows.append(row)
    return rows
