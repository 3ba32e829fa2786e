"""One process at a time writes a folder."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from deploy.errors import ConfigError

logger = logging.getLogger(__name__)


@contextmanager
def sole_writer(folder: Path, busy: str) -> Iterator[None]:
    """Be the only process that writes a folder, which may be made, removed and renamed meanwhile.

    The lock is on a file beside the folder, which is removed with it. It ends with the process, so
    that a file left by a kill keeps nobody out. A file system without locks lets everyone in.

    Raises:
        ConfigError: `busy`, where another process is inside.
    """
    folder = folder.absolute()
    path = folder.with_name(f".{folder.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    # A file in the place of a lock would stay after a kill, and keep out every other machine.
    lock = FileLock(path, fallback_to_soft=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ConfigError(busy) from None
    except OSError as error:
        logger.warning("%s: no lock keeps a second process out: %s", folder, error)
    try:
        yield
    finally:
        if lock.is_locked:
            path.unlink(missing_ok=True)  # who waits for it looks for a new one
        lock.release()
