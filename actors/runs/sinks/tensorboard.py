"""TensorBoard: event files in the run's folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter
from typing_extensions import override

from actors.runs.sinks.base import Sink, SinkRun


class TensorBoardSink(Sink):
    """Figures as scalars in `tensorboard/`; it has no tables and no artefacts."""

    def __init__(self, run: SinkRun) -> None:
        self._board = SummaryWriter(str(run.root / "tensorboard"))

    @override
    def write(self, step: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            self._board.add_scalar(name, value, step)

    @override
    def write_table(self, step: int, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """TensorBoard has no tables."""

    @override
    def add_folder(self, name: str, folder: Path) -> None:
        """TensorBoard has no artefacts."""

    @override
    def close(self) -> None:
        self._board.close()
