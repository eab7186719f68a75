"""What a decision is about: which models, by which measures in which order, within which limits.

    question = Question(experiment="shop", measures=("shop-tests", "heldout"), limits=Limits(ttft_seconds_p90=0.5))

A shop bot and a code assistant do not compete in one decision. Unasked, the question is the newest experiment's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from results.analysis.findings import EVERYTHING, MARGIN, Limits, Question
from results.analysis.measurements import QUALITY, metric_of, score_of
from results.analysis.snapshot import Reading
from results.errors import NotFound
from results.records import Model
from results.schema.judged import judge_of

if TYPE_CHECKING:
    from results.store.store import Store


@dataclass(frozen=True)
class Asked:
    """The models that a question is about, and words on who is not among them."""

    question: Question
    """What was asked, with all that it left to the experiment filled in; its margin is a number."""
    models: tuple[Model, ...]
    about: str
    """E.g. "the 5 models of experiment shop"."""
    elsewhere: str = ""
    """Who is not asked about, and how to ask; empty where all are."""


def asked(reading: Reading, question: Question) -> Asked:
    """The models of a question. Raises: NotFound for an experiment, a tag or an id that the store does not know."""
    every = contenders(reading)
    members = experiments(reading)
    if question.models:
        known = {one.id: one for one in reading.models}
        if unknown := [one for one in question.models if one not in known]:
            raise NotFound(f"No model {', '.join(unknown)}. List them: bakeoff models")
        return Asked(_filled(question), tuple(known[one] for one in question.models), _count(len(question.models)))
    if question.tag:
        runs = {one.run.id for one in reading.runs if question.tag in one.run.tags}
        if not runs:
            raise NotFound(f"No run has the tag {question.tag!r}. Give one: bakeoff runs edit RUN --tag NAME")
        found = tuple(one for one in every if one.run_id in runs)
        return Asked(_filled(question), found, f"{_count(len(found))} tagged {question.tag}")
    measured = [name for name in members if _newest(reading, members[name])]
    if question.experiment == EVERYTHING or (not question.experiment and len(measured) < 2):
        own = _own(reading, measured[0]) if len(measured) == 1 else {}
        filled = _filled(dataclasses.replace(question, experiment=EVERYTHING), own)
        return Asked(
            filled,
            tuple(every),
            f"all {_count(len(every))}"
            if len(every) > 2
            else ("both models" if len(every) == 2 else _count(len(every))),
        )
    name = question.experiment or max(measured, key=lambda name: _newest(reading, members[name]))
    if name not in members:
        raise NotFound(f"No experiment {name!r} has models. There are: {', '.join(members) or 'none yet'}")
    return _of_experiment(_filled(dataclasses.replace(question, experiment=name), _own(reading, name)), every, members)


def _own(reading: Reading, experiment: str) -> Mapping[str, Any]:
    """What an experiment's file says about its decision; empty where it says nothing."""
    found: Mapping[str, Any] = {}
    for report in reading.members:
        if report.subject == experiment:
            found = report.payload.get("decide") or {}
    return found


def _filled(question: Question, own: Mapping[str, Any] | None = None) -> Question:
    """The question with what it leaves open: from the experiment's own, else the defaults."""
    own = own or {}
    limits = question.limits
    if not limits.all():
        size = {name: own.get(name) and 1e9 * own[name] for name in ("max_ram", "max_size")}
        speeds = own.get("max_ttft_p90"), own.get("min_tokens_per_second")
        limits = Limits(*speeds, size["max_ram"], size["max_size"])
    margin = question.margin if question.margin is not None else own.get("margin") or MARGIN
    measures = question.measures or tuple(one for one in (own.get("by"), *(own.get("then") or ())) if one)
    return dataclasses.replace(question, limits=limits, margin=margin, measures=measures)


def contenders(store: Store | Reading) -> list[Model]:
    """Models that are not archived, without the forms of a run that nobody measured while another form was measured.

    Such a form, an adapter beside its measured GGUF file as a rule, is a step on the way to the file that ships.
    """
    reading = Reading.of(store)
    measured = {one.model_id for one in reading.evaluations() if one.status == "finished"}
    models = [one for one in reading.models if not one.archived]
    runs = {one.run_id for one in models if one.id in measured and one.run_id}
    return [one for one in models if one.id in measured or one.run_id not in runs]


def experiments(reading: Reading) -> dict[str, frozenset[str]]:
    """Ids of the models of each experiment that trained or measured any here, archived or not, by its name.

    Known from the experiment's own list (a report of kind "models"), from the runs behind models, and from their bases.
    Runs that were imported belong to no experiment of this store.
    """
    found: dict[str, set[str]] = {}
    runs = {one.run.id: one.run for one in reading.runs if one.run.origin == "measured"}
    for model in reading.models:
        if model.run_id in runs:
            found.setdefault(runs[model.run_id].experiment, set()).add(model.id)
    bases = {name: {run.base for run in runs.values() if run.experiment == name} for name in found}
    untouched = {model.fine_tune: model.base for model in reading.models if model.form == "base"}
    for model in reading.models:
        if model.run_id is None and model.fine_tune in untouched:
            for name in found:
                if untouched[model.fine_tune] in bases[name]:
                    found[name].add(model.id)
    known = {model.id for model in reading.models}
    for report in reading.members:
        listed = {str(one) for one in report.payload.get("models") or ()} & known
        if listed:
            found.setdefault(report.subject, set()).update(listed)
    return {name: frozenset(found[name]) for name in sorted(found)}


def measures_of(reading: Reading, models: Sequence[Model]) -> tuple[str, ...]:
    """The benchmarks that measured the quality of `models`, the first to decide by first.

    Most models first, then one's own tests, the one with the most items first, then HumanEval and its like, held-out
    loss, and last what a model judged: that decides where it is asked for.
    """
    wanted = {model.id for model in models}
    having: dict[str, set[str]] = {}
    items: dict[str, int] = {}
    for one in reading.evaluations():
        score = score_of(one, metric_of(one.benchmark, one))
        if one.model_id in wanted and one.status == "finished" and score:
            having.setdefault(one.benchmark, set()).add(one.model_id)
            items[one.benchmark] = max(items.get(one.benchmark, 0), score.n)
    code = ("humaneval", "humaneval+", "mbpp", "mbpp+")

    def place(name: str) -> tuple[int, int, int, int, str]:
        rank = 2 if name in QUALITY and name != "humaneval" else 1 if name in code else 0
        rank = 3 if judge_of(name) else rank
        return -min(2, len(having[name])), rank, -len(having[name]), -items[name], name

    return tuple(sorted(having, key=place))


def _of_experiment(question: Question, every: Sequence[Model], members: Mapping[str, frozenset[str]]) -> Asked:
    name = question.experiment
    models = tuple(one for one in every if one.id in members[name])
    rest = len(every) - len(models)
    if not rest:
        return Asked(question, models, f"the {_count(len(models))} of experiment {name}")
    others = ", ".join(f"--experiment {other}" for other in members if other != name) or ""
    ways = " or ".join(part for part in (others, "--experiment '*' for all") if part)
    said = f"{_count(rest)} of other questions {'is' if rest == 1 else 'are'} not asked about: {ways}."
    return Asked(question, models, f"the {_count(len(models))} of experiment {name}", said)


def _newest(reading: Reading, ids: frozenset[str]) -> float:
    """When the newest finished evaluation of any of the models ended; 0 without one."""
    times = [
        one.finished_at.timestamp() for one in reading.evaluations()
        if one.model_id in ids and one.status == "finished" and one.finished_at
    ]  # fmt: skip
    return max(times, default=0.0)


def _count(number: int) -> str:
    return f"{number} model{'' if number == 1 else 's'}"
