"""TensorBoard: event files in the run's folder."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from typing_extensions import override

from actors.runs.sinks.base import Sink, SinkRun

# Generated classes, which a type checker does not see.
_Event: Any = getattr(event_pb2, "Event")  # noqa: B009
_Summary: Any = getattr(summary_pb2, "Summary")  # noqa: B009


class TensorBoardSink(Sink):
    """Figures as scalars in `tensorboard/`; it has no tables and no artefacts."""

    def __init__(self, run: SinkRun) -> None:
        self._board = EventFileWriter(str(run.root / "tensorboard"))

    @override
    def write(self, step: int, figures: Mapping[str, float]) -> None:
        # One event for all figures: each is serialised and wakes the thread that writes the file.
        values = [_Summary.Value(tag=tag, simple_value=value) for tag, value in figures.items()]
        summary = _Summary(value=values)
        self._board.add_event(_Event(wall_time=time.time(), step=step, summary=summary))

    @override
    def write_table(self, step: int, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """TensorBoard has no tables."""

    @override
    def add_folder(self, name: str, folder: Path) -> None:
        """TensorBoard has no artefacts."""

    @override
    def close(self) -> None:
        self._board.close()
