"""Containers: hardened, labelled, gone when their owner is."""

import os
import subprocess
import sys
import time

import pytest
from docker.errors import APIError

from curriculum.problem import Test
from sandbox import Job, Outcome, SandboxConfig, SandboxError
from sandbox.backends import owner
from sandbox.backends.docker_client import reap_strays
from sandbox.backends.docker_image import RECIPE, ensure_image, image_name
from tests.sandbox.conftest import open_sandbox

pytestmark = pytest.mark.docker

TESTS = (Test(input=[1], output=2),)
JOB = Job(id="c", source="def f(x):\n    return x + 1\n", fn_name="f", tests=TESTS)


@pytest.fixture(scope="module")
def client(docker_sandbox):
    return docker_sandbox._backend.client


def ours(client, run):
    return client.containers.list(
        all=True, filters={"label": f"{owner.RUN_LABEL}={run}"}, ignore_removed=True
    )


def wait_until(condition, seconds=15):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def test_a_container_gives_a_program_nothing(docker_sandbox):
    docker_sandbox.start()
    container = docker_sandbox._runner.container
    container.reload()
    host = container.attrs["HostConfig"]
    assert host["NetworkMode"] == "none"
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert {name.removeprefix("CAP_") for name in host["CapAdd"]} == {"SETUID", "SETGID", "KILL"}
    assert not host["Privileged"]
    assert host["Memory"] == host["MemorySwap"] > 0
    assert host["PidsLimit"] > 0
    assert host["IpcMode"] == "none"
    assert all(mount["RW"] is False for mount in container.attrs["Mounts"])
    assert container.labels[owner.SLOT_LABEL] == "0"


def test_a_program_is_nobody_in_particular(docker_sandbox):
    source = (
        "import os\ndef f(x):\n    lines = open('/proc/self/status').read().split('\\n')\n"
        "    status = dict(line.split(':\\t') for line in lines if ':\\t' in line)\n"
        "    return [os.getuid() > 1 << 20, os.getgroups(), int(status['CapEff'], 16),"
        " int(status['CapBnd'], 16) & ~0xe0, status['NoNewPrivs'], status['Seccomp']]\n"
    )
    tests = (Test(input=[1], output=[True, [], 0, 0, "1", "2"]),)
    verdict = docker_sandbox.run(Job(id="n", source=source, fn_name="f", tests=tests))
    assert verdict.outcome is Outcome.passed, verdict.error


def test_no_file_in_the_image_raises_privileges(docker_sandbox):
    source = (
        "import os\ndef f(x):\n    found = []\n    for place, _, names in os.walk('/usr'):\n"
        "        for name in names:\n            path = os.path.join(place, name)\n"
        "            if not os.path.islink(path) and os.stat(path).st_mode & 0o6000:\n"
        "                found.append(path)\n    return found\n"
    )
    tests = (Test(input=[1], output=[]),)
    verdict = docker_sandbox.run(Job(id="s", source=source, fn_name="f", tests=tests))
    assert verdict.outcome is Outcome.passed, verdict.error


def test_the_standard_library_comes_compiled(docker_sandbox):
    source = "import os, statistics\ndef f(x):\n    return os.path.isfile(statistics.__cached__)\n"
    tests = (Test(input=[1], output=True),)
    verdict = docker_sandbox.run(Job(id="p", source=source, fn_name="f", tests=tests))
    assert verdict.outcome is Outcome.passed, verdict.error


def test_closing_leaves_no_container(client):
    with open_sandbox("docker") as slot:
        name = slot._runner.container.name
        assert slot.run(JOB).outcome is Outcome.passed
    wait_until(
        lambda: not client.containers.list(all=True, filters={"name": name}, ignore_removed=True)
    )


OWNER = """
import sys, time
from tests.sandbox.backends.test_containers import JOB
from sandbox import Sandbox, SandboxConfig
sandbox = Sandbox(SandboxConfig(backend="docker"), 0, sys.argv[1])
sandbox.start()
print(sandbox.run(JOB).outcome, flush=True)
time.sleep(60)
"""


def test_a_killed_owner_leaves_no_container(client):
    run = f"killed-{os.getpid()}"
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, run], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "passed\n"
        assert len(ours(client, run)) == 1
        process.kill()
    wait_until(lambda: not ours(client, run))


def test_strays_of_dead_owners_are_reaped_and_those_of_the_living_are_not(client, docker_sandbox):
    image = ensure_image(SandboxConfig())
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        life = f"{dead.pid}.1"
    run = f"stray-{os.getpid()}"
    for person, labels in {
        "dead": {**owner.labels(run, 0), owner.OWNER_LABEL: f"{owner._machine()} {life}"},
        "stranger": {**owner.labels(run, 1), owner.OWNER_LABEL: f"another machine {life}"},
        "living": owner.labels(run, 2),
    }.items():
        client.containers.run(
            image,
            ["sleep", "60"],
            detach=True,
            labels=labels,
            network_mode="none",
            name=f"{run}-{person}",
        )
    try:
        assert reap_strays("some other run") == 0
        assert reap_strays(run) == 1
        wait_until(lambda: len(ours(client, run)) == 2)
        assert {container.name for container in ours(client, run)} == {
            f"{run}-stranger",
            f"{run}-living",
        }
        assert docker_sandbox.run(JOB).outcome is Outcome.passed
    finally:
        for container in ours(client, run):
            container.remove(force=True)


def test_a_missing_image_is_one_clear_error(docker_sandbox):
    with pytest.raises(SandboxError, match="no image 'nowhere/none:1'"):
        ensure_image(SandboxConfig(image="nowhere/none:1"))


@pytest.fixture
def full_disk(tmp_path, monkeypatch):
    """A file system of 16 KiB as the folder for temporary files."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(tmp_path)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system needs privileges")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_full_disk_is_one_clear_error_and_no_verdict_on_the_program(full_disk):
    slot = open_sandbox("docker")
    message = f"{full_disk} .No space left on device.: free space there, or .* TMPDIR"
    with pytest.raises(SandboxError, match=message):
        slot.start()
    assert list(full_disk.iterdir()) == []
    verdict = slot.run(JOB)
    assert verdict.outcome is Outcome.infra_error
    assert "No space left on device" in verdict.error


def test_a_full_disk_of_the_engine_is_one_clear_error(docker_sandbox, monkeypatch):
    backend = docker_sandbox._backend

    def refuse(*_, **__):
        raise APIError("500 Server Error", explanation="mkdir /x: no space left on device")

    monkeypatch.setattr("docker.models.containers.ContainerCollection.create", refuse)
    with pytest.raises(SandboxError, match=r"no space left on device: `docker system prune`"):
        backend.start(0, "full")


def test_a_program_cannot_fill_the_disk(docker_sandbox):
    source = (
        "import errno, os\ndef f(x):\n    told = []\n"
        "    for place in ('/tmp', '/dev/shm', '/var/tmp', '/run/stepcoder', '/'):\n"
        "        try: open(place + '/x', 'wb').write(b'x')\n"
        "        except OSError as e: told.append(errno.errorcode[e.errno])\n"
        "    return sorted(set(told) - {'EROFS', 'EACCES', 'ENOENT'}) + [len(told)]\n"
    )
    job = Job(id="d", source=source, fn_name="f", tests=(Test(input=[1], output=[5]),))
    assert docker_sandbox.run(job).outcome is Outcome.passed


def test_a_missing_runtime_is_one_clear_error():
    with pytest.raises(SandboxError, match="runtime"):
        open_sandbox("docker", runtime="nonesuch").start()


def test_the_images_name_follows_its_recipe(monkeypatch, tmp_path):
    before = image_name(SandboxConfig())
    for path in RECIPE.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr("sandbox.backends.docker_image.RECIPE", tmp_path)
    assert image_name(SandboxConfig()) == before
    (tmp_path / "build.sh").write_text("#!/bin/sh\n")
    assert image_name(SandboxConfig()) != before
    assert image_name(SandboxConfig(image="mine:1")) == "mine:1"
