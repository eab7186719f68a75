"""A model says which fine-tune it is a format of; exports are called after it, and earlier names still find them.

`demo-rank8-q4_0`, exported from `demo-rank8`, becomes `demo-rank8@q4_0`. What was named otherwise keeps its name.

Revision ID: 0002
"""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

text = sa.Text()


def upgrade() -> None:
    op.create_table(
        "earlier_names",
        sa.Column("name", text, nullable=False),
        sa.Column("model_id", text, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_earlier_names"),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_earlier_names_model_id"),
    )
    op.add_column("models", sa.Column("fine_tune", text, nullable=False, server_default=""))
    models = sa.table("models", *(sa.column(name, text) for name in ("id", "name", "details", "fine_tune")))
    earlier = sa.table("earlier_names", sa.column("name", text), sa.column("model_id", text))
    connection = op.get_bind()
    rows = [dict(row) for row in connection.execute(sa.select(models.c.id, models.c.name, models.c.details)).mappings()]
    taken = {row["name"] for row in rows}
    parents = {row["name"]: _exported_from(row) for row in rows}
    for row in rows:
        fine_tune, name = _root(row["name"], parents), row["name"]
        if name.startswith(f"{fine_tune}-") and "@" not in name:
            name = f"{fine_tune}@{name[len(fine_tune) + 1 :]}"
        if name in taken:
            name = row["name"]
        if name != row["name"]:
            taken.add(name)
            connection.execute(sa.insert(earlier).values(name=row["name"], model_id=row["id"]))
        connection.execute(sa.update(models).where(models.c.id == row["id"]).values(name=name, fine_tune=fine_tune))


def _exported_from(row: dict[str, Any]) -> str:
    """The name of the model that an export was made of, as its details have it; "" for what was not exported."""
    try:
        details = json.loads(row["details"])
    except ValueError:
        return ""
    return str(details.get("exported_from", "")) if isinstance(details, dict) else ""


def _root(name: str, parents: dict[str, str]) -> str:
    """What a model was exported from, and that, up to what was trained or taken in."""
    seen = {name}
    while (parent := parents.get(name, "")) and parent in parents and parent not in seen:
        seen.add(parent)
        name = parent
    return name
