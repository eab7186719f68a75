"""The models that an experiment file names and does not train: taken from the store, or added from where they lie.

Added again they are what they were: files that are in the store already are found by what they are. One that cannot be
had is a failure of its own, tried again by the same call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import engines
import trainer
from bakeoff.experiment.failures import Failure, ends_everything
from engines import Added, Found, Wishes
from results import BakeoffError, Form, Model, NotFound, Progress, Store, Workspace
from trainer import Experiment, MadeElsewhere


@dataclass(frozen=True)
class Elsewhere:
    """What became of the models of an experiment file."""

    models: tuple[Model, ...]
    failures: tuple[Failure, ...] = ()
    four_bit: tuple[tuple[Model, MadeElsewhere], ...] = ()
    """Adapters that were trained over a 4-bit copy and stand over the 16-bit base, with what the file says of them."""

    @property
    def identities(self) -> frozenset[str]:
        """What they and their exports are told by: an export's `source` is one of these."""
        return frozenset(model.identity for model in self.models)


@dataclass(frozen=True)
class Standing:
    """A model that is measured as it stands: what decides how long that takes."""

    form: Form
    weights: Path
    """Folder or GGUF file of the weights that it answers with: of an adapter its base's."""


@dataclass(frozen=True)
class Foreseen:
    """What adding would do, as `bakeoff plan` says it."""

    lines: tuple[str, ...]
    problems: tuple[str, ...]
    standing: tuple[Standing, ...] = ()
    """Those that are on this machine already."""
    untold: tuple[str, ...] = ()
    """Those of which nobody here knows what rows they were trained on."""


def added(
    experiment: Experiment, store: Store, workspace: Workspace, progress: Progress, say: Callable[[str], None]
) -> Elsewhere:
    """The models of the file, in its order, each in the store.

    Raises: what ends everything (`bakeoff.experiment.failures`).
    """
    models: list[Model] = []
    four_bit: list[tuple[Model, MadeElsewhere]] = []
    failures: list[Failure] = []
    for entry in experiment.models:
        try:
            there = in_store(entry, store)
            made = [] if there else _add(entry, engines.find(entry.source), store, workspace, progress)
        except BakeoffError as error:
            if ends_everything(error):
                raise
            failures.append(Failure(entry.source, "add", " ".join(str(error).split())))
            say(f"{entry.source} is not added: {failures[-1].reason}")
            continue
        models += [there] if there else []
        four_bit += [(there, entry)] if there and over_four_bits(there, entry) else []
        for one in made:
            if one.model is None:
                failures.append(Failure(one.name, "add", refusal(one)))
                say(f"{one.name} is not added: {failures[-1].reason}")
            else:
                models.append(one.model)
                four_bit += [(one.model, entry)] if over_four_bits(one.model, entry) else []
                say(f"{one.model.name} {'is in the store already' if one.known else told(one)}")
    unique = {model.id: model for model in models}
    return Elsewhere(tuple(unique.values()), tuple(failures), tuple(four_bit))


def foreseen(experiment: Experiment, store: Store, workspace: Workspace, progress: Progress) -> Foreseen:
    """What would become of the models of the file: checked, nothing registered and nothing downloaded."""
    lines, problems, standing, untold = [], [], list[Standing](), list[str]()
    for entry in experiment.models:
        try:
            if model := in_store(entry, store):
                lines.append(f"{model.name}: in the store, {model.form} of {model.base}")
                standing.append(Standing(model.form, workspace.resolve(model.base_path or model.path)))
                untold += [] if model.form == "base" or trained_here(model, store) else [model.name]
            elif fetched := engines.to_fetch(entry.source):
                lines.append(f"{fetched}; it is checked then")
                untold.append(entry.name or entry.source)
            else:
                for one in _add(entry, engines.find(entry.source), store, workspace, progress, dry_run=True):
                    where = one.found.path or one.found.source
                    lines.append(
                        f"{one.name}: {one.found.kind}{f' over {one.found.base}' if one.found.base else ''}, {where}"
                    )
                    if one.refused:
                        problems.append(f"models: {one.name} would not be added: {refusal(one)}")
                    elif one.form and one.weights:
                        standing.append(Standing(one.form, one.weights))
                    lines += [f"  {check.detail}" for check in one.checks if check.state == "note"]
                    untold.append(one.name)
        except BakeoffError as error:
            problems.append(f"models: {' '.join(str(error).split())}")
    here = tuple(one for one in standing if one.form != "remote")
    return Foreseen(tuple(lines), tuple(problems), here, tuple(untold))


def trained_here(model: Model, store: Store) -> bool:
    """Whether the run behind a model was made by Bakeoff, so that its training rows are known."""
    return model.run_id is not None and store.runs.get(model.run_id).origin == "measured"


def in_store(entry: MadeElsewhere, store: Store) -> Model | None:
    """The model of the store that an entry names; None where it is to be added.

    Raises: BakeoffError for an entry that would change one.
    """
    try:
        model = store.models.find(entry.source)
    except NotFound:
        return None
    if entry.name or entry.base or entry.template or entry.base_quantization not in ("auto", "none"):
        raise BakeoffError(
            f"models: {entry.source} is in the store, where name, base and template are what they are. "
            "Leave them out, or give the folder or file that it came from"
        )
    return model


def over_four_bits(model: Model, entry: MadeElsewhere) -> bool:
    """Whether an adapter was trained over a 4-bit copy of the base that it stands over, and both may be measured."""
    added = model.details.get("added")
    base = str(added.get("base", "")) if isinstance(added, dict) else ""
    return entry.base_quantization == "auto" and model.form == "adapter" and engines.four_bit(base)


def over_dequantized(
    model: Model, entry: MadeElsewhere, store: Store, workspace: Workspace, progress: Progress
) -> Model:
    """The same adapter over its base quantized to 4 bits and back, in the store beside it. Raises: BakeoffError."""
    template = Path(entry.template) if entry.template else None
    wishes = Wishes(f"{model.name}-nf4", model.base, template, "nf4")
    found = engines.find(str(workspace.resolve(model.path)))
    (one,) = engines.add(found, wishes, workspace, store, registry(), progress)
    if one.model is None:
        raise BakeoffError(refusal(one))
    return one.model


def registry() -> engines.Registry:
    """What the trainer knows of names of bases, for adding."""
    return engines.Registry(trainer.base_path, trainer.packaged_base)


def bases_of(models: Sequence[Model], store: Store, workspace: Workspace) -> list[Model]:
    """The untouched bases in the store that these models stand on or were made of, each once."""
    places = {workspace.resolve(one.base_path).resolve() for one in models if one.base_path}
    names = {one.base for one in models if one.form != "remote"}
    own = {one.id for one in models}
    return [
        one
        for one in store.models.list()
        if one.form == "base"
        and not one.archived
        and one.id not in own
        and (workspace.resolve(one.path).resolve() in places or one.base in names)
    ]


def refusal(one: Added) -> str:
    """Why a model was not added, and what to do, in one line."""
    failed = [check for check in one.checks if check.state == "failed"]
    own = f"Give it one of its own in the file: {{source: {one.found.path or one.found.source}, name: NAME}}"
    remedies = [own if check.name == "name" else check.remedy for check in failed]
    return " ".join(
        f"{check.name}: {check.detail} {remedy}".strip() for check, remedy in zip(failed, remedies, strict=True)
    )


def told(one: Added) -> str:
    """What was added, and what the person should know of it."""
    notes = [check.detail for check in one.checks if check.state == "note"]
    model = one.model
    shown = f"added from {one.found.source}" + (f" as {model.form} of {model.base}" if model else "")
    return " ".join([f"{shown}.", *notes]) if notes else shown


def _add(
    entry: MadeElsewhere,
    found: Sequence[Found],
    store: Store,
    workspace: Workspace,
    progress: Progress,
    dry_run: bool = False,
) -> list[Added]:
    template = Path(entry.template) if entry.template else None
    quantization = "nf4" if entry.base_quantization == "nf4" else "none"
    wishes = Wishes(entry.name, entry.base, template, quantization, False, dry_run)
    return engines.add(found, wishes, workspace, store, registry(), progress)
