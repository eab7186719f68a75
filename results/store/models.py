"""Models: anything that answers a prompt."""

from __future__ import annotations

import dataclasses
from typing import Any

import sqlalchemy as sa

from results.errors import NameTaken, NotFound
from results.records import Model, now
from results.schema.columns import Words
from results.schema.database import Database
from results.schema.rows import columns, named, record_of, records, row_of
from results.schema.tables import EarlierNameRow, ModelRow, RunRow
from results.store.formats import by_shipping, is_called


def _as_seen() -> sa.Select[Any]:
    """All columns of models; one is archived, too, while the run that it came from is."""
    away = sa.exists().where(RunRow.id == ModelRow.run_id, RunRow.archived)
    own = [column for column in ModelRow.__table__.columns if column.name != "archived"]
    return sa.select(*own, sa.or_(ModelRow.archived, away).label("archived"))


class Models:
    """`store.models`. A model that is read is archived if it was replaced, and while its run is archived."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, model: Model) -> Model:
        """Register a model; again replaces its record. Returns it as stored.

        A name belongs to the model added last: an older one of another identity keeps its evaluations under
        `name@` and the first 8 digits of its identity, archived, and so do the formats that were made of it. A
        fine-tune that people renamed keeps their name.
        """
        model = dataclasses.replace(model, fine_tune=model.fine_tune or model.name)
        with self._database.write(lock="models") as connection:
            model = _as_renamed(connection, model)
            _make_way(connection, model)
            stored = dataclasses.replace(model, created_at=model.created_at or now())
            self._database.upsert(connection, ModelRow, [row_of(stored, ModelRow)], once=("created_at",))
        return stored

    def get(self, model_id: str) -> Model:
        """The model with this id. Raises NotFound."""
        with self._database.read() as connection:
            row = connection.execute(_as_seen().where(ModelRow.id == model_id)).mappings().one_or_none()
        if row is None:
            raise NotFound(f"no model {model_id!r} in the store; list them: bakeoff models")
        return record_of(Model, row)

    def find(self, id_or_name: str) -> Model:
        """The model with this id or name, or that was called so before; or a fine-tune's format: `demo-rank8@q4_0`.

        Behind the @ stands the format's word or its form: q4_0, gguf-q4_0, lora, adapter.
        Raises NotFound, saying which models there are.
        """
        with self._database.read() as connection:
            found = _found(connection, id_or_name)
            if found is None:
                names = connection.execute(sa.select(ModelRow.name)).scalars()
                raise NotFound(f"no model {id_or_name!r}: {named(names)}; list them: bakeoff models")
        return found

    def formats(self, name: str) -> list[Model]:
        """The formats that a name means, none archived, the one that would ship first (`results.store.formats`).

        A fine-tune's name means all its formats; any other name or id the one model. Raises NotFound.
        """
        model = self.find(name)
        if "@" in name or name == model.id or model.name != model.fine_tune:
            return [model]
        with self._database.read() as connection:
            family = columns(ModelRow).where(ModelRow.fine_tune == model.fine_tune, ~ModelRow.archived)
            return by_shipping(records(Model, connection, family)) or [model]

    def rename(self, name: str, new: str) -> Model:
        """Call a fine-tune otherwise, in all its formats; its earlier names still find it. Returns what had the name.

        Raises: NotFound; NameTaken if `new` is empty, has an @, or is the name of another fine-tune.
        """
        with self._database.write(lock="models") as connection:
            model = _found(connection, name)
            if model is None:
                raise NotFound(f"no model {name!r} to rename; list them: bakeoff models")
            rename_fine_tune(connection, model.fine_tune, new)
            return record_of(
                Model, connection.execute(columns(ModelRow).where(ModelRow.id == model.id)).mappings().one()
            )

    def list(self, as_stored: bool = False) -> list[Model]:
        """All models, archived ones too, oldest first. as_stored: whether their runs are archived does not count."""
        query = columns(ModelRow) if as_stored else _as_seen()
        with self._database.read() as connection:
            return records(Model, connection, query.order_by(ModelRow.created_at, ModelRow.id))


def rename_fine_tune(connection: sa.Connection, fine_tune: str, new: str) -> None:
    """Give every format of a fine-tune its new name in one transaction, and keep the old ones as earlier names.

    Raises: NameTaken.
    """
    if fine_tune == new:
        return
    if not new.strip() or "@" in new:
        raise NameTaken(f"{new!r} is no name for a fine-tune: it is empty or holds @, which a format's word follows")
    family = ModelRow.fine_tune == fine_tune
    rows = connection.execute(sa.select(ModelRow.id, ModelRow.name).where(family)).all()
    for model_id, name in rows:
        other = new + name.removeprefix(fine_tune) if name.startswith(fine_tune) else name
        taken = sa.select(ModelRow.id).where(ModelRow.name == other, ModelRow.id != model_id)
        if connection.execute(taken).first():
            raise NameTaken(f"{other!r} is a model already: choose another name for {fine_tune!r}")
        connection.execute(sa.update(ModelRow).where(ModelRow.id == model_id).values(name=other, fine_tune=new))
        connection.execute(sa.delete(EarlierNameRow).where(EarlierNameRow.name.in_([name, other])))
        if name != other:
            connection.execute(sa.insert(EarlierNameRow).values(name=name, model_id=model_id))
    runs = sa.select(ModelRow.run_id).where(ModelRow.fine_tune == new, ModelRow.run_id.is_not(None))
    connection.execute(sa.update(RunRow).where(RunRow.id.in_(runs)).values(name=new))


def _as_renamed(connection: sa.Connection, model: Model) -> Model:
    """A model that is there under the name that people gave it; any other takes its own name, also from an old one."""
    before = sa.select(EarlierNameRow.model_id).where(EarlierNameRow.name == model.name)
    if connection.execute(before).scalar() == model.id:
        there = connection.execute(sa.select(ModelRow.name, ModelRow.fine_tune).where(ModelRow.id == model.id)).one()
        return dataclasses.replace(model, name=there.name, fine_tune=there.fine_tune)
    connection.execute(sa.delete(EarlierNameRow).where(EarlierNameRow.name == model.name))
    return model


def _make_way(connection: sa.Connection, model: Model) -> None:
    """Give what has the model's name, and is another, a name of its own: with all its formats if it is what they are
    made of.
    """
    older = connection.execute(columns(ModelRow).where(ModelRow.name == model.name, ModelRow.id != model.id)).mappings()
    for row in older.all():
        aside = f"{row['name']}@{row['identity'][:8] or row['id']}"
        if connection.execute(sa.select(ModelRow.id).where(ModelRow.name == aside)).first():
            aside = f"{row['name']}@{row['id']}"
        moved = [row]
        is_root = row["name"] == row["fine_tune"]
        if is_root:
            family = columns(ModelRow).where(ModelRow.fine_tune == row["name"], ModelRow.id != model.id)
            moved = list(connection.execute(family).mappings())
        for one in moved:
            name = aside + one["name"].removeprefix(row["name"])
            changed = {"name": name, "fine_tune": aside if is_root else one["fine_tune"], "archived": True}
            connection.execute(sa.update(ModelRow).where(ModelRow.id == one["id"]).values(changed))


def _found(connection: sa.Connection, text: str) -> Model | None:
    """The model that a text means: its id, its name, a name of before, or a fine-tune's format."""
    fine_tune, _, word = text.rpartition("@")
    model = _called(connection, text)
    root = _called(connection, fine_tune) if model is None and fine_tune else None
    if root is None:
        return model
    family = columns(ModelRow).where(ModelRow.fine_tune == root.fine_tune, ~ModelRow.archived)
    called = [one for one in records(Model, connection, family) if is_called(one, word)]
    return by_shipping(called)[0] if called else None


def _called(connection: sa.Connection, text: str) -> Model | None:
    sought = sa.literal(text, Words)  # not a Key: what is too long for one is not found, as any other
    by_id_first = sa.case((ModelRow.id == sought, 0), else_=1)
    wanted = sa.or_(ModelRow.id == sought, ModelRow.name == sought)
    row = connection.execute(_as_seen().where(wanted).order_by(by_id_first)).mappings().first()
    if row is None:
        before = sa.select(EarlierNameRow.model_id).where(EarlierNameRow.name == sought).scalar_subquery()
        row = connection.execute(_as_seen().where(ModelRow.id == before)).mappings().first()
    return None if row is None else record_of(Model, row)
