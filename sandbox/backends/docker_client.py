"""The client of the Docker engine, and the removal of containers whose owner is gone."""

import contextlib
from typing import Any, cast

import docker
from docker import DockerClient
from docker.errors import APIError, DockerException, NotFound

from sandbox.backends.owner import OWNER_LABEL, RUN_LABEL, is_gone
from sandbox.errors import SetupError

REMEDY = "start one (`make engine`, as root), or set DOCKER_HOST to a running one"


def connect(timeout: int = 60) -> DockerClient:
    """A client of the engine named by DOCKER_HOST, or else of the one at the default socket.

    `timeout` is the deadline of each request [seconds].

    Raises:
        SetupError: no engine answers there.
    """
    try:
        client = docker.from_env(timeout=timeout)
        # The package pools connections by address, and every container has addresses of its own:
        # without this header a long run would keep one open connection per container started.
        client.api.headers["Connection"] = "close"
        client.close()  # drops the connection opened, before the header, to ask for the version
        client.api.ping()
    except (DockerException, OSError) as error:
        raise SetupError(f"no Docker engine answers ({_reason(error)}): {REMEDY}") from error
    return client


def reap_strays(run: str | None = None) -> int:
    """Remove the sandbox containers (of one run, or of all) whose owner process is gone.

    Containers of living owners and of other machines stay. Returns how many were removed, 0 where
    no engine answers.
    """
    try:
        client = connect(timeout=30)
    except SetupError:
        return 0
    label = OWNER_LABEL if run is None else f"{RUN_LABEL}={run}"
    try:
        # The low-level listing has the labels; `client.containers` asks again for each container.
        # Its stubs leave the result untyped.
        listing = client.api.containers  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        summaries = cast("list[dict[str, Any]]", listing(all=True, filters={"label": label}))
        return sum(_reap(client, summary) for summary in summaries)
    finally:
        client.close()


def _reap(client: DockerClient, summary: dict[str, Any]) -> bool:
    labels: dict[str, str] = summary.get("Labels") or {}
    owner = labels.get(OWNER_LABEL, "")
    if not owner or not is_gone(owner):
        return False
    with contextlib.suppress(NotFound):
        try:
            client.api.remove_container(summary["Id"], force=True)
        except APIError as error:
            if error.status_code != 409:  # 409: its removal is in progress
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
