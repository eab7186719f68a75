"""The stores of `benchmarks/faults.py`: what is compared of them, and a PostgreSQL server that is taken away."""

from __future__ import annotations

import os
import signal
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.kill import METRICS
from engines import file_sha256
from results import PLACE, RETRIES, Store, Workspace

TIMED = ("started_at", "finished_at", "created_at", "updated_at", "machine_id")


@dataclass(frozen=True)
class Place:
    """A workspace and the URL of its store, "" for the SQLite file in it."""

    folder: Path
    url: str

    def store(self) -> Store:
        """The store, opened."""
        return Workspace(self.folder).store(self.url or f"sqlite:///{self.folder / 'results.db'}")


def state(place: Place) -> dict[str, Any]:
    """All that is compared, by what it belongs to."""
    found: dict[str, Any] = {}
    with place.store() as store:
        for run in (row.run for row in store.runs.list()):
            found[f"run {run.name}"] = _untimed(asdict(run))
            for metric in METRICS:
                steps, values = store.curves.read(run.id, metric)
                found[f"curve {run.name} {metric}"] = [
                    (int(step), float(value).hex()) for step, value in zip(steps, values, strict=True)
                ]
        for model in store.models.list():
            notes = {key: value for key, value in model.details.items() if key != "notes"}
            found[f"model {model.name}"] = _untimed({**asdict(model), "details": notes})
            path = Workspace(place.folder).resolve(model.path)
            files = [path] if path.is_file() else sorted(path.glob("*"))
            found[f"files {model.name}"] = [(one.name, file_sha256(one)) for one in files]
        names = {model.id: model.name for model in store.models.list()}
        for each in store.evaluations.list():
            found[f"{each.benchmark} {names[each.model_id]}"] = _evaluation(store, each)
        for report in store.reports.list():
            if report.kind not in ("training", PLACE, RETRIES):  # where and when, not what
                found[f"report {report.subject} {report.kind}"] = repr(report.payload)
    return found


def _evaluation(store: Store, each: Any) -> dict[str, Any]:
    timed = each.benchmark == "latency"
    plain = {key: value for key, value in _untimed(asdict(each)).items() if key not in ("details", "scores")}
    outcomes = [
        (one.item, one.sample, one.verdict, None if timed else one.value, None if timed else _answer(one.details))
        for one in store.evaluations.outcomes(each.id)
    ]
    scores = [score.metric if timed else repr(score) for score in each.scores]
    return {**plain, "outcomes": sorted(outcomes, key=repr), "scores": scores}


def _answer(details: Any) -> str:
    return repr({key: details.get(key) for key in ("prompt", "answer", "code", "rule", "tokens", "message")})


def _untimed(record: dict[str, Any]) -> dict[str, Any]:
    return {key: repr(value) for key, value in record.items() if key not in TIMED}


class Postgres:
    """A PostgreSQL server of our own, which may be stopped without notice."""

    def __init__(self) -> None:
        from tests.results.conftest import started_postgres

        # Not below `folder`, which only this user may enter: started by root, the server runs as another.
        self._server = started_postgres(Path(tempfile.mkdtemp(prefix="bakeoff-faults-postgres-")))
        self._dropped = ""

    def _admin(self, statement: str) -> None:
        import sqlalchemy as sa

        url = self._server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)

    def database(self, number: int) -> str:
        """The URL of a new database."""
        import sqlalchemy as sa

        self._admin(f"CREATE DATABASE faults{number}")
        return sa.make_url(self._server.get_uri()).set(database=f"faults{number}").render_as_string(False)

    @property
    def socket(self) -> Path:
        """Where it listens."""
        import sqlalchemy as sa

        return Path(str(sa.make_url(self._server.get_uri()).query["host"])) / ".s.PGSQL.5432"

    def anew(self, name: str) -> None:
        """Make an empty database of this name; whoever uses one that is there is thrown out."""
        self._admin(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self._admin(f"CREATE DATABASE {name}")

    def down(self) -> None:
        """Kill it, as a machine that loses its power does."""
        pid = self._server.get_pid()
        os.kill(pid, signal.SIGQUIT)
        psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=60)

    def drop(self, url: str) -> None:
        """Take the database away under its users, but keep what was in it."""
        name = url.rpartition("/")[2].partition("?")[0]
        self._dropped = name
        self._admin(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        self._admin(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        self._admin(f"ALTER DATABASE {name} RENAME TO {name}_away")

    def back(self) -> None:
        """Make it answer again, with the database as it was."""
        if self._dropped:
            name, self._dropped = self._dropped, ""
            self._admin(f"ALTER DATABASE {name}_away RENAME TO {name}")
            self._admin(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        else:
            self._server.ensure_postgres_running()

    def stop(self) -> None:
        """End it for good."""
        self._server.cleanup()
