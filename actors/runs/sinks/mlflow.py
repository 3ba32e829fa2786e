"""MLflow: a tracking server, or files in the run's folder for `mlflow server`."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from typing_extensions import override

from actors.runs.sinks.base import PROJECT, Sink, SinkRun

# Not import statements, because the library is optional and a type checker may not have it.
entities: Any = import_module("mlflow.entities")
tracking: Any = import_module("mlflow.tracking")

_MOST_METRICS = 1000
"""Metrics of one request."""
_MOST_PARAMS = 100
_LONGEST_PARAM = 6000
"""Characters of a parameter's value."""


class MlflowSink(Sink):
    """One run of the experiment `stepcoder` (`MLFLOW_EXPERIMENT_NAME` names another).

    It goes to `MLFLOW_TRACKING_URI`, and without it to `mlruns/` in the run's folder. A resumed run
    continues the same one.
    """

    def __init__(self, run: SinkRun) -> None:
        uri = os.environ.get("MLFLOW_TRACKING_URI")
        if uri is None:
            # MLflow writes files for who says so only; it prefers a database, which the light
            # client (mlflow-skinny) does not have.
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
            uri = (run.root.absolute() / "mlruns").as_uri()
        self._client = tracking.MlflowClient(tracking_uri=uri)
        kept = run.root / "mlflow.json"
        if kept.exists() and (ids := json.loads(kept.read_text()))["uri"] == uri:
            self._id = ids["run"]
            self._client.update_run(self._id, status="RUNNING")
            return
        self._id = self._client.create_run(self._experiment(), run_name=run.name).info.run_id
        kept.write_text(json.dumps({"uri": uri, "run": self._id}))
        params = [
            entities.Param(key, str(value)[:_LONGEST_PARAM]) for key, value in run.config.items()
        ]
        for at in range(0, len(params), _MOST_PARAMS):
            self._client.log_batch(self._id, params=params[at : at + _MOST_PARAMS])

    def _experiment(self) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        found = self._client.get_experiment_by_name(name)
        return found.experiment_id if found else self._client.create_experiment(name)

    @override
    def write(self, step: int, figures: Mapping[str, float]) -> None:
        now = int(1000 * time.time())
        metrics = [
            entities.Metric(re.sub(r"[^\w\-./ ]", "_", name), value, now, step)
            for name, value in figures.items()
        ]
        for at in range(0, len(metrics), _MOST_METRICS):
            self._client.log_batch(self._id, metrics=metrics[at : at + _MOST_METRICS])

    @override
    def write_table(self, step: int, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        columns = list(rows[0])
        table = {"columns": columns, "data": [[row[c] for c in columns] for row in rows]}
        self._client.log_dict(self._id, table, f"{name}/step-{step:06d}.json")

    @override
    def add_folder(self, name: str, folder: Path) -> None:
        self._client.log_artifacts(self._id, str(folder), name)

    @override
    def close(self) -> None:
        self._client.set_terminated(self._id)
