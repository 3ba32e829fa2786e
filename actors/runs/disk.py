"""Whether the disk of a run's folder has room for what the run is about to write."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import tempfile
from pathlib import Path

from actors.errors import RunFailed

FULL = 64 << 20
"""Less free space than this counts as none: a file system keeps some back [bytes]."""
_PROBE = 1 << 20
"""Bytes that are written to see whether anything can be."""
REMEDY = (
    "free space there, lower loop.keep_checkpoints, or set loop.keep_optimizer 1 with "
    "loop.checkpoint_policy true; then go on with --resume"
)


def check_room(folder: Path, needed: int, what: str) -> None:
    """Refuse to begin writing what does not fit.

    Args:
        folder: where it is written; exists.
        needed: bytes that it takes.
        what: for the message, such as `the checkpoint of step 20`.

    Raises:
        RunFailed: names both sizes and the remedy; nothing was written.
    """
    free = free_bytes(folder)
    if free < needed:
        raise RunFailed(
            f"{what} was not begun: it takes about {size_text(needed)}, and {size_text(free)} "
            f"is free in {folder}: {REMEDY}"
        )


def free_bytes(folder: Path) -> int:
    """Free space there; no end of it on a file system that does not say, as some of FUSE do."""
    usage = shutil.disk_usage(folder)
    return usage.free if usage.total else sys.maxsize


def is_full(folder: Path) -> bool:
    """Whether nothing can be written there any more, also because a quota is used up."""
    if free_bytes(folder) < FULL:
        return True
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(os.urandom(_PROBE))  # zeros may take no space
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return False


def tree_size(folder: Path) -> int:
    """Bytes of the files below a folder; 0 where there is none."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def size_text(size: int) -> str:
    """Bytes for a person."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
