"""Bakeoff's own answers, as `bakeoff export answers.jsonl --table answers` writes them: one outcome a line.

The first line of an evaluation has under `head` what else belongs to it: the evaluation, its model, its machine, and
how many outcomes there are, so that a file that lost some is refused. What is imported is labelled so.
Weights and runs are not in the file: the model is foreign unless the store has one of the same identity, and which
formats are one fine-tune's is not taken over, since that fine-tune's name may be another's here.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from results.importers.names import Called, short, source_of
from results.importers.parcels import ImportedEvaluation, Parcel, canonical, foreign_machine, slug
from results.importers.reading import moment, parse_json
from results.importers.refusals import refused
from results.records import Evaluation, Machine, Model, Outcome, digest

FORMAT = "Bakeoff's answers"

COLUMNS = frozenset(("evaluation_id", "head", *(one.name for one in dataclasses.fields(Outcome))))
"""What every line has."""

ADDED = ("content", "missing", "machine")
"""Details that an import adds: those of an earlier one are not the measurement's."""

Record = TypeVar("Record", Evaluation, Machine, Model, Outcome)


@dataclass
class _Sheet:
    """One evaluation's lines."""

    where: str
    head: Mapping[str, Any]
    outcomes: dict[tuple[str, int], Outcome] = field(default_factory=dict)


IN_LINES = "Bakeoff's own answers come as JSON Lines: bakeoff export answers.jsonl --table answers"
NO_TABLE = (
    "Bakeoff's answers as a table for spreadsheets, in which texts that begin like formulas have been changed, so "
    f"that it cannot be imported. {IN_LINES}"
)
"""Why a CSV of answers is refused, and what to do."""


def is_table(header: str) -> bool:
    """Whether a CSV's first line is that of answers or outcomes that Bakeoff wrote."""
    return {"evaluation_id", *(one.name for one in dataclasses.fields(Outcome))} <= set(header.strip().split(","))


def is_answer(row: Any) -> bool:
    """Whether a row is an outcome that Bakeoff wrote."""
    return isinstance(row, Mapping) and row.keys() >= COLUMNS


def read_answers(path: Path, rows: Iterable[tuple[str, Any]]) -> Parcel:
    """Rows with their places, as evaluations. Raises: ImportRefused naming the file and the place."""
    sheets: dict[str, _Sheet] = {}
    for where, row in rows:
        _take(path, where, row, sheets)
    ended: list[ImportedEvaluation] = []
    notes: list[str] = []
    for id_, sheet in sheets.items():
        _check_whole(path, sheet)
        evaluation = _record(path, sheet.where, Evaluation, sheet.head.get("evaluation"))
        model = _record(path, sheet.where, Model, sheet.head.get("model"))
        notes += [said for said in [_left_behind(model)] if said and said not in notes]
        if evaluation.status == "finished":
            ended.append(_imported(path, id_, sheet, evaluation, model))
        else:
            notes.append(f"{model.name} by {evaluation.benchmark}: {evaluation.status} where it was exported, left out")
    if not ended:
        raise refused(path, f"holds no finished evaluation: {'; '.join(notes[:3])}")
    return Parcel(FORMAT, evaluations=tuple(ended), notes=tuple(notes))


def _left_behind(model: Model) -> str:
    """What a file of answers does not say of a model's making, and what brings it; empty where there is nothing."""
    lost = [f"run {model.run_id}"] if model.run_id else []
    lost += [f"fine-tune {model.fine_tune}, of which it is a format"] if model.fine_tune not in ("", model.name) else []
    if not lost:
        return ""
    return f"{model.name} comes without its {' and its '.join(lost)}; a whole store is taken by bakeoff store merge"


def _take(path: Path, where: str, row: Any, sheets: dict[str, _Sheet]) -> None:
    """One line onto its evaluation's sheet."""
    if not is_answer(row):
        lacking = ", ".join(sorted(COLUMNS - row.keys())) if isinstance(row, Mapping) else "everything"
        raise refused(path, f"{where} is no answer: it lacks {lacking}")
    id_ = str(row["evaluation_id"])
    if row["head"] is not None:
        if id_ in sheets:
            raise refused(path, f"{where} begins evaluation {id_[:40]} again, which {sheets[id_].where} began")
        head = parse_json(path, str(row["head"]), f", {where}, head")
        sheets[id_] = _Sheet(where, head if isinstance(head, Mapping) else {})
    if id_ not in sheets:
        raise refused(path, f"{where} is of evaluation {id_[:40]}, whose first line is missing")
    if row["item"] is None:
        return
    told = {one.name: row[one.name] for one in dataclasses.fields(Outcome)}
    told["details"] = parse_json(path, str(told["details"]), f", {where}, details")
    outcome = _record(path, where, Outcome, told)
    if sheets[id_].outcomes.setdefault((outcome.item, outcome.sample), outcome) is not outcome:
        raise refused(path, f"{where} answers {outcome.item[:40]!r}, sample {outcome.sample}, a second time")


def _check_whole(path: Path, sheet: _Sheet) -> None:
    said, there = sheet.head.get("outcomes"), len(sheet.outcomes)
    if said != there:
        raise refused(
            path, f"{sheet.where} begins an evaluation of {said} outcomes, and {there} are there: export it again"
        )


def _imported(path: Path, id_: str, sheet: _Sheet, told: Evaluation, model: Model) -> ImportedEvaluation:
    if told.finished_at is None:
        raise refused(path, f"{sheet.where}: its evaluation is finished and has no finished_at")
    details = dict(told.details)
    added = {key: details.pop(key, None) for key in ADDED if told.origin == "imported"}
    # the first store's word stays: what went through several hands is one evaluation
    details = {"first_id": id_, "first_origin": told.origin, **details}
    evaluation = dataclasses.replace(
        told, details=details, origin="imported", source=f"{source_of(path)} ({FORMAT})",
        status="running", reason="", scores=(),
    )  # fmt: skip
    return ImportedEvaluation(
        _foreign(path, sheet.where, model), evaluation, _machine(path, sheet), told.scores,
        tuple(sheet.outcomes.values()), Called((short(model.name),), ""),
        missing=tuple(map(str, added.get("missing") or ())), own=str(details["first_id"])[:64],
    )  # fmt: skip


def _foreign(path: Path, where: str, told: Model) -> Model:
    """The model without what lies in the other workspace."""
    if not told.identity:
        raise refused(
            path, f"{where}: its model {told.name[:40]!r} has no identity, so nobody knows whose answers these are"
        )
    own = re.fullmatch(r"[a-z0-9._-]{1,100}", told.id) and told.id.endswith(told.identity[:8])
    # no place and no digests of files: what has them is opened and compared with what lies there
    return dataclasses.replace(
        told, id=told.id if own else f"{slug(told.name)}-{told.identity[:8]}", path="", base_path="", run_id=None,
        weights_sha256="", adapter_sha256="", fine_tune="",
        details={"imported_by": "Bakeoff", "imported_as": told.name, **told.details},
    )  # fmt: skip


def _machine(path: Path, sheet: _Sheet) -> Machine:
    """The machine, under the id that its facts have: none of them are taken for those of a machine that is here."""
    if "machine" not in sheet.head:
        return foreign_machine()
    machine = _record(path, sheet.where, Machine, sheet.head["machine"])
    facts = {key: value for key, value in dataclasses.asdict(machine).items() if key != "id"}
    return dataclasses.replace(machine, id=digest(canonical(facts))[:12])


def _record(path: Path, where: str, kind: type[Record], told: Any) -> Record:
    """A record of the store, every value of its kind. Raises: ImportRefused naming place, field and value."""
    from pydantic import ValidationError

    name = kind.__name__.lower()
    if not isinstance(told, Mapping):
        raise refused(path, f"{where} has no {name} in its head")
    if unknown := sorted(told.keys() - {one.name for one in dataclasses.fields(kind)}):
        raise refused(path, f"{where}: its {name} has {unknown[0][:40]!r}, which this Bakeoff does not know; update it")
    in_utc = {key: moment(value) or value for key, value in told.items() if key.endswith("_at")}
    try:
        found: Record = _readers()[kind.__name__].validate_python({**told, **in_utc})
    except ValidationError as error:
        first = error.errors()[0]
        field_ = ".".join(map(str, first["loc"]))
        raise refused(path, f"{where}: {name} {field_} is {first['input']!r:.40}: {first['msg'].lower()}") from error
    return found


@cache
def _readers() -> Mapping[str, Any]:
    from pydantic import TypeAdapter

    return {kind.__name__: TypeAdapter(kind) for kind in (Evaluation, Machine, Model, Outcome)}
