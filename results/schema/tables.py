"""The tables, as SQLAlchemy mappings. Nothing outside `results` sees them; records go in and out.

A change here needs a migration in `results/migrations/versions`; a test compares the two.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, LargeBinary, MetaData, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from results.schema.columns import JsonText, Key, Moment, Real, Strings, Whole, Words

NUMBER = BigInteger().with_variant(Integer, "sqlite")
"""A row's number, given by the database: 64 bits on both (SQLite numbers rows only if the type is called INTEGER)."""


class Table(DeclarativeBase):
    """All tables' base: constraint names are the same on both databases, so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def key(**options: Any) -> Mapped[str]:
    """A primary-key text column."""
    return mapped_column(Key, primary_key=True, **options)


class MachineRow(Table):
    __tablename__ = "machines"
    id: Mapped[str] = key()
    cpu: Mapped[str] = mapped_column(Words)
    isa: Mapped[tuple[str, ...]] = mapped_column(Strings)
    cores: Mapped[int] = mapped_column(Whole)
    ram_bytes: Mapped[int] = mapped_column(Whole)
    gpu: Mapped[str] = mapped_column(Words)
    system: Mapped[str] = mapped_column(Words)
    versions: Mapped[Any] = mapped_column(JsonText)


class RunRow(Table):
    __tablename__ = "runs"
    id: Mapped[str] = key()
    name: Mapped[str] = mapped_column(Words)
    experiment: Mapped[str] = mapped_column(Words)
    base: Mapped[str] = mapped_column(Words)
    config: Mapped[Any] = mapped_column(JsonText)
    seed: Mapped[int] = mapped_column(Whole)
    status: Mapped[str] = mapped_column(Words)
    reason: Mapped[str] = mapped_column(Words)
    machine_id: Mapped[str | None] = mapped_column(Key)
    started_at: Mapped[datetime | None] = mapped_column(Moment)
    finished_at: Mapped[datetime | None] = mapped_column(Moment)
    total_steps: Mapped[int | None] = mapped_column(Whole)
    origin: Mapped[str] = mapped_column(Words)
    source: Mapped[str] = mapped_column(Words)
    tags: Mapped[tuple[str, ...]] = mapped_column(Strings)
    notes: Mapped[str] = mapped_column(Words)
    archived: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(Moment)


class CurveRow(Table):
    """One metric of one run: what a list shows of it, without touching its points."""

    __tablename__ = "curves"
    __table_args__ = (UniqueConstraint("run_id", "metric"),)
    id: Mapped[int] = mapped_column(NUMBER, primary_key=True)
    run_id: Mapped[str] = mapped_column(Key, ForeignKey("runs.id"))
    metric: Mapped[str] = mapped_column(Key)
    points: Mapped[int] = mapped_column(Whole)
    last_step: Mapped[int] = mapped_column(Whole)
    last_value: Mapped[float | None] = mapped_column(Real)
    last_kind: Mapped[str] = mapped_column(Words)
    best_value: Mapped[float | None] = mapped_column(Real)
    """The least finite value and its first step."""
    best_step: Mapped[int | None] = mapped_column(Whole)
    open_points: Mapped[int] = mapped_column(Whole)
    """Points in segments not yet sealed."""
    open_segments: Mapped[int] = mapped_column(Whole)
    updated_at: Mapped[datetime] = mapped_column(Moment)


class SegmentRow(Table):
    """Consecutive points of a curve: steps (int64) and values (float64), little-endian. Segments never overlap."""

    __tablename__ = "curve_segments"
    __table_args__ = (UniqueConstraint("curve_id", "first_step"),)
    id: Mapped[int] = mapped_column(NUMBER, primary_key=True)
    curve_id: Mapped[int] = mapped_column(NUMBER, ForeignKey("curves.id"))
    first_step: Mapped[int] = mapped_column(Whole)
    last_step: Mapped[int] = mapped_column(Whole)
    sealed: Mapped[bool]
    """Full, and counted in the curve's level. Open ones are small and wait to be joined."""
    steps: Mapped[bytes] = mapped_column(LargeBinary)
    values: Mapped[bytes] = mapped_column(LargeBinary)


class LevelRow(Table):
    """The sealed points of a curve at screen resolution: see `results.curves.levels`."""

    __tablename__ = "curve_levels"
    curve_id: Mapped[int] = mapped_column(NUMBER, ForeignKey("curves.id"), primary_key=True)
    width: Mapped[int] = mapped_column(Whole)
    points: Mapped[int] = mapped_column(Whole)
    buckets: Mapped[bytes] = mapped_column(LargeBinary)


class ModelRow(Table):
    __tablename__ = "models"
    __table_args__ = (UniqueConstraint("name"),)
    id: Mapped[str] = key()
    name: Mapped[str] = mapped_column(Key)
    form: Mapped[str] = mapped_column(Words)
    base: Mapped[str] = mapped_column(Words)
    identity: Mapped[str] = mapped_column(Words)
    bytes: Mapped[int] = mapped_column(Whole)
    path: Mapped[str] = mapped_column(Words)
    run_id: Mapped[str | None] = mapped_column(Key)
    base_path: Mapped[str] = mapped_column(Words)
    weights_sha256: Mapped[str] = mapped_column(Words)
    adapter_sha256: Mapped[str] = mapped_column(Words)
    template_sha256: Mapped[str] = mapped_column(Words)
    details: Mapped[Any] = mapped_column(JsonText)
    created_at: Mapped[datetime | None] = mapped_column(Moment)
    archived: Mapped[bool]
    fine_tune: Mapped[str] = mapped_column(Words, server_default="")


class EarlierNameRow(Table):
    """What a model was called before: links and commands that say so still find it."""

    __tablename__ = "earlier_names"
    name: Mapped[str] = key()
    model_id: Mapped[str] = mapped_column(Key, ForeignKey("models.id"))


class EvaluationRow(Table):
    __tablename__ = "evaluations"
    __table_args__ = (Index(None, "model_id"),)
    id: Mapped[str] = key()
    model_id: Mapped[str] = mapped_column(Key, ForeignKey("models.id"))
    benchmark: Mapped[str] = mapped_column(Words)
    settings: Mapped[Any] = mapped_column(JsonText)
    machine_id: Mapped[str] = mapped_column(Key)
    status: Mapped[str] = mapped_column(Words)
    reason: Mapped[str] = mapped_column(Words)
    subset: Mapped[str] = mapped_column(Words)
    started_at: Mapped[datetime | None] = mapped_column(Moment)
    finished_at: Mapped[datetime | None] = mapped_column(Moment)
    origin: Mapped[str] = mapped_column(Words)
    source: Mapped[str] = mapped_column(Words)
    details: Mapped[Any] = mapped_column(JsonText)


class OutcomeRow(Table):
    __tablename__ = "outcomes"
    evaluation_id: Mapped[str] = key()
    item: Mapped[str] = key()
    sample: Mapped[int] = mapped_column(Whole, primary_key=True)
    verdict: Mapped[str | None] = mapped_column(Words)
    value: Mapped[float | None] = mapped_column(Real)
    value_kind: Mapped[str] = mapped_column(Words)
    details: Mapped[Any] = mapped_column(JsonText)
    position: Mapped[int] = mapped_column(Whole)
    """The order in which items came, which is the order they are listed in."""


class ItemListRow(Table):
    """The items of outcomes, once for all evaluations that were asked the same: see `results.schema.tallies`."""

    __tablename__ = "item_lists"
    id: Mapped[str] = key()
    items: Mapped[tuple[str, ...]] = mapped_column(Strings)
    groups: Mapped[Any] = mapped_column(JsonText)


class TallyRow(Table):
    """The outcomes of an ended evaluation without their texts, in the order they came."""

    __tablename__ = "tallies"
    evaluation_id: Mapped[str] = mapped_column(Key, ForeignKey("evaluations.id"), primary_key=True)
    items_id: Mapped[str] = mapped_column(Key, ForeignKey("item_lists.id"))
    codes: Mapped[bytes] = mapped_column(LargeBinary)
    """A byte for each outcome: its verdict."""
    numbers: Mapped[bytes | None] = mapped_column(LargeBinary)
    """float64, little-endian; NULL where all have verdicts, as `sizes`."""
    sizes: Mapped[bytes | None] = mapped_column(LargeBinary)


class ScoreLine(Table):
    __tablename__ = "scores"
    evaluation_id: Mapped[str] = mapped_column(Key, ForeignKey("evaluations.id"), primary_key=True)
    metric: Mapped[str] = key()
    position: Mapped[int] = mapped_column(Whole)
    value: Mapped[float | None] = mapped_column(Real)
    value_kind: Mapped[str] = mapped_column(Words)
    low: Mapped[float | None] = mapped_column(Real)
    high: Mapped[float | None] = mapped_column(Real)
    n: Mapped[int] = mapped_column(Whole)


class VoteRow(Table):
    __tablename__ = "votes"
    id: Mapped[str] = key()
    prompt: Mapped[str] = mapped_column(Words)
    model_a: Mapped[str] = mapped_column(Words)
    model_b: Mapped[str] = mapped_column(Words)
    answer_a: Mapped[str] = mapped_column(Words)
    answer_b: Mapped[str] = mapped_column(Words)
    winner: Mapped[str] = mapped_column(Words)
    voter: Mapped[str] = mapped_column(Words)
    judge: Mapped[str] = mapped_column(Words)
    blind: Mapped[bool]
    details: Mapped[Any] = mapped_column(JsonText)
    created_at: Mapped[datetime | None] = mapped_column(Moment)


class PublishedRow(Table):
    __tablename__ = "published_results"
    id: Mapped[str] = key()
    """Digest of study, subject, metric and item."""
    study: Mapped[str] = mapped_column(Words)
    subject: Mapped[str] = mapped_column(Words)
    metric: Mapped[str] = mapped_column(Words)
    item: Mapped[str] = mapped_column(Words)
    value: Mapped[float | None] = mapped_column(Real)
    value_kind: Mapped[str] = mapped_column(Words)
    unit: Mapped[str] = mapped_column(Words)
    n: Mapped[int | None] = mapped_column(Whole)
    source: Mapped[str] = mapped_column(Words)
    details: Mapped[Any] = mapped_column(JsonText)
    position: Mapped[int] = mapped_column(Whole)


class ReportRow(Table):
    __tablename__ = "reports"
    subject: Mapped[str] = key()
    kind: Mapped[str] = key()
    payload: Mapped[Any] = mapped_column(JsonText)
    created_at: Mapped[datetime | None] = mapped_column(Moment)


class DecisionRow(Table):
    __tablename__ = "decisions"
    id: Mapped[str] = key()
    model_id: Mapped[str] = mapped_column(Words)
    limits: Mapped[Any] = mapped_column(JsonText)
    payload: Mapped[Any] = mapped_column(JsonText)
    created_at: Mapped[datetime | None] = mapped_column(Moment)
