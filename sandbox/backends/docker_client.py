"""The Docker engine, and the removal of containers whose owner is gone."""

import contextlib
import tempfile
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, DockerException, NotFound

from sandbox.backends.owner import OWNER_LABEL, RUN_LABEL, is_gone
from sandbox.errors import SandboxError

REMEDY = "start one (`make engine`, as root), or set DOCKER_HOST to a running one"
FOLDER_PREFIX = "stepcoder-runner-"


def connect(timeout: int = 60) -> Any:
    """A client of the engine named by DOCKER_HOST, else of the one at the default socket."""
    try:
        client = docker.from_env(timeout=timeout)
        # The package keeps a connection for each address asked, and every container has its own.
        client.api.headers["Connection"] = "close"
        client.close()  # the one over which it asked for the engine's version
        client.ping()
    except (DockerException, OSError) as error:
        raise SandboxError(f"no Docker engine answers ({_reason(error)}): {REMEDY}") from error
    return client


def reap_strays(run: str | None = None) -> int:
    """Remove the sandbox containers (of one run, or of all) whose owner process is gone.

    Containers of living owners and of other machines stay. Returns how many were removed; 0 where
    no engine answers.
    """
    try:
        client = connect(timeout=30)
    except SandboxError:
        return 0
    try:
        return sum(_reap(client, summary) for summary in _containers(client, run))
    finally:
        client.close()


def _containers(client: Any, run: str | None) -> list[dict[str, Any]]:
    label = OWNER_LABEL if run is None else f"{RUN_LABEL}={run}"
    return client.api.containers(all=True, filters={"label": label})


def _reap(client: Any, summary: dict[str, Any]) -> bool:
    owner = (summary.get("Labels") or {}).get(OWNER_LABEL, "")
    if not owner or not is_gone(owner):
        return False
    with contextlib.suppress(NotFound):
        try:
            client.api.remove_container(summary["Id"], force=True)
        except APIError as error:
            if error.status_code != 409:  # already being removed
                raise
    return True


def _reason(error: Exception) -> str:
    text = str(error)
    if "FileNotFoundError" in text or "No such file" in text:
        return "there is no socket"
    if "Connection refused" in text:
        return "its socket is dead"
    if "Permission" in text:
        return "this user may not use its socket"
    return text[:200]


def runner_folder() -> Path:
    """A new folder for a runner's files and socket; short enough for a socket's name."""
    return Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX))
