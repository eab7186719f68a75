"""MLflow, as a process that `ingestion.py` and `curves.py` ask to write and read: one line of JSON each way.

Runs in an environment of its own (benchmarks/requirements.txt), never in Bakeoff's. Everything goes to local SQLite
through MLflow's own client, but for `fill`, which puts rows into MLflow's table as its client would have left them:
at its own speed ten million points would take a quarter of an hour.
"""

import array
import json
import logging
import os
import sqlite3
import sys
import time
from pathlib import Path

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
logging.disable(logging.CRITICAL)

import mlflow  # noqa: E402
from mlflow.entities import Metric  # noqa: E402
from mlflow.tracking import MlflowClient  # noqa: E402


class Peer:
    """One MLflow store in the folder given."""

    def __init__(self, folder):
        self.file = f"{folder}/mlflow.db"
        self.client = MlflowClient(f"sqlite:///{self.file}")
        self.experiment = self.client.create_experiment("benchmark", artifact_location=f"{folder}/artifacts")
        self.runs = []

    def new_run(self):
        return self.client.create_run(self.experiment).info.run_id

    def versions(self):
        return {"mlflow": mlflow.__version__}

    def log_metric(self, points):
        """One call a point."""
        run = self.new_run()
        start = time.perf_counter()
        for step in range(points):
            self.client.log_metric(run, "loss", float(step), step=step)
        return {"seconds": time.perf_counter() - start, "stored": self.stored(run)}

    def log_batch(self, points):
        """1,000 points a call, its limit; the points are made beforehand."""
        run = self.new_run()
        metrics = [Metric("loss", float(step), 0, step) for step in range(points)]
        start = time.perf_counter()
        for first in range(0, points, 1000):
            self.client.log_batch(run, metrics=metrics[first : first + 1000])
        return {"seconds": time.perf_counter() - start, "stored": self.stored(run)}

    def stored(self, run):
        with sqlite3.connect(self.file) as connection:
            return connection.execute("SELECT count(*), sum(value) FROM metrics WHERE run_uuid = ?", (run,)).fetchone()

    def fill(self, file, runs, steps):
        """Rows for `runs` x `steps` points from a file of float64."""
        values = array.array("d")
        with Path(file).open("rb") as handle:
            values.fromfile(handle, runs * steps)
        self.runs = [self.new_run() for _ in range(runs)]
        with sqlite3.connect(self.file) as connection:
            for place, run in enumerate(self.runs):
                part = values[place * steps : (place + 1) * steps]
                columns = "(key, value, timestamp, run_uuid, step, is_nan)"
                rows = ((value, step, run, step) for step, value in enumerate(part))
                connection.executemany(f"INSERT INTO metrics {columns} VALUES ('loss', ?, ?, ?, ?, 0)", rows)
                latest = (part[-1], steps - 1, run, steps - 1)
                connection.execute(f"INSERT INTO latest_metrics {columns} VALUES ('loss', ?, ?, ?, ?, 0)", latest)
        return {}

    def view(self):
        """What its page asks for a chart of many runs: 320 points a run, 100 runs a request at most. Without HTTP."""
        store = self.client._tracking_client.store
        start = time.perf_counter()
        found = []
        for first in range(0, len(self.runs), 100):
            some = self.runs[first : first + 100]
            found += store.get_metric_history_bulk_interval(
                run_ids=some, metric_key="loss", max_results=320, start_step=None, end_step=None
            )
        seconds = time.perf_counter() - start
        places = {run: place for place, run in enumerate(self.runs)}
        return {"seconds": seconds, "points": [[places[each.run_id], each.step, each.value] for each in found]}

    def read(self, runs):
        """Every point of the first `runs` runs, by its client."""
        start = time.perf_counter()
        count = sum(len(self.client.get_metric_history(run, "loss")) for run in self.runs[:runs])
        return {"seconds": time.perf_counter() - start, "points": count}

    def rows(self, runs):
        """Every point of the first `runs` runs, as plain rows of SQLite: the least that a table of rows costs."""
        start = time.perf_counter()
        count = 0
        with sqlite3.connect(self.file) as connection:
            for run in self.runs[:runs]:
                query = "SELECT step, value FROM metrics WHERE run_uuid = ? AND key = 'loss' ORDER BY step"
                count += len(connection.execute(query, (run,)).fetchall())
        return {"seconds": time.perf_counter() - start, "points": count}


if __name__ == "__main__":
    peer = Peer(sys.argv[1])
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(getattr(peer, request.pop("do"))(**request)), flush=True)
