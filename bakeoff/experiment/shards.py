"""Measurements of quality over a Ray cluster, before this process measures whatever is left.

A shard is one measurement of the models that stand on one base's weights: what is asked in one batch without Ray, too,
and so with the same answers. A node makes it as this process would, and stores the same records, which this process
then finds there. So nothing of it passes through Ray, and what a node could not measure is measured here, and named
only if it fails here: a node's failure is no model's.

Not spread: latency, which is measured where nothing else runs; a race, whose models take turns; endpoints, which wait
elsewhere.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from bakeoff.experiment.measurements import fits, measured
from bakeoff.experiment.own_tests import own_tests
from results import BakeoffError, Model, Progress, Store, Workspace

if TYPE_CHECKING:
    from trainer import Experiment, Ground, OverRay

MEMORY_OF_WEIGHTS = 3
"""A shard's memory over its weights' bytes: weights, their copy in fp32 while they load, what answers take."""

REST_BYTES = 700_000_000
"""The libraries, and the sandboxes of programs."""


@dataclass(frozen=True)
class Shard:
    """One measurement of some models."""

    what: str
    experiment: Experiment
    """The experiment with that measurement alone."""
    models: tuple[str, ...]
    """Ids."""
    elsewhere: tuple[str, ...]
    """Identities of those that were made elsewhere."""

    def measured(self, ground: Ground) -> str:
        """Measure on a node. Returns what the user must mend: a full disk, another store; "" for nothing."""
        try:
            with ground.entered() as (store, workspace):
                models = [store.models.get(one) for one in self.models]
                measured(self.experiment, models, store, workspace, _unheard, _unheard, self.elsewhere)
        except BakeoffError as error:
            return str(error)
        return ""


def spread(
    over: OverRay,
    experiment: Experiment,
    models: Sequence[Model],
    store: Store,
    workspace: Workspace,
    progress: Progress,
    elsewhere: Collection[str] = (),
) -> None:
    """Have the cluster's nodes measure; afterwards `measured` finds in the store what they did.

    Raises: BakeoffError for what the user must mend; KeyboardInterrupt.
    """
    from trainer import Errand

    errands = []
    for shard in shards(experiment, models, workspace, elsewhere):
        members = [store.models.get(one) for one in shard.models]
        if all(_finished(store, one, shard.what) for one in members):
            continue
        names = ", ".join(one.name for one in members)
        memory = REST_BYTES + MEMORY_OF_WEIGHTS * max(one.bytes for one in members)
        errands.append(Errand(f"{shard.what} of {names}", shard.measured, memory, partial(_stored, store, shard)))
    with over:
        over.each(errands, store, workspace, progress)


def shards(
    experiment: Experiment, models: Sequence[Model], workspace: Workspace, elsewhere: Collection[str] = ()
) -> Iterator[Shard]:
    """Everything that nodes can measure of these models."""
    import evaluator

    near = [model for model in models if model.form not in ("remote", "ggml")]
    for what, alone in single(experiment, workspace):
        fit = [one for one in near if fits(one, alone.evaluate.forms, alone, elsewhere)]
        try:
            families = evaluator.families(fit, workspace)
        except BakeoffError:  # some weights are gone: who measures here says whose
            continue
        for family in families:
            yield Shard(what, alone, tuple(one.id for one in family.members), tuple(elsewhere))


def single(experiment: Experiment, workspace: Workspace) -> Iterator[tuple[str, Experiment]]:
    """The experiment once for each of its measurements that need no turns, asking for that one alone."""
    wanted = experiment.evaluate
    none = wanted.model_copy(
        update={"humaneval": None, "heldout": None, "stopping": None, "latency": None, "tests": ()}
    )
    parts = {"heldout": wanted.heldout, "stopping": wanted.stopping}
    if not experiment.data.sources:
        del parts["heldout"]
    updates: list[tuple[str, Mapping[str, Any], dict[str, Any]]] = [
        (what, settings, {what: settings}) for what, settings in parts.items() if settings is not None
    ]
    if not wanted.until_decided and wanted.humaneval is not None:
        updates.append(("humaneval", wanted.humaneval, {"humaneval": wanted.humaneval}))
    if not wanted.until_decided:
        names = [test.name for test in own_tests(experiment, workspace)]
        updates += [(name, test, {"tests": (test,)}) for name, test in zip(names, wanted.tests, strict=True)]
    for what, settings, update in updates:
        forms = settings.get("forms", wanted.forms)
        yield what, experiment.model_copy(update={"evaluate": none.model_copy(update={**update, "forms": forms})})


def _finished(store: Store, model: Model, what: str) -> bool:
    found = store.evaluations.list(model_id=model.id, benchmark=what)
    return any(one.status == "finished" for one in found)


def _stored(store: Store, shard: Shard) -> int:
    """How many answers are there."""
    found = [one for id_ in shard.models for one in store.evaluations.list(model_id=id_, benchmark=shard.what)]
    return sum(len(store.evaluations.outcomes(one.id)) for one in found)


def _unheard(*_: object) -> None:
    """Nobody listens to a node."""
