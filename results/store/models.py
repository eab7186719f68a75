"""Models: anything that answers a prompt."""

from __future__ import annotations

import dataclasses

import sqlalchemy as sa

from results.errors import NotFound
from results.records import Model, now
from results.schema.columns import Words
from results.schema.database import Database
from results.schema.rows import columns, named, record_of, records, row_of
from results.schema.tables import ModelRow


class Models:
    """`store.models`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, model: Model) -> Model:
        """Register a model; again replaces its record. Returns it as stored.

        A name belongs to the model added last: an older one of another identity keeps its evaluations under
        `name@` and the first 8 digits of its identity, archived.
        """
        with self._database.write(lock="models") as connection:
            older = connection.execute(
                columns(ModelRow).where(ModelRow.name == model.name, ModelRow.id != model.id)
            ).mappings()
            for row in older.all():
                renamed = {"name": f"{row['name']}@{row['identity'][:8] or row['id']}", "archived": True}
                taken = sa.select(ModelRow.id).where(ModelRow.name == renamed["name"])
                if connection.execute(taken).first():
                    renamed["name"] = f"{row['name']}@{row['id']}"
                connection.execute(sa.update(ModelRow).where(ModelRow.id == row["id"]).values(renamed))
            stored = dataclasses.replace(model, created_at=model.created_at or now())
            self._database.upsert(connection, ModelRow, [row_of(stored, ModelRow)], once=("created_at",))
        return stored

    def get(self, model_id: str) -> Model:
        """The model with this id. Raises NotFound."""
        with self._database.read() as connection:
            row = connection.execute(columns(ModelRow).where(ModelRow.id == model_id)).mappings().one_or_none()
        if row is None:
            raise NotFound(f"no model {model_id!r} in the store; list them: bakeoff models")
        return record_of(Model, row)

    def find(self, id_or_name: str) -> Model:
        """The model with this id or name. Raises NotFound, saying which models there are."""
        with self._database.read() as connection:
            sought = sa.literal(id_or_name, Words)  # not a Key: what is too long for one is not found, as any other
            wanted = sa.or_(ModelRow.id == sought, ModelRow.name == sought)
            by_id_first = sa.case((ModelRow.id == sought, 0), else_=1)
            row = connection.execute(columns(ModelRow).where(wanted).order_by(by_id_first)).mappings().first()
            if row is None:
                names = connection.execute(sa.select(ModelRow.name)).scalars()
                raise NotFound(f"no model {id_or_name!r}: {named(names)}; list them: bakeoff models")
            return record_of(Model, row)

    def list(self) -> list[Model]:
        """All models, archived ones too, oldest first."""
        with self._database.read() as connection:
            return records(Model, connection, columns(ModelRow).order_by(ModelRow.created_at, ModelRow.id))
