"""The first schema.

Revision ID: 0001
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

text, whole, flag, blob = sa.Text(), sa.BigInteger(), sa.Boolean(), sa.LargeBinary()
real: sa.Double[float] = sa.Double()
moment = sa.DateTime(timezone=True)
number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def column(name: str, kind: Any, nullable: bool = False) -> sa.Column[Any]:
    """A column that holds a value unless said otherwise."""
    return sa.Column(name, kind, nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "decisions",
        column("id", text),
        column("model_id", text),
        column("limits", text),
        column("payload", text),
        column("created_at", moment, nullable=True),
        sa.PrimaryKeyConstraint("id", name=("pk_decisions")),
    )
    op.create_table(
        "machines",
        column("id", text),
        column("cpu", text),
        column("isa", text),
        column("cores", whole),
        column("ram_bytes", whole),
        column("gpu", text),
        column("system", text),
        column("versions", text),
        sa.PrimaryKeyConstraint("id", name=("pk_machines")),
    )
    op.create_table(
        "models",
        column("id", text),
        column("name", text),
        column("form", text),
        column("base", text),
        column("identity", text),
        column("bytes", whole),
        column("path", text),
        column("run_id", text, nullable=True),
        column("base_path", text),
        column("weights_sha256", text),
        column("adapter_sha256", text),
        column("template_sha256", text),
        column("details", text),
        column("created_at", moment, nullable=True),
        column("archived", flag),
        sa.PrimaryKeyConstraint("id", name=("pk_models")),
        sa.UniqueConstraint("name", name=("uq_models_name")),
    )
    op.create_table(
        "outcomes",
        column("evaluation_id", text),
        column("item", text),
        column("sample", whole),
        column("verdict", text, nullable=True),
        column("value", real, nullable=True),
        column("value_kind", text),
        column("details", text),
        column("position", whole),
        sa.PrimaryKeyConstraint("evaluation_id", "item", "sample", name=("pk_outcomes")),
    )
    op.create_table(
        "published_results",
        column("id", text),
        column("study", text),
        column("subject", text),
        column("metric", text),
        column("item", text),
        column("value", real, nullable=True),
        column("value_kind", text),
        column("unit", text),
        column("n", whole, nullable=True),
        column("source", text),
        column("details", text),
        column("position", whole),
        sa.PrimaryKeyConstraint("id", name=("pk_published_results")),
    )
    op.create_table(
        "reports",
        column("subject", text),
        column("kind", text),
        column("payload", text),
        column("created_at", moment, nullable=True),
        sa.PrimaryKeyConstraint("subject", "kind", name=("pk_reports")),
    )
    op.create_table(
        "runs",
        column("id", text),
        column("name", text),
        column("experiment", text),
        column("base", text),
        column("config", text),
        column("seed", whole),
        column("status", text),
        column("reason", text),
        column("machine_id", text, nullable=True),
        column("started_at", moment, nullable=True),
        column("finished_at", moment, nullable=True),
        column("total_steps", whole, nullable=True),
        column("origin", text),
        column("source", text),
        column("tags", text),
        column("notes", text),
        column("archived", flag),
        column("created_at", moment),
        sa.PrimaryKeyConstraint("id", name=("pk_runs")),
    )
    op.create_table(
        "votes",
        column("id", text),
        column("prompt", text),
        column("model_a", text),
        column("model_b", text),
        column("answer_a", text),
        column("answer_b", text),
        column("winner", text),
        column("voter", text),
        column("judge", text),
        column("blind", flag),
        column("details", text),
        column("created_at", moment, nullable=True),
        sa.PrimaryKeyConstraint("id", name=("pk_votes")),
    )
    op.create_table(
        "curves",
        column("id", number),
        column("run_id", text),
        column("metric", text),
        column("points", whole),
        column("last_step", whole),
        column("last_value", real, nullable=True),
        column("last_kind", text),
        column("best_value", real, nullable=True),
        column("best_step", whole, nullable=True),
        column("open_points", whole),
        column("open_segments", whole),
        column("updated_at", moment),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=("fk_curves_run_id")),
        sa.PrimaryKeyConstraint("id", name=("pk_curves")),
        sa.UniqueConstraint("run_id", "metric", name=("uq_curves_run_id")),
    )
    op.create_table(
        "evaluations",
        column("id", text),
        column("model_id", text),
        column("benchmark", text),
        column("settings", text),
        column("machine_id", text),
        column("status", text),
        column("reason", text),
        column("subset", text),
        column("started_at", moment, nullable=True),
        column("finished_at", moment, nullable=True),
        column("origin", text),
        column("source", text),
        column("details", text),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=("fk_evaluations_model_id")),
        sa.PrimaryKeyConstraint("id", name=("pk_evaluations")),
    )
    op.create_index(("ix_evaluations_model_id"), "evaluations", ["model_id"], unique=False)
    op.create_table(
        "curve_levels",
        column("curve_id", number),
        column("width", whole),
        column("points", whole),
        column("buckets", blob),
        sa.ForeignKeyConstraint(["curve_id"], ["curves.id"], name=("fk_curve_levels_curve_id")),
        sa.PrimaryKeyConstraint("curve_id", name=("pk_curve_levels")),
    )
    op.create_table(
        "curve_segments",
        column("id", number),
        column("curve_id", number),
        column("first_step", whole),
        column("last_step", whole),
        column("sealed", flag),
        column("steps", blob),
        column("values", blob),
        sa.ForeignKeyConstraint(["curve_id"], ["curves.id"], name=("fk_curve_segments_curve_id")),
        sa.PrimaryKeyConstraint("id", name=("pk_curve_segments")),
        sa.UniqueConstraint("curve_id", "first_step", name=("uq_curve_segments_curve_id")),
    )
    op.create_table(
        "scores",
        column("evaluation_id", text),
        column("metric", text),
        column("position", whole),
        column("value", real, nullable=True),
        column("value_kind", text),
        column("low", real, nullable=True),
        column("high", real, nullable=True),
        column("n", whole),
        sa.ForeignKeyConstraint(["evaluation_id"], ["evaluations.id"], name=("fk_scores_evaluation_id")),
        sa.PrimaryKeyConstraint("evaluation_id", "metric", name=("pk_scores")),
    )
