"""What the tests of containers share: the engine's client, listing and waiting."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from docker import DockerClient
from docker.models.containers import Container

from sandbox import Sandbox
from sandbox.backends import owner


@pytest.fixture(scope="module")
def client(docker_sandbox: Sandbox) -> DockerClient:
    backend: Any = docker_sandbox._backend
    return backend.client


def containers_of(client: DockerClient, run: str) -> list[Container]:
    return client.containers.list(
        all=True, filters={"label": f"{owner.RUN_LABEL}={run}"}, ignore_removed=True
    )


def wait_until(condition: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)
