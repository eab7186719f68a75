"""Evaluations: measurements of a model, their outcomes item by item, their scores."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from results.errors import Immutable, NotFound
from results.records import Evaluation, Outcome, Score, ScoreRow, now
from results.schema.columns import finite_of
from results.schema.database import Database
from results.schema.judged import JUDGED, calibration_label
from results.schema.rows import columns, record_of, records, row_of
from results.schema.tables import EvaluationRow, ModelRow, OutcomeRow, ScoreLine
from results.schema.tallies import Tally
from results.store import tallies
from results.store.liveness import GONE, Liveness


class Evaluations:
    """`store.evaluations`. A finished evaluation is never modified; it can be measured anew as a whole.

    One that is running belongs to the processes that began it (`results.store.liveness`): where none of them is left,
    it is shown as failed, by whoever looks.
    """

    def __init__(self, database: Database, alive: Liveness) -> None:
        self._database = database
        self._alive = alive

    def begin(self, evaluation: Evaluation, replace: bool = False) -> Evaluation:
        """Begin or resume a measurement; returns it as stored, so look at its status.

        New or failed: it is running. Running: its outcomes so far are kept. Finished: returned as it is, nothing is
        changed, unless `replace` discards its outcomes and scores to measure anew. Raises: NotFound (no such model).
        """
        with self._database.write(lock=evaluation.id) as connection:
            _require_model(connection, evaluation)
            there = _stored(connection, evaluation.id)
            if there is not None and there.status == "finished":
                if not replace:
                    return there
                _clear(connection, evaluation.id)
            self._alive.hold(evaluation.id)
            started = evaluation.started_at or now()
            begun = dataclasses.replace(
                evaluation, status="running", reason="", started_at=started, finished_at=None, scores=()
            )
            self._database.upsert(connection, EvaluationRow, [row_of(begun, EvaluationRow)])
        return begun

    def add_outcomes(self, evaluation_id: str, outcomes: Iterable[Outcome]) -> None:
        """Store outcomes, all or none; (item, sample) again takes the new one.

        Raises: NotFound, Immutable (the evaluation has finished and an outcome would change).
        """
        given = list({(outcome.item, outcome.sample): outcome for outcome in outcomes}.values())
        with self._database.write(lock=evaluation_id) as connection:
            status = _found(connection, evaluation_id).status
            if status == "finished":
                there = {(known.item, known.sample): known for known in _outcomes(connection, evaluation_id)}
                if any(not _alike(there.get((new.item, new.sample)), new) for new in given):
                    raise Immutable(f"evaluation {evaluation_id!r} is finished: its outcomes stay; measure it anew")
                return
            self._store_outcomes(connection, evaluation_id, given)

    def outcomes(self, evaluation_id: str) -> list[Outcome]:
        """The outcomes so far, in the order they came. Raises NotFound."""
        with self._database.read() as connection:
            outcomes = _outcomes(connection, evaluation_id)
            if not outcomes:
                _found(connection, evaluation_id)
            return outcomes

    def verdicts(self, evaluation_id: str) -> list[tuple[str, str | None]]:
        """(item, verdict) of each outcome, in the order they came, without the answers."""
        found = self.tallies([evaluation_id])[evaluation_id]
        return list(zip(found.items, found.verdicts, strict=True))

    def tallies(self, evaluation_ids: Sequence[str]) -> dict[str, Tally]:
        """What is to be compared of each of these evaluations, without the answers' texts; by evaluation id."""
        with self._database.read() as connection:
            return tallies.read(connection, evaluation_ids)

    def finish(
        self,
        evaluation_id: str,
        scores: Sequence[Score],
        details: Mapping[str, Any] | None = None,
        at: datetime | None = None,
    ) -> Evaluation:
        """Store the scores and close the evaluation for good; returns it. details are added to those it began with.

        at: when, for an imported one. Raises: NotFound, Immutable (it has finished with other scores).
        """
        with self._database.write(lock=evaluation_id) as connection:
            there = _found(connection, evaluation_id)
            if there.status == "finished":
                self._alive.release(evaluation_id)
                if repr(there.scores) != repr(tuple(scores)):
                    raise Immutable(f"evaluation {evaluation_id!r} is finished: its scores stay; measure it anew")
                return there
            merged = {**there.details, **(details or {})}
            changes = {"status": "finished", "reason": "", "finished_at": at or now(), "details": merged}
            connection.execute(sa.update(EvaluationRow).where(EvaluationRow.id == evaluation_id).values(changes))
            self._store_scores(connection, evaluation_id, scores)
            tallies.keep(self._database, connection, evaluation_id)
            ended = _found(connection, evaluation_id)
        self._alive.release(evaluation_id)
        return ended

    def bring(self, evaluation: Evaluation, outcomes: Iterable[Outcome]) -> bool:
        """Store an evaluation of another store whole, as it is; False if it is here and has got as far.

        Raises: NotFound (no such model).
        """
        with self._database.write(lock=evaluation.id) as connection:
            _require_model(connection, evaluation)
            there = _stored(connection, evaluation.id)
            if there is not None and (there.status == "finished" or evaluation.status != "finished"):
                return False
            _clear(connection, evaluation.id)
            self._database.upsert(connection, EvaluationRow, [row_of(evaluation, EvaluationRow)])
            self._store_outcomes(connection, evaluation.id, outcomes)
            self._store_scores(connection, evaluation.id, evaluation.scores)
            if evaluation.status == "finished":
                tallies.keep(self._database, connection, evaluation.id)
        return True

    def fail(self, evaluation_id: str, reason: str) -> None:
        """Mark an evaluation as failed; its outcomes stay, and `begin` resumes it. Raises: NotFound, Immutable."""
        with self._database.write(lock=evaluation_id) as connection:
            if _found(connection, evaluation_id).status == "finished":
                raise Immutable(f"evaluation {evaluation_id!r} is finished and cannot fail")
            changes = {"status": "failed", "reason": reason, "finished_at": now()}
            connection.execute(sa.update(EvaluationRow).where(EvaluationRow.id == evaluation_id).values(changes))
        self._alive.release(evaluation_id)

    def set_aside(self, evaluation_id: str, reason: str, details: Mapping[str, Any] | None = None) -> Evaluation:
        """Mark an evaluation as unscored: whole but for its verdicts; returns it. `begin` resumes it.

        details are added to those it began with. Raises: NotFound, Immutable.
        """
        with self._database.write(lock=evaluation_id) as connection:
            there = _found(connection, evaluation_id)
            if there.status == "finished":
                raise Immutable(f"evaluation {evaluation_id!r} is finished; measure it anew")
            changes = {"status": "unscored", "reason": reason, "details": {**there.details, **(details or {})}}
            connection.execute(sa.update(EvaluationRow).where(EvaluationRow.id == evaluation_id).values(changes))
            ended = _found(connection, evaluation_id)
        self._alive.release(evaluation_id)
        return ended

    def get(self, evaluation_id: str) -> Evaluation:
        """The evaluation with its scores. Raises NotFound."""
        with self._database.read() as connection:
            found = _found(connection, evaluation_id)
        return self._seen([found])[0]

    def scores(self) -> list[ScoreRow]:
        """Every score of every finished evaluation, with what it can be traced to."""
        query = (
            columns(ScoreLine)
            .add_columns(
                EvaluationRow.model_id,
                ModelRow.name.label("model"),
                ModelRow.form,
                ModelRow.run_id,
                EvaluationRow.benchmark,
                EvaluationRow.machine_id,
                EvaluationRow.subset,
                EvaluationRow.settings,
                EvaluationRow.origin,
                EvaluationRow.finished_at,
            )
            .join(EvaluationRow, EvaluationRow.id == ScoreLine.evaluation_id)
            .join(ModelRow, ModelRow.id == EvaluationRow.model_id)
            .where(EvaluationRow.status == "finished")
            .order_by(EvaluationRow.benchmark, ModelRow.name, EvaluationRow.finished_at, ScoreLine.position)
        )
        with self._database.read() as connection:
            found, related = records(ScoreRow, connection, query), tallies.groups(connection)
            for id_, label in _calibrations(connection).items():
                related[id_] = ", ".join(filter(None, (related.get(id_), label)))
        return [
            dataclasses.replace(row, subset=f"{row.subset}, {label}" if row.subset else label)
            if (label := related.get(row.evaluation_id, ""))
            else row
            for row in found
        ]

    def list(self, model_id: str | None = None, benchmark: str | None = None) -> list[Evaluation]:
        """Evaluations with their scores, oldest first; of one model or benchmark where given."""
        asked = []
        if model_id is not None:
            asked.append(EvaluationRow.model_id == model_id)
        if benchmark is not None:
            asked.append(EvaluationRow.benchmark == benchmark)
        query = columns(EvaluationRow).where(*asked).order_by(EvaluationRow.started_at, EvaluationRow.id)
        with self._database.read() as connection:
            found = records(Evaluation, connection, query)
            scores = _scores(connection, sa.select(EvaluationRow.id).where(*asked))
        seen = self._seen(found)
        return [dataclasses.replace(each, scores=tuple(scores.get(each.id, ()))) for each in seen]

    def _seen(self, evaluations: Sequence[Evaluation]) -> Sequence[Evaluation]:
        """Evaluations as they are to be shown: what nobody works on any more has failed."""
        running = [one.id for one in evaluations if one.status == "running" and one.origin == "measured"]
        if not running or not (gone := set(running) - self._alive.held(running)):
            return evaluations
        query = sa.select(EvaluationRow.id).where(EvaluationRow.id.in_(gone), EvaluationRow.status == "running")
        with self._database.read() as connection:  # one that ended meanwhile said so before it let go
            still = set(connection.execute(query).scalars())
        return [dataclasses.replace(one, status="failed", reason=GONE) if one.id in still else one
                for one in evaluations]  # fmt: skip

    def _store_outcomes(self, connection: sa.Connection, evaluation_id: str, outcomes: Iterable[Outcome]) -> None:
        count = sa.select(sa.func.count()).where(OutcomeRow.evaluation_id == evaluation_id)
        first = int(connection.execute(count).scalar_one())
        rows = [
            row_of(outcome, OutcomeRow, evaluation_id=evaluation_id, position=first + place)
            for place, outcome in enumerate(outcomes)
        ]
        self._database.upsert(connection, OutcomeRow, rows, once=("position",))

    def _store_scores(self, connection: sa.Connection, evaluation_id: str, scores: Iterable[Score]) -> None:
        rows = [
            row_of(score, ScoreLine, evaluation_id=evaluation_id, position=place)
            | {"low": finite_of(score.low), "high": finite_of(score.high)}
            for place, score in enumerate(scores)
        ]
        self._database.upsert(connection, ScoreLine, rows)


def _calibrations(connection: sa.Connection) -> dict[str, str]:
    """Evaluation id → how far its judge agrees with people, of those that a model judged."""
    query = sa.select(EvaluationRow.id, EvaluationRow.details).where(EvaluationRow.benchmark.contains(JUDGED))
    return {id_: calibration_label(details) for id_, details in connection.execute(query)}


def _require_model(connection: sa.Connection, evaluation: Evaluation) -> None:
    if not connection.execute(sa.select(ModelRow.id).where(ModelRow.id == evaluation.model_id)).first():
        raise NotFound(f"no model {evaluation.model_id!r} to evaluate; add it to the store first")


def _clear(connection: sa.Connection, evaluation_id: str) -> None:
    """Remove an evaluation's outcomes and scores."""
    tallies.forget(connection, evaluation_id)
    connection.execute(sa.delete(OutcomeRow).where(OutcomeRow.evaluation_id == evaluation_id))
    connection.execute(sa.delete(ScoreLine).where(ScoreLine.evaluation_id == evaluation_id))


def _stored(connection: sa.Connection, evaluation_id: str) -> Evaluation | None:
    query = columns(EvaluationRow).where(EvaluationRow.id == evaluation_id)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        return None
    scores = _scores(connection, sa.select(EvaluationRow.id).where(EvaluationRow.id == evaluation_id))
    return record_of(Evaluation, row, scores=tuple(scores.get(evaluation_id, ())))


def _found(connection: sa.Connection, evaluation_id: str) -> Evaluation:
    evaluation = _stored(connection, evaluation_id)
    if evaluation is None:
        raise NotFound(f"no evaluation {evaluation_id!r} in the store; begin it first, or list them: bakeoff scores")
    return evaluation


def _outcomes(connection: sa.Connection, evaluation_id: str) -> list[Outcome]:
    query = columns(OutcomeRow).where(OutcomeRow.evaluation_id == evaluation_id)
    return records(Outcome, connection, query.order_by(OutcomeRow.position, OutcomeRow.item, OutcomeRow.sample))


def _scores(connection: sa.Connection, evaluations: sa.Select[Any]) -> dict[str, list[Score]]:
    """The scores of the evaluations that a query of their ids finds; of no others: a decision asks model by model."""
    query = columns(ScoreLine).where(ScoreLine.evaluation_id.in_(evaluations))
    query = query.order_by(ScoreLine.evaluation_id, ScoreLine.position)
    found: dict[str, list[Score]] = {}
    for row in connection.execute(query).mappings():
        found.setdefault(row["evaluation_id"], []).append(record_of(Score, row))
    return found


def _alike(there: Outcome | None, new: Outcome) -> bool:
    """Whether an outcome says what the stored one says; NaN is NaN, and a tuple comes back as a list."""
    if there is None:
        return False
    stored, given = row_of(there, OutcomeRow), row_of(new, OutcomeRow)
    return all(repr(stored[name]) == repr(given[name]) or stored[name] == given[name] for name in stored)
