"""RunFolder: the files of one run, and checkpoints that are whole or absent.

runs/<name>/config.yaml       the resolved configuration
            metrics.jsonl     one line per step
            rollouts.jsonl    a sample of rollouts
            log.txt           every log record, of the driver and of its actors
            result.json       the final table in numbers
            tensorboard/      the same metrics as event files
            checkpoints/step-000020/ ...   each with its seal, and `latest`, which names the newest
            policy/           the trained policy as a Hugging Face folder
            faults/           the samples of an update whose numbers were not finite
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from actors.runs.checksums import damage, seal
from curriculum.files import write_atomic

logger = logging.getLogger("stepcoder.runs")


class RunFolder:
    """Paths and atomic writes below `runs/<name>/`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config = root / "config.yaml"
        self.metrics = root / "metrics.jsonl"
        self.rollouts = root / "rollouts.jsonl"
        self.log = root / "log.txt"
        self.result = root / "result.json"
        self.tensorboard = root / "tensorboard"
        self.checkpoints = root / "checkpoints"
        self.policy = root / "policy"
        self.faults = root / "faults"

    def in_use(self) -> bool:
        """Whether a run has left figures or checkpoints here."""
        return self.metrics.exists() or self.checkpoints.exists()

    def clear(self) -> None:
        """Make the folder anew, without what an earlier run of this name left in it."""
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir(parents=True)

    @contextmanager
    def checkpoint(self, step: int, keep: int) -> Iterator[Path]:
        """Yield a folder to write into; it becomes `step-<n>` whole, and `latest` moves last.

        A crash in between leaves only a `.partial` folder, which the next checkpoint removes.
        """
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        for leftover in self.checkpoints.glob("*.partial"):
            shutil.rmtree(leftover)
        final = self.checkpoints / f"step-{step:06d}"
        partial = final.with_suffix(".partial")
        partial.mkdir()
        yield partial
        seal(partial)
        if final.exists():
            shutil.rmtree(final)
        partial.rename(final)
        write_atomic(self.checkpoints / "latest", final.name + "\n")
        for old in sorted(self.checkpoints.glob("step-??????"))[:-keep]:
            shutil.rmtree(old)

    def latest(self) -> Path | None:
        """The newest whole checkpoint, or None; a damaged one is passed over with a warning."""
        pointer = self.checkpoints / "latest"
        if not pointer.exists():
            return None
        named = pointer.read_text().strip()
        for folder in sorted(self.checkpoints.glob("step-??????"), reverse=True):
            if folder.name > named:
                continue
            wrong = damage(folder)
            if wrong is None:
                return folder
            logger.warning("checkpoint %s is damaged and not used: %s", folder, wrong)
        return None

    def truncate_metrics(self, steps: int) -> None:
        """Drop the lines of steps that the resumed checkpoint does not know of, and a torn one."""
        for path in (self.metrics, self.rollouts):
            if path.exists():
                lines = path.read_bytes().splitlines(keepends=True)
                if lines and not lines[-1].endswith(b"\n"):
                    lines.pop()  # cut off in the middle by a crash or a full disk
                kept = [line for line in lines if json.loads(line)["step"] <= steps]
                write_atomic(path, b"".join(kept).decode())


def append_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    """Append rows, a line each, in one write."""
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    with path.open("ab", buffering=0) as file:
        file.write(lines.encode())
