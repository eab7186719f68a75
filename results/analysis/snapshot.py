"""What decisions and comparisons ask of a store, each thing read once.

A decision over a hundred models asks for the same evaluations again and again, and the next one, under other limits,
asks for nothing new.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from results.records import Evaluation, Model, Outcome, Report, RunSummary

if TYPE_CHECKING:
    from results.schema.tallies import Tally
    from results.store.store import Store

T = TypeVar("T")


class Reading:
    """One moment of a store, read as far as it is asked for. Of a store that has changed, make a new one."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._outcomes: dict[str, Sequence[Outcome]] = {}
        self._tallies: dict[str, Tally] = {}
        self._kept: dict[tuple[str, str], Any] = {}

    @classmethod
    def of(cls, store: Store | Reading) -> Reading:
        """A reading of a store, or the one that is given."""
        return store if isinstance(store, Reading) else cls(store)

    @cached_property
    def models(self) -> Sequence[Model]:
        """Every model, in the order of registration."""
        return self._store.models.list()

    @cached_property
    def runs(self) -> Sequence[RunSummary]:
        """Every run."""
        return self._store.runs.list()

    @cached_property
    def contamination(self) -> Sequence[Report]:
        """The reports of benchmark items in training data."""
        return self._store.reports.list(kind="contamination")

    @cached_property
    def members(self) -> Sequence[Report]:
        """The reports of which models each experiment made, added and measured."""
        return self._store.reports.list(kind="models")

    @cached_property
    def _evaluations(self) -> Sequence[Evaluation]:
        return self._store.evaluations.list()

    @cached_property
    def _by_model(self) -> dict[str, list[Evaluation]]:
        found: dict[str, list[Evaluation]] = {}
        for one in self._evaluations:
            found.setdefault(one.model_id, []).append(one)
        return found

    def evaluations(self, model_id: str | None = None, benchmark: str | None = None) -> list[Evaluation]:
        """Evaluations with their scores, oldest first; of one model or benchmark where given."""
        every = self._evaluations if model_id is None else self._by_model.get(model_id, ())
        return [one for one in every if benchmark in (None, one.benchmark)]

    def outcomes(self, evaluation_id: str) -> Sequence[Outcome]:
        """An evaluation's outcomes, in the order they came. Raises NotFound."""
        if evaluation_id not in self._outcomes:
            self._outcomes[evaluation_id] = self._store.evaluations.outcomes(evaluation_id)
        return self._outcomes[evaluation_id]

    def verdicts(self, evaluation_id: str) -> Sequence[tuple[str, str | None]]:
        """(item, verdict) of an evaluation's outcomes, in the order they came."""
        found = self.tallies([evaluation_id])[evaluation_id]
        return list(zip(found.items, found.verdicts, strict=True))

    def tallies(self, evaluation_ids: Sequence[str]) -> Mapping[str, Tally]:
        """What is to be compared of evaluations, without the answers' texts, by evaluation id; these at least."""
        if missing := [one for one in evaluation_ids if one not in self._tallies]:
            self._tallies |= self._store.evaluations.tallies(missing)
        return self._tallies

    def kept(self, what: str, of: str, make: Callable[[], T]) -> T:
        """What `make` computes from this moment of the store, once for each `what` and `of`."""
        if (what, of) not in self._kept:
            self._kept[what, of] = make()
        found: T = self._kept[what, of]
        return found
