"""Trackio: a local database for `trackio show`, or a Hugging Face space."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from typing_extensions import override

from actors.runs.sinks.base import PROJECT, Sink, SinkRun

# Not an import statement, because the library is optional and a type checker may not have it.
trackio: Any = import_module("trackio")


class TrackioSink(Sink):
    """One run of the project `stepcoder` (`TRACKIO_PROJECT` names another).

    Its data are where Trackio keeps all projects of a person (`TRACKIO_DIR`), or in the space that
    `TRACKIO_SPACE_ID` names. A resumed run continues the same one.
    """

    def __init__(self, run: SinkRun) -> None:
        self._run = trackio.init(
            project=os.environ.get("TRACKIO_PROJECT", PROJECT),
            name=run.name,
            space_id=os.environ.get("TRACKIO_SPACE_ID"),
            config=dict(run.config),
            resume="allow",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )

    @override
    def write(self, step: int, figures: Mapping[str, float]) -> None:
        self._run.log(dict(figures), step=step)

    @override
    def write_table(self, step: int, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        columns = list(rows[0])
        table = trackio.Table(columns=columns, data=[[row[c] for c in columns] for row in rows])
        self._run.log({name: table}, step=step)

    @override
    def add_folder(self, name: str, folder: Path) -> None:
        trackio.log_artifact(folder, name=name, type="model")

    @override
    def close(self) -> None:
        self._run.finish()
