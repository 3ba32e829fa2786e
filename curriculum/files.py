"""Files that are either whole or absent."""

import errno
import os
import tempfile
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""No room for a file: the system names none with it."""


@contextmanager
def named_when_full(path: Path) -> Generator[None]:
    """Name the file that is written inside where the disk, or a quota, has no room for it.

    Raises:
        OSError: with the file's name.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL and error.filename is None:
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
        raise


def require_folder_of(path: Path) -> None:
    """Check that a file may be written at `path` before the work whose outcome goes there.

    Raises:
        OSError: `path` lies in no folder; names the folder and the remedy.
    """
    folder = str(path.parent)
    if not path.parent.exists():
        raise FileNotFoundError(errno.ENOENT, "no such folder; create it first", folder)
    if not path.parent.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "is a file, not a folder", folder)


def write_atomic(path: Path, text: str | Iterable[str]) -> None:
    r"""Write a UTF-8 file so that a reader sees the old content or the whole new one.

    The text goes to a temporary file in the same folder, is flushed to disk and then renamed. On
    any error, also one raised by the iterable, the temporary file is removed and `path` stays as it
    was. Line ends are written as they are (`\n` stays `\n`).

    Args:
        path: the file to write; its folder must exist.
        text: the whole text, or its parts in order, so that a large file is never whole in memory.

    Raises:
        OSError: the folder is absent, not writable or full.
    """
    require_folder_of(path)
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:  # it names the temporary file
        raise OSError(error.errno, error.strerror, str(path)) from None
    try:
        writing = os.fdopen(handle, "w", encoding="utf-8", newline="")
        with named_when_full(path), writing as file:
            file.writelines([text] if isinstance(text, str) else text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp allows the owner alone
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
