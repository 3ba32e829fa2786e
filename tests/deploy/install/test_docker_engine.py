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


def test_a_dry_run_changes_nothing(script, folder):
    plan = script("start", "--dry-run")
    if os.getuid() != 0:
        assert "root" in plan.stderr
        return
    assert plan.returncode == 0, plan.stderr
    assert "would start: dockerd" in plan.stdout
    assert str(folder / "state") in plan.stdout
    assert list(folder.iterdir()) == []


def test_a_state_folder_with_too_long_a_path_is_refused(script, folder):
    result = script("start", "--dry-run", STEPCODER_DOCKER_STATE=str(folder / ("x" * 80)))
    assert result.returncode == 1
    assert "too long" in result.stderr


def test_status_without_an_engine_names_the_remedy(script):
    result = script("status")
    assert result.returncode == 3
    assert "docker_engine.sh start" in result.stderr


def test_stop_does_nothing_without_an_engine_that_the_script_started(script):
    result = script("stop")
    assert result.returncode == 0
    assert "nothing to stop" in result.stdout


@pytest.mark.parametrize(
    "arguments", [(), ("restart",), ("start", "--force"), ("stop", "--dry-run", "x")]
)
def test_bad_arguments_show_the_usage(script, arguments):
    result = script(*arguments)
    assert result.returncode == 2
    assert "usage:" in result.stderr


@pytest.mark.docker
def test_start_refuses_where_an_engine_answers(script):
    running = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    result = script("start", DOCKER_HOST=running)
    assert result.returncode == 4
    assert f"already answers at {running}" in result.stderr


@pytest.mark.docker
def test_an_engine_starts_and_stops(script, folder):
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
