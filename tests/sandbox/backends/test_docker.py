"""Containers: hardened, removed when closed, and clear errors when they cannot start."""

import subprocess

import pytest
from docker.errors import APIError

from curriculum.problem import Test
from sandbox import Job, Outcome, SetupError
from sandbox.backends import owner
from sandbox.backends.docker import DockerRunner
from tests.sandbox.backends.conftest import wait_until
from tests.sandbox.conftest import open_sandbox

pytestmark = pytest.mark.docker

TESTS = (Test(input=[1], output=2),)
JOB = Job(id="c", source="def f(x):\n    return x + 1\n", fn_name="f", tests=TESTS)


def test_a_container_has_no_network_no_capabilities_and_nothing_writable(docker_sandbox):
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


def test_a_program_has_its_own_uid_and_no_privileges(docker_sandbox):
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
        "import os\ndef f(x):\n    privileged = []\n    for folder, _, names in os.walk('/usr'):\n"
        "        for name in names:\n            path = os.path.join(folder, name)\n"
        "            if not os.path.islink(path) and os.stat(path).st_mode & 0o6000:\n"
        "                privileged.append(path)\n    return privileged\n"
    )
    tests = (Test(input=[1], output=[]),)
    verdict = docker_sandbox.run(Job(id="s", source=source, fn_name="f", tests=tests))
    assert verdict.outcome is Outcome.passed, verdict.error


def test_the_standard_library_is_compiled_in_the_image(docker_sandbox):
    source = "import os, statistics\ndef f(x):\n    return os.path.isfile(statistics.__cached__)\n"
    tests = (Test(input=[1], output=True),)
    verdict = docker_sandbox.run(Job(id="p", source=source, fn_name="f", tests=tests))
    assert verdict.outcome is Outcome.passed, verdict.error


def test_closing_removes_the_container(client):
    with open_sandbox("docker") as slot:
        assert isinstance(slot._runner, DockerRunner)
        name = slot._runner.container.name
        assert slot.run(JOB).outcome is Outcome.passed
    wait_until(
        lambda: not client.containers.list(all=True, filters={"name": name}, ignore_removed=True)
    )


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


def test_a_full_disk_is_a_clear_error_and_never_the_programs_fault(full_disk):
    slot = open_sandbox("docker")
    message = f"{full_disk} .No space left on device.: free space there, or .* TMPDIR"
    with pytest.raises(SetupError, match=message):
        slot.start()
    assert list(full_disk.iterdir()) == []
    verdict = slot.run(JOB)
    assert verdict.outcome is Outcome.infra_error
    assert verdict.error is not None
    assert "No space left on device" in verdict.error


def test_a_full_disk_of_the_engine_is_a_clear_error_with_its_remedy(docker_sandbox, monkeypatch):
    backend = docker_sandbox._backend

    def refuse(*_, **__):
        raise APIError("500 Server Error", explanation="mkdir /x: no space left on device")

    monkeypatch.setattr("docker.models.containers.ContainerCollection.create", refuse)
    with pytest.raises(SetupError, match=r"no space left on device: `docker system prune`"):
        backend.start(0, "full")


def test_a_program_cannot_fill_the_disk(docker_sandbox):
    source = (
        "import errno, os\ndef f(x):\n    errors = []\n"
        "    for folder in ('/tmp', '/dev/shm', '/var/tmp', '/run/stepcoder', '/'):\n"
        "        try: open(folder + '/x', 'wb').write(b'x')\n"
        "        except OSError as e: errors.append(errno.errorcode[e.errno])\n"
        "    return sorted(set(errors) - {'EROFS', 'EACCES', 'ENOENT'}) + [len(errors)]\n"
    )
    job = Job(id="d", source=source, fn_name="f", tests=(Test(input=[1], output=[5]),))
    assert docker_sandbox.run(job).outcome is Outcome.passed


def test_a_missing_runtime_is_a_clear_error():
    with pytest.raises(SetupError, match="runtime"):
        open_sandbox("docker", runtime="nonesuch").start()
