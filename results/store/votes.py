"""Votes: preferences between two answers, by people or by a judging model."""

from __future__ import annotations

import dataclasses

import sqlalchemy as sa

from results.records import Vote, now
from results.schema.database import Database
from results.schema.rows import columns, records, row_of
from results.schema.tables import VoteRow


class Votes:
    """`store.votes`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, vote: Vote) -> None:
        """Store a vote; the same id again takes the new one (a person who changes their mind)."""
        stored = dataclasses.replace(vote, created_at=vote.created_at or now())
        with self._database.write(lock="votes") as connection:
            self._database.upsert(connection, VoteRow, [row_of(stored, VoteRow)])

    def list(self) -> list[Vote]:
        """All votes, oldest first."""
        with self._database.read() as connection:
            return records(Vote, connection, columns(VoteRow).order_by(sa.asc(VoteRow.created_at), VoteRow.id))
