"""RunFolder: the files of one run.

runs/<name>/config.yaml       the resolved configuration
            metrics.jsonl     the figures of each step and of each evaluation, a line each
            evaluations.jsonl how the samples of each problem came out, a line per evaluation
            curriculum.jsonl  what each step asked, and every problem whose stage it changed
            rollouts/         whole groups of rollouts, a file per step (`loop.record`)
            log.txt           every log record, of the driver and of its actors
            result.json       the figures of the finished run
            tensorboard/      the metrics as event files
            checkpoints/      step-000020/, ... (with a `policy/` by choice) and `latest`, a file
                              that names the newest
            policy/           the trained policy as a Hugging Face folder
            faults/           the samples of an update whose numbers were not finite
"""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from actors.errors import RunFailed
from actors.runs.checksums import (
    CHECKSUMS,
    find_corruption,
    flush,
    recorded_bytes,
    write_checksums,
)
from actors.runs.disk import REMEDY, check_room, is_full
from curriculum.files import named_when_full, write_atomic

logger = logging.getLogger(__name__)

_OF_OTHERS = {"tensorboard", "wandb", "mlruns", "mlflow.json", "report", "inspect"}
"""What sinks, and commands that read runs, write into the folder of a run."""
_OF_VOLUMES = "lost+found"
"""In the root of a volume."""
POLICY = "policy"
"""Folder of the policy in a run's folder, and by choice in a checkpoint."""


class RunFolder:
    """The paths below `runs/<name>/`, and checkpoints that are whole or absent.

    Example:
        with folder.checkpoint(step=20, keep=2) as partial:
            (partial / "weights").write_bytes(...)
        folder.latest()   # runs/<name>/checkpoints/step-000020
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config = root / "config.yaml"
        self.metrics = root / "metrics.jsonl"
        self.evaluations = root / "evaluations.jsonl"
        self.curriculum = root / "curriculum.jsonl"
        self.rollouts = root / "rollouts"
        self.log = root / "log.txt"
        self.result = root / "result.json"
        self.checkpoints = root / "checkpoints"
        self.policy = root / POLICY
        self.faults = root / "faults"
        self.held: str | None = None
        """Name of a checkpoint that is being copied: it is removed with a later one."""

    def in_use(self) -> bool:
        """Whether the folder holds figures, checkpoints or the outcome of a run."""
        kept = (self.metrics, self.checkpoints, self.policy, self.result)
        return any(path.exists() for path in kept)

    def names(self) -> list[str]:
        """What lies in the folder."""
        return [path.name for path in self.root.iterdir()] if self.root.is_dir() else []

    def foreign(self, names: Iterable[str]) -> list[str]:
        """Those of these names, of files in the folder of a run, that are of no run."""
        paths = (path for path in vars(self).values() if isinstance(path, Path))
        own = {path.name for path in paths if path.parent == self.root} | {*_OF_OTHERS, _OF_VOLUMES}
        foreign = (name for name in names if _whole_name(name) not in own)
        return sorted(name for name in foreign if not name.startswith(".nfs"))

    def clear(self) -> None:
        """Create the folder empty; removes whatever an earlier run of this name left in it.

        The folder itself stays: it may be a link, or the place where a volume is mounted.

        Raises:
            OSError: something in it cannot be removed; names it.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        for path in [*self.root.iterdir()]:
            if path.name == _OF_VOLUMES:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, onerror=_unless_open)
            else:
                path.unlink()

    @contextmanager
    def checkpoint(self, step: int, keep: int, keep_whole: int | None = None) -> Iterator[Path]:
        """Yield a folder to write a checkpoint into; on leaving, it becomes `step-<n>`.

        The folder has a temporary name until its checksums are written; `latest` is updated last. A
        crash in between leaves a `.partial` folder, which the next checkpoint removes.

        Args:
            step: the RL step after which it is written.
            keep: number of checkpoints kept, this one included; older ones are removed.
            keep_whole: how many of these keep everything; of older ones the `policy/` is left. None
                is all of them.

        Raises:
            RunFailed: the disk has less room than the checkpoint before took, and nothing was
                begun; or it, or a quota, became full, and what was written of this one is removed.
                Those before are as they were.
        """
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        for leftover in self.checkpoints.glob("*.partial"):
            _tidy(shutil.rmtree, leftover)
        final = self.checkpoints / f"step-{step:06d}"
        partial = final.with_suffix(".partial")
        before = max((recorded_bytes(path) for path in self._checkpoints()), default=0)
        check_room(self.checkpoints, before, f"the checkpoint of step {step}")
        partial.mkdir()
        try:
            yield partial
            write_checksums(partial)
        except Exception as error:
            if not is_full(self.checkpoints):
                raise
            shutil.rmtree(partial, ignore_errors=True)
            raise RunFailed(
                f"the disk of {self.checkpoints}, or a quota there, became full while the "
                f"checkpoint of step {step} was written, which was removed: {REMEDY}"
            ) from error
        if final.exists():
            shutil.rmtree(final)
        partial.rename(final)
        flush(self.checkpoints)
        write_atomic(self.checkpoints / "latest", final.name + "\n")
        every = self._checkpoints()
        written = [checkpoint for checkpoint in every if checkpoint.name <= final.name]
        # Later ones are of a run that went on otherwise: corrupt, or not `latest` when it crashed.
        for old in self._not_held(written[:-keep] + every[len(written) :]):
            _tidy(shutil.rmtree, old)
        for older in self._not_held(written[-keep:-keep_whole] if keep_whole else []):
            _tidy(_keep_policy_alone, older)

    def _not_held(self, checkpoints: list[Path]) -> list[Path]:
        return [checkpoint for checkpoint in checkpoints if checkpoint.name != self.held]

    def _checkpoints(self) -> list[Path]:
        """Every checkpoint, the oldest first."""
        return sorted(self.checkpoints.glob("step-??????"))

    def latest(self) -> Path | None:
        """The newest whole checkpoint, or None; a corrupt one is skipped with a warning."""
        pointer = self.checkpoints / "latest"
        if not pointer.exists():
            return None
        newest = pointer.read_text().strip()
        for folder in reversed(self._checkpoints()):
            if folder.name > newest:
                continue  # the crash came after the rename and before `latest` was updated
            if not (folder / CHECKSUMS).exists() and (folder / POLICY).is_dir():
                continue  # only its policy is left
            corruption = find_corruption(folder)
            if corruption is None:
                return folder
            logger.warning("checkpoint %s is corrupt and not used: %s", folder, corruption)
        return None

    def truncate_metrics(self, steps: int) -> None:
        """Drop the lines of steps after `steps`, and a line that a crash cut off."""
        for path in (self.metrics, self.evaluations, self.curriculum):
            _keep(path, lambda row: row["step"] <= steps)

    def forget_evaluation(self, step: int) -> None:
        """Drop the lines of an evaluation after `step`, which is going to be repeated."""
        if self.evaluated(step):
            for path in (self.metrics, self.evaluations):
                _keep(path, lambda row: "suite" not in row or row["step"] != step)

    def evaluated(self, step: int) -> set[str]:
        """The suites of which an evaluation after `step` is recorded."""
        rows = read_jsonl(self.evaluations)
        return {row["suite"] for row in rows if row["step"] == step}

    def step_rows(self) -> list[dict[str, Any]]:
        """The rows of `metrics.jsonl` that are of steps, not of evaluations."""
        return [row for row in read_jsonl(self.metrics) if "suite" not in row]


def _whole_name(name: str) -> str:
    """The name of a file, without what `write_atomic` adds while it is written."""
    return name[1:].rpartition(".")[0] if name.startswith(".") else name


def _keep(path: Path, wanted: Callable[[dict[str, Any]], bool]) -> None:
    """Keep the rows that are wanted, without a line that a crash or a full disk cut off."""
    if path.exists():
        lines = path.read_bytes().splitlines(keepends=True)
        if lines and not lines[-1].endswith(b"\n"):
            lines.pop()
        kept = [line for line in lines if wanted(json.loads(line))]
        write_atomic(path, b"".join(kept).decode())


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """The rows of a file that a run may still be writing; none where there is no file.

    A last line without its end is left out.

    Raises:
        ValueError: a line is not an object of finite numbers and a step; says which.
    """
    if not path.exists():
        return []
    lines = path.read_bytes().splitlines(keepends=True)
    return [_row(number, line) for number, line in enumerate(lines, 1) if line.endswith(b"\n")]


def _row(number: int, line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line, parse_constant=_refuse)
    except ValueError as error:
        raise ValueError(f"line {number}: {error}") from None
    if not isinstance(row, dict) or type(row.get("step")) is not int:
        raise ValueError(f"line {number}: not an object with a step")
    return row


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not a finite number")


def _tidy(remove: Callable[[Path], None], checkpoint: Path) -> None:
    """Remove a checkpoint or a part of it; what cannot be is told, and tried again with the next.

    On NFS a file that somebody reads stays in its folder under another name: no reason to end a
    run.
    """
    try:
        remove(checkpoint)
    except OSError as error:
        logger.warning("%s is removed with a later checkpoint: %s", checkpoint, error)


def _unless_open(_function: Any, path: str, raised: Any) -> None:
    """Pass over what NFS keeps of a file that somebody has open."""
    names = [Path(path).name, *(name for _, _, names in os.walk(path) for name in names)]
    if not any(name.startswith(".nfs") for name in names):
        raise raised[1]


def _keep_policy_alone(checkpoint: Path) -> None:
    """Leave only the policy of a checkpoint, which a run cannot go on from any more."""
    # Without its checksums no run takes it for whole, should this be interrupted.
    for path in sorted(checkpoint.iterdir(), key=lambda path: path.name != CHECKSUMS):
        if path.is_file():
            path.unlink()
        elif path.name != POLICY:
            shutil.rmtree(path)


def checkpoint_step(checkpoint: Path) -> int:
    """The RL step after which a checkpoint folder was written."""
    return int(checkpoint.name.removeprefix("step-"))


def append_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    """Append rows, one line each, in a single write.

    Half a surrogate pair, which a program's error message may hold, is written as JSON's escape.

    Raises:
        OSError: the disk is full; a line that was cut off is dropped when the run is resumed.
    """
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    content = lines.encode(errors="backslashreplace")
    with named_when_full(path), path.open("ab", buffering=0) as file:
        # A disk that becomes full takes a part without an error.
        if file.write(content) < len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
