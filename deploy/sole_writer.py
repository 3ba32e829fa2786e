"""One process at a time writes a folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.errors import ConfigError


@contextmanager
def sole_writer(folder: Path, busy: str) -> Iterator[None]:
    """Be the only process that writes a folder, which is made where there is none.

    The lock is on the folder itself and ends with the process, so a kill leaves none behind. A file
    system without locks lets everyone in.

    Raises:
        ConfigError: `busy`, where another process is inside.
    """
    folder.mkdir(parents=True, exist_ok=True)
    opened = os.open(folder, os.O_RDONLY)
    try:
        _lock(opened, busy)
        yield
    finally:
        os.close(opened)


def _lock(opened: int, busy: str) -> None:
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigError(busy) from None
    except OSError:
        return
