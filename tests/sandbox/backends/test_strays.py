"""Containers do not outlive their owner, and only those of dead owners are reaped."""

import os
import subprocess
import sys

import pytest

from sandbox import SandboxConfig
from sandbox.backends import owner
from sandbox.backends.docker_client import reap_strays
from sandbox.backends.docker_image import ensure_image
from tests.sandbox.backends.conftest import containers_of, wait_until

pytestmark = pytest.mark.docker

OWNER = """
import sys, time
from sandbox import Sandbox, SandboxConfig
sandbox = Sandbox(SandboxConfig(backend="docker"), 0, sys.argv[1])
sandbox.start()
print("started", flush=True)
time.sleep(60)
"""


def test_a_killed_owner_leaves_no_container_behind(client):
    run = f"killed-{os.getpid()}"
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, run], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        assert len(containers_of(client, run)) == 1
        process.kill()
    wait_until(lambda: not containers_of(client, run))


def test_only_strays_of_dead_owners_are_reaped(client):
    image = ensure_image(SandboxConfig())
    with subprocess.Popen([sys.executable, "-S", "-c", ""]) as dead:
        life = f"{dead.pid}.1"
    run = f"stray-{os.getpid()}"
    for name, labels in {
        "dead": {**owner.labels(run, 0), owner.OWNER_LABEL: f"{owner._machine()} {life}"},
        "elsewhere": {**owner.labels(run, 1), owner.OWNER_LABEL: f"another machine {life}"},
        "living": owner.labels(run, 2),
    }.items():
        client.containers.run(
            image,
            ["sleep", "60"],
            detach=True,
            labels=labels,
            network_mode="none",
            name=f"{run}-{name}",
        )
    try:
        assert reap_strays("some other run") == 0
        assert reap_strays(run) == 1
        wait_until(lambda: len(containers_of(client, run)) == 2)
        left = {container.name for container in containers_of(client, run)}
        assert left == {f"{run}-elsewhere", f"{run}-living"}
    finally:
        for container in containers_of(client, run):
            container.remove(force=True)
