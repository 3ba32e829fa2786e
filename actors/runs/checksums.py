"""Checksums of a checkpoint's files, so that a corrupt checkpoint is recognised and not used."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path

from curriculum.files import write_atomic

CHECKSUMS = "checksums.json"
_CANNOT_ASK = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EPERM}
"""What file systems say that cannot be asked to write a file, or a folder's names, to disk."""
BLOCK = 1 << 20
"""Unit of reading [bytes]."""
WHOLE_BLOCKS = 64
"""A file of up to so many blocks is read whole. Of a larger file this many are read, evenly spread,
the first and the last among them: reading 100 GB twice would cost minutes per checkpoint."""


def write_checksums(folder: Path) -> None:
    """Record size and digest of every file below `folder` in its `checksums.json`.

    Every file is on disk before: the digest of a large one would not show a part that a loss of
    power kept from it.
    """
    files: dict[str, dict[str, int | str]] = {}
    for path in sorted(folder.rglob("*")):
        flush(path)
        if path.is_file() and path.name != CHECKSUMS:
            files[str(path.relative_to(folder))] = _checksum(path)
    write_atomic(folder / CHECKSUMS, json.dumps(files, indent=1) + "\n")
    flush(folder)


def flush(path: Path) -> None:
    """Wait until a file's content, or the names in a folder, are on disk.

    Raises:
        OSError: the file system could not write them.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _CANNOT_ASK:
            raise
    finally:
        os.close(handle)


def find_corruption(folder: Path) -> str | None:
    """Compare a folder with its `checksums.json`.

    Returns:
        The first file that is missing or was changed, and how; None where all files agree.
    """
    try:
        files = dict(json.loads((folder / CHECKSUMS).read_text()))
        sizes = {name: expected["bytes"] for name, expected in files.items()}
    except (OSError, ValueError, LookupError, TypeError) as error:
        return f"its {CHECKSUMS} cannot be read ({error})"
    for name, expected in files.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        size = path.stat().st_size
        if size != sizes[name]:
            return f"{name} holds {size} bytes instead of {sizes[name]}"
        if _checksum(path) != expected:
            return f"{name} was changed after it was written"
    return None


def recorded_bytes(folder: Path) -> int:
    """Bytes of the files that a folder's `checksums.json` lists; 0 where it has none."""
    try:
        files = json.loads((folder / CHECKSUMS).read_text())
        return sum(int(file["bytes"]) for file in files.values())
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return 0


def _checksum(path: Path) -> dict[str, int | str]:
    size = path.stat().st_size
    blocks = -(-size // BLOCK)
    read = range(blocks)
    if blocks > WHOLE_BLOCKS:
        read = [index * (blocks - 1) // (WHOLE_BLOCKS - 1) for index in range(WHOLE_BLOCKS)]
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in read:
            file.seek(block * BLOCK)
            digest.update(file.read(BLOCK))
    return {"bytes": size, "sha256": digest.hexdigest()}
