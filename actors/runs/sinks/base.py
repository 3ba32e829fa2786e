"""The base of every sink, and the facts of a run that it is opened with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = "stepcoder"
"""Project, or experiment, of all runs in sinks that have such a thing."""


@dataclass(frozen=True)
class SinkRun:
    """The run that a sink receives."""

    name: str
    root: Path
    """Its folder; a sink keeps what it has on this machine in a folder of its own below it."""
    config: Mapping[str, Any]
    """The resolved configuration by dotted key."""


class Sink(ABC):
    """Receives figures, tables and folders, in the order in which they are written.

    A sink is opened by its constructor, which gets a `SinkRun`, and used from one thread. What it
    raises costs what it was given, not the run (`actors.runs.sinks.delivery`).
    """

    @abstractmethod
    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """Receive the figures of a step or of an evaluation after it."""

    @abstractmethod
    def write_table(self, step: int, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Receive rows, at least one, that have the same columns."""

    @abstractmethod
    def add_folder(self, name: str, folder: Path) -> None:
        """Receive a folder as an artefact."""

    @abstractmethod
    def close(self) -> None:
        """Write what is pending."""
