"""The folder that a container mounts: the runner's files and, later, the host's socket."""

import os
import shutil
import tempfile
from pathlib import Path

from sandbox.errors import SetupError

RUNNER = Path(__file__).parents[1] / "runner"


def create_runner_folder() -> Path:
    """A new temporary folder that holds a copy of the runner.

    A copy, so that one mount holds runner and socket, and the container's root can read both. The
    path is short: the kernel takes at most 108 bytes for the path of a unix socket.

    Raises:
        SetupError: the folder cannot be written, for example because the disk is full.
    """
    folder = None
    try:
        folder = Path(tempfile.mkdtemp(prefix="stepcoder-runner-"))
        target = folder / "runner"
        for module in RUNNER.rglob("*.py"):
            copy = target / module.relative_to(RUNNER)
            copy.parent.mkdir(exist_ok=True)
            shutil.copyfile(module, copy)
        if os.getuid() != 0:
            # The engine may map the container's root to a user that owns nothing here.
            folder.chmod(0o755)
            for path in (target, *target.rglob("*")):
                path.chmod(0o755 if path.is_dir() else 0o644)
    except OSError as error:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        raise SetupError(
            f"the runner's files cannot be written in {tempfile.gettempdir()} ({error.strerror}): "
            "free space there, or name another folder in TMPDIR"
        ) from error
    return folder
