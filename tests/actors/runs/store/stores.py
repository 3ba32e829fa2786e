"""Stores in this process's memory, of which one fails when it is told to."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.memory import MemoryFileSystem

from actors.runs.folder import RunFolder
from actors.runs.store.objects import RunStore


class FlakyFileSystem(MemoryFileSystem):
    """Objects in memory; the next writes of names that hold `broken` fail, `failures` times."""

    protocol = "flaky"
    broken = ""
    failures = 0
    written: list[str] = []  # noqa: RUF012

    def put_file(self, lpath: str, rpath: str, *args: Any, **kwargs: Any) -> None:
        self._fail(rpath)
        super().put_file(lpath, rpath, *args, **kwargs)

    def pipe_file(self, path: str, value: bytes, *args: Any, **kwargs: Any) -> None:
        self._fail(path)
        super().pipe_file(path, value, *args, **kwargs)

    def _fail(self, path: str) -> None:
        if FlakyFileSystem.failures and FlakyFileSystem.broken in path:
            FlakyFileSystem.failures -= 1
            raise OSError("503 slow down")
        self.written.append(path)


def flaky_store(name: str = "hot") -> RunStore:
    """A store of its own that does not fail yet."""
    fsspec.register_implementation("flaky", FlakyFileSystem, clobber=True)
    FlakyFileSystem.failures, FlakyFileSystem.written = 0, []
    return RunStore(f"flaky://{uuid.uuid4().hex}/runs/{name}")


def fail(times: int, names: str = "") -> None:
    """Have the next writes fail."""
    FlakyFileSystem.broken, FlakyFileSystem.failures = names, times


def made_run(root: Path, *steps: int, keep: int = 2) -> RunFolder:
    """A run folder with figures and checkpoints."""
    folder = RunFolder(root)
    root.mkdir(parents=True, exist_ok=True)
    for step in steps:
        save(folder, step, keep)
    return folder


def save(folder: RunFolder, step: int, keep: int) -> None:
    """Write the figures of a step and its checkpoint."""
    folder.metrics.write_text(json.dumps({"step": step}) + "\n")
    with folder.checkpoint(step, keep) as partial:
        (partial / "learner").mkdir()
        (partial / "learner" / "rank-0").write_text(f"weights {step}")
        (partial / "policy").mkdir()
        (partial / "policy" / "config.json").write_text("{}")
        (partial / "trainer.json").write_text("{}")
