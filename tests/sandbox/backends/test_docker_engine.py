"""The script that starts a Docker engine where there is none."""

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "deploy" / "install" / "docker_engine.sh"


@pytest.fixture
def folder():
    """A short path: the engine's sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="engine-") as folder:
        yield Path(folder)


@pytest.fixture
def script(folder):
    def run(*arguments, **environment):
        return subprocess.run(
            ["sh", str(SCRIPT), *arguments],
            env={
                **{key: value for key, value in os.environ.items() if key != "DOCKER_HOST"},
                "STEPCODER_DOCKER_STATE": str(folder / "state"),
                "STEPCODER_DOCKER_SOCKET": str(folder / "docker.sock"),
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def test_a_plan_changes_nothing(script, folder):
    planned = script("start", "--dry-run")
    if os.getuid() != 0:
        assert "root" in planned.stderr
        return
    assert planned.returncode == 0, planned.stderr
    assert "would start: dockerd" in planned.stdout
    assert str(folder / "state") in planned.stdout
    assert list(folder.iterdir()) == []


def test_a_state_folder_with_too_long_a_path_is_refused(script, folder):
    told = script("start", "--dry-run", STEPCODER_DOCKER_STATE=str(folder / ("x" * 80)))
    assert told.returncode == 1
    assert "too long" in told.stderr


def test_status_says_that_nothing_answers_and_what_to_do(script):
    told = script("status")
    assert told.returncode == 3
    assert "docker_engine.sh start" in told.stderr


def test_stop_without_an_engine_of_ours_stops_nothing(script):
    told = script("stop")
    assert told.returncode == 0
    assert "nothing to stop" in told.stdout


@pytest.mark.parametrize(
    "arguments", [(), ("restart",), ("start", "--force"), ("stop", "--dry-run", "x")]
)
def test_bad_arguments_show_the_usage(script, arguments):
    told = script(*arguments)
    assert told.returncode == 2
    assert "usage:" in told.stderr


@pytest.mark.docker
def test_start_refuses_where_an_engine_answers(script, docker_sandbox):
    socket = docker_sandbox._backend.client.api.base_url
    running = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    assert socket
    told = script("start", DOCKER_HOST=running)
    assert told.returncode == 4
    assert f"already answers at {running}" in told.stderr


@pytest.mark.docker
def test_an_engine_of_ours_starts_and_stops(script, docker_sandbox, folder):
    if os.getuid() != 0:
        pytest.skip("starting an engine needs root")
    started = script("start")
    try:
        assert started.returncode == 0, started.stderr
        assert f"DOCKER_HOST=unix://{folder}/docker.sock" in started.stdout
        assert "started by this script" in script("status").stdout
        assert script("start").returncode == 4
    finally:
        stopped = script("stop")
    assert "engine stopped" in stopped.stdout
    assert script("status").returncode == 3
